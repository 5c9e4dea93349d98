#!/usr/bin/env python3
"""Rate of OffsetCommit that a broker takes: commits.py HOST:PORT [--connections N] [--in-flight N] [--groups N] [--seconds S]
    [--server-pid PID]

Each connection commits one offset of one partition a request, in the name of nobody (generation -1), as many in flight as asked
for. Frames are made once and answers are of one size, so that this program takes little of the core it runs on; it says what
it took. With --server-pid the broker's own time per commit is told too. What is counted are answers without an error within the measured seconds, after two seconds of warm-up.
"""

import argparse
import os
import selectors
import socket
import struct
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))
import wire  # noqa: E402

OFFSET_COMMIT, FIND_COORDINATOR, VERSION = 8, 10, 7
WARM_UP_S = 2.0


def request(group, topic, offset):
    partition = struct.pack(">iqi", 0, offset, -1) + wire.string("")
    topics = struct.pack(">i", 1) + wire.string(topic) + struct.pack(">i", 1) + partition
    body = wire.string(group) + struct.pack(">i", -1) + wire.string("") + struct.pack(">h", -1) + topics
    frame = struct.pack(">hhi", OFFSET_COMMIT, VERSION, 1) + wire.string("bench") + body
    return struct.pack(">i", len(frame)) + frame


def answer(topic):
    body = struct.pack(">ii", 1, 0) + struct.pack(">i", 1) + wire.string(topic) + struct.pack(">iih", 1, 0, 0)
    return struct.pack(">i", len(body)) + body


def cpu_seconds(pid):
    if not pid:
        return 0.0
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Connection:
    def __init__(self, address, frames, expected, in_flight):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.frames, self.expected, self.left = frames, expected, b""
        self.done, self.errors, self.turn = 0, 0, 0
        self.send(in_flight)

    def send(self, count):
        frame = self.frames[self.turn % len(self.frames)]
        self.turn += 1
        self.socket.sendall(frame * count)

    def receive(self):
        data = self.left + self.socket.recv(1 << 18)
        size = len(self.expected)
        count = len(data) // size
        whole = data[: count * size]
        self.left = data[count * size :]
        if whole != self.expected * count:
            self.errors += 1
        self.done += count
        if count:
            self.send(count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--groups", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--server-pid", type=int)
    options = parser.parse_args()
    topic = f"bench-commits-{uuid.uuid4().hex[:8]}"
    groups = [f"{topic}-{number}" for number in range(options.groups)]
    with wire.Connection(options.address) as control:
        wire.create_topic(control, topic, 1)
        for _ in range(100):
            if control.ask(FIND_COORDINATOR, 0, wire.string(groups[0])).i16() == 0:
                break
            time.sleep(0.1)
    # Groups are loaded when they are first asked for: not part of what is measured.
    time.sleep(1)
    expected = answer(topic)
    connections = [
        Connection(options.address, [request(groups[n % len(groups)], topic, offset) for offset in range(16)], expected,
                   options.in_flight)
        for n in range(options.connections)
    ]
    selector = selectors.DefaultSelector()
    for connection in connections:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    began, measured_from, base, cpu, served = time.monotonic(), None, 0, 0.0, 0.0
    while True:
        for key, _ in selector.select(1):
            key.data.receive()
        now = time.monotonic()
        if measured_from is None and now - began >= WARM_UP_S:
            measured_from, base, cpu = now, sum(c.done for c in connections), time.process_time()
            served = cpu_seconds(options.server_pid)
        if measured_from is not None and now - measured_from >= options.seconds:
            break
    took = now - measured_from
    rate = (sum(c.done for c in connections) - base) / took
    errors = sum(c.errors for c in connections)
    own = (time.process_time() - cpu) / took
    served = (cpu_seconds(options.server_pid) - served) / (rate * took) * 1e6
    told = f"{served:.1f} us of the broker's time each, " if options.server_pid else ""
    print(f"{rate:.0f} commits/s, {told}{options.connections} connections x {options.in_flight} in flight, "
          f"{options.groups} groups; this program took {own:.0%} of a core")
    if errors:
        sys.exit(f"{errors} batches of answers held an error")


if __name__ == "__main__":
    main()
