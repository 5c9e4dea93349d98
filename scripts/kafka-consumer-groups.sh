#!/usr/bin/env bash
# Lists, describes, resets and deletes consumer groups; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" consumer-groups "$@"
