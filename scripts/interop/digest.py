"""Prints what a broker serves of some topics, one line per partition, so that two brokers can be compared by diff.

digest.py BOOTSTRAP TOPIC...            (run with the suite's Python: it needs confluent-kafka)

    TOPIC PARTITION FIRST END RECORDS SHA256

FIRST and END are the partition's first offset and its high watermark; the sha256 is over offset, timestamp, key,
value and headers of every record between them, each with its length, so that no two logs share a text.
"""

import hashlib
import struct
import sys

from confluent_kafka import Consumer, KafkaException, TopicPartition

SILENCE_S = 20


def put(digest, data):
    """A length in front, -1 for null: the encoding is then unambiguous."""
    if data is None:
        digest.update(struct.pack(">i", -1))
    else:
        digest.update(struct.pack(">i", len(data)))
        digest.update(data)


def add(digest, message):
    kind, timestamp = message.timestamp()
    digest.update(struct.pack(">qiq", message.offset(), kind, timestamp))
    put(digest, message.key())
    put(digest, message.value())
    for name, value in message.headers() or ():
        put(digest, name.encode())
        put(digest, value)


def digest_partition(consumer, topic, partition):
    where = TopicPartition(topic, partition)
    first, end = consumer.get_watermark_offsets(where, timeout=SILENCE_S)
    digest, records, following = hashlib.sha256(), 0, first
    consumer.assign([TopicPartition(topic, partition, first)])
    while following < end:
        # consume() returns only when it has as many as asked for, or at its timeout.
        messages = consumer.consume(min(end - following, 10_000), timeout=SILENCE_S)
        if not messages:
            sys.exit(f"{topic}-{partition}: nothing came for {SILENCE_S} s at offset {following} of {end}")
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            if message.offset() < end:
                add(digest, message)
                records += 1
            following = message.offset() + 1
    return first, end, records, digest.hexdigest()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    consumer = Consumer({
        "bootstrap.servers": sys.argv[1],
        "group.id": "thalweg-interop-digest",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "check.crcs": True,
    })
    for topic in sorted(sys.argv[2:]):
        known = consumer.list_topics(topic, timeout=SILENCE_S).topics[topic]
        if known.error:
            raise KafkaException(known.error)
        for partition in sorted(known.partitions):
            print(topic, partition, *digest_partition(consumer, topic, partition), flush=True)
    consumer.unassign()
    consumer.close()


if __name__ == "__main__":
    main()
