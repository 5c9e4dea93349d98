"""Checks the batches that a broker stores, as a Fetch shows them: the proof that a codec was really used.

stored.py BOOTSTRAP TOPIC PARTITIONS [--codec NAME] [--records N] [--idempotent]

librdkafka sends uncompressed, with only a log line, if the broker's ApiVersions do not please it; a round trip alone
would not notice. Every batch header of every partition is read: the codec must be NAME, offsets must follow each
other without a gap, and with --idempotent every batch must carry a producer id and the next sequence number.
A batch below SMALL_BYTES may be uncompressed: clients send it so where compression would have made it larger.
"""

import argparse
import sys
import time

import wire

SMALL_BYTES = 1000
# How long records may be under way: an acks=0 producer is done when they are sent.
ARRIVAL_S = 10


def await_arrival(connection, wanted):
    deadline = time.monotonic() + ARRIVAL_S
    ends = lambda: sum(wire.list_offset(connection, wanted.topic, wire.LATEST, p)[2] for p in range(wanted.partitions))
    while ends() < (wanted.records or 0) and time.monotonic() < deadline:
        time.sleep(0.05)


def check_partition(connection, topic, partition, wanted):
    """Walks one partition from its first offset to its end; returns (batches, records, stored bytes)."""
    _, _, offset = wire.list_offset(connection, topic, wire.EARLIEST, partition)
    _, _, end = wire.list_offset(connection, topic, wire.LATEST, partition)
    batches = records = size = 0
    sequences = {}
    while offset < end:
        error, _, data = wire.fetch(connection, topic, offset, partition=partition)
        headers = list(wire.stored_batches(data))
        if error or not headers:
            sys.exit(f"{topic}-{partition}: fetch at {offset} of {end} gave error {error}, {len(data)} bytes")
        for header in headers:
            where = f"{topic}-{partition} batch at {header.base_offset}"
            if header.magic != 2 or header.base_offset != offset or header.count != header.last_delta + 1:
                sys.exit(f"{where}: magic {header.magic}, due at {offset}, {header.count} records to delta {header.last_delta}")
            small = header.size < SMALL_BYTES and header.codec == "none"
            if wanted.codec and header.codec != wanted.codec and not small:
                sys.exit(f"{where}: stored as {header.codec}, sent as {wanted.codec}")
            if wanted.idempotent:
                check_sequence(header, sequences, where)
            offset += header.count
            batches, records, size = batches + 1, records + header.count, size + header.size
    return batches, records, size


def check_sequence(header, sequences, where):
    if header.producer_id < 0:
        sys.exit(f"{where}: no producer id, so it was not sent idempotently")
    due = sequences.get(header.producer_id, 0)
    if header.sequence != due:
        sys.exit(f"{where}: sequence {header.sequence} of producer {header.producer_id}, {due} was due")
    sequences[header.producer_id] = due + header.count


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("bootstrap")
    arguments.add_argument("topic")
    arguments.add_argument("partitions", type=int)
    arguments.add_argument("--codec", choices=wire.CODECS)
    arguments.add_argument("--records", type=int)
    arguments.add_argument("--idempotent", action="store_true")
    wanted = arguments.parse_args()
    with wire.Connection(wanted.bootstrap) as connection:
        await_arrival(connection, wanted)
        found = [check_partition(connection, wanted.topic, p, wanted) for p in range(wanted.partitions)]
    batches, records, size = (sum(column) for column in zip(*found))
    print(f"{batches} batches, {records} records, {size} bytes stored as {wanted.codec or 'any codec'}")
    if wanted.records is not None and records != wanted.records:
        sys.exit(f"{records} records stored, {wanted.records} were sent")
    if not batches:
        sys.exit("no batch is stored: nothing was proven")


if __name__ == "__main__":
    main()
