#!/usr/bin/env bash
# kcat -G: a group reads a topic of two partitions, commits, and goes on where it was: kcat_group.sh BOOTSTRAP
set -euo pipefail
cd "$(dirname "$0")"
. ./installed.sh
bootstrap=$1 topic=interop-kcat-group-$$
work=$(mktemp -d)
trap 'rm -rf "$work"; "$python" -c "import sys, wire; wire.delete_topic(wire.Connection(sys.argv[1]), sys.argv[2])" "$bootstrap" "$topic"' EXIT
"$python" -c 'import sys, wire; sys.exit(wire.create_topic(wire.Connection(sys.argv[1]), sys.argv[2], 2))' "$bootstrap" "$topic"

# -e ends at the end of every partition that it has, and commits on its way out.
read_on() { timeout 60 "$kcat" -b "$bootstrap" -G "$topic" -q -e -X auto.offset.reset=earliest "$topic" 2>"$work/log" | sort -n; }
seq 1 10 | "$kcat" -P -b "$bootstrap" -t "$topic" -p 0
seq 11 20 | "$kcat" -P -b "$bootstrap" -t "$topic" -p 1
cmp <(read_on) <(seq 1 20) || { cat "$work/log"; echo "the first run did not read the twenty records"; exit 1; }
seq 21 25 | "$kcat" -P -b "$bootstrap" -t "$topic" -p 1
cmp <(read_on) <(seq 21 25) || { cat "$work/log"; echo "the second run did not go on where the first one ended"; exit 1; }
