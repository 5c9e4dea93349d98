#!/usr/bin/env bash
# kcat (librdkafka): lines in, lines out. The interface of all clients here:
#   produce BOOTSTRAP TOPIC PARTITION|any CODEC < lines     one record per line
#   consume BOOTSTRAP TOPIC PARTITION RECORDS > lines       from the first offset, RECORDS of them
# Environment, for those that have the switch: ACKS (all), IDEMPOTENT (false).
set -euo pipefail
. "$(dirname "$0")/../installed.sh"
command=$1 bootstrap=$2 topic=$3 partition=$4
case $command in
  produce)
    [ "$partition" = any ] || set -- "$@" -p "$partition"
    # Large batches and a long linger: a test of bytes, not of latency. Sticky partitioning would leave partitions empty.
    # A line for every record that failed is too much of a log.
    "$kcat" -P -b "$bootstrap" -t "$topic" -z "$5" -X acks="${ACKS:-all}" -X linger.ms=20 -X batch.num.messages=20000 \
      -X queue.buffering.max.messages=1000000 -X message.timeout.ms=60000 \
      -X sticky.partitioning.linger.ms=0 -X enable.idempotence="${IDEMPOTENT:-false}" "${@:6}" 2>&1 | tail -5 >&2
    ;;
  consume)
    # -e ends at the high watermark that it meets, so a missing record is a difference and not a hang.
    "$kcat" -C -q -b "$bootstrap" -t "$topic" -p "$partition" -o beginning -e -X check.crcs=true \
      -X fetch.wait.max.ms=50
    ;;
esac
