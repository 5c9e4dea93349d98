#!/usr/bin/env bash
# sarama, by the program in sarama/; the interface is described in kcat.sh.
set -euo pipefail
. "$(dirname "$0")/../installed.sh"
case $1 in
  produce)
    codec=$5
    if [ "$4" = any ]; then set -- "$1" "$2" "$3"; else set -- "$1" "$2" "$3" -p "$4"; fi
    exec "$sarama" produce -b "$2" -t "$3" -z "$codec" -acks "${ACKS:-all}" "${@:4}"
    ;;
  consume) exec "$sarama" consume -b "$2" -t "$3" -p "$4" ;;
esac
