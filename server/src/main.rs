//! `thalweg-server server.properties [--override property=value]*`

use std::process::ExitCode;

/// The system's allocator gives large buffers back after every request, and each then costs a page fault every 4 KiB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    thalweg_server::broker::main(std::env::args().skip(1))
}
