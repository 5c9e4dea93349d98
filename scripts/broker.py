"""Thalweg servers and load generators as child processes, for the harnesses beside this file.

A child never outlives its parent, however that ends: the kernel kills it (PR_SET_PDEATHSIG). Ports are chosen free.
The programs are $THALWEG_SERVER and $THALWEG_LOADGEN, or those of the release build.
"""

import ctypes
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PR_SET_PDEATHSIG = 1
START_DEADLINE_S = 60
STOP_DEADLINE_S = 30
# Nothing may hold a shard's thread longer than this.
STALL_MS = 50
_STALLS = re.compile(r'held too long.*?name="([^"]*)".*?\bmillis=(\d+)')
# The kernel function is looked up before any fork: a child may not take the loader's lock.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class HarnessError(Exception):
    """What went wrong, as a sentence that names the log to read."""


def program(name):
    """Path of a built binary; HarnessError says how to build it."""
    variable = name.upper().replace("-", "_")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    path = Path(os.environ.get(variable) or target / "release" / name)
    if not os.access(path, os.X_OK):
        raise HarnessError(f"{path} is missing; run `cargo build --release` in {ROOT}, or set {variable}")
    return str(path)


def free_port():
    """A port that nobody has, nor the next one: Kafka's ZooKeeper gets that. Below those that the kernel gives to outgoing connections."""
    for _ in range(100):
        port = random.randrange(15_000, 32_000, 2)
        try:
            with socket.socket() as first, socket.socket() as second:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            return port
        except OSError:
            continue
    raise HarnessError("no two free ports between 15000 and 32000")


def _die_with_parent():
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command, log, cpus=None):
    """A child in a session of its own, its output appended to the file `log`, pinned to the taskset list `cpus`."""
    pinned = ["taskset", "-c", cpus, *command] if cpus else command
    with open(log, "ab") as output:
        return subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                start_new_session=True, preexec_fn=_die_with_parent)


def answers(port):
    """Whether a broker serves at `port`: it answers ApiVersions (version 0)."""
    request = bytes.fromhex("0000000a" "0012" "0000" "00000001" "ffff")
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            return len(connection.recv(8)) > 0
    except OSError:
        return False


class Server:
    """One data directory and, between start and stop or kill, the server on it.

    `settings` become --override arguments. The log of all its starts is one file.
    """

    def __init__(self, directory, log, settings=None, cpus=None):
        self.directory, self.log, self.cpus = Path(directory), Path(log), cpus
        self.settings = dict(settings or {})
        self.port = free_port()
        self.process = None

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def launch(self):
        """Starts it and does not wait."""
        settings = {"listeners": f"PLAINTEXT://{self.bootstrap}", "log.dirs": str(self.directory), **self.settings}
        command = [program("thalweg-server"), str(ROOT / "config/server.properties")]
        for key, value in settings.items():
            command += ["--override", f"{key}={value}"]
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n")
        self.process = spawn(command, self.log, self.cpus)

    def start(self):
        """Starts it and waits until it serves. Returns the seconds that took."""
        began = time.monotonic()
        self.launch()
        while not answers(self.port):
            if self.process.poll() is not None:
                raise HarnessError(f"the server ended with code {self.process.returncode} while it started, see {self.log}")
            if time.monotonic() - began > START_DEADLINE_S:
                raise HarnessError(f"the server does not serve after {START_DEADLINE_S} s, see {self.log}")
            time.sleep(0.005)
        return time.monotonic() - began

    def kill(self):
        """kill -9, as a crash does."""
        if self.process.poll() is not None:
            raise HarnessError(f"the server was gone before it was killed (code {self.process.returncode}), see {self.log}")
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; it must end in good order. Returns the seconds that took."""
        began = time.monotonic()
        self.process.terminate()
        try:
            code = self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise HarnessError(f"the server did not stop within {STOP_DEADLINE_S} s, see {self.log}") from None
        if code != 0:
            raise HarnessError(f"the server stopped with code {code}, see {self.log}")
        return time.monotonic() - began

    def check_stalls(self):
        """Tells of the worst that held one of its shards for too long, in any of its starts. An error where the machine is
        known to be idle (THALWEG_STALLS=fail, as `scripts/check --full` sets it): beside other work, the kernel's own waits
        (a page from the host, a lock of the file system) look the same.
        """
        said = self.log.read_text(encoding="utf-8", errors="replace")
        worst = max(((int(millis), name) for name, millis in _STALLS.findall(said)), default=(0, ""))
        if worst[0] <= STALL_MS:
            return
        told = f"a shard's thread was held for {worst[0]} ms by {worst[1]!r}, see {self.log}"
        if os.environ.get("THALWEG_STALLS") == "fail":
            raise HarnessError(told)
        print(f"note: {told}", flush=True)

    def discard(self):
        """Ends it in whatever way, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Load:
    """A running `thalweg-loadgen run`."""

    def __init__(self, bootstrap, log, *arguments, cpus=None):
        self.log = Path(log)
        command = [program("thalweg-loadgen"), "run", "--bootstrap-server", bootstrap, *map(str, arguments)]
        with open(self.log, "a", encoding="utf-8") as output:
            output.write(f"$ {' '.join(command)}\n")
        self.process = spawn(command, self.log, cpus)

    def interrupt(self):
        """Ctrl-C: it drains, and prints what it measured."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def wait(self, timeout_s):
        """Its exit code: 0, 1 for a run with failures in it, 2 for one that could not be done."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.discard()
            raise HarnessError(f"the load generator did not end within {timeout_s} s, see {self.log}") from None

    def discard(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def measure(bootstrap, log, result, *arguments, timeout_s, cpus=None):
    """Runs the load generator to its end and returns its JSON document."""
    load = Load(bootstrap, log, *arguments, "--json", result, cpus=cpus)
    try:
        code = load.wait(timeout_s)
    finally:
        load.discard()
    if code != 0:
        raise HarnessError(f"the load generator ended with code {code}, see {log}")
    return json.loads(Path(result).read_text(encoding="utf-8"))
