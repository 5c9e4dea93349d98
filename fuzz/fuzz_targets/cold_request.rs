//! A body of any request but Produce and Fetch, in any version: its shape is checked and it is decoded, without a panic and
//! without memory beyond what its bytes justify.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use thalweg_server::api::{APIS, cold};

fuzz_target!(|data: &[u8]| {
    let [api, version, body @ ..] = data else { return };
    let api = APIS[usize::from(*api) % APIS.len()];
    let (first, last) = api.versions;
    let version = first + i16::from(*version) % (last - first + 1);
    // Refused or decoded; both are fine.
    let _ = cold::parse(api.key, version, &Bytes::copy_from_slice(body));
});
