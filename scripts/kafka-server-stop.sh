#!/usr/bin/env bash
# Asks the servers of this user on this machine to stop, and does not wait: kafka-server-stop.sh
#
# SIGNAL: the signal to send (TERM), as in Kafka's script.
set -euo pipefail

signal=${SIGNAL:-TERM}
# The name in /proc is cut to 15 letters: thalweg-server has 14.
pids=$(pgrep -x -u "$(id -u)" thalweg-server || true)

if [ -z "$pids" ]; then
  echo "No kafka server to stop"
  exit 1
fi
# shellcheck disable=SC2086
kill -s "$signal" $pids
