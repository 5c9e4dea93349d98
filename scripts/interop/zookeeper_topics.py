"""Prints the ZooKeeper shell commands that register the topics of data directories, as Kafka 3.2.0 writes them.

zookeeper_topics.py DATA_DIR...

Per topic /brokers/topics/NAME with its id and assignment (version 3 of that node), per partition its state with leader
and leader epoch, and /cluster/id: without the same cluster id, topic ids and epochs Kafka refuses the directory, or
reassigns what is in it.
"""

import base64
import json
import re
import sys
import uuid
from collections import defaultdict
from pathlib import Path

PARTITION_DIR = re.compile(r"(?P<topic>.+)-(?P<partition>\d+)")
# KRaft's metadata log lies beside the partitions and is no topic of ZooKeeper's.
METADATA_TOPIC = "__cluster_metadata"


def properties(path):
    lines = (line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def topic_id(folder):
    """The id in partition.metadata: 22 characters of URL-safe base64, never all zero."""
    text = dict(line.split(": ", 1) for line in (folder / "partition.metadata").read_text().splitlines())["topic_id"]
    if not uuid.UUID(bytes=base64.urlsafe_b64decode(text + "==")).int:
        sys.exit(f"{folder}: its topic id is zero")
    return text


def leader_epoch(folder):
    """The last epoch in leader-epoch-checkpoint, 0 if there is none: a version, a count, then "epoch offset" lines."""
    path = folder / "leader-epoch-checkpoint"
    entries = path.read_text().split("\n")[2:] if path.exists() else []
    epochs = [int(line.split()[0]) for line in entries if line.strip()]
    return max(epochs, default=0)


def create(path, value=None):
    print(f"create {path} {json.dumps(value, separators=(',', ':'))}" if value is not None else f"create {path} null")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    meta = properties(Path(sys.argv[1]) / "meta.properties")
    broker = int(meta["broker.id"])
    topics = defaultdict(dict)
    for data in map(Path, sys.argv[1:]):
        for folder in sorted(data.iterdir()):
            named = PARTITION_DIR.fullmatch(folder.name)
            if folder.is_dir() and named and named["topic"] != METADATA_TOPIC and not folder.name.endswith("-delete"):
                topics[named["topic"]][int(named["partition"])] = folder

    create("/cluster")
    create("/cluster/id", {"version": "1", "id": meta["cluster.id"]})
    create("/brokers")
    create("/brokers/topics")
    for name, folders in sorted(topics.items()):
        ids = {topic_id(folder) for folder in folders.values()}
        if len(ids) > 1:
            sys.exit(f"the partitions of {name} have several topic ids: {sorted(ids)}")
        create(f"/brokers/topics/{name}", {
            "partitions": {str(partition): [broker] for partition in sorted(folders)},
            "topic_id": ids.pop(),
            "adding_replicas": {},
            "removing_replicas": {},
            "version": 3,
        })
        create(f"/brokers/topics/{name}/partitions")
        for partition, folder in sorted(folders.items()):
            create(f"/brokers/topics/{name}/partitions/{partition}")
            create(f"/brokers/topics/{name}/partitions/{partition}/state", {
                "controller_epoch": 0,
                "leader": broker,
                "version": 1,
                "leader_epoch": leader_epoch(folder),
                "isr": [broker],
            })
    print("quit")


if __name__ == "__main__":
    main()
