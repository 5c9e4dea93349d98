"""Makes, removes or awaits topics, and returns only when the broker serves it or knows it no more.

topic.py create BOOTSTRAP TOPIC PARTITIONS [KEY=VALUE...]
topic.py delete BOOTSTRAP TOPIC
topic.py await BOOTSTRAP [TOPIC...]     until a broker is listed and each topic has all its leaders, as after a start
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
        await_leaders(connection, topic, int(partitions))


def await_leaders(connection, topic, partitions):
    """A broker may answer before its leaders are up; a client without retries would stumble over that."""
    deadline = time.monotonic() + LEADER_DEADLINE_S
    while any(wire.list_offset(connection, topic, wire.LATEST, p)[0] for p in range(partitions)):
        if time.monotonic() > deadline:
            sys.exit(f"{topic} is not served after {LEADER_DEADLINE_S} s")
        time.sleep(0.02)


def await_topics(bootstrap, *topics):
    deadline = time.monotonic() + LEADER_DEADLINE_S
    with wire.Connection(bootstrap) as connection:
        while True:
            brokers, known = wire.cluster(connection, topics)
            if brokers and not any(error for error, _ in known.values()):
                break
            if time.monotonic() > deadline:
                sys.exit(f"not served after {LEADER_DEADLINE_S} s: brokers {brokers}, topics (error, partitions) {known}")
            time.sleep(0.1)
        for topic, (_, partitions) in known.items():
            await_leaders(connection, topic, partitions)


def delete(bootstrap, topic):
    with wire.Connection(bootstrap) as connection:
        if error := wire.delete_topic(connection, topic):
            sys.exit(f"deleting {topic}: error {error}")


if __name__ == "__main__":
    commands = {"create": create, "delete": delete, "await": await_topics}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
