//! The append path on `glommio`: connections and the journal's writer are tasks of one executor.
//!
//! Buffers come from glommio's registered arena where they fit. O_DSYNC is a custom flag of the journal's descriptor,
//! because its writes take no flags.

use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::rc::Rc;

use clap::Parser;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::io::{DmaBuffer, DmaFile, OpenOptions};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use thalweg_benches::append::Appender;
use thalweg_benches::group::{GROUP_BYTES, Pages};
use thalweg_benches::inbox::Inbox;
use thalweg_benches::options::Options;
use thalweg_benches::{journal, report};

/// The append path on glommio, driven by thalweg-loadgen
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

struct Buffer(DmaBuffer);

impl Pages for Buffer {
    fn pages(&mut self) -> &mut [u8] {
        self.0.as_bytes_mut()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Cli::parse().options;
    report::print_on_signal()?;
    let path = journal::prepare(&options.dir, options.journal_bytes)?;
    let placement = options.cpu.map_or(Placement::Unbound, Placement::Fixed);
    let executor = LocalExecutorBuilder::new(placement).make().map_err(|error| error.to_string())?;
    executor.run(serve(options, &path))
}

async fn serve(options: Options, path: &Path) -> Result<(), Box<dyn Error>> {
    let flags = journal::open_flags(options.durable);
    let mut open = OpenOptions::new();
    open.read(true).write(true).custom_flags(flags);
    let file = open.dma_open(path).await.map_err(|error| error.to_string())?;
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let first = Buffer(file.alloc_dma_buffer(GROUP_BYTES));
    let appender = Rc::new(Appender::new(first, address.port(), options.crc));
    let log = Rc::clone(&appender);
    glommio::spawn_local(async move {
        loop {
            match listener.accept().await {
                Ok(stream) => drop(glommio::spawn_local(connection(stream, Rc::clone(&log))).detach()),
                Err(error) => eprintln!("accept: {error}"),
            }
        }
    })
    .detach();
    report::print_listening(address);
    Ok(write_journal(&appender, &file, options.journal_bytes).await?)
}

async fn write_journal(appender: &Appender<Buffer>, file: &DmaFile, bytes_max: u64) -> io::Result<()> {
    let mut cursor = journal::Cursor::new(bytes_max);
    loop {
        let spare = Buffer(file.alloc_dma_buffer(GROUP_BYTES));
        let (mut full, bytes, written) = appender.next_commit(spare).await.split();
        full.0.trim_to_size(bytes);
        let count = file.write_at(full.0, cursor.take(bytes)).await.map_err(io::Error::from)?;
        if count != bytes {
            return Err(io::Error::new(
                io::ErrorKind::WriteZero,
                format!("{count} of {bytes} bytes written"),
            ));
        }
        written.finish();
    }
}

async fn connection(mut stream: TcpStream, appender: Rc<Appender<Buffer>>) {
    if let Err(error) = converse(&mut stream, &appender).await {
        eprintln!("connection: {error}");
    }
}

async fn converse(stream: &mut TcpStream, appender: &Appender<Buffer>) -> io::Result<()> {
    stream.set_nodelay(true).map_err(io::Error::from)?;
    let (mut inbox, mut out) = (Inbox::default(), Vec::new());
    loop {
        while let Some(end) = inbox.whole_frame()? {
            appender.answer(&inbox.bytes[..end], &mut out).await?;
            inbox.consume(end);
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        inbox.make_room()?;
        match stream.read(&mut inbox.bytes[inbox.filled..]).await? {
            0 => return Ok(()),
            count => inbox.filled += count,
        }
    }
}
