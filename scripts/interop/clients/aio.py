"""aiokafka; the interface is described in kcat.sh."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

SILENCE_S = 20
# Futures held at once: the producer has no bound of its own on records, only on batches.
IN_FLIGHT_MAX = 20_000


async def produce(bootstrap, topic, partition, codec):
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        compression_type=None if codec == "none" else codec,
        linger_ms=20,
        max_batch_size=256 << 10,
    )
    await producer.start()
    pending = []
    for line in sys.stdin.buffer:
        where = None if partition == "any" else int(partition)
        pending.append(await producer.send(topic, line.rstrip(b"\n"), partition=where))
        if len(pending) == IN_FLIGHT_MAX:
            await asyncio.gather(*pending)
            pending.clear()
    await asyncio.gather(*pending)
    await producer.stop()


async def consume(bootstrap, topic, partition, records):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, check_crcs=True)
    await consumer.start()
    where = TopicPartition(topic, int(partition))
    consumer.assign([where])
    await consumer.seek_to_beginning(where)
    left = int(records)
    while left > 0:
        found = await consumer.getmany(where, timeout_ms=SILENCE_S * 1000, max_records=min(left, 10_000))
        messages = found.get(where)
        if not messages:
            sys.exit(f"nothing came for {SILENCE_S} s, {left} records are missing")
        for message in messages:
            sys.stdout.buffer.write(message.value + b"\n")
        left -= len(messages)
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run({"produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:]))
