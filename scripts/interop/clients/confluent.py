"""confluent-kafka (a current librdkafka, where kcat has the distribution's); the interface is described in kcat.sh."""

import os
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

SILENCE_S = 20


def produce(bootstrap, topic, partition, codec):
    failures = []
    producer = Producer({
        "bootstrap.servers": bootstrap,
        "acks": os.environ.get("ACKS", "all"),
        "enable.idempotence": os.environ.get("IDEMPOTENT", "false"),
        "compression.type": codec,
        "linger.ms": 20,
        "sticky.partitioning.linger.ms": 0,
        "batch.num.messages": 20_000,
        "queue.buffering.max.messages": 1_000_000,
        "message.timeout.ms": 60_000,
    })

    def delivered(error, _message):
        if error is not None:
            failures.append(error)

    for line in sys.stdin.buffer:
        while True:
            try:
                producer.produce(topic, line.rstrip(b"\n"), partition=-1 if partition == "any" else int(partition),
                                 on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    left = producer.flush(60)
    if failures or left:
        sys.exit(f"{len(failures)} records failed, {left} unsent; first: {failures[:1]}")


def consume(bootstrap, topic, partition, records):
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "thalweg-interop",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "check.crcs": True,
    })
    consumer.assign([TopicPartition(topic, int(partition), 0)])
    left = int(records)
    while left > 0:
        messages = consumer.consume(min(left, 10_000), timeout=SILENCE_S)
        if not messages:
            sys.exit(f"nothing came for {SILENCE_S} s, {left} records are missing")
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            sys.stdout.buffer.write(message.value() + b"\n")
        left -= len(messages)
    consumer.close()


if __name__ == "__main__":
    {"produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
