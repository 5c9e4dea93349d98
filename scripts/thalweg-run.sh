#!/usr/bin/env bash
# Finds the program `thalweg` and becomes it: thalweg-run.sh TOOL [OPTION...]. The kafka-*.sh beside this go through it.
#
# The program is $THALWEG, one beside these scripts, target/release/thalweg, or the one in PATH.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

if [ -n "${THALWEG:-}" ]; then
  [ -x "$THALWEG" ] || { echo "THALWEG=$THALWEG is no program" >&2; exit 1; }
  exec "$THALWEG" "$@"
fi
for program in "$here/thalweg" "${CARGO_TARGET_DIR:-$here/../target}/release/thalweg"; do
  if [ -f "$program" ] && [ -x "$program" ]; then exec "$program" "$@"; fi
done
if program=$(command -v thalweg); then exec "$program" "$@"; fi
echo "thalweg is not built. Build it with: cargo build --release -p thalweg-cli (in $(dirname "$here"))" >&2
exit 1
