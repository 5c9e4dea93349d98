#!/usr/bin/env bash
# Reads in a group and tells of everything in JSON; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" verifiable-consumer "$@"
