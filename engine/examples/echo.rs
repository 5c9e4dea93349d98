//! Measures the reactor alone: an echo server on one pinned core, its clients on another.
//!
//! `cargo run --release -p thalweg-engine --example echo -- [CONNECTIONS] [BYTES] [SECONDS]`
//!
//! Prints requests per second and the CPU time of the server's thread per request. The clients are another ring on the
//! other core, with one request in flight per connection.

use std::cell::Cell;
use std::error::Error;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use nix::time::{ClockId, clock_gettime};
use thalweg_engine::io::{ListenOptions, Probe, SocketId, UringDriver};
use thalweg_engine::reactor::{Io, Socket, allowed_cpus, spawn_shard};

fn reactor() -> Io {
    let nowhere: [&str; 0] = [];
    let ring = Probe::run(&nowhere).map_err(|error| error.to_string());
    let driver = ring.and_then(|found| UringDriver::new(&found).map_err(|error| error.to_string()));
    Io::new(Rc::new(driver.unwrap_or_else(|error| panic!("{error}"))))
}

async fn echo(socket: Socket, request_bytes: usize, served: Rc<Cell<u64>>) {
    let mut buf = BytesMut::with_capacity(64 << 10);
    loop {
        buf.reserve(request_bytes);
        let (received, filled) = socket.recv(buf, request_bytes).await;
        buf = filled;
        if !matches!(received, Ok(1..)) {
            return;
        }
        if buf.len() < request_bytes {
            continue;
        }
        served.set(served.get() + 1);
        if socket.send_all(vec![buf.split().freeze()], false).await.is_err() {
            return;
        }
    }
}

async fn ask(io: Io, socket: Socket, request: Bytes, until: thalweg_engine::io::Monotonic) {
    let mut buf = BytesMut::with_capacity(64 << 10);
    while io.now() < until {
        if socket.send_all(vec![request.clone()], false).await.is_err() {
            return;
        }
        while buf.len() < request.len() {
            buf.reserve(request.len());
            let (received, filled) = socket.recv(buf, request.len()).await;
            buf = filled;
            if !matches!(received, Ok(1..)) {
                return;
            }
        }
        buf.clear();
    }
}

fn serve(
    address: mpsc::Sender<SocketAddr>,
    request_bytes: usize,
    duration: Duration,
) -> (u64, Duration, Duration) {
    let io = reactor();
    let options = ListenOptions { backlog: 1024, ..ListenOptions::default() };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (listener, bound) = io.driver().listen(any, options).unwrap_or_else(|error| panic!("{error}"));
    let served = Rc::new(Cell::new(0));
    let (accepting, counted) = (io.clone(), Rc::clone(&served));
    io.spawn("accept", async move {
        while let Ok((socket, _)) = accepting.accept(listener).await {
            accepting.spawn("echo", echo(socket, request_bytes, Rc::clone(&counted))).detach();
        }
    })
    .detach();
    assert!(address.send(bound).is_ok(), "nobody waits for the address");
    let warm_up = io.block_on(io.sleep(Duration::from_millis(500)));
    let (before, cpu, started) = (served.get(), thread_cpu(), Instant::now());
    let measured = io.block_on(io.sleep(duration));
    warm_up.and(measured).unwrap_or_else(|error| panic!("{error}"));
    let result = (served.get() - before, thread_cpu() - cpu, started.elapsed());
    println!("stalls: {:?}", io.stalls());
    io.shutdown();
    result
}

fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let (connections, bytes, seconds) = (number(0, 64), number(1, 1024) as usize, number(2, 3));
    let duration = Duration::from_secs(seconds);
    let cpus = allowed_cpus()?;
    let (tell, told) = mpsc::channel();
    let server = spawn_shard("echo", cpus.first().copied(), move || serve(tell, bytes, duration))?;
    let address = told.recv()?;
    let client = spawn_shard("clients", cpus.last().copied(), move || {
        let io = reactor();
        let until = io.now().after(duration + Duration::from_secs(1));
        let asking: Vec<_> = (0..connections)
            .filter_map(|_| std::net::TcpStream::connect(address).ok())
            .map(|stream| {
                let nodelay = stream.set_nodelay(true);
                assert!(nodelay.is_ok());
                let socket = io.adopt(SocketId(stream.into_raw_fd()));
                io.spawn("ask", ask(io.clone(), socket, Bytes::from(vec![7; bytes]), until))
            })
            .collect();
        let done = io.block_on(async move {
            for ask in asking {
                ask.await;
            }
        });
        io.shutdown();
        done
    })?;
    let (served, cpu, elapsed) = server.join().map_err(|panic| format!("the server panicked: {panic:?}"))?;
    client.join().map_err(|panic| format!("the clients panicked: {panic:?}"))??;
    let rate = served as f64 / elapsed.as_secs_f64();
    println!(
        "{connections} connections, {bytes} bytes: {rate:.0} requests/s, {:.2} us server CPU per request",
        cpu.as_secs_f64() * 1e6 / served as f64
    );
    Ok(())
}
