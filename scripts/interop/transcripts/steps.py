"""What a table does between its command lines: records, commits and group members, by kafka-python."""

import threading
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

DEADLINE_S = 60


class Steps:
    """Runs the steps of one table against one broker, and ends what they left running."""

    def __init__(self, bootstrap, directory):
        self.bootstrap, self.directory = bootstrap, directory
        self.members = {}

    def run(self, verb, arguments):
        getattr(self, verb.replace("-", "_"))(*arguments)

    def file(self, name, *lines):
        """A file in {dir}, one line each."""
        text = "\n".join(self.placed(line) for line in lines)
        (self.directory / name).write_text(text + "\n", encoding="utf-8")

    def placed(self, text):
        return text.replace("{dir}", str(self.directory)).replace("{broker}", self.bootstrap)

    def produce(self, topic, partition, count, first_ms="0"):
        """COUNT records whose timestamps are FIRST_MS, and one second more each; now without it."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", retries=5)
        for n in range(int(count)):
            when = int(first_ms) + 1000 * n if int(first_ms) else None
            producer.send(topic, value=b"value-%d" % n, partition=int(partition), timestamp_ms=when).get(DEADLINE_S)
        producer.close()

    def commit(self, group, *positions):
        """Commits TOPIC:PARTITION=OFFSET for a group without members."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False)
        parsed = {}
        for position in positions:
            place, _, offset = position.partition("=")
            topic, _, partition = place.rpartition(":")
            parsed[TopicPartition(topic, int(partition))] = OffsetAndMetadata(int(offset), "", -1)
        consumer.assign(list(parsed))
        consumer.commit(parsed)
        consumer.close(autocommit=False)

    def join(self, group, client, *topics):
        """A member that polls until `leave`; returns once it has its partitions."""
        stop = threading.Event()
        consumer = KafkaConsumer(*topics, bootstrap_servers=self.bootstrap, group_id=group, client_id=client,
                                 enable_auto_commit=False, auto_offset_reset="earliest")
        ready = threading.Event()

        def poll():
            while not stop.is_set():
                # Not short: kafka-python 3.0.12 loses an assignment that comes after poll's time is up.
                consumer.poll(timeout_ms=1_000)
                if consumer.assignment():
                    ready.set()
            consumer.close(autocommit=False)

        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        self.members[client] = (stop, thread)
        if not ready.wait(DEADLINE_S):
            raise SystemExit(f"{client} has no partitions after {DEADLINE_S} s")

    def leave(self, client):
        stop, thread = self.members.pop(client)
        stop.set()
        thread.join(DEADLINE_S)

    def sleep(self, seconds):
        """For what a broker does in its own time and no request tells: use it with a reason in the table."""
        time.sleep(float(seconds))

    def close(self):
        for client in list(self.members):
            self.leave(client)
