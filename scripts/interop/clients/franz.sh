#!/usr/bin/env bash
# franz-go, by the program in franz/; the interface is described in kcat.sh.
set -euo pipefail
. "$(dirname "$0")/../installed.sh"
case $1 in
  produce)
    codec=$5
    if [ "$4" = any ]; then set -- "$1" "$2" "$3"; else set -- "$1" "$2" "$3" -p "$4"; fi
    exec "$franz" produce -b "$2" -t "$3" -z "$codec" -acks "${ACKS:-all}" "${@:4}"
    ;;
  consume) exec "$franz" consume -b "$2" -t "$3" -p "$4" ;;
esac
