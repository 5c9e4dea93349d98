#!/usr/bin/env bash
# Starts the server: kafka-server-start.sh [-daemon] server.properties [--override property=value]*
#
# In the foreground, or with -daemon in the background, its output in $LOG_DIR/kafkaServer.out (LOG_DIR: ./logs beside
# this directory). The program is $THALWEG_SERVER, target/release/thalweg-server, or the one in PATH.
set -euo pipefail

if [ $# -lt 1 ]; then
  echo "USAGE: $0 [-daemon] server.properties [--override property=value]*"
  exit 1
fi

base=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

find_server() {
  if [ -n "${THALWEG_SERVER:-}" ]; then
    [ -x "$THALWEG_SERVER" ] && { echo "$THALWEG_SERVER"; return; }
    echo "THALWEG_SERVER=$THALWEG_SERVER is no program" >&2
    return 1
  fi
  local built=${CARGO_TARGET_DIR:-$base/target}/release/thalweg-server
  [ -x "$built" ] && { echo "$built"; return; }
  command -v thalweg-server && return
  echo "thalweg-server is not built. Build it with: cargo build --release -p thalweg-server (in $base)" >&2
  return 1
}

daemon=
if [ "$1" = -daemon ]; then daemon=1; shift; fi
server=$(find_server)

if [ -z "$daemon" ]; then exec "$server" "$@"; fi

log_dir=${LOG_DIR:-$base/logs}
mkdir -p "$log_dir"
# A session of its own, so that the end of this terminal does not end the server.
nohup setsid "$server" "$@" >"$log_dir/kafkaServer.out" 2>&1 </dev/null &
