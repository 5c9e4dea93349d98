"""The two brokers of a comparison, both pinned to one core, and the columns that are measured on them."""

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import broker
from broker import HarnessError, ROOT, Server

KAFKA = str(ROOT / "scripts/interop/kafka")
KAFKA_VERSION = "3.2.0"
KAFKA_VERSIONS = ("3.2.0", "4.1.0")
# Deleted topics must give their gigabytes back before the next measurement.
SETTINGS = {"log.segment.delete.delay.ms": "1000", "log.retention.check.interval.ms": "5000"}


@dataclass(frozen=True)
class Column:
    """What a measurement is made on. `topic` are the topic's settings; with `sustained`, as much is written first as
    the kernel keeps dirty, so that the measurement sees the disk's speed and not the page cache's."""

    name: str
    broker: str
    topic: dict = field(default_factory=dict)
    sustained: bool = False


COLUMNS = [
    Column("kafka", "kafka"),
    Column("kafka sustained", "kafka", sustained=True),
    Column("kafka flush=1", "kafka", {"flush.messages": "1"}),
    Column("thalweg disk", "thalweg", {"durability": "disk"}),
    Column("thalweg os", "thalweg", {"durability": "os"}),
]


class Thalweg:
    """One shard, since it has one core."""

    def __init__(self, work, cpus):
        self.server = Server(work / "thalweg", work / "thalweg.log", {**SETTINGS, "num.shards": "1"}, cpus)
        self.bootstrap, self.log = self.server.bootstrap, self.server.log

    def start(self):
        self.server.start()
        self.pid = self.server.pid

    def stop(self):
        if self.server.process is not None and self.server.process.poll() is None:
            self.server.stop()


class Kafka:
    """Apache Kafka with its sample configuration and a heap of 4 GB: 1 GB thrashes its collector at 2,000 partitions."""

    def __init__(self, work, cpus, version=KAFKA_VERSION):
        self.port, self.version = _free_pair(), version
        self.bootstrap, self.log = f"127.0.0.1:{self.port}", work / "kafka.log"
        config = "\n".join(f"{key}={value}" for key, value in SETTINGS.items())
        self.environment = {**os.environ, "KAFKA_HEAP": "4g", "KAFKA_CPUS": cpus, "KAFKA_RUN": str(work / "kafka"),
                            "KAFKA_CONFIG": config}

    def _do(self, command):
        done = subprocess.run([KAFKA, command, self.version, str(self.port)], env=self.environment, timeout=180, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode != 0:
            raise HarnessError(f"kafka {command}: {done.stderr.strip()}")
        return done.stdout

    def start(self):
        self._do("start")
        self.pid = int(self._do("pid"))

    def stop(self):
        self._do("wipe")


def _free_pair():
    """A free port whose successor is free too: ZooKeeper takes that one."""
    while True:
        port = broker.free_port()
        if not broker.answers(port + 1):
            return port


def settle(pause_s):
    """Before each measurement: nothing dirty is left of the one before."""
    os.sync()
    time.sleep(pause_s)


def dirty_limit_bytes():
    """How much the kernel lets processes dirty before they must write themselves: vm.dirty_ratio of what is available."""
    absolute = int(Path("/proc/sys/vm/dirty_bytes").read_text())
    if absolute:
        return absolute
    available = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return int(available.split()[1]) * 1024 * int(Path("/proc/sys/vm/dirty_ratio").read_text()) // 100
