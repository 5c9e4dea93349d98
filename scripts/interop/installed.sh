# shellcheck shell=bash disable=SC2034
# Where scripts/install-clients puts each client, and where the suite finds it. Sourced, never run.
#
# Everything lives below one cache directory. A path carries the digest of what it was made from, so a changed
# pin gives a new path, and an installation that is there is known to be the right one without asking its tool.

interop=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
client_cache=${THALWEG_CACHE:-$HOME/.cache/thalweg}

kafka_versions=(3.2.0 4.1.0)

# digest FILE...: a short name for the content of these files
digest() { cat "$@" | sha256sum | cut -c1-12; }

python_venv=$client_cache/python-$(digest "$interop/requirements.txt")
python=$python_venv/bin/python3
franz=$client_cache/franz-$(digest "$interop"/franz/go.mod "$interop"/franz/go.sum "$interop"/franz/*.go)
sarama=$client_cache/sarama-$(digest "$interop"/sarama/go.mod "$interop"/sarama/go.sum "$interop"/sarama/*.go)
kafkajs_modules=$client_cache/kafkajs-$(digest "$interop/kafkajs/package-lock.json")/node_modules
# What scripts/instrument-check drives a browser with.
report_modules=$client_cache/report-$(digest "$interop/../report/package-lock.json")/node_modules
kcat=$(command -v kcat || command -v kafkacat || true)

# kafka_jars VERSION: the directory with the jars of one Kafka release
kafka_jars() { echo "$client_cache/kafka-$1-$(digest "$interop/pom.xml")"; }
