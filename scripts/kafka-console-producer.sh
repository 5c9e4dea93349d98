#!/usr/bin/env bash
# Writes the lines of standard input as records; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" console-producer "$@"
