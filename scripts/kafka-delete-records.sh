#!/usr/bin/env bash
# Deletes the records of partitions before given offsets; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" delete-records "$@"
