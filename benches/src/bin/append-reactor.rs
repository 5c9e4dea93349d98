//! The append path on the engine's own reactor and ring driver: what the choice of runtime is measured against.
//!
//! Only the reactor is used; journal, storage and log are the baselines' own.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use clap::Parser;
use thalweg_benches::append::Appender;
use thalweg_benches::group::GROUP_BYTES;
use thalweg_benches::options::Options;
use thalweg_benches::{journal, report, wire};
use thalweg_engine::io::{AlignedBuf, ListenOptions, ListenerId, OpenMode, Probe, UringDriver};
use thalweg_engine::reactor::{File, Io, Socket};

const BACKLOG: i32 = 1024;
/// Least room for one receive.
const RECEIVE_BYTES_MIN: usize = 16 << 10;

/// The append path on the engine's reactor, driven by thalweg-loadgen
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Cli::parse().options;
    options.pin()?;
    report::print_on_signal()?;
    let path = journal::prepare(&options.dir, options.journal_bytes)?;
    let io = Io::new(Rc::new(UringDriver::new(&Probe::run(&[&options.dir])?)?));
    let listening = ListenOptions { backlog: BACKLOG, ..ListenOptions::default() };
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let (listener, address) = io.driver().listen(wanted, listening)?;
    let first = AlignedBuf::recycled(GROUP_BYTES);
    let appender = Rc::new(Appender::new(first, address.port(), options.crc));
    io.spawn("accept", accept(io.clone(), listener, Rc::clone(&appender))).detach();
    report::print_listening(address);
    Ok(io.block_on(write_journal(io.clone(), appender, &path, options))??)
}

async fn accept(io: Io, listener: ListenerId, appender: Rc<Appender<AlignedBuf>>) {
    loop {
        match io.accept(listener).await {
            Ok((socket, _)) => io.spawn("connection", connection(socket, Rc::clone(&appender))).detach(),
            Err(error) => eprintln!("accept: {error}"),
        }
    }
}

async fn write_journal(
    io: Io,
    appender: Rc<Appender<AlignedBuf>>,
    path: &Path,
    options: Options,
) -> io::Result<()> {
    let file: File = io.open(path, OpenMode::Direct).await?;
    let mut cursor = journal::Cursor::new(options.journal_bytes);
    loop {
        let spare = AlignedBuf::recycled(GROUP_BYTES);
        let (full, bytes, written) = appender.next_commit(spare).await.split();
        file.write_at(full.freeze().slice(..bytes), cursor.take(bytes), options.durable).await?;
        written.finish();
    }
}

async fn connection(socket: Socket, appender: Rc<Appender<AlignedBuf>>) {
    if let Err(error) = converse(&socket, &appender).await {
        eprintln!("connection: {error}");
    }
}

async fn converse(socket: &Socket, appender: &Appender<AlignedBuf>) -> io::Result<()> {
    let (mut inbox, mut out) = (BytesMut::with_capacity(4 * RECEIVE_BYTES_MIN), Vec::new());
    loop {
        while let Some(end) = wire::frame_end(&inbox)?.filter(|end| *end <= inbox.len()) {
            appender.answer(&inbox[..end], &mut out).await?;
            inbox.advance(end);
        }
        if !out.is_empty() {
            socket.send_all(vec![Bytes::from(std::mem::take(&mut out))], false).await?;
        }
        if inbox.capacity() - inbox.len() < RECEIVE_BYTES_MIN {
            inbox.reserve(inbox.len().max(4 * RECEIVE_BYTES_MIN));
        }
        let max = inbox.capacity() - inbox.len();
        let (received, filled) = socket.recv(inbox, max).await;
        inbox = filled;
        if received? == 0 {
            return Ok(());
        }
    }
}
