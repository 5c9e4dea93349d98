#!/usr/bin/env python3
"""How long a server takes after kill -9 with many partitions, until a produce is acknowledged: restart.py [--partitions N]
    [--seconds S] [--batch-bytes B] [--shards N] [--rounds N] [--home DIR]

The load generator writes to all partitions, then the server is killed. Each round starts a server on a copy of what that
left, so that all rounds, and another build's with the same --home, recover the very same bytes. The server has core 0 for one shard, both for
more. Told are the seconds until it answers, until it has acknowledged a produce to the last partition, and until it has read all of
the topic's ends back; its resident memory then, and at most; its CPU seconds.
Environment: THALWEG_SERVER, THALWEG_LOADGEN (the release build's), TMPDIR.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))
import wire  # noqa: E402
from broker import HarnessError, Server, measure  # noqa: E402

TOPIC = "restart"


def crashed(home, options):
    """A data directory as kill -9 leaves it, and the records acknowledged before; made unless it is there."""
    data = home / "crashed"
    if data.exists():
        return data
    server = Server(home / "loaded", home / "loaded.log", {"num.shards": options.shards}, cpus=cpus(options))
    server.start()
    try:
        load = ("--topic", TOPIC, "--partitions", options.partitions, "--create-topics", "--record-size", 1024, "--batch-bytes",
                options.batch_bytes, "--producers", 4, "--in-flight", 16, "--warmup", "0s", "--duration", f"{options.seconds}s", "--cpus", 1)
        measure(server.bootstrap, home / "load.log", home / "load.json", *load, timeout_s=options.seconds + 60)
        server.kill()
    finally:
        server.discard()
    (home / "loaded").rename(data)
    return data


def cpus(options):
    return "0" if options.shards == 1 else None


def memory_kib(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def recover(home, data, options):
    """One round on a copy of `data`; returns what it tells."""
    copy = home / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-a", "--sparse=never", data, copy], check=True)
    subprocess.run(["sync"], check=True)
    server = Server(copy, home / "server.log", {"num.shards": options.shards}, cpus=cpus(options))
    began = time.monotonic()
    listening = server.start()
    try:
        with wire.Connection(server.bootstrap) as connection:
            error, _ = wire.produce(connection, TOPIC, wire.batch([b"after the restart"]), partition=options.partitions - 1)
            if error != 0:
                raise HarnessError(f"the first produce got error {error}")
            produced = time.monotonic() - began
            ends = [wire.list_offset(connection, TOPIC, wire.LATEST, partition)[-1] for partition in range(options.partitions)]
            whole = time.monotonic() - began
        resident, most = memory_kib(server.pid, "VmRSS"), memory_kib(server.pid, "VmHWM")
        print(f"listening {listening:.3f} s, produced {produced:.3f} s, all ends {whole:.3f} s ({sum(ends) - 1} records), resident "
              f"{resident / 1024:.0f} MiB, at most {most / 1024:.0f} MiB, CPU {cpu_seconds(server.pid):.2f} s", flush=True)
    finally:
        server.discard()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--batch-bytes", type=int, default=16384)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, help="keep everything here, and recover what is here already")
    options = parser.parse_args()
    home = options.home or Path(tempfile.mkdtemp(prefix="thalweg-restart-"))
    home.mkdir(parents=True, exist_ok=True)
    try:
        data = crashed(home, options)
        for _ in range(options.rounds):
            recover(home, data, options)
    except HarnessError as error:
        print(f"restart: {error}", file=sys.stderr)
        return 1
    finally:
        if options.home is None:
            shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
