"""A shipped scenario, or one from a file, on every column: `thalweg-loadgen sweep` in alternating rounds.

A round measures each point once on each column; the next round adds a repeat to the same sweeps. So both brokers see the
same hours of the machine, and a stored sweep of each is left behind for `compare` and `report`.
"""

import subprocess

from broker import HarnessError, program
from bench import brokers


def slug(name):
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in name)


def _loadgen(*arguments, quiet=False):
    output = subprocess.PIPE if quiet else None
    done = subprocess.run([program("thalweg-loadgen"), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=output, text=True, check=False)
    if done.returncode != 0:
        raise HarnessError(f"thalweg-loadgen {arguments[0]} ended with code {done.returncode}; see sweep.log of the column")
    return done.stdout


def _sweep(bench, column, out, repeats):
    made, options = bench.brokers[column.broker], bench.options
    brokers.settle(options.pause)
    topic = [part for pair in column.topic.items() for part in ("--topic-config", "=".join(pair))]
    _loadgen("sweep", "--scenario", options.scenario, "--bootstrap-server", made.bootstrap, "--server-pid", made.pid, "--label", column.name,
             "--cpus", bench.load_cpus, "--duration", f"{options.seconds}s", "--repeats", repeats, "--out", out, *topic, *options.sweep,
             *(["--fresh"] if repeats == 1 else []), quiet=True)


def measure(bench, out):
    """All rounds, then the comparison of each column with the first, and one report of all."""
    columns = [c for c in bench.options.columns if not c.sustained]
    places = {c.name: out / slug(c.name) for c in columns}
    for number in range(bench.options.rounds):
        turned = columns[number % len(columns):] + columns[: number % len(columns)]
        for column in turned:
            print(f"round {number + 1} of {bench.options.rounds}: {column.name}", flush=True)
            _sweep(bench, column, places[column.name], number + 1)
    for column in columns[1:]:
        print(f"\n{column.name} beside {columns[0].name}")
        compared = out / f"{slug(column.name)}-beside-{slug(columns[0].name)}.json"
        print(_loadgen("compare", places[columns[0].name], places[column.name], "--json", compared, quiet=True), flush=True)
    title = f"{bench.options.scenario}: {', '.join(places)}"
    print(_loadgen("report", *places.values(), "--out", out / "report.html", "--title", title, quiet=True))
