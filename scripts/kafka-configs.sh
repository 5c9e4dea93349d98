#!/usr/bin/env bash
# Shows and changes the configuration of topics, brokers, users, clients and addresses; --help lists the options.
exec "$(dirname "$(readlink -f "$0")")/thalweg-run.sh" configs "$@"
