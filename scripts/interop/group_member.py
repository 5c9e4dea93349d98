"""Consumer groups through a Python client: kafka-python, confluent or aiokafka, each in its default settings.

    group_member.py BOOTSTRAP CLIENT

Two members of one group share a topic of two partitions. One leaves, and the other gets all. What is committed is where a
third, later member begins; then it seeks by time. Every record comes exactly once, as everything read is committed.
"""

import asyncio
import sys
import threading
import time
import uuid

DEADLINE_S = 60
RECORDS = 40


class Failed(Exception):
    pass


def until(what, condition):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"not within {DEADLINE_S} s: {what}")
        time.sleep(0.05)


class Member(threading.Thread):
    """Reads until it is told to stop; commits what it has read before it leaves."""

    def __init__(self, client, bootstrap, topic, group):
        super().__init__(daemon=True)
        self.consumer = client(bootstrap, topic, group)
        self.values, self.assigned, self.error = [], (), None
        self.stopping = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.values += self.consumer.poll()
                self.assigned = self.consumer.assigned()
            self.consumer.commit()
            self.consumer.close()
        except Exception as error:  # told to whoever waits for this member
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join(DEADLINE_S)
        if self.is_alive():
            raise Failed("a member does not end")

    def check(self):
        if self.error:
            raise self.error


class KafkaPython:
    def __init__(self, bootstrap, topic, group):
        from kafka import KafkaConsumer
        self.consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group,
                                      auto_offset_reset="earliest", enable_auto_commit=False)

    def poll(self):
        # Long, and it ends with the first records: version 3.0.12 loses an assignment that comes after poll's time is up (the
        # answer to SyncGroup is logged as received and never applied, and it does not join again), whatever the broker.
        return [record.value for records in self.consumer.poll(5_000).values() for record in records]

    def assigned(self):
        return sorted(partition.partition for partition in self.consumer.assignment())

    def commit(self):
        self.consumer.commit()

    def offsets_at(self, topic, when_ms):
        from kafka import TopicPartition
        found = self.consumer.offsets_for_times({TopicPartition(topic, p): when_ms for p in (0, 1)})
        return {where.partition: offset.offset for where, offset in found.items() if offset}

    def close(self):
        self.consumer.close()


class Confluent:
    def __init__(self, bootstrap, topic, group):
        from confluent_kafka import Consumer
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                                  "enable.auto.commit": False})
        self.consumer.subscribe([topic])

    def poll(self):
        messages = self.consumer.consume(100, timeout=0.2)
        for message in messages:
            if message.error():
                raise Failed(str(message.error()))
        return [message.value() for message in messages]

    def assigned(self):
        return sorted(partition.partition for partition in self.consumer.assignment())

    def commit(self):
        from confluent_kafka import KafkaException
        try:
            self.consumer.commit(asynchronous=False)
        except KafkaException as error:
            if error.args[0].name() != "_NO_OFFSET":
                raise

    def offsets_at(self, topic, when_ms):
        from confluent_kafka import TopicPartition
        found = self.consumer.offsets_for_times([TopicPartition(topic, p, when_ms) for p in (0, 1)], timeout=30)
        return {where.partition: where.offset for where in found if where.offset >= 0}

    def close(self):
        self.consumer.close()


class Aio:
    """aiokafka, with a loop of its own."""

    def __init__(self, bootstrap, topic, group):
        from aiokafka import AIOKafkaConsumer
        self.loop = asyncio.new_event_loop()

        async def start():
            consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group,
                                        auto_offset_reset="earliest", enable_auto_commit=False)
            await consumer.start()
            return consumer

        self.consumer = self.loop.run_until_complete(start())

    def poll(self):
        found = self.loop.run_until_complete(self.consumer.getmany(timeout_ms=200))
        return [record.value for records in found.values() for record in records]

    def assigned(self):
        return sorted(partition.partition for partition in self.consumer.assignment())

    def commit(self):
        self.loop.run_until_complete(self.consumer.commit())

    def offsets_at(self, topic, when_ms):
        from aiokafka import TopicPartition
        wanted = {TopicPartition(topic, p): when_ms for p in (0, 1)}
        found = self.loop.run_until_complete(self.consumer.offsets_for_times(wanted))
        return {where.partition: offset.offset for where, offset in found.items() if offset}

    def close(self):
        self.loop.run_until_complete(self.consumer.stop())


CLIENTS = {"kafka-python": KafkaPython, "confluent": Confluent, "aiokafka": Aio}


def produce(bootstrap, topic, numbers):
    from kafka import KafkaProducer
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    sent = [producer.send(topic, str(number).encode(), partition=number % 2) for number in numbers]
    for future in sent:
        future.get(timeout=30)
    producer.close()


def main(bootstrap, name):
    from kafka.admin import KafkaAdminClient, NewTopic
    client, unique = CLIENTS[name], uuid.uuid4().hex[:8]
    topic, group = f"interop-members-{unique}", f"interop-members-{unique}"
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, 2, 1)])
    try:
        produce(bootstrap, topic, range(RECORDS))
        share(client, bootstrap, topic, group)
        go_on(client, bootstrap, topic, group)
    finally:
        admin.delete_topics([topic])
        admin.close()


def share(client, bootstrap, topic, group):
    """Two members, then one."""
    first = Member(client, bootstrap, topic, group)
    until("the first member has both partitions", lambda: first.check() or first.assigned == [0, 1])
    second = Member(client, bootstrap, topic, group)
    until("each has one", lambda: first.check() or second.check() or len(first.assigned) == len(second.assigned) == 1)
    until("all is read", lambda: len(first.values) + len(second.values) >= RECORDS)
    second.stop()
    second.check()
    until("the first has both again", lambda: first.check() or first.assigned == [0, 1])
    produce(bootstrap, topic, range(RECORDS, 2 * RECORDS))
    everything = {str(number).encode() for number in range(2 * RECORDS)}
    until("the rest is read", lambda: first.check() or set(first.values + second.values) == everything)
    first.stop()
    first.check()


def go_on(client, bootstrap, topic, group):
    """A later member begins behind what was committed, and finds offsets by time."""
    produce(bootstrap, topic, range(2 * RECORDS, 2 * RECORDS + 2))
    third = Member(client, bootstrap, topic, group)
    until("what is new is read", lambda: third.check() or len(third.values) >= 2)
    if sorted(third.values) != [b"80", b"81"]:
        raise Failed(f"it began elsewhere: {sorted(third.values)[:5]}")
    third.stop()
    third.check()
    seeker = client(bootstrap, topic, group + "-seek")
    found = seeker.offsets_at(topic, 0)
    seeker.close()
    if found != {0: 0, 1: 0}:
        raise Failed(f"the offsets at time 0 are {found}")


if __name__ == "__main__":
    main(*sys.argv[1:])
