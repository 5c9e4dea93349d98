#!/usr/bin/env bash
# Writes ascending numbers and tells of each in JSON; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" verifiable-producer "$@"
