"""kafka-python; the interface is described in kcat.sh."""

import os
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition


def produce(bootstrap, topic, partition, codec):
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        acks={"all": "all", "1": 1, "0": 0}[os.environ.get("ACKS", "all")],
        enable_idempotence=os.environ.get("IDEMPOTENT", "false") == "true",
        compression_type=None if codec == "none" else codec,
        linger_ms=20,
        batch_size=256 << 10,
    )
    pending = [
        producer.send(topic, line.rstrip(b"\n"), partition=None if partition == "any" else int(partition))
        for line in sys.stdin.buffer
    ]
    producer.flush(60)
    for sent in pending:
        sent.get(timeout=30)
    producer.close()


def consume(bootstrap, topic, partition, records):
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, check_crcs=True, consumer_timeout_ms=20_000
    )
    where = TopicPartition(topic, int(partition))
    consumer.assign([where])
    consumer.seek_to_beginning(where)
    for number, message in enumerate(consumer, 1):
        sys.stdout.buffer.write(message.value + b"\n")
        if number == int(records):
            break
    consumer.close()


if __name__ == "__main__":
    {"produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
