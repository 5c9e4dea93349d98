#!/usr/bin/env python3
"""Holds our tools against those of Apache Kafka 3.2.0, over tables of command lines.

    run [TABLE...]            the recorded outputs of the real tools on real Kafka, replayed with ours on Thalweg, and the
                              lines marked `live` with the real tools on Thalweg as well
    run --full [TABLE...]     every line live: {our tool, real tool} x {Thalweg, real Kafka}, all compared
    run --record [TABLE...]   records anew what real tool and real Kafka say, and what is marked as different;
                              with --keep only the latter

A table is tables/NAME.table (see table.py), its recording recorded/NAME.out (see outcome.py). Each table starts with an
empty broker of its own per combination. $TRANSCRIPTS_PORT and the port after it are taken by real Kafka (29392).
"""

import argparse
import dataclasses
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
INTEROP = HERE.parent
sys.path[:0] = [str(INTEROP.parent), str(HERE)]

import outcome  # noqa: E402
import table  # noqa: E402
from broker import HarnessError, Server, program  # noqa: E402
from real_tool import RealTools  # noqa: E402
from steps import Steps  # noqa: E402

KAFKA = "3.2.0"
# Files that this release wrote.
WROTE = INTEROP.parent.parent / "engine" / "tests" / "fixtures" / "kafka-3.2.0"
PORT = int(os.environ.get("TRANSCRIPTS_PORT", "29392"))
TOOL_DEADLINE_S = 60
# A command line that takes longer is named: a table is to be replayed in seconds.
SLOW_S = 5
REAL = RealTools(KAFKA, TOOL_DEADLINE_S)
# What both brokers are told, so that their answers can be compared.
SETTINGS = {"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "4", "auto.create.topics.enable": "false"}


class RealKafka:
    """One real broker at a time, on a port of ours, empty at every start."""

    def __enter__(self):
        config = "\n".join(f"{key}={value}" for key, value in SETTINGS.items())
        self.control("wipe")
        self.control("start", KAFKA_CONFIG=config, KAFKA_HEAP="512m")
        self.bootstrap = f"127.0.0.1:{PORT}"
        self.log_dir = subprocess.run([INTEROP / "kafka", "data", KAFKA, str(PORT)], check=True, capture_output=True,
                                      text=True).stdout.strip()
        return self

    def __exit__(self, *_):
        self.control("wipe")

    def control(self, command, **environment):
        subprocess.run([INTEROP / "kafka", command, KAFKA, str(PORT)], check=True, env={**os.environ, **environment},
                       stdout=subprocess.DEVNULL)


class Thalweg:
    """One server of ours, empty at every start."""

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory(prefix="transcripts.")
        self.log_dir = str(Path(self.home.name) / "data")
        self.server = Server(self.log_dir, Path(self.home.name) / "log", SETTINGS)
        self.server.start()
        self.bootstrap = self.server.bootstrap
        return self

    def __exit__(self, *_):
        self.server.discard()
        self.home.cleanup()


BROKERS = {"kafka": RealKafka, "thalweg": Thalweg}


def say(tool, words, stdin):
    """(exit code, stdout, stderr)"""
    environment = {**os.environ, "TZ": "UTC"}
    if tool == "real":
        return REAL.run(words, environment, stdin)
    done = subprocess.run([program("thalweg"), *words], input=stdin, capture_output=True, text=True,
                          timeout=TOOL_DEADLINE_S, check=False, env=environment)
    return done.returncode, done.stdout, done.stderr


def execute(case, tool, broker, directory):
    """Runs one command line and returns its outcome."""
    line = case.line
    for name, what in (("{dir}", str(directory)), ("{broker}", broker.bootstrap), ("{log}", broker.log_dir), ("{wrote}", str(WROTE))):
        line = line.replace(name, what)
    words = []
    for word in shlex.split(line):
        words += ["--bootstrap-server", broker.bootstrap] if word == "@" else [word]
    code, out, err = say(tool, words, case.stdin)
    host, _, port = broker.bootstrap.partition(":")
    places = [(str(directory), "{dir}"), (str(WROTE), "{wrote}"), (broker.log_dir, "{log}"), (broker.bootstrap, "{broker}"),
              (f"localhost:{port}", "{broker}"), (f"/{host}", "/HOST"), (host, "HOST")]
    return outcome.outcome(code, out, err, places, in_order=not case.sorted, figures=case.figures)


def transcript(lines, tool, broker_name, wanted=lambda case: True):
    """The outcomes of a whole table for one combination: (case, occurrence, Outcome) in order."""
    results, seen = [], {}
    with BROKERS[broker_name]() as broker, tempfile.TemporaryDirectory(prefix="transcript.") as directory:
        steps = Steps(broker.bootstrap, Path(directory))
        try:
            for line in lines:
                if isinstance(line, table.Step):
                    steps.run(line.verb, line.arguments)
                    continue
                count = seen.get(line.line, 0)
                seen[line.line] = count + 1
                chosen = tool if wanted(line) else "ours"
                begun = time.monotonic()
                results.append((line, count, chosen, execute(line, chosen, broker, directory)))
                if (took := time.monotonic() - begun) > SLOW_S:
                    print(f"  {took:.1f} s with {chosen} tool on {broker_name}: {line.line}", flush=True)
        finally:
            steps.close()
    return results


def complain(case, combination, expected, got):
    print(f"\nDIFFERS  {combination}: {case.line}")
    if expected is None:
        print("  nothing is recorded for it; run --record")
        return
    mine, theirs = got.text().split("\n"), expected.text().split("\n")
    for line in theirs:
        print(f"  {' ' if line in mine else 'expected'} {line}")
    for line in mine:
        if line not in theirs:
            print(f"       got {line}")


def judge(results, broker_name, recorded):
    """How many lines there were, and how many were not as recorded."""
    wrong = 0
    for case, count, tool, got in results:
        variant = case.variant(tool, broker_name)
        expected = recorded.get((case.line, count, variant))
        if expected and case.sorted:
            expected = dataclasses.replace(expected, out=tuple(sorted(expected.out)))
        if expected != got:
            wrong += 1
            complain(case, f"{tool} tool, {broker_name}", expected, got)
    return len(results), wrong


def kept(lines, path):
    """The reference as it is recorded already."""
    recorded, seen, results = outcome.load(path), {}, []
    for case in lines:
        if isinstance(case, table.Case):
            count = seen.get(case.line, 0)
            seen[case.line] = count + 1
            if (case.line, count, "real/kafka") not in recorded:
                sys.exit(f"{path.name} has no `{case.line}`; record without --keep")
            results.append((case, count, "real", recorded[case.line, count, "real/kafka"]))
    return results


def record(lines, path, keep):
    """Real tool and real Kafka for every line, and the combinations that are marked as different."""
    reference = kept(lines, path) if keep else transcript(lines, "real", "kafka")
    wanted = {variant for case in lines if isinstance(case, table.Case)
              for tool in table.TOOLS for broker in table.BROKERS
              if (variant := case.variant(tool, broker)) != "real/kafka"}
    if not keep:  # so that it is not lost if the rest fails
        outcome.save(path, [(case.line, "real/kafka", got) for case, _, _, got in reference])
    others = {name: transcript(lines, *name.split("/")) for name in sorted(wanted)}
    entries = []
    for index, (case, _, _, got) in enumerate(reference):
        entries.append((case.line, "real/kafka", got))
        for name, results in others.items():
            if case.variant(*name.split("/")) == name:
                entries.append((case.line, name, results[index][3]))
    outcome.save(path, entries)
    print(f"{path.name}: {len(reference)} lines recorded")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only", help="a combination, such as ours/kafka")
    parser.add_argument("tables", nargs="*")
    options = parser.parse_args()
    names = options.tables or sorted(path.stem for path in (HERE / "tables").glob("*.table"))
    wrong = 0
    for name in names:
        lines = table.read(HERE / "tables" / f"{name}.table")
        recording = HERE / "recorded" / f"{name}.out"
        if options.record:
            record(lines, recording, options.keep)
            continue
        recorded = outcome.load(recording)
        for combination in ([options.only] if options.only else combinations(options.full, lines)):
            tool, broker = combination.split("/")
            wanted = (lambda case: True) if options.full or options.only else (lambda case: case.live)
            count, bad = judge(transcript(lines, tool, broker, wanted), broker, recorded)
            print(f"{name}: {tool} tool on {broker}: {count} lines, {bad} differ")
            wrong += bad
    sys.exit(1 if wrong else 0)


def combinations(full, lines):
    if full:
        return [f"{tool}/{broker}" for broker in table.BROKERS for tool in table.TOOLS]
    live = any(isinstance(case, table.Case) and case.live for case in lines)
    return ["ours/thalweg"] + (["real/thalweg"] if live else [])


if __name__ == "__main__":
    try:
        try:
            main()
        finally:
            REAL.close()
    except HarnessError as error:
        sys.exit(f"transcripts: {error}")
