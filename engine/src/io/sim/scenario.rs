//! Tests of the driver from outside: whole operations through the seam, crashes, faults, streams, determinism.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nix::errno::Errno;

use super::{CrashPoint, Fault, OnViolation, OpKind, SimDriver, SimOptions, SimViolation, SimWorld};
use crate::io::{
    AlignedBuf, Buffer, Completion, Driver, FileId, ListenOptions, ListenerId, Op, OpId, OpenMode, Outcome,
    PAGE_BYTES, Park, SocketId,
};

/// A caller without an executor: submits one operation at a time, or several and reaps them in any order.
struct Caller {
    driver: Rc<SimDriver>,
    next: Cell<u64>,
}

impl Caller {
    fn on(world: &SimWorld) -> Caller {
        Caller { driver: world.driver(), next: Cell::new(1) }
    }

    fn start(&self, op: Op) -> OpId {
        let id = OpId(self.next.replace(self.next.get() + 1));
        self.driver.submit(id, op);
        id
    }

    fn reap(&self) -> io::Result<Vec<Completion>> {
        let mut completions = Vec::new();
        self.driver.turn(Park::Forever, &mut completions)?;
        Ok(completions)
    }

    fn run(&self, op: Op) -> io::Result<Completion> {
        let id = self.start(op);
        loop {
            if let Some(completion) = self.reap()?.into_iter().find(|completion| completion.id == id) {
                return Ok(completion);
            }
        }
    }

    fn done(&self, op: Op) -> io::Result<Outcome> {
        self.run(op)?.result
    }

    fn open(&self, path: &str, mode: OpenMode) -> io::Result<FileId> {
        match self.done(Op::Open { path: path.into(), mode })? {
            Outcome::File(file) => Ok(file),
            other => panic!("{other:?}"),
        }
    }

    fn write(&self, file: FileId, page: u64, byte: u8, durable: bool) -> io::Result<Outcome> {
        self.done(write(file, page, 1, byte, durable))
    }

    fn read(&self, file: FileId, page: u64) -> io::Result<Vec<u8>> {
        let (offset, buf) = (page * PAGE_BYTES as u64, AlignedBuf::zeroed(PAGE_BYTES));
        let completion = self.run(Op::Read { file, offset, len: PAGE_BYTES, buf })?;
        let (Outcome::Count(count), Buffer::Aligned(buf)) = (completion.result?, completion.buffer) else {
            panic!("a read gives a count and its buffer back");
        };
        Ok(buf[..count].to_vec())
    }

    fn accept(&self, listener: ListenerId) -> io::Result<SocketId> {
        match self.done(Op::Accept { listener })? {
            Outcome::Accepted(socket, _) => Ok(socket),
            other => panic!("{other:?}"),
        }
    }

    fn recv(&self, socket: SocketId, max: usize) -> io::Result<Vec<u8>> {
        let completion = self.run(Op::Recv { socket, buf: BytesMut::with_capacity(max), max })?;
        let (Outcome::Count(count), Buffer::Stream(buf)) = (completion.result?, completion.buffer) else {
            panic!("a receive gives a count and its buffer back");
        };
        assert_eq!(count, buf.len());
        Ok(buf.to_vec())
    }
}

fn write(file: FileId, page: u64, pages: usize, byte: u8, durable: bool) -> Op {
    let mut data = AlignedBuf::zeroed(pages * PAGE_BYTES);
    data.fill(byte);
    Op::Write { file, offset: page * PAGE_BYTES as u64, data: data.freeze(), durable }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap())
}

fn quiet(seed: u64) -> SimOptions {
    SimOptions { short_file_io: 0.0, short_socket_io: 0.0, ..SimOptions::new(seed) }
}

/// A small log: pages written in turn, synced one way or another, with a rename at the end.
fn run_small_log(world: &SimWorld) -> io::Result<u8> {
    let caller = Caller::on(world);
    let mut acknowledged = 0;
    let file = caller.open("/log.tmp", OpenMode::DirectCreate)?;
    caller.done(Op::Rename { from: "/log.tmp".into(), to: "/log".into() })?;
    caller.done(Op::SyncDir { path: "/".into() })?;
    for page in 0..12u8 {
        caller.write(file, u64::from(page), page + 1, page % 2 == 0)?;
        if page % 2 == 1 {
            caller.done(Op::Sync { file })?;
        }
        acknowledged = page + 1;
        world_stop_if_dead(world)?;
    }
    Ok(acknowledged)
}

fn world_stop_if_dead(world: &SimWorld) -> io::Result<()> {
    if world.is_dead() { Err(io::Error::other("dead")) } else { Ok(()) }
}

fn pages_intact(image: &super::DiskImage) -> usize {
    let Some(log) = image.get(Path::new("/log")) else { return 0 };
    let pages = log.chunks(PAGE_BYTES).enumerate();
    pages.take_while(|(at, page)| page.iter().all(|byte| usize::from(*byte) == at + 1)).count()
}

/// Cuts the power at every sync boundary and says how often an acknowledged page was gone.
fn lost_acknowledgements(lie_about_sync: bool) -> usize {
    let options = |seed| SimOptions { lie_about_sync, ..quiet(seed) };
    let whole = SimWorld::new(options(0));
    assert_eq!(run_small_log(&whole).unwrap(), 12);
    let mut lost = 0;
    for seed in 0..20 {
        for sync in 1..=whole.syncs_done() {
            let world = SimWorld::new(options(seed));
            world.crash_at(CrashPoint::SyncDone(sync));
            assert!(run_small_log(&world).is_err() && world.is_dead());
            // The first sync is the directory's; each later one covers one more page.
            let acknowledged = sync as usize - 1;
            lost += usize::from(pages_intact(&world.power_loss().live_image()) < acknowledged);
        }
    }
    lost
}

#[test]
fn what_was_synced_survives_a_power_loss_at_every_sync_boundary() {
    assert_eq!(lost_acknowledgements(false), 0);
}

#[test]
fn canary_a_disk_that_lies_about_syncs_is_found_out() {
    assert!(lost_acknowledgements(true) > 50);
}

#[test]
fn a_seed_fixes_every_event_and_its_time() {
    let hash = |seed| {
        let world = SimWorld::new(SimOptions::new(seed));
        run_small_log(&world).unwrap();
        run_echo(&world);
        world.trace_hash()
    };
    assert_eq!((0..20).map(hash).collect::<Vec<_>>(), (0..20).map(hash).collect::<Vec<_>>());
    assert_eq!((0..20).map(hash).collect::<BTreeSet<_>>().len(), 20);
}

#[test]
fn independent_operations_complete_in_any_order() {
    let orders: BTreeSet<Vec<u64>> = (0..50)
        .map(|seed| {
            let world = SimWorld::new(quiet(seed));
            let caller = Caller::on(&world);
            let file = caller.open("/a", OpenMode::DirectCreate).unwrap();
            for page in 0..3 {
                caller.start(write(file, page, 1, 1, false));
            }
            let mut order = Vec::new();
            while order.len() < 3 {
                order.extend(caller.reap().unwrap().iter().map(|completion| completion.id.0));
            }
            order
        })
        .collect();
    assert_eq!(orders.len(), 6);
}

#[test]
fn overlapping_writes_in_flight_may_land_in_any_order_and_are_reported() {
    let mut winners = BTreeSet::new();
    for seed in 0..40 {
        let world = SimWorld::new(SimOptions { on_violation: OnViolation::Record, ..quiet(seed) });
        let caller = Caller::on(&world);
        let file = caller.open("/a", OpenMode::DirectCreate).unwrap();
        caller.start(write(file, 0, 2, 1, false));
        caller.start(write(file, 1, 1, 2, false));
        while world.ops_in_flight() > 0 {
            caller.reap().unwrap();
        }
        winners.insert(caller.read(file, 1).unwrap()[0]);
        assert!(matches!(world.violations()[..], [SimViolation::OverlappingWrites { offset: 4096, .. }]));
    }
    assert_eq!(winners, BTreeSet::from([1, 2]));
}

#[test]
#[should_panic(expected = "Unaligned")]
fn unaligned_direct_io_stops_the_test() {
    let world = SimWorld::new(quiet(1));
    let caller = Caller::on(&world);
    let file = caller.open("/a", OpenMode::DirectCreate).unwrap();
    caller.start(Op::Write { file, offset: 512, data: AlignedBuf::zeroed(1).freeze(), durable: false });
}

#[test]
fn broken_rules_can_be_recorded_and_get_the_kernels_errors() {
    let world = SimWorld::new(SimOptions { on_violation: OnViolation::Record, ..quiet(1) });
    let caller = Caller::on(&world);
    let file = caller.open("/a", OpenMode::DirectCreate).unwrap();
    let data = Bytes::from_static(&[0; 100]);
    let unaligned = caller.done(Op::Write { file, offset: 0, data, durable: false });
    assert_eq!(errno(unaligned.unwrap_err()), Errno::EINVAL);
    caller.done(Op::CloseFile { file }).unwrap();
    assert_eq!(errno(caller.write(file, 0, 1, false).unwrap_err()), Errno::EBADF);
    let violations = world.violations();
    assert!(matches!(violations[..], [SimViolation::Unaligned { .. }, SimViolation::UseAfterClose { .. }]));
}

#[test]
fn a_killed_process_leaves_the_page_cache_and_a_later_power_loss_does_not() {
    let mut lost = 0;
    for seed in 0..40 {
        let world = SimWorld::new(quiet(seed));
        let caller = Caller::on(&world);
        let file = caller.open("/a", OpenMode::DirectCreate).unwrap();
        caller.write(file, 0, 7, false).unwrap();
        assert!(caller.driver.lock_file(Path::new("/.lock")).unwrap());
        let second = world.process_kill();
        assert!(caller.reap().is_err());
        let caller = Caller::on(&second);
        assert!(caller.driver.lock_file(Path::new("/.lock")).unwrap());
        let file = caller.open("/a", OpenMode::Direct).unwrap();
        assert_eq!(caller.read(file, 0).unwrap(), vec![7; PAGE_BYTES]);
        assert!(second.now() > world.now());
        lost += usize::from(!second.power_loss().live_image().contains_key(Path::new("/a")));
    }
    assert!((5..40).contains(&lost), "{lost}");
}

#[test]
fn a_durable_write_in_flight_may_be_there_in_part() {
    let mut found = BTreeSet::new();
    for seed in 0..200 {
        let world = SimWorld::new(quiet(seed));
        world.put_file("/a", &[1; 2 * PAGE_BYTES]).unwrap();
        let caller = Caller::on(&world);
        let file = caller.open("/a", OpenMode::Direct).unwrap();
        caller.start(write(file, 0, 2, 2, true));
        let after = world.power_loss().live_image().remove(Path::new("/a")).unwrap();
        found.insert((after.contains(&1), after.contains(&2)));
    }
    assert_eq!(found, BTreeSet::from([(true, false), (false, true), (true, true)]));
}

#[test]
fn a_full_disk_refuses_or_shortens_writes_until_there_is_room() {
    let world = SimWorld::new(SimOptions { disk_bytes: 3 * PAGE_BYTES as u64, ..quiet(1) });
    let caller = Caller::on(&world);
    let file = caller.open("/a", OpenMode::DirectCreate).unwrap();
    caller.done(Op::Allocate { file, offset: 0, len: PAGE_BYTES as u64, extend: true }).unwrap();
    assert_eq!(caller.driver.disk_space(Path::new("/")).unwrap(), (8192, 12_288));
    assert!(matches!(caller.done(write(file, 1, 3, 1, false)).unwrap(), Outcome::Count(8192)));
    assert_eq!(errno(caller.write(file, 3, 1, false).unwrap_err()), Errno::ENOSPC);
    caller.write(file, 0, 1, false).unwrap();
    world.set_disk_bytes(1 << 20);
    caller.write(file, 3, 1, false).unwrap();
    assert_eq!(caller.driver.file_len(file).unwrap(), 4 * PAGE_BYTES as u64);
}

#[test]
fn injected_faults_hit_what_they_name() {
    let world = SimWorld::new(quiet(1));
    let caller = Caller::on(&world);
    let (a, b) = (caller.open("/a", OpenMode::DirectCreate), caller.open("/b", OpenMode::DirectCreate));
    let (a, b) = (a.unwrap(), b.unwrap());
    let fault = world.inject(Fault::error(Errno::EIO).on(OpKind::Write).on(OpKind::Sync).path("/b"));
    caller.write(a, 0, 1, false).unwrap();
    assert_eq!(errno(caller.write(b, 0, 1, false).unwrap_err()), Errno::EIO);
    assert_eq!(errno(caller.done(Op::Sync { file: b }).unwrap_err()), Errno::EIO);
    world.lift(fault);
    world.inject(Fault::stall(Duration::from_secs(5)).on(OpKind::Read).nth(1));
    let before = world.now();
    caller.read(a, 0).unwrap();
    assert!(world.now().since(before) >= Duration::from_secs(5));
    world.set_open_files_max(2);
    assert_eq!(errno(caller.open("/a", OpenMode::Direct).unwrap_err()), Errno::EMFILE);
    caller.done(Op::CloseFile { file: b }).unwrap();
    caller.open("/a", OpenMode::Direct).unwrap();
}

#[test]
fn one_state_can_be_crashed_in_many_ways() {
    let world = SimWorld::new(quiet(1));
    let caller = Caller::on(&world);
    let file = caller.open("/a", OpenMode::DirectCreate).unwrap();
    caller.done(Op::SyncDir { path: "/".into() }).unwrap();
    caller.write(file, 0, 1, false).unwrap();
    let ends: BTreeSet<_> = (0..50).map(|seed| world.fork(seed).power_loss().live_image()).collect();
    assert!(ends.len() > 10 && !world.is_dead());
}

#[test]
fn an_image_can_be_dumped_changed_and_loaded() {
    let world = SimWorld::new(quiet(1));
    world.put_file("/data/a", b"abc").unwrap();
    let mut image = world.dump_image();
    image.get_mut(Path::new("/data/a")).unwrap()[1] ^= 1;
    let changed = SimWorld::load_image(quiet(2), &image).unwrap();
    assert_eq!(changed.dump_image(), image);
    world.corrupt("/data/a", 1, 1).unwrap();
    assert_eq!((world.dump_image(), world.live_image()), (image.clone(), image));
    assert!(world.corrupt("/data/a", 3, 1).is_err());
    let names = changed.driver().list_dir(Path::new("/data")).unwrap();
    assert_eq!((names[0].name.as_str(), names[0].len, names.len()), ("a", 3, 1));
}

const ADDRESS: &str = "127.0.0.1:9092";

fn listen(caller: &Caller, options: ListenOptions) -> ListenerId {
    let address: SocketAddr = ADDRESS.parse().unwrap();
    caller.driver.listen(address, options).unwrap().0
}

/// A client sends, the server echoes, both close.
fn run_echo(world: &SimWorld) {
    let caller = Caller::on(world);
    let listener = listen(&caller, ListenOptions::default());
    let client = world.connect(ADDRESS.parse().unwrap()).unwrap();
    let socket = caller.accept(listener).unwrap();
    let message: Vec<u8> = (0..200).collect();
    assert!(client.send(message.clone()));
    client.finish_sending();
    let mut echoed = 0;
    loop {
        let mut bytes = Bytes::from(caller.recv(socket, 64).unwrap());
        if bytes.is_empty() {
            break;
        }
        while !bytes.is_empty() {
            let send = Op::Send { socket, data: vec![bytes.clone()], more: false };
            let Outcome::Count(count) = caller.done(send).unwrap() else { panic!("a send gives a count") };
            echoed += count;
            drop(bytes.split_to(count));
        }
    }
    caller.done(Op::CloseSocket { socket }).unwrap();
    while world.advance_to_next_event() {}
    assert_eq!((echoed, client.take_received()), (200, message));
    assert!(client.is_at_end() && !client.is_reset() && !client.send("more"));
    caller.driver.close_listener(listener);
    assert!(world.connect(ADDRESS.parse().unwrap()).is_err());
}

#[test]
fn streams_carry_bytes_in_order_both_ways_whatever_the_seed() {
    (0..50).for_each(|seed| run_echo(&SimWorld::new(SimOptions::varied(seed))));
}

#[test]
fn a_client_that_does_not_read_blocks_the_server() {
    let world = SimWorld::new(quiet(1));
    let caller = Caller::on(&world);
    let options = ListenOptions { send_buffer_bytes: Some(100), ..ListenOptions::default() };
    let listener = listen(&caller, options);
    let client = world.connect(ADDRESS.parse().unwrap()).unwrap();
    let socket = caller.accept(listener).unwrap();
    let send = || Op::Send { socket, data: vec![Bytes::from(vec![1; 60]); 2], more: false };
    assert!(matches!(caller.done(send()).unwrap(), Outcome::Count(100)));
    let waiting = caller.start(send());
    while world.advance_to_next_event() {}
    assert_eq!((client.take_at_most(10).len(), world.ops_in_flight()), (10, 1));
    let completions = caller.reap().unwrap();
    assert_eq!(completions[0].id, waiting);
    assert!(matches!(completions[0].result, Ok(Outcome::Count(10))));
}

#[test]
fn waiting_operations_end_when_cancelled_reset_or_closed() {
    let world = SimWorld::new(quiet(1));
    let caller = Caller::on(&world);
    let listener = listen(&caller, ListenOptions::default());
    let accept = caller.start(Op::Accept { listener });
    caller.driver.cancel(accept);
    let ended = caller.reap().unwrap().pop().unwrap();
    assert_eq!((ended.id, errno(ended.result.unwrap_err())), (accept, Errno::ECANCELED));
    for end in 0..3 {
        let client = world.connect(ADDRESS.parse().unwrap()).unwrap();
        let socket = caller.accept(listener).unwrap();
        let recv = caller.start(Op::Recv { socket, buf: BytesMut::with_capacity(9), max: 9 });
        let expected = match end {
            0 => {
                caller.start(Op::CloseSocket { socket });
                Some(Errno::ECANCELED)
            }
            1 => {
                client.reset();
                Some(Errno::ECONNRESET)
            }
            _ => {
                client.close();
                None
            }
        };
        while world.advance_to_next_event() {}
        let ended = caller.reap().unwrap().into_iter().find(|completion| completion.id == recv).unwrap();
        assert!(matches!(ended.buffer, Buffer::Stream(_)));
        assert_eq!(ended.result.err().map(errno), expected);
    }
}

#[test]
fn a_crash_resets_clients_and_silences_the_driver() {
    let world = SimWorld::new(quiet(1));
    let caller = Caller::on(&world);
    listen(&caller, ListenOptions::default());
    let client = world.connect(ADDRESS.parse().unwrap()).unwrap();
    world.crash_at(CrashPoint::OpIssued(1));
    assert!(caller.open("/a", OpenMode::DirectCreate).is_err());
    assert!(client.is_reset() && world.is_dead() && world.connect(ADDRESS.parse().unwrap()).is_err());
}

#[test]
fn time_stands_still_while_polling_and_a_parked_turn_keeps_its_deadline() {
    let world = SimWorld::new(quiet(1));
    let driver = world.driver();
    let (start, mut completions) = (driver.now(), Vec::new());
    driver.turn(Park::Poll, &mut completions).unwrap();
    assert_eq!(driver.now(), start);
    let deadline = start.after(Duration::from_millis(250));
    let wall = driver.wall_clock_ms();
    driver.turn(Park::Until(deadline), &mut completions).unwrap();
    assert_eq!((driver.now(), driver.wall_clock_ms() - wall), (deadline, 250));
    driver.doorbell().ring();
    driver.turn(Park::Forever, &mut completions).unwrap();
    assert_eq!(driver.now(), deadline);
    assert!(driver.turn(Park::Forever, &mut completions).is_err());
    world.step_wall_clock(-1000);
    assert_eq!(driver.wall_clock_ms() - wall, -750);
}

/// What one page may hold after a power loss: the last durable byte, and every byte written since.
#[derive(Clone)]
struct Candidates {
    bytes: Vec<u8>,
}

#[test]
fn against_a_model_every_sector_is_the_last_durable_one_or_a_later_one() {
    const PAGES: u64 = 6;
    for seed in 0..150 {
        let world = SimWorld::new(SimOptions { short_file_io: 0.0, ..SimOptions::varied(seed) });
        world.put_file("/a", &vec![0; PAGES as usize * PAGE_BYTES]).unwrap();
        let caller = Caller::on(&world);
        let file = caller.open("/a", OpenMode::Direct).unwrap();
        let mut model = vec![Candidates { bytes: vec![0] }; PAGES as usize];
        for byte in 1..40 {
            let (page, kind) = (world.random() % PAGES, world.random() % 8);
            if kind == 0 {
                caller.done(Op::Sync { file }).unwrap();
                model.iter_mut().for_each(|page| drop(page.bytes.drain(..page.bytes.len() - 1)));
                continue;
            }
            caller.write(file, page, byte, kind < 3).unwrap();
            let bytes = &mut model[page as usize].bytes;
            if kind < 3 {
                bytes.clear();
            }
            bytes.push(byte);
            assert_eq!(caller.read(file, page).unwrap(), vec![byte; PAGE_BYTES]);
        }
        let image = world.power_loss().live_image().remove(Path::new("/a")).unwrap();
        for (at, sector) in image.chunks(512).enumerate() {
            let allowed = &model[at / 8].bytes;
            assert!(sector.iter().all(|byte| *byte == sector[0] && allowed.contains(byte)), "seed {seed}");
        }
        assert_eq!(image.len(), PAGES as usize * PAGE_BYTES);
    }
}

#[test]
fn the_files_of_a_machine_outlive_many_crashes() {
    let mut world = SimWorld::new(quiet(3));
    for round in 1..30 {
        let caller = Caller::on(&world);
        let name = format!("/{round}");
        let file = caller.open(&name, OpenMode::DirectCreate).unwrap();
        caller.write(file, 0, round, true).unwrap();
        caller.done(Op::SyncDir { path: "/".into() }).unwrap();
        caller.start(Op::Unlink { path: format!("/{}", round / 2).into() });
        world = if round % 3 == 0 { world.process_kill() } else { world.power_loss() };
        assert_eq!(world.live_image().get(Path::new(&name)), Some(&vec![round; PAGE_BYTES]));
    }
    let used: usize = world.live_image().len() * PAGE_BYTES;
    let (free, total) = world.driver().disk_space(Path::new("/")).unwrap();
    assert_eq!(total - free, used as u64);
}
