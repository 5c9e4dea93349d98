//! Incremental fetch sessions (KIP-227), a bounded number per shard.
//!
//! A client that fetches the same partitions again and again sends only what changed, and hears only of partitions
//! that have something new. A session lives on the shard of the connection that opened it; on another shard, or after
//! eviction, it is not found, and the client starts over with a full fetch. Semantics are those of Kafka 3.2.0's
//! `FetchSession.scala`.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use thalweg_engine::io::Monotonic;
use thalweg_protocol::fetch::FetchRequest;

use super::entry::{Entry, TopicKey, entries};
use super::read::Found;
use crate::bounds::FETCH_SESSION_PARTITIONS_MAX;
use crate::config::BrokerConfig;

/// A session that was not used for so long makes room for a new one (Kafka's `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);

/// Epochs in requests: no session, and the first of one.
const FINAL_EPOCH: i32 = -1;
const INITIAL_EPOCH: i32 = 0;

/// First version that names topics by id.
const TOPIC_IDS_FROM: i16 = 13;

/// The sessions of one shard.
pub struct FetchSessions {
    sessions: RefCell<HashMap<i32, Session>>,
    sessions_max: usize,
}

/// What a request is about, once its session is known.
#[derive(Debug)]
pub struct Context {
    /// 0: no session.
    pub session_id: i32,
    /// The partitions, in the order in which bytes are handed out.
    pub entries: Vec<Entry>,
    /// A full fetch: the answer is about every partition.
    pub is_new: bool,
}

/// Which entries the answer is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Visible(Vec<bool>);

impl Visible {
    pub fn all(count: usize) -> Visible {
        Visible(vec![true; count])
    }

    pub fn shows(&self, at: usize) -> bool {
        self.0.get(at).copied().unwrap_or(true)
    }
}

type Key = (TopicKey, i32);

struct Session {
    by_ids: bool,
    /// The epoch that the next request must have.
    epoch: i32,
    used: Monotonic,
    /// By order of service: a partition that had something goes to the end.
    order: BTreeMap<u64, Cached>,
    places: HashMap<Key, u64>,
    next_place: u64,
}

/// A partition of a session, and what its client has heard last.
struct Cached {
    entry: Entry,
    high_watermark: i64,
    log_start: i64,
}

impl FetchSessions {
    pub fn new(config: &BrokerConfig, shards: u16) -> FetchSessions {
        let sessions_max = config.fetch_sessions_max.div_ceil(usize::from(shards).max(1));
        FetchSessions::with_capacity(sessions_max)
    }

    fn with_capacity(sessions_max: usize) -> FetchSessions {
        FetchSessions { sessions: RefCell::default(), sessions_max }
    }

    /// Sessions that are open.
    pub fn len(&self) -> usize {
        self.sessions.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds or opens the session of a request. A full fetch that finds no room goes without.
    ///
    /// # Errors
    /// The session is not known, or the request is out of turn: the client starts over.
    pub fn open(
        &self,
        fetch: &FetchRequest,
        now: Monotonic,
        random: impl FnMut() -> u64,
    ) -> Result<Context, ResponseError> {
        if fetch.session_epoch != FINAL_EPOCH && fetch.session_epoch != INITIAL_EPOCH {
            return self.go_on(fetch, now);
        }
        self.sessions.borrow_mut().remove(&fetch.session_id);
        let entries = entries(fetch);
        let session_id = match fetch.session_epoch {
            INITIAL_EPOCH => self.create(&entries, fetch.version() >= TOPIC_IDS_FROM, now, random),
            _ => 0,
        };
        Ok(Context { session_id, entries, is_new: true })
    }

    fn go_on(&self, fetch: &FetchRequest, now: Monotonic) -> Result<Context, ResponseError> {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.get_mut(&fetch.session_id).ok_or(ResponseError::FetchSessionIdNotFound)?;
        if session.epoch != fetch.session_epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.by_ids != (fetch.version() >= TOPIC_IDS_FROM) {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        session.change(fetch);
        if session.order.is_empty() || session.order.len() > FETCH_SESSION_PARTITIONS_MAX {
            let session = sessions.remove(&fetch.session_id);
            let entries = session.map_or_else(Vec::new, |session| session.entries());
            return Ok(Context { session_id: 0, entries, is_new: true });
        }
        session.epoch = next_epoch(session.epoch);
        session.used = now;
        Ok(Context { session_id: fetch.session_id, entries: session.entries(), is_new: false })
    }

    /// Opens a session; 0 if there is no room, or nothing to keep.
    fn create(
        &self,
        entries: &[Entry],
        by_ids: bool,
        now: Monotonic,
        mut random: impl FnMut() -> u64,
    ) -> i32 {
        if entries.is_empty() || entries.len() > FETCH_SESSION_PARTITIONS_MAX || !self.make_room(now) {
            return 0;
        }
        let mut sessions = self.sessions.borrow_mut();
        let id = loop {
            let id = i32::try_from(random() >> 33).unwrap_or(0);
            if id != 0 && !sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            by_ids,
            epoch: next_epoch(INITIAL_EPOCH),
            used: now,
            order: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        };
        entries.iter().for_each(|entry| session.put(entry.clone()));
        sessions.insert(id, session);
        id
    }

    /// Whether one more session fits, after the one that was unused for longest has gone if it was for long enough.
    fn make_room(&self, now: Monotonic) -> bool {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.len() < self.sessions_max {
            return true;
        }
        let oldest = sessions.iter().min_by_key(|(id, session)| (session.used, **id));
        let Some((id, used)) = oldest.map(|(id, session)| (*id, session.used)) else { return false };
        let evictable = now.since(used) >= EVICTABLE_AFTER;
        if evictable {
            sessions.remove(&id);
        }
        evictable
    }

    /// Notes what the client is about to hear, and returns which entries that is.
    pub fn update(&self, id: i32, entries: &[Entry], found: &[Found], is_new: bool) -> Visible {
        let mut sessions = self.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(&id) else { return Visible::all(entries.len()) };
        let shown = entries.iter().zip(found).map(|(entry, found)| session.note(entry, found) || is_new);
        Visible(shown.collect())
    }
}

/// After the last positive epoch comes 1: 0 opens a session.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

impl Session {
    fn entries(&self) -> Vec<Entry> {
        self.order.values().map(|cached| cached.entry.clone()).collect()
    }

    /// Adds, changes and forgets what the request says.
    fn change(&mut self, fetch: &FetchRequest) {
        entries(fetch).into_iter().for_each(|entry| self.put(entry));
        for topic in fetch.forgotten() {
            let key = TopicKey::of(topic.topic);
            for index in topic.partitions {
                if let Some(place) = self.places.remove(&(key.clone(), index)) {
                    self.order.remove(&place);
                }
            }
        }
    }

    fn put(&mut self, entry: Entry) {
        let key = (entry.topic.clone(), entry.index);
        if let Some(cached) = self.places.get(&key).and_then(|place| self.order.get_mut(place)) {
            cached.entry = entry;
            return;
        }
        self.places.insert(key, self.next_place);
        self.order.insert(self.next_place, Cached { entry, high_watermark: -1, log_start: -1 });
        self.next_place += 1;
    }

    /// Notes what was found; whether the client must hear of it.
    fn note(&mut self, entry: &Entry, found: &Found) -> bool {
        let key = (entry.topic.clone(), entry.index);
        let Some(place) = self.places.get_mut(&key) else { return true };
        let Some(cached) = self.order.get_mut(place) else { return true };
        let Ok(bounds) = &found.bounds else {
            // Whatever it hears next is news.
            cached.high_watermark = -1;
            return true;
        };
        let has_records = found.record_bytes() > 0;
        let changed = (cached.high_watermark, cached.log_start) != (bounds.high_watermark, bounds.log_start);
        (cached.high_watermark, cached.log_start) = (bounds.high_watermark, bounds.log_start);
        if has_records && let Some(cached) = self.order.remove(place) {
            *place = self.next_place;
            self.order.insert(self.next_place, cached);
            self.next_place += 1;
        }
        has_records || changed || bounds.diverging.is_some()
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::fetch_request::{self, FetchPartition, FetchTopic, ForgottenTopic};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::super::read::Bounds;
    use super::*;

    const NOW: Monotonic = Monotonic(1_000_000_000);

    /// A request about partitions of `t`, each from its offset.
    fn request(session: (i32, i32), partitions: &[(i32, i64)], forgotten: &[i32]) -> FetchRequest {
        let name = || TopicName(StrBytes::from_static_str("t"));
        let asked = partitions.iter().map(|(index, offset)| {
            FetchPartition::default()
                .with_partition(*index)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(100)
        });
        let topic = FetchTopic::default().with_topic(name()).with_partitions(asked.collect());
        let gone = ForgottenTopic::default().with_topic(name()).with_partitions(forgotten.to_vec());
        let request = fetch_request::FetchRequest::default()
            .with_session_id(session.0)
            .with_session_epoch(session.1)
            .with_topics(vec![topic])
            .with_forgotten_topics_data(vec![gone]);
        let mut frame = BytesMut::new();
        request.encode(&mut frame, 12).unwrap();
        FetchRequest::decode(frame.freeze(), 0, 12).unwrap()
    }

    fn open(
        sessions: &FetchSessions,
        fetch: &FetchRequest,
        now: Monotonic,
    ) -> Result<Context, ResponseError> {
        let mut next = 0u64;
        sessions.open(fetch, now, || {
            next += 1;
            next << 33
        })
    }

    fn found(high_watermark: i64, records: &'static [u8]) -> Found {
        let bounds = Bounds { high_watermark, log_start: 0, readable: !records.is_empty(), diverging: None };
        let records = if records.is_empty() { Vec::new() } else { vec![Bytes::from_static(records)] };
        Found { bounds: Ok(bounds), records }
    }

    fn indexes(context: &Context) -> Vec<i32> {
        context.entries.iter().map(|entry| entry.index).collect()
    }

    #[test]
    fn a_session_remembers_changes_and_forgets() {
        let sessions = FetchSessions::with_capacity(10);
        let full = open(&sessions, &request((0, 0), &[(0, 5), (1, 6)], &[]), NOW).unwrap();
        assert!(full.session_id > 0 && full.is_new);
        let next = open(&sessions, &request((full.session_id, 1), &[(1, 9), (2, 0)], &[0]), NOW).unwrap();
        assert_eq!((next.session_id, next.is_new, indexes(&next)), (full.session_id, false, vec![1, 2]));
        assert_eq!(next.entries[0].fetch_offset, 9);
    }

    #[test]
    fn out_of_turn_and_unknown_are_told_apart() {
        let sessions = FetchSessions::with_capacity(10);
        let id = open(&sessions, &request((0, 0), &[(0, 0)], &[]), NOW).unwrap().session_id;
        let refused = |session| open(&sessions, &request(session, &[], &[]), NOW).unwrap_err();
        assert_eq!(refused((id, 2)), ResponseError::InvalidFetchSessionEpoch);
        assert_eq!(refused((id + 1, 1)), ResponseError::FetchSessionIdNotFound);
        assert!(open(&sessions, &request((id, 1), &[], &[]), NOW).is_ok());
        assert_eq!(refused((id, 1)), ResponseError::InvalidFetchSessionEpoch);
        open(&sessions, &request((id, -1), &[(0, 0)], &[]), NOW).unwrap();
        assert!(sessions.is_empty(), "the final epoch closes the session");
    }

    #[test]
    fn only_news_is_told_and_the_served_go_to_the_end() {
        let sessions = FetchSessions::with_capacity(10);
        let full = open(&sessions, &request((0, 0), &[(0, 0), (1, 0), (2, 0)], &[]), NOW).unwrap();
        let id = full.session_id;
        let nothing = [found(3, b""), found(3, b""), found(3, b"")];
        assert_eq!(sessions.update(id, &full.entries, &nothing, true), Visible::all(3));
        let second = open(&sessions, &request((id, 1), &[], &[]), NOW).unwrap();
        let news = [found(3, b"records"), found(3, b""), found(4, b"")];
        assert_eq!(sessions.update(id, &second.entries, &news, false), Visible(vec![true, false, true]));
        let third = open(&sessions, &request((id, 2), &[], &[]), NOW).unwrap();
        assert_eq!(indexes(&third), [1, 2, 0]);
        let failed = Found { bounds: Err(ResponseError::OffsetOutOfRange), records: Vec::new() };
        let error_then_same = [failed, found(4, b""), found(3, b"")];
        assert_eq!(
            sessions.update(id, &third.entries, &error_then_same, false),
            Visible(vec![true, false, false])
        );
        let same = [found(3, b""), found(4, b""), found(3, b"")];
        assert_eq!(sessions.update(id, &third.entries, &same, false), Visible(vec![true, false, false]));
    }

    #[test]
    fn sessions_are_bounded_and_only_unused_ones_make_room() {
        let sessions = FetchSessions::with_capacity(1);
        assert_ne!(open(&sessions, &request((0, 0), &[(0, 0)], &[]), NOW).unwrap().session_id, 0);
        let soon = NOW.after(Duration::from_secs(119));
        assert_eq!(open(&sessions, &request((0, 0), &[(0, 0)], &[]), soon).unwrap().session_id, 0);
        let later = NOW.after(Duration::from_secs(120));
        assert_ne!(open(&sessions, &request((0, 0), &[(0, 0)], &[]), later).unwrap().session_id, 0);
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn epochs_wrap_past_the_opening_one() {
        assert_eq!(next_epoch(i32::MAX), 1);
    }
}
