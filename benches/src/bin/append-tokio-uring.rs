//! The append path on `tokio-uring`: connections and the journal's writer are tasks of its current-thread runtime.
//!
//! Its ring is left as the crate builds it: it waits for completions through epoll, so deferred task work, which is
//! only run inside the ring's own wait, is not open to it. O_DSYNC is a flag of the journal's descriptor, because
//! its writes take no flags.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use clap::Parser;
use thalweg_benches::append::Appender;
use thalweg_benches::group::{GROUP_BYTES, Pages};
use thalweg_benches::inbox::Inbox;
use thalweg_benches::options::Options;
use thalweg_benches::{journal, report};
use thalweg_engine::io::AlignedBuf;
use tokio_uring::buf::{BoundedBuf, IoBuf};
use tokio_uring::fs::File;
use tokio_uring::net::{TcpListener, TcpStream};

const RING_ENTRIES: u32 = 1024;

/// The append path on tokio-uring, driven by thalweg-loadgen
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

struct Buffer(AlignedBuf);

impl Pages for Buffer {
    fn pages(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

// SAFETY: the pages are on the heap, so their address survives a move, and they are initialised over their length.
unsafe impl IoBuf for Buffer {
    fn stable_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.0.len()
    }

    fn bytes_total(&self) -> usize {
        self.0.len()
    }
}

fn buffer() -> Buffer {
    Buffer(AlignedBuf::zeroed(GROUP_BYTES))
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Cli::parse().options;
    options.pin()?;
    report::print_on_signal()?;
    let path = journal::prepare(&options.dir, options.journal_bytes)?;
    let file = journal::open(&path, options.durable)?;
    tokio_uring::builder().entries(RING_ENTRIES).start(serve(options, File::from_std(file)))
}

async fn serve(options: Options, file: File) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)))?;
    let address = listener.local_addr()?;
    let appender = Rc::new(Appender::new(buffer(), address.port(), options.crc));
    let (accepting, log) = (listener, Rc::clone(&appender));
    tokio_uring::spawn(async move {
        loop {
            match accepting.accept().await {
                Ok((stream, _)) => drop(tokio_uring::spawn(connection(stream, Rc::clone(&log)))),
                Err(error) => eprintln!("accept: {error}"),
            }
        }
    });
    report::print_listening(address);
    Ok(write_journal(&appender, &file, options.journal_bytes).await?)
}

async fn write_journal(appender: &Appender<Buffer>, file: &File, bytes_max: u64) -> io::Result<()> {
    let (mut cursor, mut spare) = (journal::Cursor::new(bytes_max), buffer());
    loop {
        let (full, bytes, written) = appender.next_commit(spare).await.split();
        let (outcome, slice) = file.write_all_at(full.slice(..bytes), cursor.take(bytes)).await;
        outcome?;
        spare = slice.into_inner();
        written.finish();
    }
}

async fn connection(stream: TcpStream, appender: Rc<Appender<Buffer>>) {
    if let Err(error) = converse(&stream, &appender).await {
        eprintln!("connection: {error}");
    }
}

async fn converse(stream: &TcpStream, appender: &Appender<Buffer>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut inbox, mut out) = (Inbox::default(), Vec::new());
    loop {
        while let Some(end) = inbox.whole_frame()? {
            appender.answer(&inbox.bytes[..end], &mut out).await?;
            inbox.consume(end);
        }
        if !out.is_empty() {
            let (sent, mut buffer) = stream.write_all(out).await;
            sent?;
            buffer.clear();
            out = buffer;
        }
        inbox.make_room()?;
        let bytes = std::mem::take(&mut inbox.bytes);
        let (received, slice) = stream.read(bytes.slice(inbox.filled..)).await;
        inbox.bytes = slice.into_inner();
        match received? {
            0 => return Ok(()),
            count => inbox.filled += count,
        }
    }
}
