"""Kafka's own tools: in one JVM where a JDK can compile ToolHost.java, else in a JVM each."""

import os
import subprocess
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
INTEROP = HERE.parent
# These end their JVM by themselves, and say the last when it ends.
ENDING = {"verifiable-producer", "verifiable-consumer"}


class RealTools:
    """Runs Kafka's tools of one version by the names of their scripts."""

    def __init__(self, version, deadline_s):
        self.version, self.deadline_s, self.host, self.classes = version, deadline_s, None, {}

    def run(self, words, environment, stdin=""):
        """(exit code, stdout, stderr) of one command line that reads `stdin`."""
        if self.host is None:
            self.host = self._start(environment) or False
        if self.host and words and words[0] not in ENDING:
            return self._ask(words, stdin)
        done = subprocess.run([str(INTEROP / "kafka"), "tool", self.version, *words], input=stdin,
                              capture_output=True, text=True, timeout=self.deadline_s, check=False, env=environment)
        return done.returncode, done.stdout, done.stderr

    def _start(self, environment):
        modules = subprocess.run(["java", "--list-modules"], capture_output=True, text=True, check=True).stdout
        if "jdk.compiler" not in modules:
            return None
        jars = self._control("jars")
        command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Ddeadline_s={self.deadline_s}",
                   f"-Dlog4j.configuration=file:{self._control('log4j')}", "-cp", f"{jars}/*", str(HERE / "ToolHost.java")]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def _control(self, what, *more):
        done = subprocess.run([str(INTEROP / "kafka"), what, self.version, *more], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def _ask(self, words, stdin):
        if words[0] not in self.classes:
            self.classes[words[0]] = self._control("class", words[0])
        # A letter before each word, so that none is empty.
        line = " ".join("=" + quote(word, safe="") for word in [stdin, self.classes[words[0]], *words[1:]])
        self.host.stdin.write(line.encode() + b"\n")
        self.host.stdin.flush()
        answer = self.host.stdout.readline().split()
        if len(answer) != 3:
            raise SystemExit(f"the JVM of Kafka's tools ended, or took {self.deadline_s} s, at: {' '.join(words)}")
        code, out, err = map(int, answer)
        return code, self.host.stdout.read(out).decode(), self.host.stdout.read(err).decode()

    def close(self):
        if self.host:
            self.host.stdin.close()
            self.host.wait(30)
