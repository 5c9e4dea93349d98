"""Asks a broker what a well-behaved client never asks, and checks its answer against what Apache Kafka 3.2.0 gives.

edges.py BOOTSTRAP --list        the names
edges.py BOOTSTRAP NAME...       those; exit 1 at the first that fails

Every expectation here was seen on Kafka 3.2.0 before it was asked of anything else. What differs on purpose between
brokers, their highest versions above all, is read from the broker itself and only its form is checked.
"""

import socket
import struct
import sys
import time
import uuid

import wire
from wire import Closed, Connection

# Kafka's error codes, by the names in its Errors enum
OFFSET_OUT_OF_RANGE = 1
CORRUPT_MESSAGE = 2
UNKNOWN_TOPIC_OR_PARTITION = 3
MESSAGE_TOO_LARGE = 10
INVALID_TOPIC_EXCEPTION = 17
NOT_ENOUGH_REPLICAS = 19
INVALID_REQUIRED_ACKS = 21
UNSUPPORTED_VERSION = 35
TOPIC_ALREADY_EXISTS = 36
INVALID_PARTITIONS = 37
INVALID_REPLICATION_FACTOR = 38
INVALID_CONFIG = 40
OUT_OF_ORDER_SEQUENCE_NUMBER = 45
INVALID_PRODUCER_EPOCH = 47
UNKNOWN_LEADER_EPOCH = 76
INVALID_RECORD = 87
UNKNOWN_TOPIC_ID = 100

# How long a broker may take to close a connection that it must close.
CLOSE_S = 5
CHECKS = {}


def check(function):
    CHECKS[function.__name__.replace("_", "-")] = function
    return function


def expect(what, got, *wanted):
    if got not in wanted:
        raise AssertionError(f"{what}: got {got}, wanted {' or '.join(map(str, wanted))}")


class Topic:
    """A topic of its own for one check, gone afterwards."""

    def __init__(self, bootstrap, partitions=1, **configs):
        self.bootstrap, self.partitions = bootstrap, partitions
        self.configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self.name = f"interop-edge-{uuid.uuid4().hex[:12]}"

    def __enter__(self):
        with Connection(self.bootstrap) as connection:
            expect("create", wire.create_topic(connection, self.name, self.partitions, self.configs), 0)
            deadline = time.monotonic() + 10
            while wire.list_offset(connection, self.name, wire.LATEST)[0] and time.monotonic() < deadline:
                time.sleep(0.02)
        return self.name

    def __exit__(self, *_):
        with Connection(self.bootstrap) as connection:
            wire.delete_topic(connection, self.name)


def expect_closed(connection, what):
    if not connection.closed_within(CLOSE_S):
        raise AssertionError(f"{what}: the connection is still open, or an answer came")


def expect_serving(bootstrap):
    with Connection(bootstrap) as connection:
        wire.metadata(connection, [])


def api_versions(connection):
    reader = connection.ask(wire.API_VERSIONS, 0, b"")
    expect("ApiVersions v0", reader.i16(), 0)
    return {key: (low, high) for key, low, high in reader.array(lambda r: (r.i16(), r.i16(), r.i16()))}


# --- versions and framing -----------------------------------------------------------------------------------------------


@check
def api_versions_above_ours(bootstrap):
    """Answered in v0's encoding with one entry, and the connection goes on: so clients find their version."""
    with Connection(bootstrap) as connection:
        known = api_versions(connection)
        expect("lowest ApiVersions", known[wire.API_VERSIONS][0], 0)
        reader = connection.ask(wire.API_VERSIONS, 99, b"\x10thalweg-interop\x021\0", flexible=True)
        expect("error", reader.i16(), UNSUPPORTED_VERSION)
        entries = reader.array(lambda r: (r.i16(), r.i16(), r.i16()))
        expect("entries", entries, [(wire.API_VERSIONS, 0, known[wire.API_VERSIONS][1])])
        expect("bytes left", len(reader.data) - reader.position, 0)
        api_versions(connection)


@check
def api_versions_are_sane(bootstrap):
    """Each range is in order, and the APIs that these clients live by reach down to where librdkafka looks for them."""
    with Connection(bootstrap) as connection:
        known = api_versions(connection)
    for key, (low, high) in known.items():
        assert 0 <= low <= high, f"API {key}: {low} to {high}"
    for key in (wire.PRODUCE, 10):  # librdkafka: gzip and snappy need Produce v0, lz4 FindCoordinator v0
        expect(f"lowest version of API {key}", known[key][0], 0)


@check
def unknown_api_closes(bootstrap):
    with Connection(bootstrap) as connection:
        connection.send(999, 0, b"")
        expect_closed(connection, "API key 999")
    with Connection(bootstrap) as connection:
        connection.send(-1, 0, b"")
        expect_closed(connection, "API key -1")


@check
def unknown_version_closes(bootstrap):
    for api in (wire.PRODUCE, wire.FETCH, wire.METADATA, wire.CREATE_TOPICS):
        with Connection(bootstrap) as connection:
            connection.send(api, 99, wire.array([]))
            expect_closed(connection, f"API {api} version 99")
    expect_serving(bootstrap)


@check
def impossible_frame_lengths_close(bootstrap):
    """Kafka's bound is socket.request.max.bytes, 100 MiB; nothing of that size may be awaited or allocated."""
    for length in (2**31 - 1, 104_857_601, -1, -(2**31)):
        with Connection(bootstrap) as connection:
            connection.send_bytes(struct.pack(">i", length) + b"\0\0\0\0")
            expect_closed(connection, f"frame length {length}")
    expect_serving(bootstrap)


@check
def truncated_header_closes(bootstrap):
    for frame in (b"\0", b"\0\x12\0", struct.pack(">hhih", 3, 4, 1, 32767)):
        with Connection(bootstrap) as connection:
            connection.send_bytes(struct.pack(">i", len(frame)) + frame)
            expect_closed(connection, f"a frame of {frame!r}")
    expect_serving(bootstrap)


@check
def lengths_beyond_the_frame_close(bootstrap):
    """Counts and lengths inside a body that promise more than the frame holds."""
    produce = struct.pack(">hhi", -1, 1, 5000) + wire.array([wire.string("t")])[:-1]
    bodies = [
        (wire.METADATA, 4, struct.pack(">i", 2**31 - 1)),
        (wire.FETCH, 4, struct.pack(">iiiibi", -1, 0, 0, 1 << 20, 0, 2**31 - 1)),
        (wire.PRODUCE, 3, produce),
        (wire.PRODUCE, 3, wire.produce_body("t", b"")[:-4] + struct.pack(">i", 2**31 - 1)),
        (wire.CREATE_TOPICS, 2, struct.pack(">i", 0x7FFFFFF0)),
    ]
    for api, version, body in bodies:
        with Connection(bootstrap) as connection:
            connection.send(api, version, body)
            expect_closed(connection, f"API {api} with a length beyond its frame")
    expect_serving(bootstrap)


@check
def half_a_request_then_silence(bootstrap):
    """The rest of the world goes on, and the request is answered when its other half arrives."""
    with Connection(bootstrap) as slow:
        frame = struct.pack(">hhi", wire.METADATA, 4, 77) + wire.string("slow") + wire.array([]) + b"\0"
        whole = struct.pack(">i", len(frame)) + frame
        slow.send_bytes(whole[:9])
        for _ in range(20):
            expect_serving(bootstrap)
        assert not slow.closed_within(1), "the connection was closed in the middle of a request"
        slow.socket.settimeout(10)
        slow.send_bytes(whole[9:])
        expect("correlation id", slow.receive()[0], 77)


@check
def byte_by_byte(bootstrap):
    with Connection(bootstrap) as connection:
        frame = struct.pack(">hhi", wire.METADATA, 4, 5) + wire.string("drip") + wire.array([]) + b"\0"
        for byte in struct.pack(">i", len(frame)) + frame:
            connection.send_bytes(bytes([byte]))
            time.sleep(0.002)
        expect("correlation id", connection.receive()[0], 5)


@check
def disconnect_in_the_middle(bootstrap):
    for cut in (1, 4, 8, 40):
        with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
            body = wire.produce_body(topic, wire.batch([b"x" * 100]))
            frame = struct.pack(">hhi", wire.PRODUCE, 3, 1) + wire.string("gone") + body
            connection.send_bytes((struct.pack(">i", len(frame)) + frame)[:-cut])
            connection.socket.shutdown(socket.SHUT_WR)
            connection.closed_within(CLOSE_S)
            with Connection(bootstrap) as other:
                expect("end offset", wire.list_offset(other, topic, wire.LATEST), (0, -1, 0))


@check
def pipelined_in_order(bootstrap):
    """Slow and fast requests in one go: a fetch that waits holds back what came behind it, never the other way."""
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        sent = []
        for number in range(40):
            sent.append(connection.send(wire.PRODUCE, 3, wire.produce_body(topic, wire.batch([b"%d" % number]))))
            if number % 10 == 3:
                sent.append(connection.send(wire.FETCH, 4, wire.fetch_body(topic, 10_000 if number == 33 else 0)))
            if number == 20:
                sent.append(connection.send(wire.FETCH, 4, wire.fetch_body(topic, 21, wait_ms=300, bytes_min=1 << 20)))
            sent.append(connection.send(wire.METADATA, 4, wire.array([]) + b"\0"))
        expect("correlation ids", [connection.receive()[0] for _ in sent], sent)
        _, _, data = wire.fetch(connection, topic, 0)
        expect("stored offsets", [b.base_offset for b in wire.stored_batches(data)], list(range(40)))


# --- produce ------------------------------------------------------------------------------------------------------------


def produce_gives(bootstrap, error, records, what, **configs):
    with Topic(bootstrap, **configs) as topic, Connection(bootstrap) as connection:
        expect(what, wire.produce(connection, topic, records)[0], error)
        expect(f"{what}: records stored", wire.list_offset(connection, topic, wire.LATEST)[2], 0)
        expect("a good batch after it", wire.produce(connection, topic, wire.batch([b"good"])), (0, 0))


@check
def acks_out_of_range(bootstrap):
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        for acks in (5, -2, 2):
            error = wire.produce(connection, topic, wire.batch([b"x"]), acks=acks)[0]
            expect(f"acks={acks}", error, INVALID_REQUIRED_ACKS)
        expect("end offset", wire.list_offset(connection, topic, wire.LATEST)[2], 0)


@check
def acks_0_is_silent(bootstrap):
    """No answer to the Produce, so the next answer on the connection is that of the next request."""
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        for number in range(10):
            connection.send(wire.PRODUCE, 3, wire.produce_body(topic, wire.batch([b"%d" % number]), acks=0))
        wire.metadata(connection, [])
        deadline = time.monotonic() + 5
        while wire.list_offset(connection, topic, wire.LATEST)[2] < 10 and time.monotonic() < deadline:
            time.sleep(0.01)
        expect("end offset", wire.list_offset(connection, topic, wire.LATEST)[2], 10)


@check
def failed_acks_0_closes(bootstrap):
    with Connection(bootstrap) as connection:
        connection.send(wire.PRODUCE, 3, wire.produce_body("interop-no-such-topic", wire.batch([b"x"]), acks=0))
        expect_closed(connection, "acks=0 to a topic that is not there")


@check
def produce_to_nowhere(bootstrap):
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        batch = wire.batch([b"x"])
        expect("no such topic", wire.produce(connection, "interop-no-such-topic", batch)[0], UNKNOWN_TOPIC_OR_PARTITION)
        for partition in (1, -1, 2**31 - 1):
            error = wire.produce(connection, topic, batch, partition=partition)[0]
            expect(f"partition {partition}", error, UNKNOWN_TOPIC_OR_PARTITION)


@check
def message_too_large(bootstrap):
    produce_gives(bootstrap, MESSAGE_TOO_LARGE, wire.batch([b"x" * 1_100_000]), "above message.max.bytes")
    produce_gives(bootstrap, MESSAGE_TOO_LARGE, wire.batch([b"x" * 2000]), "above max.message.bytes", max_message_bytes=1000)


@check
def corrupt_message(bootstrap):
    produce_gives(bootstrap, CORRUPT_MESSAGE, wire.batch([b"x"], crc=0xDEADBEEF), "a wrong CRC")
    flipped = bytearray(wire.batch([b"some value"]))
    flipped[-3] ^= 1
    produce_gives(bootstrap, CORRUPT_MESSAGE, bytes(flipped), "a flipped bit")


@check
def invalid_record(bootstrap):
    two = wire.batch([b"one"]) + wire.batch([b"two"])
    produce_gives(bootstrap, INVALID_RECORD, two, "two batches for one partition")
    produce_gives(bootstrap, INVALID_RECORD, b"", "no batch at all")
    produce_gives(bootstrap, INVALID_RECORD, wire.batch([b"x"], magic=1), "magic 1 in Produce v3")
    produce_gives(bootstrap, INVALID_RECORD, wire.batch([b"x"], count=5), "a count above the records")
    produce_gives(bootstrap, INVALID_RECORD, wire.batch([b"x", b"y"], last_delta=7), "a last offset delta above the count")
    produce_gives(bootstrap, INVALID_RECORD, wire.batch([b"\0\0\0\0\0\0"], attributes=0x20), "a control batch")


@check
def not_enough_replicas(bootstrap):
    with Topic(bootstrap, min_insync_replicas=2) as topic, Connection(bootstrap) as connection:
        expect("acks=all", wire.produce(connection, topic, wire.batch([b"x"]))[0], NOT_ENOUGH_REPLICAS)
        expect("acks=1", wire.produce(connection, topic, wire.batch([b"x"]), acks=1), (0, 0))


@check
def idempotent_sequences(bootstrap):
    """A repeated batch is acknowledged at its first offset and stored once; a gap and an old epoch are refused."""
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        error, producer, epoch = wire.init_producer(connection)
        expect("InitProducerId", error, 0)
        send = lambda sequence, values, of=epoch: wire.produce(
            connection, topic, wire.batch(values, producer=(producer, of, sequence)))
        expect("first", send(0, [b"a", b"b"]), (0, 0))
        expect("second", send(2, [b"c"]), (0, 2))
        expect("first again", send(0, [b"a", b"b"]), (0, 0))
        expect("second again", send(2, [b"c"]), (0, 2))
        expect("a gap", send(9, [b"z"])[0], OUT_OF_ORDER_SEQUENCE_NUMBER)
        expect("end offset", wire.list_offset(connection, topic, wire.LATEST)[2], 3)
        expect("next epoch", send(0, [b"d"], epoch + 1), (0, 3))
        expect("the old epoch", send(3, [b"e"])[0], INVALID_PRODUCER_EPOCH)


# --- fetch and offsets --------------------------------------------------------------------------------------------------


@check
def offset_out_of_range(bootstrap):
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        wire.produce(connection, topic, wire.batch([b"x"]))
        for offset in (2, 1 << 60, -1, -5):
            expect(f"offset {offset}", wire.fetch(connection, topic, offset)[0], OFFSET_OUT_OF_RANGE)
        expect("at the end", wire.fetch(connection, topic, 1), (0, 1, b""))


@check
def fetch_from_nowhere(bootstrap):
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        expect("no such topic", wire.fetch(connection, "interop-no-such-topic", 0)[0], UNKNOWN_TOPIC_OR_PARTITION)
        expect("no such partition", wire.fetch(connection, topic, 0, partition=9)[0], UNKNOWN_TOPIC_OR_PARTITION)
        error = wire.list_offset(connection, "interop-no-such-topic", wire.LATEST)[0]
        expect("offsets of no such topic", error, UNKNOWN_TOPIC_OR_PARTITION)


def fetch_by_id(connection, topic_id, leader_epoch=-1):
    """Fetch v13 without a session: (error of the whole, error of the partition)."""
    partition = struct.pack(">iiqiqi", 0, leader_epoch, 0, -1, -1, 1 << 20) + b"\0"
    topic = topic_id + b"\x02" + partition + b"\0"
    body = struct.pack(">iiiibii", -1, 0, 0, 1 << 20, 0, 0, -1) + b"\x02" + topic + b"\x01\x01\0"
    reader = connection.ask(wire.FETCH, 13, body, flexible=True)
    reader.raw(1)
    reader.i32()
    whole, _ = reader.i16(), reader.i32()
    if reader.varint() < 2:
        return whole, None
    reader.raw(16)
    reader.varint()
    reader.i32()
    return whole, reader.i16()


@check
def stale_topic_id(bootstrap):
    with Connection(bootstrap) as connection:
        whole, partition = fetch_by_id(connection, uuid.uuid4().bytes)
        expect("errors", UNKNOWN_TOPIC_ID in (whole, partition), True)


@check
def whole_batches_whatever_the_limit(bootstrap):
    """KIP-74: the first batch comes whole even if it is larger than max_bytes; an offset inside a batch brings it all."""
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        values = [b"v" * 500] * 10
        expect("produce", wire.produce(connection, topic, wire.batch(values)), (0, 0))
        expect("produce", wire.produce(connection, topic, wire.batch(values)), (0, 10))
        for offset, base in ((0, 0), (7, 0), (10, 10), (19, 10)):
            _, _, data = wire.fetch(connection, topic, offset, bytes_max=1)
            first = next(wire.stored_batches(data))
            expect(f"batch at offset {offset}", (first.base_offset, first.count), (base, 10))


@check
def long_poll(bootstrap):
    """An empty fetch waits max_wait_ms, and no longer once a record arrives."""
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        begun = time.monotonic()
        expect("an empty fetch", wire.fetch(connection, topic, 0, wait_ms=400, bytes_min=1), (0, 0, b""))
        waited = time.monotonic() - begun
        assert 0.35 < waited < 2, f"waited {waited:.3f} s for 400 ms"
        begun = time.monotonic()
        connection.send(wire.FETCH, 4, wire.fetch_body(topic, 0, wait_ms=8000, bytes_min=1))
        time.sleep(0.2)
        with Connection(bootstrap) as other:
            wire.produce(other, topic, wire.batch([b"wake up"]))
        error, _, data = wire.fetched(connection.receive()[1])
        waited = time.monotonic() - begun
        expect("the woken fetch", (error, len(list(wire.stored_batches(data)))), (0, 1))
        assert waited < 4, f"a record arrived after 0.2 s, the fetch came back after {waited:.3f} s"


@check
def offsets_by_timestamp(bootstrap):
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        for number in range(10):
            wire.produce(connection, topic, wire.batch([b"x"], timestamp=1_700_000_000_000 + number * 1000))
        look = lambda timestamp: wire.list_offset(connection, topic, timestamp)
        expect("earliest", look(wire.EARLIEST)[2], 0)
        expect("latest", look(wire.LATEST)[2], 10)
        expect("before all", look(0), (0, 1_700_000_000_000, 0))
        expect("exactly", look(1_700_000_003_000), (0, 1_700_000_003_000, 3))
        expect("between", look(1_700_000_003_001), (0, 1_700_000_004_000, 4))
        expect("after all", look(1_800_000_000_000), (0, -1, -1))


@check
def timestamps_inside_a_batch(bootstrap):
    """The lookup lands on a record, not on the batch that holds it."""
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        for base in range(3):
            wire.produce(connection, topic, wire.batch([b"x"] * 10, timestamp=1_700_000_000_000 + base * 10_000, step_ms=1000))
        for number in (0, 4, 9, 10, 29):
            timestamp = 1_700_000_000_000 + number * 1000
            expect(f"record {number}", wire.list_offset(connection, topic, timestamp), (0, timestamp, number))
            expect(f"just before {number}", wire.list_offset(connection, topic, timestamp - 1), (0, timestamp, number))


# --- topics -------------------------------------------------------------------------------------------------------------


@check
def invalid_topic_names(bootstrap):
    with Connection(bootstrap) as connection:
        for name in ("", ".", "..", "a b", "a/b", "ü", "x" * 250):
            expect(f"create {name!r}", wire.create_topic(connection, name), INVALID_TOPIC_EXCEPTION)
        for name in ("a/b", "x" * 250):
            answer = wire.metadata(connection, [name], create=True)
            expect(f"metadata of {name!r}", answer[name][0], INVALID_TOPIC_EXCEPTION)


@check
def topic_already_exists(bootstrap):
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        expect("create again", wire.create_topic(connection, topic, 3), TOPIC_ALREADY_EXISTS)
        expect("partitions", wire.metadata(connection, [topic])[topic], (0, 1))


@check
def bad_topic_parameters(bootstrap):
    name = f"interop-edge-{uuid.uuid4().hex[:12]}"
    with Connection(bootstrap) as connection:
        expect("0 partitions", wire.create_topic(connection, name, 0), INVALID_PARTITIONS)
        expect("an unknown config", wire.create_topic(connection, name, 1, {"no.such.config": "1"}), INVALID_CONFIG)
        expect("a bad value", wire.create_topic(connection, name, 1, {"segment.bytes": "many"}), INVALID_CONFIG)
        replicated = wire.array([wire.string(name) + struct.pack(">ih", 1, 3) + wire.array([]) * 2])
        reader = connection.ask(wire.CREATE_TOPICS, 2, replicated + struct.pack(">i?", 5000, False))
        reader.i32()
        error = reader.array(lambda r: (r.string(), r.i16(), r.string()))[0][1]
        expect("3 replicas on one broker", error, INVALID_REPLICATION_FACTOR)
        expect("made all the same", wire.metadata(connection, [name])[name][0], UNKNOWN_TOPIC_OR_PARTITION)


@check
def delete_unknown_topic(bootstrap):
    with Connection(bootstrap) as connection:
        expect("delete", wire.delete_topic(connection, "interop-no-such-topic"), UNKNOWN_TOPIC_OR_PARTITION)


@check
def recreated_topic_is_empty(bootstrap):
    with Topic(bootstrap) as topic, Connection(bootstrap) as connection:
        expect("produce", wire.produce(connection, topic, wire.batch([b"old"])), (0, 0))
        expect("delete", wire.delete_topic(connection, topic), 0)
        deadline = time.monotonic() + 10
        while (error := wire.create_topic(connection, topic)) == TOPIC_ALREADY_EXISTS and time.monotonic() < deadline:
            time.sleep(0.05)
        expect("create again", error, 0)
        while wire.list_offset(connection, topic, wire.LATEST)[0] and time.monotonic() < deadline:
            time.sleep(0.02)
        expect("end offset", wire.list_offset(connection, topic, wire.LATEST)[2], 0)
        expect("first offset", wire.produce(connection, topic, wire.batch([b"new"])), (0, 0))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    if sys.argv[2] == "--list":
        print("\n".join(CHECKS))
        return
    for name in sys.argv[2:]:
        try:
            CHECKS[name](sys.argv[1])
        except (AssertionError, Closed, OSError) as error:
            sys.exit(f"{name}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
