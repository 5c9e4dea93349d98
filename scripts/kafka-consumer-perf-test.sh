#!/usr/bin/env bash
# Measures how fast records can be read; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" consumer-perf-test "$@"
