#!/usr/bin/env bash
# Measures how fast records can be written; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" producer-perf-test "$@"
