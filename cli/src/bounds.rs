//! What a tool accepts at most from a broker and from its files.

/// Bytes of one response. Kafka's own brokers send less: `socket.request.max.bytes` and `fetch.max.bytes` are below this.
pub const RESPONSE_BYTES_MAX: usize = 256 << 20;

/// How long one attempt to connect to one address may take, whatever the request timeout is.
pub const CONNECT_MS_MAX: u64 = 10_000;

/// Bytes of one line of the console producer's input: no record may be larger.
pub const LINE_BYTES_MAX: usize = 1_000_000_000;

/// Bytes that are read from the console producer's input at once.
pub const READ_BYTES: usize = 64 << 10;

/// Bytes that the records of one batch may unpack to when they are dumped.
pub const UNPACKED_BYTES_MAX: u64 = 512 << 20;

/// Bytes of an index of a segment: `segment.index.bytes` is an i32.
pub const INDEX_BYTES_MAX: u64 = i32::MAX as u64;

/// Bytes of a producer snapshot: a million producers take 46 MB.
pub const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

/// How deep structures nest in metadata records, by their schemas.
pub const METADATA_NESTING_MAX: usize = 4;

/// Bytes of the file that the performance producer takes its records from.
pub const PAYLOAD_FILE_BYTES_MAX: u64 = 1 << 30;
