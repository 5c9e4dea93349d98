#!/usr/bin/env bash
# Prints offsets of partitions by time; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" get-offsets "$@"
