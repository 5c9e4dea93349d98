//! The driver against real files and loopback sockets, through the reactor.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::UringDriver;
use crate::io::{
    AlignedBuf, Driver, ListenOptions, ListenerId, Monotonic, Op, OpId, OpenMode, PAGE_BYTES, Park, Probe,
};
use crate::reactor::{Io, Socket};

fn driver() -> UringDriver {
    let nowhere: [&str; 0] = [];
    UringDriver::new(&Probe::run(&nowhere).unwrap()).unwrap()
}

fn reactor() -> Io {
    Io::new(Rc::new(driver()))
}

fn listen(io: &Io) -> (ListenerId, SocketAddr) {
    let options = ListenOptions { backlog: 64, ..ListenOptions::default() };
    io.driver().listen("127.0.0.1:0".parse().unwrap(), options).unwrap()
}

fn pages(fill: u8, count: usize) -> Bytes {
    let mut buf = AlignedBuf::zeroed(count * PAGE_BYTES);
    buf.fill(fill);
    buf.freeze()
}

#[test]
fn a_file_keeps_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let io = reactor();
    let path = dir.path().join("a");
    let work = async {
        let file = io.open(&path, OpenMode::DirectCreate).await.unwrap();
        file.allocate(0, 1 << 20, false).await.unwrap();
        assert_eq!(file.len().unwrap(), 0, "allocation without extending leaves the size");
        file.write_at(pages(1, 2), 0, true).await.unwrap();
        file.write_at(pages(2, 1), PAGE_BYTES as u64, false).await.unwrap();
        file.sync().await.unwrap();
        let (read, buf) = file.read_at(AlignedBuf::zeroed(4 * PAGE_BYTES), 4 * PAGE_BYTES, 0).await;
        assert_eq!(read.unwrap(), 2 * PAGE_BYTES, "the end of the file ends the read");
        assert!(buf[..PAGE_BYTES].iter().all(|byte| *byte == 1));
        assert!(buf[PAGE_BYTES..2 * PAGE_BYTES].iter().all(|byte| *byte == 2));
        file.allocate(0, 3 * PAGE_BYTES as u64, true).await.unwrap();
        assert_eq!(file.len().unwrap(), 3 * PAGE_BYTES as u64);
        file.truncate(PAGE_BYTES as u64 + 100).await.unwrap();
        assert_eq!(file.len().unwrap(), PAGE_BYTES as u64 + 100);
        let (read, buf) = file.read_at(AlignedBuf::zeroed(2 * PAGE_BYTES), 2 * PAGE_BYTES, 0).await;
        assert_eq!(read.unwrap(), PAGE_BYTES + 100);
        assert!(buf[PAGE_BYTES..PAGE_BYTES + 100].iter().all(|byte| *byte == 2));
    };
    io.block_on(work).unwrap();
}

#[test]
fn names_come_go_and_change() {
    let dir = tempfile::tempdir().unwrap();
    let io = reactor();
    let sub = dir.path().join("sub");
    let work = async {
        io.make_dir(&sub).await.unwrap();
        assert_eq!(io.make_dir(&sub).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        let file = io.open(sub.join("small"), OpenMode::BufferedCreate).await.unwrap();
        file.write_at(Bytes::from_static(b"hello"), 0, true).await.unwrap();
        drop(file);
        io.rename(sub.join("small"), sub.join("kept")).await.unwrap();
        io.sync_dir(&sub).await.unwrap();
        let listed = io.driver().list_dir(&sub).unwrap();
        assert_eq!(
            listed.iter().map(|entry| (entry.name.as_str(), entry.len)).collect::<Vec<_>>(),
            [("kept", 5)]
        );
        let file = io.open(sub.join("kept"), OpenMode::Buffered).await.unwrap();
        let (read, buf) = file.read_at(AlignedBuf::zeroed(PAGE_BYTES), PAGE_BYTES, 0).await;
        assert_eq!(&buf[..read.unwrap()], b"hello");
        assert!(io.remove_dir(&sub).await.is_err(), "it is not empty");
        io.unlink(sub.join("kept")).await.unwrap();
        io.remove_dir(&sub).await.unwrap();
        let missing = io.open(sub.join("kept"), OpenMode::Direct).await;
        assert_eq!(missing.err().unwrap().kind(), ErrorKind::NotFound);
        assert_eq!(io.sync_dir(&sub).await.unwrap_err().kind(), ErrorKind::NotFound);
        let zero = io.unlink("a\0b").await;
        assert_eq!(zero.unwrap_err().kind(), ErrorKind::InvalidInput);
    };
    io.block_on(work).unwrap();
}

#[test]
fn a_lock_holds_until_its_driver_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".lock");
    let (first, second) = (driver(), driver());
    assert!(first.lock_file(&path).unwrap());
    assert!(!second.lock_file(&path).unwrap());
    drop(first);
    assert!(second.lock_file(&path).unwrap());
}

async fn echo(socket: Socket) {
    let mut buf = BytesMut::with_capacity(16 << 10);
    loop {
        buf.reserve(4096);
        let (received, filled) = socket.recv(buf, 1 << 20).await;
        buf = filled;
        match received {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let whole = buf.split().freeze();
        let (head, tail) = (whole.slice(..whole.len() / 2), whole.slice(whole.len() / 2..));
        if socket.send_all(vec![head, tail], false).await.is_err() {
            return;
        }
    }
}

fn serve_echo(io: &Io, listener: ListenerId) {
    let accepting = io.clone();
    io.spawn("accept", async move {
        while let Ok((socket, _)) = accepting.accept(listener).await {
            accepting.spawn("echo", echo(socket)).detach();
        }
    })
    .detach();
}

#[test]
fn sixty_four_connections_get_their_own_bytes_back() {
    let io = reactor();
    let (listener, address) = listen(&io);
    serve_echo(&io, listener);
    let clients: Vec<_> = (0..64u8).map(|mark| thread::spawn(move || echo_client(address, mark))).collect();
    let waiting = io.clone();
    io.block_on(async move {
        while !clients.iter().all(thread::JoinHandle::is_finished) {
            waiting.sleep(Duration::from_millis(5)).await;
        }
        clients.into_iter().for_each(|client| client.join().unwrap());
        while waiting.operations_in_flight() > 2 {
            waiting.sleep(Duration::from_millis(1)).await;
        }
    })
    .unwrap();
    io.driver().close_listener(listener);
    io.shutdown();
}

fn echo_client(address: SocketAddr, mark: u8) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut back = vec![0; 3000];
    for round in 0..50u8 {
        let sent: Vec<u8> = (0..3000u32).map(|at| mark ^ round ^ at as u8).collect();
        stream.write_all(&sent).unwrap();
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, sent);
    }
}

#[test]
fn a_slow_reader_gets_every_byte_of_a_large_send() {
    const LEN: usize = 20 << 20;
    let io = reactor();
    let (listener, address) = listen(&io);
    let reader = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        thread::sleep(Duration::from_millis(50));
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    // More buffers than one gathering send takes.
    let parts: Vec<Bytes> = (0..200u8).map(|part| Bytes::from(vec![part; LEN / 200])).collect();
    let sent = parts.concat();
    io.block_on(async {
        let (socket, _) = io.accept(listener).await.unwrap();
        socket.send_all(parts, false).await.unwrap();
    })
    .unwrap();
    io.step(Park::Poll).unwrap();
    assert!(reader.join().unwrap() == sent);
}

#[test]
fn accepted_connections_have_the_listeners_options() {
    let io = reactor();
    let options =
        ListenOptions { send_buffer_bytes: Some(40_000), receive_buffer_bytes: Some(50_000), backlog: 8 };
    let (listener, address) = io.driver().listen("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let client = TcpStream::connect(address).unwrap();
    let (socket, peer) = io.block_on(io.accept(listener)).unwrap().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    // SAFETY: the descriptor was given up by the socket and is owned from here on.
    let accepted: TcpStream = unsafe { std::os::fd::FromRawFd::from_raw_fd(socket.into_id().0) };
    assert!(accepted.nodelay().unwrap());
    use nix::sys::socket::{getsockopt, sockopt};
    // The kernel doubles what is asked for.
    assert_eq!(getsockopt(&accepted, sockopt::SndBuf).unwrap(), 80_000);
    assert_eq!(getsockopt(&accepted, sockopt::RcvBuf).unwrap(), 100_000);
}

#[test]
fn a_dropped_receive_is_cancelled_and_leaves_nothing() {
    let io = reactor();
    let (listener, address) = listen(&io);
    let mut client = TcpStream::connect(address).unwrap();
    io.block_on(async {
        let (socket, _) = io.accept(listener).await.unwrap();
        let waited =
            io.timeout(Duration::from_millis(10), socket.recv(BytesMut::with_capacity(64), 64)).await;
        assert!(waited.is_err());
        while io.operations_in_flight() > 0 {
            io.sleep(Duration::from_millis(1)).await;
        }
        client.write_all(b"late").unwrap();
        let (received, buf) = socket.recv(BytesMut::with_capacity(64), 64).await;
        assert_eq!((received.unwrap(), &buf[..]), (4, &b"late"[..]));
    })
    .unwrap();
}

#[test]
fn closing_ends_what_is_in_flight() {
    let driver = driver();
    let options = ListenOptions { backlog: 8, ..ListenOptions::default() };
    let (listener, address) = driver.listen("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    let mut done = Vec::new();
    driver.submit(OpId::new(0, 0), Op::Accept { listener });
    while done.is_empty() {
        driver.turn(Park::Forever, &mut done).unwrap();
    }
    let Ok(crate::io::Outcome::Accepted(socket, _)) = done.pop().unwrap().result else {
        panic!("no connection")
    };
    driver.submit(OpId::new(1, 0), Op::Recv { socket, buf: BytesMut::with_capacity(8), max: 8 });
    driver.submit(OpId::new(2, 0), Op::Accept { listener });
    driver.turn(Park::Poll, &mut done).unwrap();
    assert!(done.is_empty());
    driver.submit(OpId::new(3, 0), Op::CloseSocket { socket });
    driver.close_listener(listener);
    while done.len() < 3 {
        driver.turn(Park::Forever, &mut done).unwrap();
    }
    for completion in &done {
        match completion.id.index() {
            1 => assert!(!matches!(completion.result, Ok(crate::io::Outcome::Count(1..)))),
            2 => assert!(completion.result.is_err()),
            _ => assert!(completion.result.is_ok()),
        }
    }
}

#[test]
fn a_driver_is_dropped_with_operations_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let io = reactor();
    let (listener, address) = listen(&io);
    let client = TcpStream::connect(address).unwrap();
    let (socket, _) = io.block_on(io.accept(listener)).unwrap().unwrap();
    let (reading, opening) = (io.clone(), io.clone());
    let path = dir.path().join("late");
    io.spawn("recv", async move { drop(socket.recv(BytesMut::with_capacity(1 << 16), 1 << 16).await) })
        .detach();
    io.spawn("accept", async move { drop(reading.accept(listener).await) }).detach();
    io.spawn("open", async move { drop(opening.open(path, OpenMode::DirectCreate).await) }).detach();
    io.step(Park::Poll).unwrap();
    io.shutdown();
    drop(io);
    client.shutdown(Shutdown::Both).ok();
}

#[test]
fn many_more_operations_than_the_queue_holds_all_complete() {
    let dir = tempfile::tempdir().unwrap();
    let io = reactor();
    let path = dir.path().join("wide");
    io.block_on(async {
        let file = io.open(&path, OpenMode::DirectCreate).await.unwrap();
        file.write_at(pages(9, 1), 0, false).await.unwrap();
        let done = Rc::new(RefCell::new(0));
        let tasks: Vec<_> = (0..5000)
            .map(|_| {
                let (file, done) = (file.clone(), Rc::clone(&done));
                io.spawn("read", async move {
                    let (read, buf) = file.read_at(AlignedBuf::zeroed(PAGE_BYTES), PAGE_BYTES, 0).await;
                    assert_eq!((read.unwrap(), buf[PAGE_BYTES - 1]), (PAGE_BYTES, 9));
                    *done.borrow_mut() += 1;
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        assert_eq!(*done.borrow(), 5000);
    })
    .unwrap();
}

#[test]
fn the_doorbell_wakes_a_parked_driver_and_is_kept_for_an_awake_one() {
    let driver = driver();
    let bell = driver.doorbell();
    let mut none = Vec::new();
    bell.ring();
    driver.turn(Park::Forever, &mut none).unwrap();
    for _ in 0..100 {
        let bell = driver.doorbell();
        let ringer = thread::spawn(move || {
            thread::sleep(Duration::from_micros(200));
            bell.ring();
        });
        driver.turn(Park::Forever, &mut none).unwrap();
        ringer.join().unwrap();
        // A ring that came while it was waking counts for the next park.
        driver.turn(Park::Poll, &mut none).unwrap();
    }
    assert!(none.is_empty());
}

#[test]
fn a_turn_waits_until_its_deadline_and_no_longer() {
    let driver = driver();
    let mut none = Vec::new();
    driver.turn(Park::Poll, &mut none).unwrap();
    let started = driver.now();
    driver.turn(Park::Until(started.after(Duration::from_millis(20))), &mut none).unwrap();
    let waited = driver.now().since(started);
    assert!(waited >= Duration::from_millis(19) && waited < Duration::from_secs(5), "{waited:?}");
    driver.turn(Park::Until(Monotonic(0)), &mut none).unwrap();
}
