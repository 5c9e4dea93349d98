//! What a group does, event by event, as Kafka 3.2.0's does it.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use thalweg_engine::id::ShardId;
use thalweg_engine::io::Monotonic;
use uuid::Uuid;

use super::*;
use crate::bounds;

const DELAY_MS: u64 = 3_000;
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

struct Room {
    group: Group,
    now: Monotonic,
    next: u64,
    stores: Vec<(StoreId, record::GroupMetadata)>,
    joined: Vec<(u64, Joined)>,
    synced: Vec<(u64, Synced)>,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Room {
    fn new() -> Room {
        Room::with_size(100)
    }

    fn with_size(members_max: usize) -> Room {
        let limits =
            Limits { members_max, member_bytes_max: 1 << 20, initial_delay: Duration::from_millis(DELAY_MS) };
        let group = Group::new(limits);
        Room { group, now: Monotonic(1), next: 0, stores: vec![], joined: vec![], synced: vec![] }
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, wall_ms: i64::try_from(self.now.0 / 1_000_000).unwrap() }
    }

    fn take(&mut self, out: Vec<Action>) {
        for action in out {
            match action {
                Action::AnswerJoin(ticket, joined) => self.joined.push((ticket.number, joined)),
                Action::AnswerSync(ticket, synced) => self.synced.push((ticket.number, synced)),
                Action::Store(id, record) => self.stores.push((id, record)),
            }
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket { shard: ShardId(0), number: self.next }
    }

    fn request(&self, member: &str) -> Join {
        Join {
            member_id: text(member),
            instance_id: None,
            client_id: text("c"),
            client_host: text("/h"),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            protocol_type: text("consumer"),
            protocols: vec![(text("range"), Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t"))],
            requires_member_id: false,
            can_skip_assignment: false,
            fresh: Uuid::from_u128(u128::from(self.next) + 1),
        }
    }

    /// Returns the number of its ticket.
    fn join(&mut self, request: Join) -> u64 {
        let (ticket, mut out) = (self.ticket(), Vec::new());
        self.group.join(self.clock(), ticket, request, &mut out);
        self.take(out);
        ticket.number
    }

    fn sync(&mut self, who: &Joined, assignments: &[(&StrBytes, &'static str)]) -> u64 {
        let (ticket, mut out) = (self.ticket(), Vec::new());
        let assignments =
            assignments.iter().map(|(id, bytes)| ((*id).clone(), Bytes::from_static(bytes.as_bytes())));
        let sync = Sync {
            member: identity(who),
            protocol_type: None,
            protocol: None,
            assignments: assignments.collect(),
        };
        self.group.sync(self.clock(), ticket, sync, &mut out);
        self.take(out);
        ticket.number
    }

    fn leave(&mut self, who: &Joined) {
        let mut out = Vec::new();
        self.group.leave(self.clock(), &identity(who), &mut out).unwrap();
        self.take(out);
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.after(Duration::from_millis(ms));
        let mut out = Vec::new();
        self.group.tick(self.clock(), &mut out);
        self.take(out);
    }

    fn stored(&mut self, result: Result<(), StoreError>) -> record::GroupMetadata {
        let (id, record) = self.stores.remove(0);
        let mut out = Vec::new();
        self.group.stored(self.clock(), id, result, &mut out);
        self.take(out);
        record
    }

    fn told(&mut self, ticket: u64) -> Joined {
        let at = self.joined.iter().position(|(number, _)| *number == ticket).expect("no answer to the join");
        self.joined.remove(at).1
    }

    fn got(&mut self, ticket: u64) -> Synced {
        let at = self.synced.iter().position(|(number, _)| *number == ticket).expect("no answer to the sync");
        self.synced.remove(at).1
    }

    /// A stable group of `count`, leader first.
    fn stable(&mut self, count: usize) -> Vec<Joined> {
        let tickets: Vec<_> = (0..count).map(|_| self.join(self.request(""))).collect();
        self.pass(DELAY_MS);
        self.pass(DELAY_MS);
        let mut members: Vec<_> = tickets.into_iter().map(|ticket| self.told(ticket)).collect();
        members.sort_by_key(|member| member.member_id != member.leader);
        let ids: Vec<_> = members.iter().map(|member| (&member.member_id, "mine")).collect();
        let mine: Vec<_> = members.iter().map(|member| self.sync(member, &ids)).collect();
        self.stored(Ok(()));
        for ticket in mine {
            assert_eq!(self.got(ticket).assignment, "mine");
        }
        members
    }
}

fn identity(who: &Joined) -> Identity {
    Identity { member_id: who.member_id.clone(), instance_id: None, generation: who.generation }
}

#[test]
fn a_dynamic_member_is_told_its_id_first_and_then_waits_for_others() {
    let mut room = Room::new();
    let first = room.join(Join { requires_member_id: true, ..room.request("") });
    let told = room.told(first);
    assert_eq!(told.error, Some(GroupError::MemberIdRequired));
    assert!(told.member_id.starts_with("c-"));
    let again = room.join(room.request(&told.member_id));
    assert_eq!(room.group.phase(), Phase::PreparingRebalance);
    room.pass(DELAY_MS - 1);
    assert!(room.joined.is_empty(), "the initial delay is waited for");
    room.pass(1);
    let joined = room.told(again);
    assert_eq!((joined.error, joined.generation, joined.members.len()), (None, 1, 1));
    assert_eq!(joined.leader, joined.member_id);
    assert_eq!(room.group.phase(), Phase::CompletingRebalance);
}

#[test]
fn members_that_come_prolong_the_initial_delay_up_to_the_rebalance_timeout() {
    let mut room = Room::new();
    room.join(Join { rebalance_timeout_ms: 7_000, ..room.request("") });
    for _ in 0..2 {
        room.pass(DELAY_MS - 1);
        room.join(Join { rebalance_timeout_ms: 7_000, ..room.request("") });
        room.pass(1);
        assert!(room.joined.is_empty());
    }
    room.pass(1_000);
    assert_eq!(room.joined.len(), 3, "3 s + 3 s + what was left of 7 s");
}

#[test]
fn an_assignment_is_handed_out_when_it_is_stored_and_not_before() {
    let mut room = Room::new();
    let ticket = room.join(room.request(""));
    room.pass(DELAY_MS);
    let leader = room.told(ticket);
    let sync = room.sync(&leader, &[(&leader.member_id, "all")]);
    assert!(room.synced.is_empty(), "told before it is stored");
    let record = room.stored(Ok(()));
    assert_eq!((record.generation, &record.members[0].assignment[..]), (1, &b"all"[..]));
    assert_eq!(room.got(sync).assignment, "all");
    assert_eq!(room.group.phase(), Phase::Stable);
}

#[test]
fn an_assignment_that_cannot_be_stored_is_refused_and_made_anew() {
    let mut room = Room::new();
    let ticket = room.join(room.request(""));
    room.pass(DELAY_MS);
    let leader = room.told(ticket);
    let sync = room.sync(&leader, &[(&leader.member_id, "all")]);
    room.stored(Err(StoreError::Storage));
    assert_eq!(room.got(sync).error, Some(GroupError::NotCoordinator));
    assert_eq!(room.group.phase(), Phase::PreparingRebalance);
}

#[test]
fn a_new_member_has_the_others_join_again() {
    let mut room = Room::new();
    let members = room.stable(2);
    let third = room.join(room.request(""));
    assert_eq!(room.group.heartbeat(room.clock(), &identity(&members[0])), Err(GroupError::Rebalance));
    let first = room.join(room.request(&members[0].member_id));
    assert!(room.joined.is_empty());
    let second = room.join(room.request(&members[1].member_id));
    let told: Vec<_> = [first, second, third].map(|ticket| room.told(ticket)).into();
    assert!(told.iter().all(|told| told.generation == 2 && told.leader == members[0].member_id));
    assert_eq!(told.iter().map(|told| told.members.len()).collect::<Vec<_>>(), [3, 0, 0]);
}

#[test]
fn who_is_silent_for_a_session_is_removed_and_who_beats_is_not() {
    let mut room = Room::new();
    let members = room.stable(2);
    for _ in 0..3 {
        room.pass(4_000);
        let _told = room.group.heartbeat(room.clock(), &identity(&members[0]));
    }
    assert_eq!(room.group.phase(), Phase::PreparingRebalance);
    assert_eq!(room.group.heartbeat(room.clock(), &identity(&members[1])), Err(GroupError::UnknownMember));
    let again = room.join(room.request(&members[0].member_id));
    assert_eq!(room.told(again).members.len(), 1);
}

#[test]
fn who_does_not_join_again_in_the_rebalance_timeout_is_left_behind() {
    let mut room = Room::new();
    let members = room.stable(2);
    let again = room.join(room.request(&members[0].member_id));
    for _ in 0..6 {
        room.pass(9_999);
        let _told = room.group.heartbeat(room.clock(), &identity(&members[1]));
    }
    assert!(room.joined.is_empty());
    room.pass(6);
    assert_eq!(room.told(again).members.len(), 1);
}

#[test]
fn who_never_fetches_its_assignment_is_removed() {
    let mut room = Room::new();
    let ticket = room.join(room.request(""));
    room.pass(DELAY_MS);
    let leader = room.told(ticket);
    for _ in 0..7 {
        room.pass(9_000);
        let _told = room.group.heartbeat(room.clock(), &identity(&leader));
    }
    assert_eq!(room.group.phase(), Phase::Empty);
}

#[test]
fn a_static_member_that_comes_back_takes_its_place_without_a_rebalance() {
    let mut room = Room::new();
    let request = |room: &Room, member: &str| Join { instance_id: Some(text("i")), ..room.request(member) };
    let ticket = room.join(request(&room, ""));
    room.pass(DELAY_MS);
    let old = room.told(ticket);
    let who = Identity { instance_id: Some(text("i")), ..identity(&old) };
    let sync = Sync {
        member: who.clone(),
        protocol_type: None,
        protocol: None,
        assignments: vec![(old.member_id.clone(), Bytes::from_static(b"all"))],
    };
    let mut out = Vec::new();
    room.group.sync(room.clock(), Ticket { shard: ShardId(0), number: 99 }, sync, &mut out);
    room.take(out);
    room.stored(Ok(()));
    let back = room.join(Join { can_skip_assignment: true, ..request(&room, "") });
    assert!(room.joined.is_empty(), "told before it is stored");
    let record = room.stored(Ok(()));
    let new = room.told(back);
    assert_eq!((new.error, new.generation, new.skip_assignment), (None, old.generation, true));
    assert_ne!(new.member_id, old.member_id);
    assert_eq!(
        (&record.members[0].member_id, &record.members[0].assignment[..]),
        (&new.member_id, &b"all"[..])
    );
    assert_eq!(room.group.heartbeat(room.clock(), &who), Err(GroupError::FencedInstance));
    assert_eq!(room.group.phase(), Phase::Stable);
}

#[test]
fn a_full_group_takes_no_more() {
    let mut room = Room::with_size(2);
    room.stable(2);
    let third = room.join(room.request(""));
    assert_eq!(room.told(third).error, Some(GroupError::Full));
    assert_eq!(room.group.phase(), Phase::Stable);
}

#[test]
fn protocols_must_be_those_of_the_group() {
    let mut room = Room::new();
    room.stable(1);
    let other = room.join(Join { protocol_type: text("connect"), ..room.request("") });
    assert_eq!(room.told(other).error, Some(GroupError::InconsistentProtocol));
    let other = room.join(Join { protocols: vec![(text("sticky"), Bytes::new())], ..room.request("") });
    assert_eq!(room.told(other).error, Some(GroupError::InconsistentProtocol));
    let empty = Room::new().group.supports(&text("consumer"), &[]);
    assert!(!empty, "a member without a protocol");
}

/// Every join was refused with INCONSISTENT_GROUP_PROTOCOL for as long as the window was open: nobody had the protocol, which
/// counted as if somebody lacked it. An id that was given out holds the group in that phase when the last member has left.
#[test]
fn a_group_that_everybody_left_while_an_id_is_out_takes_whoever_joins() {
    let mut room = Room::new();
    let members = room.stable(2);
    let asking = room.join(Join { requires_member_id: true, ..room.request("") });
    let id = room.told(asking).member_id;
    for member in &members {
        room.leave(member);
    }
    assert_eq!((room.group.phase(), room.group.members.len()), (Phase::PreparingRebalance, 0));
    let range = room.join(room.request(&id));
    let told = room.told(range);
    assert_eq!((told.error, told.generation, told.members.len()), (None, 2, 1));
}

/// As above: the members of a new group leave before the initial delay is over.
#[test]
fn a_group_that_everybody_left_in_its_initial_delay_takes_whoever_joins() {
    let mut room = Room::new();
    let asking = room.join(Join { requires_member_id: true, ..room.request("") });
    let id = room.told(asking).member_id;
    let first = room.join(room.request(&id));
    room.leave(&Joined::refused(id, GroupError::UnknownMember));
    assert_eq!(room.told(first).error, Some(GroupError::UnknownMember));
    assert_eq!((room.group.phase(), room.group.members.len()), (Phase::PreparingRebalance, 0));
    let other = Join { protocols: vec![(text("sticky"), Bytes::new())], ..room.request("") };
    let second = room.join(other);
    room.pass(DELAY_MS);
    room.pass(DELAY_MS);
    let told = room.told(second);
    assert_eq!((told.error, told.generation, told.members.len()), (None, 1, 1));
}

#[test]
fn only_members_commit_while_there_are_any() {
    let mut room = Room::new();
    let nobody = Identity { generation: -1, ..Identity::default() };
    assert_eq!(room.group.check_commit(room.clock(), &nobody), Ok(()));
    let members = room.stable(1);
    assert_eq!(room.group.check_commit(room.clock(), &nobody), Err(GroupError::UnknownMember));
    assert_eq!(room.group.check_commit(room.clock(), &identity(&members[0])), Ok(()));
    let old = Identity { generation: 0, ..identity(&members[0]) };
    assert_eq!(room.group.check_commit(room.clock(), &old), Err(GroupError::IllegalGeneration));
    let again = room.join(room.request(&members[0].member_id));
    let now = room.told(again);
    assert_eq!(room.group.check_commit(room.clock(), &identity(&now)), Err(GroupError::Rebalance));
}

#[test]
fn the_last_to_leave_empties_the_group_and_that_is_stored() {
    let mut room = Room::new();
    let members = room.stable(1);
    let mut out = Vec::new();
    assert_eq!(room.group.leave(room.clock(), &identity(&members[0]), &mut out), Ok(()));
    room.take(out);
    assert_eq!(room.group.phase(), Phase::Empty);
    let record = room.stored(Ok(()));
    assert_eq!((record.generation, record.members.len()), (2, 0));
}

#[test]
fn a_stored_group_comes_back_stable_with_a_session_to_be_heard_of() {
    let mut room = Room::new();
    let members = room.stable(2);
    let record = room.group.metadata(None);
    let limits = Limits { members_max: 10, member_bytes_max: 1 << 20, initial_delay: Duration::ZERO };
    room.group = Group::loaded(limits, Some(record), Offsets::default(), room.clock());
    assert_eq!((room.group.phase(), room.group.generation()), (Phase::Stable, 1));
    assert_eq!(room.group.heartbeat(room.clock(), &identity(&members[1])), Ok(()));
    assert!(room.group.is_subscribed("t") && !room.group.is_subscribed("u"));
    room.pass(10_000 + bounds::GROUP_TICK_MS);
    assert_eq!(room.group.phase(), Phase::Empty);
}

fn committed(commit_ms: i64) -> CommittedOffset {
    CommittedOffset { offset: 1, leader_epoch: -1, metadata: StrBytes::new(), commit_ms, expire_ms: None }
}

#[test]
fn offsets_expire_as_kip_211_says() {
    let mut room = Room::new();
    room.group.offsets_mut().load("t", 0, committed(1_000));
    assert_eq!(room.group.expired_offsets(1_999, 1_000), []);
    assert_eq!(room.group.expired_offsets(2_000, 1_000), [(text("t"), 0)], "nobody manages this group");
    let members = room.stable(1);
    room.group.offsets_mut().load("u", 0, committed(1_000));
    assert_eq!(room.group.expired_offsets(1 << 40, 1_000), [(text("u"), 0)], "t is subscribed to");
    let mut out = Vec::new();
    room.group.leave(room.clock(), &identity(&members[0]), &mut out).unwrap();
    let empty_since = room.clock().wall_ms;
    assert_eq!(room.group.expired_offsets(empty_since + 999, 1_000), []);
    assert_eq!(room.group.expired_offsets(empty_since + 1_000, 1_000).len(), 2);
    room.group.offsets_mut().begin("t", 0);
    assert_eq!(room.group.expired_offsets(1 << 40, 1_000).len(), 1, "one is being committed");
}

#[test]
fn offsets_of_a_group_with_members_go_only_for_other_topics() {
    let mut room = Room::new();
    assert_eq!(room.group.check_offset_delete("t"), Ok(()));
    let members = room.stable(1);
    assert_eq!(room.group.check_offset_delete("t"), Err(GroupError::Subscribed));
    assert_eq!(room.group.check_offset_delete("u"), Ok(()));
    assert_eq!(room.group.begin_deletion(room.clock()), Err(GroupError::NonEmpty));
    let mut out = Vec::new();
    room.group.leave(room.clock(), &identity(&members[0]), &mut out).unwrap();
    assert_eq!(room.group.begin_deletion(room.clock()), Ok(()));
    assert_eq!(room.group.begin_deletion(room.clock()), Err(GroupError::NotFound));
    let late = room.join(room.request(""));
    assert_eq!(room.told(late).error, Some(GroupError::NotAvailable));
}

#[test]
fn a_removed_offset_with_a_commit_behind_it_comes_back() {
    let mut offsets = Offsets::default();
    offsets.begin("t", 0);
    offsets.remove("t", 0);
    assert_eq!((offsets.len(), offsets.get("t", 0)), (1, None));
    offsets.settle("t", 0, Some(committed(5)));
    assert_eq!(offsets.get("t", 0).map(|offset| offset.commit_ms), Some(5));
    offsets.begin("u", 0);
    offsets.settle("u", 0, None);
    assert_eq!(offsets.len(), 1, "what could not be stored leaves nothing behind");
}

/// Below: a static member comes back under a new id.
impl Room {
    fn static_request(&self) -> Join {
        Join { instance_id: Some(text("i")), ..self.request("") }
    }

    /// A stable group of a static member and, if asked for, of a dynamic one that leads.
    fn stable_with_static(&mut self, with_leader: bool) -> Vec<Joined> {
        let leader = with_leader.then(|| self.join(self.request("")));
        let stays = self.join(self.static_request());
        self.pass(DELAY_MS);
        self.pass(DELAY_MS);
        let tickets = leader.into_iter().chain([stays]);
        let mut members: Vec<_> = tickets.map(|ticket| self.told(ticket)).collect();
        members.sort_by_key(|member| member.member_id != member.leader);
        let mine = self.sync(&members[0], &[]);
        self.stored(Ok(()));
        assert_eq!(self.got(mine).error, None);
        members
    }
}

/// While its record was being stored its session ran out, which counts for nothing as it waits. No new one began with the
/// answer, so it stayed a member for ever.
#[test]
fn a_static_member_that_came_back_has_a_session() {
    let mut room = Room::new();
    room.stable_with_static(false);
    let back = room.join(room.static_request());
    room.pass(11_000);
    room.stored(Ok(()));
    assert_eq!(room.told(back).error, None);
    room.pass(9_000);
    assert_eq!(room.group.phase(), Phase::Stable);
    room.pass(2_000);
    assert_eq!(room.group.phase(), Phase::Empty);
}

/// Its join was never answered.
#[test]
fn a_static_member_that_is_removed_while_it_comes_back_is_told() {
    let mut room = Room::new();
    let members = room.stable_with_static(true);
    let leader = members.iter().find(|member| !member.member_id.starts_with("i-")).unwrap();
    let back = room.join(room.static_request());
    for _ in 0..8 {
        room.pass(9_000);
        let _told = room.group.heartbeat(room.clock(), &identity(leader));
    }
    assert_eq!(room.told(back).error, Some(GroupError::UnknownMember), "it never asked for its assignment");
    room.stored(Ok(()));
    assert!(room.joined.is_empty());
}

/// It was given its old id again under which it no longer spoke.
#[test]
fn a_failed_record_of_a_static_member_changes_nothing_once_a_rebalance_has_answered() {
    let mut room = Room::new();
    room.stable_with_static(false);
    let back = room.join(room.static_request());
    let other = room.join(room.request(""));
    let (back, other) = (room.told(back), room.told(other));
    assert_eq!((back.error, back.generation, other.generation), (None, 2, 2));
    room.stored(Err(StoreError::Storage));
    let who = Identity { instance_id: Some(text("i")), ..identity(&back) };
    assert_eq!(room.group.heartbeat(room.clock(), &who), Ok(()));
}

#[test]
fn a_stored_group_that_is_too_large_rebalances_and_turns_away_whoever_comes_last() {
    let mut room = Room::new();
    let members = room.stable(3);
    let limits = Limits { members_max: 2, ..room.group.limits };
    room.group = Group::loaded(limits, Some(room.group.metadata(None)), Offsets::default(), room.clock());
    assert_eq!(room.group.phase(), Phase::PreparingRebalance);
    assert_eq!(room.group.check_commit(room.clock(), &identity(&members[2])), Ok(()));
    let tickets: Vec<_> = members.iter().map(|member| room.join(room.request(&member.member_id))).collect();
    let told: Vec<_> = tickets.into_iter().map(|ticket| room.told(ticket)).collect();
    assert_eq!((told[2].error, told[2].member_id.as_str()), (Some(GroupError::Full), ""));
    assert_eq!((told[0].generation, told[0].members.len(), told[1].error), (2, 2, None));
}

#[test]
fn a_member_that_comes_again_counts_with_what_it_brings() {
    let mut room = Room::new();
    let members = room.stable(2);
    let bringing = |room: &Room, member: &Joined, bytes: usize| Join {
        protocols: vec![(text("range"), Bytes::from(vec![0; bytes]))],
        ..room.request(&member.member_id)
    };
    let first = room.join(bringing(&room, &members[0], 1_000_000));
    assert!(room.joined.is_empty());
    let second = room.join(bringing(&room, &members[1], 1_000_000));
    assert_eq!(room.told(second).error, Some(GroupError::Full));
    assert_eq!(room.told(first).members.len(), 1);
    let again = room.join(bringing(&room, &members[0], 1_000_001));
    assert_eq!(room.told(again).error, None);
}

#[test]
fn ids_that_are_given_out_count_with_their_bytes() {
    let mut room = Room::new();
    let asking = |room: &Room| Join {
        client_id: StrBytes::from_string("c".repeat(16 << 10)),
        requires_member_id: true,
        ..room.request("")
    };
    let asked: Vec<_> = (0..100).map(|_| room.join(asking(&room))).collect();
    let told = asked.into_iter().map(|ticket| room.told(ticket).error);
    let given = told.filter(|error| *error == Some(GroupError::MemberIdRequired)).count();
    assert!((50..64).contains(&given), "{given} ids of 16 KiB in 1 MiB");
    room.pass(10_000 + bounds::GROUP_TICK_MS);
    let ticket = room.join(asking(&room));
    assert_eq!(room.told(ticket).error, Some(GroupError::MemberIdRequired), "they are forgotten");
}

/// A group looks through all its ids and members whenever one is due.
#[test]
fn ids_that_are_given_out_one_by_one_are_forgotten_together() {
    let mut room = Room::new();
    for _ in 0..1000 {
        room.pass(1);
        let ticket = room.join(Join { requires_member_id: true, ..room.request("") });
        room.told(ticket);
    }
    let mut ticks = 0;
    while let Some(due) = room.group.due() {
        room.now = room.now.max(due);
        room.pass(0);
        ticks += 1;
    }
    assert!(room.group.is_forgettable_without(0));
    assert!(ticks <= 11, "{ticks} looks for a second's worth of ids");
}
