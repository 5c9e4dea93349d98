//! What a tool accepts at most from a broker and from its files.

/// Bytes of one response. Kafka's own brokers send less: `socket.request.max.bytes` and `fetch.max.bytes` are below this.
pub const RESPONSE_BYTES_MAX: usize = 256 << 20;

/// How long one attempt to connect to one address may take, whatever the request timeout is.
pub const CONNECT_MS_MAX: u64 = 10_000;
