#!/usr/bin/env bash
# Thalweg's own console producer and consumer; the interface is described in kcat.sh.
#
# The console producer cannot choose a partition, so `produce` takes only `any`, or 0 of a topic with one partition.
set -euo pipefail
scripts=$(dirname "$0")/../..
command=$1 bootstrap=$2 topic=$3
case $command in
  produce)
    exec "$scripts/kafka-console-producer.sh" --bootstrap-server "$bootstrap" --topic "$topic" \
      --compression-codec "$5" --request-required-acks "${ACKS:-all}" --batch-size 131072 --timeout 20 --max-memory-bytes 67108864 \
      --producer-property enable.idempotence="${IDEMPOTENT:-false}"
    ;;
  consume)
    exec "$scripts/kafka-console-consumer.sh" --bootstrap-server "$bootstrap" --topic "$topic" \
      --partition "$4" --offset earliest --max-messages "$5" --timeout-ms 20000 --consumer-property check.crcs=true
    ;;
esac
