#!/usr/bin/env bash
# Shows which requests each broker answers, in which versions; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" broker-api-versions "$@"
