#!/usr/bin/env bash
# Creates, lists, describes, alters and deletes topics; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" topics "$@"
