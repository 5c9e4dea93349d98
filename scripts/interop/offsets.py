"""Prints how many offsets a partition has, from its first to its end: offsets.py BOOTSTRAP TOPIC PARTITION"""

import sys

import wire

bootstrap, topic, partition = sys.argv[1:]
with wire.Connection(bootstrap) as connection:
    ends = [wire.list_offset(connection, topic, which, int(partition)) for which in (wire.EARLIEST, wire.LATEST)]
for error, _, _ in ends:
    if error:
        sys.exit(f"listing offsets of {topic}-{partition}: error {error}")
print(ends[1][2] - ends[0][2])
