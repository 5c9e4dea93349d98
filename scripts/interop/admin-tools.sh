#!/usr/bin/env bash
# Kafka's own administration tools, one after the other: admin-tools.sh BOOTSTRAP VERSION [--default|--full]
#
# Without --full only what no other check runs, as every tool is a JVM of its own.
set -euo pipefail
cd "$(dirname "$0")"
bootstrap=$1 version=$2 size=${3:-}
topic=interop-tools-$version-$$

tool() { ./kafka tool "$version" "$1" --bootstrap-server "$bootstrap" "${@:2}" 2>&1; }
die() { echo "$*"; exit 1; }
# says PATTERN TOOL ARGS...: the tool goes well and its output has a line like that
says() {
  local pattern=$1 out; shift
  out=$(tool "$@") || die "$* failed: $out"
  grep -qE -- "$pattern" <<<"$out" || die "$* does not say '$pattern' but: $out"
}
# refuses PATTERN TOOL ARGS...: its output has a line like that, whatever its exit code is
refuses() {
  local pattern=$1 out; shift
  out=$(tool "$@") || true
  grep -qE -- "$pattern" <<<"$out" || die "$* does not refuse with '$pattern' but: $out"
}

tool topics --create --topic "$topic" --partitions 2 --config retention.ms=5000 >/dev/null
trap 'tool topics --delete --topic "$topic" >/dev/null || true' EXIT

tool topics --alter --topic "$topic" --partitions 4 >/dev/null
says 'PartitionCount: 4' topics --describe --topic "$topic"
says "Completed updating config for topic $topic" configs --alter --topic "$topic" \
  --add-config 'segment.bytes=2000000,cleanup.policy=[compact,delete]' --delete-config retention.ms
says 'segment.bytes=2000000.*DYNAMIC_TOPIC_CONFIG' configs --describe --topic "$topic"
says "\"partition\":\"$topic-3\"" log-dirs --describe --topic-list "$topic"
json=$(mktemp "${TMPDIR:-/tmp}/thalweg-records.XXXXXX")
printf '{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "offset": -1}]}' "$topic" >"$json"
says "partition: $topic-0.*low_watermark: 0" delete-records --offset-json-file "$json"
rm -f "$json"
[ "$size" = --full ] || exit 0

says "^$topic:3:0" get-offsets --topic "$topic"
refuses 'already has 4 partitions|higher than the requested' topics --alter --topic "$topic" --partitions 3
for filter in --under-replicated-partitions --unavailable-partitions --under-min-isr-partitions --at-min-isr-partitions; do
  tool topics --describe --topic "$topic" "$filter" >/dev/null || die "topics --describe $filter failed"
done
says "Topic: $topic" topics --describe --topics-with-overrides
refuses 'nope' configs --alter --topic "$topic" --add-config nope=1
refuses 'Not a number of type LONG' configs --alter --topic "$topic" --add-config retention.ms=x
broker=$(tool broker-api-versions | sed -n 's/.*(id: \([0-9]*\) .*/\1/p' | head -1)
says "id: $broker" broker-api-versions
says "Completed updating config for broker $broker" configs --alter --entity-type brokers --entity-name "$broker" \
  --add-config log.retention.ms=7777777
says 'log.retention.ms=7777777.*DYNAMIC_BROKER_CONFIG' configs --describe --entity-type brokers --entity-name "$broker"
tool configs --alter --entity-type brokers --entity-name "$broker" --delete-config log.retention.ms >/dev/null
says 'Completed updating default config for brokers' configs --alter --entity-type brokers --entity-default \
  --add-config log.retention.ms=8888888
says 'log.retention.ms=8888888' configs --describe --entity-type brokers --entity-default
tool configs --alter --entity-type brokers --entity-default --delete-config log.retention.ms >/dev/null
refuses 'Cannot update these configs dynamically' configs --alter --entity-type brokers --entity-name "$broker" \
  --add-config broker.id=5
says 'root=' configs --describe --entity-type broker-loggers --entity-name "$broker"
says 'No partition reassignments found' reassign-partitions --list
says 'Valid replica already elected|already elected' leader-election --election-type preferred --topic "$topic" --partition 0
says 'TransactionalId' transactions list
