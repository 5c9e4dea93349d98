#!/usr/bin/env bash
# Kafka's own console consumer and consumer-groups tool with groups, of one release, each in its default settings.
#
#   groups.sh BOOTSTRAP VERSION
#
# A group of its own (the console consumer's default), a named group twice (the second run goes on where the first one ended),
# two members that share two partitions while a third waits, one of them killed: its partition is handed over within the session
# timeout. Then the group as administrators see it: list, describe, lag, reset, delete of offsets and of the group.
set -euo pipefail
cd "$(dirname "$0")"
. ./installed.sh
bootstrap=$1 version=$2
topic=interop-groups-$version-$$ group=interop-group-$version-$$
work=$(mktemp -d)
members=()
trap 'kill "${members[@]}" 2>/dev/null || true; ./kafka tool "$version" topics --bootstrap-server "$bootstrap" --delete --topic "$topic" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

fail() { echo "groups.sh: $*" >&2; exit 1; }
tool() { ./kafka tool "$version" "$@"; }
consumer() { tool console-consumer --bootstrap-server "$bootstrap" --topic "$topic" "$@"; }
# The tool gives up after five seconds, which its own start may take on a busy machine.
groups() { tool consumer-groups --bootstrap-server "$bootstrap" --timeout 60000 "$@"; }
produce() { seq "$1" "$2" | "$kcat" -P -b "$bootstrap" -t "$topic" -p "$3"; }
# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
  local left=$1; shift
  until "$@"; do left=$((left - 1)); [ $left -gt 0 ] || fail "not within its time: $*"; sleep 1; done
}

tool topics --bootstrap-server "$bootstrap" --create --topic "$topic" --partitions 2 >/dev/null
produce 1 5 0; produce 6 10 1

consumer --from-beginning --max-messages 10 --timeout-ms 60000 2>/dev/null | sort -n | cmp - <(seq 1 10) ||
  fail "the console consumer's own group did not read the ten records"

consumer --group "$group" --from-beginning --max-messages 10 --timeout-ms 60000 >"$work/first" 2>/dev/null
cmp <(sort -n "$work/first") <(seq 1 10) || fail "the named group did not read the ten records"
produce 11 12 0; produce 13 13 1
consumer --group "$group" --max-messages 3 --timeout-ms 60000 >"$work/second" 2>/dev/null
cmp <(sort -n "$work/second") <(seq 11 13) || fail "the group did not go on where it had ended: $(tr '\n' ' ' <"$work/second")"

produce 14 17 1
groups --describe --group "$group" >"$work/describe" 2>/dev/null
awk -v t="$topic" '$2 == t && $3 == 1 && $4 == 6 && $5 == 10 && $6 == 4 { found = 1 } END { exit !found }' "$work/describe" ||
  fail "no lag of 4 on partition 1 in: $(cat "$work/describe")"
groups --list | grep -qx "$group" || fail "--list does not name $group"
groups --list --state | awk -v g="$group" '$1 == g && $2 == "Empty" { found = 1 } END { exit !found }' || fail "it is not Empty"
groups --reset-offsets --group "$group" --topic "$topic" --to-earliest --execute >"$work/reset"
awk -v t="$topic" '$2 == t && $4 == 0 { n++ } END { exit n != 2 }' "$work/reset" || fail "reset: $(cat "$work/reset")"

# Three members for two partitions.
for member in 1 2 3; do
  # Not through a function: that would be a shell, and its end not the consumer's.
  ./kafka tool "$version" console-consumer --bootstrap-server "$bootstrap" --topic "$topic" --group "$group" \
    --consumer-property session.timeout.ms=6000 --consumer-property client.id="m$member" --consumer-property auto.commit.interval.ms=500 >"$work/m$member" 2>/dev/null &
  members+=($!)
done
partitions() { # how many members have as many partitions as $1 says
  groups --describe --members --group "$group" 2>/dev/null | awk -v n="$1" -v g="$group" '$1 == g && $NF == n { c++ } END { print c + 0 }'
}
shared() { [ "$(partitions 1)" = 2 ] && [ "$(partitions 0)" = 1 ]; }
wait_for 60 shared
consumed() { [ "$(sort -n "$work"/m[123] | uniq | wc -l)" = 17 ]; }
wait_for 30 consumed
committed() { groups --describe --group "$group" 2>/dev/null | awk -v t="$topic" '$2 == t && $6 == 0 { n++ } END { exit n != 2 }'; }
wait_for 30 committed
kill -9 "${members[0]}" "${members[1]}"
produce 18 18 0; produce 19 19 1
consumed() { [ "$(sort -n "$work"/m[123] | uniq | tail -2 | tr '\n' ' ')" = "18 19 " ]; }
wait_for 40 consumed
cmp <(sort -n "$work"/m[123]) <(seq 1 19) || fail "a gap or a duplicate: $(sort -n "$work"/m[123] | tr '\n' ' ')"
kill "${members[2]}"; wait "${members[2]}" || true

empty() { groups --describe --state --group "$group" 2>/dev/null | grep -q Empty; }
wait_for 30 empty
groups --delete-offsets --group "$group" --topic "$topic:1" | grep -q Successful || fail "offsets could not be deleted"
groups --delete --group "$group" | grep -q 'was successful' || fail "the group could not be deleted"
if groups --list | grep -qx "$group"; then fail "it is still listed"; fi
again=$(groups --delete --group "$group" 2>&1 || true)
grep -q GroupIdNotFoundException <<<"$again" || fail "deleting it again says: $again"
