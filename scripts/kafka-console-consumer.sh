#!/usr/bin/env bash
# Writes the records of topics to standard output; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" console-consumer "$@"
