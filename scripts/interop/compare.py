"""Compares what was sent with what came back, line by line.

compare.py SENT RECEIVED...

One RECEIVED file (one partition) must be SENT, byte for byte. With several (one per partition) the lines of all,
sorted, must have the digest of SENT's lines, sorted; and each file must hold its lines in the order of SENT.
"""

import hashlib
import sys
from pathlib import Path


def lines(path):
    data = Path(path).read_bytes()
    if data and not data.endswith(b"\n"):
        sys.exit(f"{path} does not end with a line end")
    return data.split(b"\n")[:-1]


def sorted_digest(values):
    return hashlib.sha256(b"\n".join(sorted(values))).hexdigest()


def check_same(sent, received):
    if sent == received:
        return
    for number, (one, other) in enumerate(zip(sent, received), 1):
        if one != other:
            sys.exit(f"line {number} differs: sent {one[:80]!r}, received {other[:80]!r}")
    sys.exit(f"{len(sent)} lines sent, {len(received)} received")


def check_order(sent, received, name):
    rest = iter(sent)
    for number, line in enumerate(received, 1):
        # `in` consumes the iterator up to the line it finds, so the next search starts behind it.
        if line not in rest:
            sys.exit(f"{name}: line {number} is out of order or was never sent: {line[:80]!r}")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sent, parts = lines(sys.argv[1]), [lines(path) for path in sys.argv[2:]]
    if len(parts) == 1:
        check_same(sent, parts[0])
        print("sha256", hashlib.sha256(Path(sys.argv[2]).read_bytes()).hexdigest())
        return
    if not all(parts):
        sys.exit("a partition got no record: the test proves nothing about it")
    for name, part in zip(sys.argv[2:], parts):
        check_order(sent, part, name)
    received = sum(parts, [])
    wanted, got = sorted_digest(sent), sorted_digest(received)
    print("sha256 of the sorted lines", got)
    if wanted != got:
        sys.exit(f"{len(sent)} lines sent, {len(received)} received, and their digests differ")


if __name__ == "__main__":
    main()
