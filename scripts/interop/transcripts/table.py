"""A table of command lines: what to run, in which order, and where the tools may differ.

    # a comment
    : produce t1 0 5             a step that is no tool, see steps.py
    % differs ours: REASON       about the next command line; COMBINATIONS are ours, thalweg, real/thalweg, ...
    % sorted: REASON             its lines come in no order that the tool promises
    % figures: REASON            its rates and times are measured: only their form is compared
    % stdin: TEXT                what it reads, with Python's escapes; nothing without it
    %% differs thalweg: REASON   the same about all command lines up to the next %%, which may stand alone
    % live                       also run with the real tool in the default check, against Thalweg
    topics @ --list              a command line; @ is --bootstrap-server of the broker, {dir} a directory, {broker} HOST:PORT,
                                 {log} its log directory, {wrote} files that Kafka wrote
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

TOOLS = ("real", "ours")
BROKERS = ("kafka", "thalweg")
REFERENCE = ("real", "kafka")


@dataclass
class Step:
    """A line that is no command line of a tool."""
    verb: str
    arguments: list


@dataclass
class Case:
    """One command line, and what is known about it."""
    line: str
    differs: dict = field(default_factory=dict)
    sorted: bool = False
    live: bool = False
    figures: bool = False
    stdin: str = ""

    def variant(self, tool, broker):
        """The combination under which this output is recorded: the reference unless it differs on purpose."""
        for scope in (f"{tool}/{broker}", tool, broker):
            if scope in self.differs and (tool, broker) != REFERENCE:
                return f"{tool}/{broker}"
        return "/".join(REFERENCE)


def read(path):
    """The steps and cases of a table, in order."""
    lines, attributes, lasting = [], {}, {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("%%"):
            lasting = {}
            if line != "%%":
                _attribute(lasting, line[2:].strip(), f"{path}:{number}")
        elif line.startswith("%"):
            _attribute(attributes, line[1:].strip(), f"{path}:{number}")
        elif line.startswith(":"):
            verb, *arguments = shlex.split(line[1:])
            lines.append(Step(verb, arguments))
        else:
            differs = {**lasting.get("differs", {}), **attributes.pop("differs", {})}
            lines.append(Case(line, **{**lasting, "differs": differs, **attributes}))
            attributes = {}
    return lines


def _attribute(attributes, text, where):
    name, _, reason = text.partition(":")
    word, *scopes = name.replace(",", " ").split()
    if word == "live":
        attributes["live"] = True
        return
    if word == "stdin":
        attributes["stdin"] = reason.strip().encode("latin-1", "backslashreplace").decode("unicode_escape")
        return
    if word not in ("differs", "sorted", "figures") or not reason.strip():
        raise SystemExit(f"{where}: an attribute is `differs SCOPES: REASON`, `sorted: REASON`, `figures: REASON`, "
                         "`stdin: TEXT` or `live`")
    if word != "differs":
        attributes[word] = True
        return
    known = {f"{tool}/{broker}" for tool in TOOLS for broker in BROKERS} | {"ours", "thalweg"}
    if not scopes or set(scopes) - known:
        raise SystemExit(f"{where}: a scope is one of {', '.join(sorted(known))}")
    attributes.setdefault("differs", {}).update({scope: reason.strip() for scope in scopes})
