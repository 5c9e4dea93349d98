//! Fetch (key 1), versions 4 to 18.
//!
//! ```text
//! session (KIP-227) -> entries in order -> probe where they live -> enough, or wait -> read within leases -> response
//! ```
//! Invariants:
//! - Only committed offsets leave (high watermark; without transactions it is also the last stable offset).
//! - Only whole batches; `max_bytes` is handed out in request order; the first partition that has something returns at
//!   least one batch, however large (KIP-74).
//! - Record bytes are slices of the log's memory, never copied here.
//! - A long poll ends early when its client goes; its watches on other shards end with it.
//!
//! Followers do not exist: `replica_id`, replica state and rack are read and not used. Versions below 4 would need
//! conversion to old record formats and are not answered.

mod entry;
mod read;
mod respond;
mod session;
mod watch;

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use thalweg_engine::io::Monotonic;
use thalweg_protocol::fetch::FetchRequest;

use entry::{Entry, resolve};
use read::{Bounds, Found, probe_all, read_all};
pub use session::FetchSessions;
use session::{Context, Visible};
pub use watch::FetchWatches;
use watch::Watch;

use super::{Api, Reply, Request, RequestError};
use crate::bounds::{COLD_REQUEST_BYTES_MAX, FETCH_RESPONSE_BYTES_MAX, FETCH_RESPONSE_BYTES_MIN};
use crate::connection::Reservation;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 1,
    name: "Fetch",
    versions: (4, 18),
    flexible: 12,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let fetch = decode(&request)?;
    let context = match shard.fetch_sessions.open(&fetch, shard.io.now(), || shard.io.random()) {
        Ok(context) => context,
        Err(error) => return respond::refused(&request, error),
    };
    let (found, _reserved) = find(&shard, &request, &fetch, &context.entries).await;
    let Context { session_id, entries, .. } = &context;
    let visible = match session_id {
        0 => Visible::all(entries.len()),
        id => shard.fetch_sessions.update(*id, entries, &found, context.is_new),
    };
    respond::encode(&request, &fetch, &context, found, &visible)
}

fn decode(request: &Request) -> Result<FetchRequest, RequestError> {
    if request.frame.len() > COLD_REQUEST_BYTES_MAX {
        let bytes = request.frame.len();
        return Err(RequestError::Malformed(format!(
            "{bytes} bytes for Fetch, at most {COLD_REQUEST_BYTES_MAX} are read"
        )));
    }
    let decoded = FetchRequest::decode(request.frame.clone(), request.body_at, request.version);
    decoded.map_err(|error| RequestError::Malformed(error.to_string()))
}

/// Probes and reads until there is enough to answer, or the time is up.
async fn find(
    shard: &Rc<ServerShard>,
    request: &Request,
    fetch: &FetchRequest,
    entries: &[Entry],
) -> (Vec<Found>, Option<Reservation>) {
    let deadline =
        request.received.after(Duration::from_millis(u64::try_from(fetch.max_wait_ms).unwrap_or(0)));
    let bytes_min = usize::try_from(fetch.min_bytes).unwrap_or(0);
    let mut patience = Patience { shard, request, deadline };
    let mut seen: Option<Vec<Bounds>> = None;
    loop {
        // Metadata may change while we wait: a topic deleted meanwhile is an error to tell.
        let places = resolve(&shard.metadata.image(), entries);
        let mut found = probe_all(shard, entries, &places).await;
        let refused = found.iter().any(|found| found.error().is_some());
        let mut reserved = None;
        if found.iter().any(Found::is_readable) {
            let (bytes_max, reservation) = reserve(shard, request, fetch).await;
            read_all(shard, entries, &places, bytes_max, &mut found).await;
            reserved = Some(reservation);
        }
        let bytes: usize = found.iter().map(Found::record_bytes).sum();
        reserved.iter_mut().for_each(|reserved| reserved.resize(bytes));
        let failed = found.iter().any(|found| found.error().is_some());
        let diverged = found.iter().any(Found::is_diverging);
        let bounds: Vec<Bounds> = found.iter().filter_map(|found| found.bounds.ok()).collect();
        // A watch also ends when a log closes: there is nothing to wait for then.
        let in_vain = seen.as_ref() == Some(&bounds);
        let told = refused || failed || diverged;
        if bytes >= bytes_min || told || in_vain || entries.is_empty() || patience.is_over() {
            return (found, reserved);
        }
        seen = Some(bounds);
        // Growth between the probe and the watch resolves the watch at once: it waits for a level, not an edge.
        let watch = Watch::start(shard, &places, &found);
        drop((found, reserved));
        patience.wait(watch).await;
    }
}

/// How long a fetch may still wait.
struct Patience<'a> {
    shard: &'a ServerShard,
    request: &'a Request,
    deadline: Monotonic,
}

impl Patience<'_> {
    fn is_over(&self) -> bool {
        self.shard.io.now() >= self.deadline || self.request.client.gone.is_set()
    }

    /// Waits for the watch, the deadline or the end of the connection.
    async fn wait(&mut self, watch: Watch) {
        let gone = self.request.client.gone.wait();
        let until = self.shard.io.sleep_until(self.deadline);
        first_of(watch.grown(), first_of(gone, until)).await;
    }
}

/// Resolves when either does.
async fn first_of(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let mut one = std::pin::pin!(one);
    let mut other = std::pin::pin!(other);
    std::future::poll_fn(|cx| {
        if one.as_mut().poll(cx).is_ready() { std::task::Poll::Ready(()) } else { other.as_mut().poll(cx) }
    })
    .await;
}

/// Record bytes that this response may hold: what client and broker allow, less where the shard's clients are slow. Waits
/// while they have left no memory at all.
async fn reserve(shard: &ServerShard, request: &Request, fetch: &FetchRequest) -> (usize, Reservation) {
    let memory = shard.connections.reply_memory();
    first_of(memory.available(), request.client.gone.wait()).await;
    let asked = usize::try_from(fetch.max_bytes).unwrap_or(0).min(shard.config.fetch_bytes_max);
    let bytes_max = asked.min(memory.room().clamp(FETCH_RESPONSE_BYTES_MIN, FETCH_RESPONSE_BYTES_MAX));
    (bytes_max, memory.reserve(bytes_max))
}
