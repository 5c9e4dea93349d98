//! Which connections are accepted: `max.connections`, `max.connections.per.ip` and its overrides,
//! `max.connection.creation.rate`.
//!
//! Kept by the acceptors of shard 0. Connections live on other shards, so what they give back when they end is atomic:
//! a [`Ticket`] travels with the connection and counts it out on whichever thread it ends.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use thalweg_engine::id::ShardId;
use thalweg_engine::io::Monotonic;

use crate::bounds::ADDRESSES_KEPT_MAX;
use crate::config::BrokerConfig;

/// Counts of open connections.
pub struct Admission {
    by_shard: Vec<Arc<AtomicUsize>>,
    by_ip: RefCell<HashMap<IpAddr, Arc<AtomicUsize>>>,
    /// Start of the current second, and the connections that were accepted in it.
    second: Cell<(Monotonic, u32)>,
}

/// One open connection in the counts; dropping it counts it out.
pub struct Ticket {
    shard: Arc<AtomicUsize>,
    ip: Arc<AtomicUsize>,
}

/// Why an address gets no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{ip} has {limit} connections, which is its limit (max.connections.per.ip)")]
pub struct TooMany {
    ip: IpAddr,
    limit: usize,
}

impl Admission {
    pub fn new(shards: u16) -> Admission {
        Admission {
            by_shard: (0..shards).map(|_| Arc::default()).collect(),
            by_ip: RefCell::default(),
            second: Cell::new((Monotonic(0), 0)),
        }
    }

    /// Open connections of all shards.
    pub fn open(&self) -> usize {
        self.by_shard.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Whether the next connection has to wait: Kafka leaves it in the listener's backlog.
    pub fn is_full(&self, config: &BrokerConfig) -> bool {
        self.open() >= config.connections_max
    }

    /// How long the next connection has to wait for `max.connection.creation.rate`, and counts it if not at all.
    pub fn throttle(&self, config: &BrokerConfig, now: Monotonic) -> Option<Duration> {
        const SECOND: Duration = Duration::from_secs(1);
        let (start, accepted) = self.second.get();
        let elapsed = now.since(start);
        if elapsed >= SECOND {
            self.second.set((now, 1));
            return None;
        }
        if accepted >= config.connection_rate_max {
            return Some(SECOND - elapsed);
        }
        self.second.set((start, accepted + 1));
        None
    }

    /// Counts a connection in, and says which shard gets it: the one with the fewest.
    ///
    /// # Errors
    /// [`TooMany`] if the address is at its limit: Kafka closes the connection.
    pub fn admit(&self, config: &BrokerConfig, ip: IpAddr) -> Result<(ShardId, Ticket), TooMany> {
        let ip = ip.to_canonical();
        let limit =
            config.connections_per_ip_overrides.get(&ip).copied().unwrap_or(config.connections_per_ip_max);
        let count = self.count_of(ip);
        if count.load(Ordering::Relaxed) >= limit {
            return Err(TooMany { ip, limit });
        }
        let load = |shard: &usize| self.by_shard[*shard].load(Ordering::Relaxed);
        let shard = (0..self.by_shard.len()).min_by_key(load).unwrap_or(0);
        let ticket = Ticket { shard: Arc::clone(&self.by_shard[shard]), ip: count };
        ticket.shard.fetch_add(1, Ordering::Relaxed);
        ticket.ip.fetch_add(1, Ordering::Relaxed);
        Ok((ShardId(u16::try_from(shard).unwrap_or(0)), ticket))
    }

    fn count_of(&self, ip: IpAddr) -> Arc<AtomicUsize> {
        let mut by_ip = self.by_ip.borrow_mut();
        if by_ip.len() >= ADDRESSES_KEPT_MAX {
            by_ip.retain(|_, count| count.load(Ordering::Relaxed) > 0);
        }
        Arc::clone(by_ip.entry(ip).or_default())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shard.fetch_sub(1, Ordering::Relaxed);
        self.ip.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections_max: usize, per_ip_max: usize) -> BrokerConfig {
        BrokerConfig {
            connections_max,
            connections_per_ip_max: per_ip_max,
            connections_per_ip_overrides: HashMap::from([("10.0.0.9".parse().unwrap(), 1)]),
            connection_rate_max: 2,
            ..crate::config::resolve(crate::config::Properties::default(), 1).unwrap().0
        }
    }

    #[test]
    fn connections_go_to_the_least_loaded_shard_and_come_back() {
        let (admission, limits) = (Admission::new(3), limits(100, 100));
        let ip = "10.0.0.1".parse().unwrap();
        let mut tickets: Vec<_> = (0..6).map(|_| admission.admit(&limits, ip).unwrap()).collect();
        let shards: Vec<u16> = tickets.iter().map(|(shard, _)| shard.0).collect();
        assert_eq!(shards, [0, 1, 2, 0, 1, 2]);
        drop(tickets.remove(4));
        assert_eq!(admission.admit(&limits, ip).unwrap().0, ShardId(1));
        drop(tickets);
        assert_eq!(admission.open(), 0);
    }

    #[test]
    fn limits_per_address_and_in_all() {
        let (admission, limits) = (Admission::new(1), limits(3, 2));
        let (one, nine): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.9".parse().unwrap());
        let held = [admission.admit(&limits, one).unwrap(), admission.admit(&limits, one).unwrap()];
        assert!(admission.admit(&limits, one).is_err() && !admission.is_full(&limits));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert!(
            admission.admit(&limits, mapped).is_err(),
            "an IPv4 address through an IPv6 listener is the same one"
        );
        let last = admission.admit(&limits, nine).unwrap();
        assert!(admission.admit(&limits, nine).is_err() && admission.is_full(&limits));
        drop((held, last));
        assert!(admission.admit(&limits, one).is_ok());
    }

    #[test]
    fn the_creation_rate_is_per_second() {
        let (admission, limits) = (Admission::new(1), limits(100, 100));
        let at = |ms: u64| Monotonic(10_000_000_000 + ms * 1_000_000);
        assert_eq!(admission.throttle(&limits, at(0)), None);
        assert_eq!(admission.throttle(&limits, at(100)), None);
        assert_eq!(admission.throttle(&limits, at(400)), Some(Duration::from_millis(600)));
        assert_eq!(admission.throttle(&limits, at(1000)), None);
    }
}
