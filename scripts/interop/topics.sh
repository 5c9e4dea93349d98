#!/usr/bin/env bash
# The life of a topic through Kafka's own kafka-topics: topics.sh BOOTSTRAP VERSION
set -euo pipefail
cd "$(dirname "$0")"
bootstrap=$1 version=$2 topic=interop-topics-$2-$$

topics() { ./kafka tool "$version" topics --bootstrap-server "$bootstrap" "$@"; }
die() { echo "$*"; exit 1; }

topics --create --topic "$topic" --partitions 3 --replication-factor 1 --config segment.bytes=1048576
topics --list | grep -qxF "$topic" || die "--list does not show $topic"

described=$(topics --describe --topic "$topic")
echo "$described"
grep -q "PartitionCount: 3" <<<"$described" || die "--describe does not show 3 partitions"
grep -q "segment.bytes=1048576" <<<"$described" || die "--describe does not show segment.bytes"
[ "$(grep -c "Partition: [0-2].*Leader: [0-9].*Isr: [0-9]" <<<"$described")" = 3 ] || die "a partition has no leader or ISR"

if again=$(topics --create --topic "$topic" --partitions 3 2>&1); then die "an existing topic was created again"; fi
grep -q "already exists" <<<"$again" || die "creating it again said: $again"
topics --create --if-not-exists --topic "$topic" --partitions 3

topics --delete --topic "$topic"
for _ in $(seq 20); do topics --list | grep -qxF "$topic" || exit 0; sleep 0.5; done
die "--list still shows $topic after its deletion"
