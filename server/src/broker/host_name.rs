//! The name that this host is known by, for listeners that have none.
//!
//! As Java's `InetAddress.getLocalHost().getCanonicalHostName()`, which Kafka asks: the host's own name, its address, and
//! the name of that address.

use std::net::{IpAddr, ToSocketAddrs};

/// The canonical host name, or as much of it as can be found out.
pub fn canonical() -> String {
    let Some(own) = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()) else {
        return "localhost".to_owned();
    };
    let Ok(addresses) = (own.as_str(), 0).to_socket_addrs() else {
        return own;
    };
    let mut addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
    // Java prefers IPv4.
    addresses.sort_by_key(IpAddr::is_ipv6);
    match addresses.first().map(dns_lookup::lookup_addr) {
        Some(Ok(name)) => name,
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_host_has_a_name() {
        assert!(!super::canonical().is_empty());
    }
}
