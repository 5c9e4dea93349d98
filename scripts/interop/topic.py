"""Makes or removes one topic, and returns only when the broker serves it or knows it no more.

topic.py create BOOTSTRAP TOPIC PARTITIONS [KEY=VALUE...]
topic.py delete BOOTSTRAP TOPIC
"""

import sys
import time

import wire

LEADER_DEADLINE_S = 15


def create(bootstrap, topic, partitions, *configs):
    with wire.Connection(bootstrap) as connection:
        error = wire.create_topic(connection, topic, int(partitions), dict(pair.split("=", 1) for pair in configs))
        if error:
            sys.exit(f"creating {topic}: error {error}")
        # A broker may answer before its leaders are up; a client without retries would stumble over that.
        deadline = time.monotonic() + LEADER_DEADLINE_S
        while any(wire.list_offset(connection, topic, wire.LATEST, p)[0] for p in range(int(partitions))):
            if time.monotonic() > deadline:
                sys.exit(f"{topic} is not served {LEADER_DEADLINE_S} s after its creation")
            time.sleep(0.02)


def delete(bootstrap, topic):
    with wire.Connection(bootstrap) as connection:
        if error := wire.delete_topic(connection, topic):
            sys.exit(f"deleting {topic}: error {error}")


if __name__ == "__main__":
    commands = {"create": create, "delete": delete}
    if len(sys.argv) < 4 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
