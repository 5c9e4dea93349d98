#!/usr/bin/env bash
# Kafka's own console producer and consumer, of release $KAFKA_VERSION; the interface is described in kcat.sh.
#
# The console producer cannot choose a partition, so `produce` takes only `any`, or 0 of a topic with one partition.
set -euo pipefail
kafka=$(dirname "$0")/../kafka
command=$1 bootstrap=$2 topic=$3
# These move megabytes, unlike the other tools: let the JVM optimise.
export KAFKA_HEAP=512m KAFKA_JIT_LEVEL=4
case $command in
  produce)
    exec "$kafka" tool "$KAFKA_VERSION" console-producer --bootstrap-server "$bootstrap" --topic "$topic" \
      --compression-codec "$5" --request-required-acks "${ACKS:-all}" --batch-size 131072 --timeout 20 --max-memory-bytes 67108864 \
      --producer-property enable.idempotence="${IDEMPOTENT:-false}"
    ;;
  consume)
    exec "$kafka" tool "$KAFKA_VERSION" console-consumer --bootstrap-server "$bootstrap" --topic "$topic" \
      --partition "$4" --offset earliest --max-messages "$5" --timeout-ms 20000 --consumer-property check.crcs=true
    ;;
esac
