#!/usr/bin/env bash
# Offsets and timestamps as tools ask for them: offsets.sh BOOTSTRAP kcat|java:VERSION
set -euo pipefail
cd "$(dirname "$0")"
. ./installed.sh
bootstrap=$1 client=$2
topic=interop-offsets-${client//:/-}-$$
first_ms=1700000000000

expect() { # WHAT WANTED COMMAND...
  local what=$1 wanted=$2 got; shift 2
  got=$("$@")
  echo "$what: $got"
  [ "$got" = "$wanted" ] || { echo "$what: got '$got', wanted '$wanted'"; exit 1; }
}

# Three batches of ten records, one second between records; the value is the offset.
"$python" topic.py create "$bootstrap" "$topic" 1
trap '"$python" topic.py delete "$bootstrap" "$topic"' EXIT
"$python" - "$bootstrap" "$topic" $first_ms <<'P'
import sys, wire
bootstrap, topic, first_ms = sys.argv[1:]
with wire.Connection(bootstrap) as connection:
    for base in (0, 10, 20):
        values = [b"%d" % (base + number) for number in range(10)]
        batch = wire.batch(values, timestamp=int(first_ms) + base * 1000, step_ms=1000)
        assert wire.produce(connection, topic, batch) == (0, base)
P

kcat_values() { "$kcat" -C -q -e -b "$bootstrap" -t "$topic" -p 0 -X fetch.wait.max.ms=50 "$@" | paste -sd' '; }
kcat_lookup() { "$kcat" -Q -b "$bootstrap" -t "$topic:0:$1" | sed 's/.*offset //'; }
java_offset() { ./kafka tool "${client#java:}" get-offsets --bootstrap-server "$bootstrap" --topic "$topic" --time "$1" | sed 's/.*://'; }

case $client in
  kcat)
    expect "from 27" "27 28 29" kcat_values -o 27
    expect "two from 9, over the batch's edge" "9 10" kcat_values -o 9 -c 2
    expect "the last three" "27 28 29" kcat_values -o -3
    expect "first of all" "0" kcat_values -o beginning -c 1
    expect "from the end" "" kcat_values -o end
    expect "a span of time" "14 15 16" kcat_values -o s@$((first_ms + 14000)) -o e@$((first_ms + 17000))
    expect "time of 13" 13 kcat_lookup $((first_ms + 13000))
    expect "just behind 13" 14 kcat_lookup $((first_ms + 13001))
    expect "before all" 0 kcat_lookup 1
    expect "the end, by -1" 30 kcat_lookup -1
    expect "the beginning, by -2" 0 kcat_lookup -2
    ;;
  java:*)
    expect "latest" 30 java_offset -1
    expect "earliest" 0 java_offset -2
    expect "time of 13" 13 java_offset $((first_ms + 13000))
    expect "just behind 13" 14 java_offset $((first_ms + 13001))
    ;;
  *) echo "no client $client"; exit 2 ;;
esac
