#!/usr/bin/env bash
# Shows what segments and the files beside them hold; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" dump-log "$@"
