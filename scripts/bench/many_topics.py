#!/usr/bin/env python3
"""What many topics cost a broker: many_topics.py [--topics N] [--broker thalweg|kafka] [--kafka-version V]

N topics of one partition each are created by requests of a hundred. Told are the seconds that took; the resident memory before, and
once it is quiet; how long Metadata takes for all topics and for one of them; and, for Thalweg, how long it takes after a clean stop and
after kill -9 until a start answers Metadata with all topics. The broker has core 0, this program core 1.
Environment: THALWEG_SERVER (the release build's), TMPDIR.
"""

import argparse
import os
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))
import wire  # noqa: E402
from bench import brokers  # noqa: E402
from broker import HarnessError  # noqa: E402

TOPICS_PER_REQUEST = 100
QUIET_S = 15
ALL_TOPICS = struct.pack(">i", -1) + b"\0"


def name(number):
    return f"many-{number:05}"


def create(connection, count):
    """Creates all topics; returns the seconds that took."""
    began = time.monotonic()
    for first in range(0, count, TOPICS_PER_REQUEST):
        numbers = range(first, min(first + TOPICS_PER_REQUEST, count))
        topics = [wire.string(name(number)) + struct.pack(">ih", 1, 1) + wire.array([]) + wire.array([]) for number in numbers]
        reader = connection.ask(wire.CREATE_TOPICS, 2, wire.array(topics) + struct.pack(">i?", 60_000, False))
        reader.i32()
        for topic, error, message in reader.array(lambda r: (r.string(), r.i16(), r.string())):
            if error != 0:
                raise HarnessError(f"{topic} was not created: error {error}, {message}")
    return time.monotonic() - began


def latency_us(ask, count):
    """Median and largest of `count` answers, microseconds."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1e6)
    return f"p50 {statistics.median(taken):.0f} us, at most {max(taken):.0f} us"


def resident_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


def connect(bootstrap, count):
    """A connection to a broker that knows all topics, as soon as there is one."""
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = wire.Connection(bootstrap, timeout_s=60)
            known = sum(error == 0 for error, _ in wire.metadata(connection, [name(number) for number in range(count)]).values())
            if known == count:
                return connection
            connection.__exit__()
        except (OSError, wire.Closed):
            pass
        if time.monotonic() > deadline:
            raise HarnessError("the broker does not know all topics a minute after its start")
        time.sleep(0.005)


def restart(made, how, count):
    server = made.server
    how()
    began = time.monotonic()
    server.launch()
    with connect(server.bootstrap, count):
        took = time.monotonic() - began
    time.sleep(2)
    return f"{took:.3f} s until Metadata has all topics, resident {resident_mib(server.pid):.1f} MiB"


def measure(made, options):
    with wire.Connection(made.bootstrap, timeout_s=120) as connection:
        time.sleep(2)
        print(f"resident {resident_mib(made.pid):.1f} MiB", flush=True)
        print(f"created in {create(connection, options.topics):.2f} s", flush=True)
        time.sleep(QUIET_S)
        print(f"resident {resident_mib(made.pid):.1f} MiB", flush=True)
        print("Metadata, all topics:", latency_us(lambda: connection.ask(wire.METADATA, 4, ALL_TOPICS), 50), flush=True)
        one = wire.array([wire.string(name(options.topics // 2))]) + b"\0"
        print("Metadata, one topic:", latency_us(lambda: connection.ask(wire.METADATA, 4, one), 1000), flush=True)
    if options.broker == "thalweg":
        print("after a clean stop:", restart(made, made.server.stop, options.topics), flush=True)
        print("after kill -9:", restart(made, made.server.kill, options.topics), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topics", type=int, default=10_000)
    parser.add_argument("--broker", choices=("thalweg", "kafka"), default="thalweg")
    parser.add_argument("--kafka-version", choices=brokers.KAFKA_VERSIONS, default=brokers.KAFKA_VERSION)
    options = parser.parse_args()
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory(prefix="thalweg-topics-") as home:
        home = Path(home)
        made = brokers.Thalweg(home, "0") if options.broker == "thalweg" else brokers.Kafka(home, "0", options.kafka_version)
        try:
            made.start()
            measure(made, options)
        except HarnessError as error:
            print(f"many_topics: {error}", file=sys.stderr)
            return 1
        finally:
            made.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
