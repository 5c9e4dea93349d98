"""Kafka's wire protocol in its barest form: enough to ask a broker what no client library would ask.

Requests are built by hand at versions that Kafka 3.2 and 4.1 both speak, mostly the last before flexible encoding, so
that a test can break any byte of them. It deliberately has no retries, no metadata and no batching: one socket, one
broker, and an exception (`Closed`, `socket.timeout`) for all that goes wrong.
"""

import socket
import struct

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR = 8, 9, 10
API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID = 18, 19, 20, 22

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
EARLIEST, LATEST = -2, -1


class Closed(Exception):
    """The broker closed the connection."""


class Connection:
    """One connection; `timeout_s` bounds every single wait."""

    def __init__(self, bootstrap, timeout_s=10.0):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, api, version, body, flexible=False):
        """Sends one request and returns its correlation id, without waiting for an answer."""
        self.correlation += 1
        header = struct.pack(">hhi", api, version, self.correlation) + string("thalweg-interop")
        frame = header + (b"\0" if flexible else b"") + body
        self.send_bytes(struct.pack(">i", len(frame)) + frame)
        return self.correlation

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed(str(error)) from error

    def receive(self):
        """The next response as (correlation id, reader behind it)."""
        size = struct.unpack(">i", self._exactly(4))[0]
        reader = Reader(self._exactly(size))
        return reader.i32(), reader

    def ask(self, api, version, body, flexible=False):
        """Sends one request and returns the reader of its answer, which must be the next one."""
        sent = self.send(api, version, body, flexible)
        received, reader = self.receive()
        assert received == sent, f"the answer to {received} came where {sent} was due"
        return reader

    def closed_within(self, seconds):
        """Whether the broker closes the connection in this time without sending anything first."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            try:
                piece = self.socket.recv(min(count - len(data), 1 << 20))
            except ConnectionResetError as error:
                raise Closed(str(error)) from error
            if not piece:
                raise Closed(f"end of stream after {len(data)} of {count} bytes")
            data += piece
        return bytes(data)


class Reader:
    """Takes values off the front of a response."""

    def __init__(self, data):
        self.data, self.position = data, 0

    def _unpack(self, form, size):
        value = struct.unpack_from(form, self.data, self.position)[0]
        self.position += size
        return value

    def i8(self):
        return self._unpack(">b", 1)

    def i16(self):
        return self._unpack(">h", 2)

    def i32(self):
        return self._unpack(">i", 4)

    def i64(self):
        return self._unpack(">q", 8)

    def raw(self, size):
        value = self.data[self.position : self.position + size]
        assert len(value) == size, "the response is shorter than its own lengths say"
        self.position += size
        return value

    def string(self):
        size = self.i16()
        return None if size < 0 else self.raw(size).decode()

    def bytes(self):
        size = self.i32()
        return b"" if size < 0 else self.raw(size)

    def array(self, item):
        return [item(self) for _ in range(self.i32())]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.raw(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7


def string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def sized(data):
    return struct.pack(">i", len(data)) + data


# --- record batches ---------------------------------------------------------------------------------------------------

_CRC32C = []
for _byte in range(256):
    for _ in range(8):
        _byte = (_byte >> 1) ^ (0x82F63B78 if _byte & 1 else 0)
    _CRC32C.append(_byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(value):
    """A zigzag varint, as records have them."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def record(delta, value, timestamp_delta=0):
    body = b"\0" + varint(timestamp_delta) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def batch(values, *, timestamp=1_700_000_000_000, step_ms=0, attributes=0, magic=2, crc=None, count=None, last_delta=None,
          producer=(-1, -1, -1)):
    """A record batch of these values, `step_ms` apart; the keywords behind that make it a wrong one.

    `producer` is (id, epoch, sequence).
    """
    records = b"".join(record(delta, value, delta * step_ms) for delta, value in enumerate(values))
    checked = struct.pack(
        ">hiqqqhii",
        attributes,
        len(values) - 1 if last_delta is None else last_delta,
        timestamp,
        timestamp + step_ms * max(len(values) - 1, 0),
        *producer,
        len(values) if count is None else count,
    ) + records
    crc = crc32c(checked) if crc is None else crc
    return struct.pack(">qiibI", 0, len(checked) + 9, -1, magic, crc) + checked


class Stored:
    """The header of a batch as the broker returned it."""

    SIZE = 61

    def __init__(self, data, position):
        (self.base_offset, length, self.leader_epoch, self.magic, self.crc, self.attributes, self.last_delta,
         self.first_timestamp, self.max_timestamp, self.producer_id, self.producer_epoch, self.sequence,
         self.count) = struct.unpack_from(">qiibIhiqqqhii", data, position)
        self.size = length + 12

    @property
    def codec(self):
        bits = self.attributes & 7
        return CODECS[bits] if bits < len(CODECS) else f"codec {bits}"


def stored_batches(data):
    """The whole batches at the front of what a Fetch returned; a cut one at the end is left out."""
    position = 0
    while position + Stored.SIZE <= len(data):
        header = Stored(data, position)
        if position + header.size > len(data):
            return
        yield header
        position += header.size


# --- requests -----------------------------------------------------------------------------------------------------------

def produce_body(topic, records, *, partition=0, acks=-1, transactional_id=None):
    transactional = struct.pack(">h", -1) if transactional_id is None else string(transactional_id)
    partitions = array([struct.pack(">i", partition) + sized(records)])
    return transactional + struct.pack(">hi", acks, 5000) + array([string(topic) + partitions])


def produce(connection, topic, records, **options):
    """Produce v3: (error, base offset)."""
    reader = connection.ask(PRODUCE, 3, produce_body(topic, records, **options))
    answers = reader.array(lambda r: (r.string(), r.array(lambda p: (p.i32(), p.i16(), p.i64(), p.i64()))))
    _, error, base_offset, _ = answers[0][1][0]
    return error, base_offset


def fetch_body(topic, offset, *, partition=0, bytes_max=8 << 20, wait_ms=0, bytes_min=0):
    partitions = array([struct.pack(">iqi", partition, offset, bytes_max)])
    return struct.pack(">iiiib", -1, wait_ms, bytes_min, bytes_max, 0) + array([string(topic) + partitions])


def fetched(reader):
    """The answer of Fetch v4 for one partition: (error, high watermark, record bytes)."""
    reader.i32()
    aborted = lambda r: (r.i64(), r.i64())
    partition = lambda r: (r.i32(), r.i16(), r.i64(), r.i64(), r.array(aborted), r.bytes())
    _, error, high_watermark, _, _, records = reader.array(lambda r: (r.string(), r.array(partition)))[0][1][0]
    return error, high_watermark, records


def fetch(connection, topic, offset, **options):
    return fetched(connection.ask(FETCH, 4, fetch_body(topic, offset, **options)))


def list_offset(connection, topic, timestamp, partition=0):
    """ListOffsets v1: (error, timestamp, offset)."""
    partitions = array([struct.pack(">iq", partition, timestamp)])
    reader = connection.ask(LIST_OFFSETS, 1, struct.pack(">i", -1) + array([string(topic) + partitions]))
    answers = reader.array(lambda r: (r.string(), r.array(lambda p: (p.i32(), p.i16(), p.i64(), p.i64()))))
    return answers[0][1][0][1:]


def metadata(connection, topics, create=False):
    """Metadata v4: {topic: (error, topic's partition count)}."""
    return cluster(connection, topics, create)[1]


def cluster(connection, topics=(), create=False):
    """Metadata v4: ([(broker id, host, port, rack)], {topic: (error, topic's partition count)})."""
    reader = connection.ask(METADATA, 4, array([string(t) for t in topics]) + bytes([create]))
    reader.i32()
    brokers = reader.array(lambda r: (r.i32(), r.string(), r.i32(), r.string()))
    reader.string()
    reader.i32()
    nodes = lambda r: r.array(Reader.i32)
    partition = lambda r: (r.i16(), r.i32(), r.i32(), nodes(r), nodes(r))
    topic = lambda r: (r.i16(), r.string(), r.i8(), r.array(partition))
    return brokers, {name: (error, len(parts)) for error, name, _, parts in reader.array(topic)}


def create_topic(connection, topic, partitions=1, configs=None):
    """CreateTopics v2: the error code, 0 if it was created."""
    config = array([string(key) + string(value) for key, value in (configs or {}).items()])
    body = array([string(topic) + struct.pack(">ihi", partitions, 1, 0) + config]) + struct.pack(">i?", 10_000, False)
    reader = connection.ask(CREATE_TOPICS, 2, body)
    reader.i32()
    return reader.array(lambda r: (r.string(), r.i16(), r.string()))[0][1]


def delete_topic(connection, topic):
    """DeleteTopics v1: the error code."""
    reader = connection.ask(DELETE_TOPICS, 1, array([string(topic)]) + struct.pack(">i", 10_000))
    reader.i32()
    return reader.array(lambda r: (r.string(), r.i16()))[0][1]


def init_producer(connection, transactional_id=None):
    """InitProducerId v0: (error, producer id, epoch)."""
    name = struct.pack(">h", -1) if transactional_id is None else string(transactional_id)
    reader = connection.ask(INIT_PRODUCER_ID, 0, name + struct.pack(">i", 60_000))
    reader.i32()
    return reader.i16(), reader.i64(), reader.i16()


def find_coordinator(connection, group):
    """The error code; what keeps the groups is made by this."""
    return connection.ask(FIND_COORDINATOR, 0, string(group)).i16()


def commit_offset(connection, group, topic, offset, partition=0):
    """Commits in the name of nobody; the partition's error code."""
    partitions = struct.pack(">iqi", partition, offset, -1) + string("")
    body = string(group) + struct.pack(">i", -1) + string("") + struct.pack(">h", -1)
    body += array([string(topic) + array([partitions])])
    reader = connection.ask(OFFSET_COMMIT, 7, body)
    reader.raw(4 + 4)
    reader.string()
    reader.raw(4 + 4)
    return reader.i16()


def committed_offset(connection, group, topic, partition=0):
    """(error code, offset); the offset is -1 if there is none."""
    topics = array([string(topic) + array([struct.pack(">i", partition)])])
    reader = connection.ask(OFFSET_FETCH, 1, string(group) + topics)
    reader.raw(4)
    reader.string()
    reader.raw(4 + 4)
    offset = reader.i64()
    reader.string()
    return reader.i16(), offset
