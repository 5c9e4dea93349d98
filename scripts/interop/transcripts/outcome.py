"""What a tool said, in a form that can be compared and kept in a file.

Kept is stdout to the column, the exit code, and the first line of stderr that is meant for the user: no usage, no log
line, no stack trace. What no two runs share (ids, times, ports, directories) is replaced, at its own width where a
column depends on it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NOISE = re.compile(r"^(\[<time>\] |\[?\d[\d:, -]+\]? |\tat |Caused by: |WARN |ERROR |SLF4J|$|\t?\.\.\. \d+ more|(?:javax?|org|joptsimple|kafka)\.[\w.$]+(?:Exception|Error)\b)")
THROWN = re.compile(r'^Exception in thread "main" (?:[\w.$]+(?:Exception|Error): )?')


@dataclass(frozen=True)
class Outcome:
    code: int
    out: tuple
    err: str

    def text(self):
        lines = [f"> {line}".rstrip("\n") for line in self.out]
        if self.err:
            lines.append(f"! {self.err}")
        return "\n".join([*lines, f"= {self.code}"])


def normalised(text, places):
    """`places` are (what, name) pairs: addresses and directories of this run."""
    for what, name in places:
        text = text.replace(what, name)
    text = UUID.sub("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", text)
    text = re.sub(r"(TopicId: |[Tt]opic id |topicId )[\w-]{22}\b", r"\1<topic-id>", text)
    text = re.sub(r"\b1[6-9]\d{11}\b", "<ms>", text)
    text = re.sub(r"\b20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d([.,:]\d{3})?", "<time>", text)
    return text


def without_figures(text):
    """A number with a fraction keeps its decimals as signs, a whole one is left out where it is a time that was measured."""
    text = re.sub(r"-?\b\d+\.(\d+)\b", lambda found: "#." + "#" * len(found[1]), text)
    text = re.sub(r"\b(?:NaN|Infinity)\b", "#.####", text)
    text = re.sub(r"\b\d+( ms \d)", r"#\1", text)
    text = re.sub(r'("avg_throughput":)[^},]+', r"\1#", text)
    text = re.sub(r"^20\d\d, 20\d\d,", "<time>, <time>,", text, flags=re.MULTILINE)
    return re.sub(r"-?\d+, -?\d+(, #\.#+, #\.#+)$", r"#, #\1", text, flags=re.MULTILINE)


def behind_usage(said):
    """argparse4j says what is wrong behind its usage, in lines of 75 columns that it spreads with spaces."""
    begin = next((at for at, line in enumerate(said) if re.match(r"[\w-]+:\s+error:\s", line)), None)
    if begin is None:
        return said
    return [re.sub(r"(?<=[\w-])- | (?=\(s\))", lambda cut: cut[0].strip(), " ".join(" ".join(said[begin:]).split()))]


def outcome(code, out, err, places, in_order=True, figures=False):
    if figures:
        out = without_figures(out)
    lines = normalised(out, places).split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    if not in_order:
        lines.sort()
    said = [THROWN.sub("", line) for line in normalised(err, places).split("\n") if not NOISE.match(line)]
    said = behind_usage(said)
    # One warning of Kafka's goes on about plans of its own.
    said = [re.sub(r"(--execute option is missing\.).*", r"\1", line) for line in said]
    return Outcome(code, tuple(lines), said[0] if said else "")


def load(path):
    """{(command line, how many times before, variant): Outcome} of a recording."""
    recorded, key, out, err, seen = {}, None, [], "", {}
    if not Path(path).exists():
        return recorded
    for line in Path(path).read_text(encoding="utf-8").split("\n"):
        if line.startswith("$"):
            variant, _, command = line[1:].partition(" ")
            # The reference comes first, and what differs from it behind it.
            if variant == "real/kafka":
                seen[command] = seen.get(command, -1) + 1
            count = seen[command]
            key, out, err = (command, count, variant), [], ""
        elif line.startswith(">"):
            out.append(line[2:])
        elif line.startswith("!"):
            err = line[2:]
        elif line.startswith("="):
            recorded[key] = Outcome(int(line[2:]), tuple(out), err)
    return recorded


def save(path, entries):
    """`entries`: (command line, variant, Outcome) in order."""
    blocks = [f"${variant} {command}\n{one.text()}\n" for command, variant, one in entries]
    Path(path).write_text("\n".join(blocks), encoding="utf-8")
