#!/usr/bin/env bash
# Shows what lies in which log directory; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" log-dirs "$@"
