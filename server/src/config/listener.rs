//! Listeners: where the server listens, and which address clients are told for each.
//!
//! Rules and refusals follow Apache Kafka 3.2.0 (`KafkaConfig.validateValues`, `EndPoint`), less all protocols but
//! PLAINTEXT. Host names are resolved once, here;
//! nothing is bound.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;

use super::value::split_list;

/// One listener of this broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// In upper case, as Kafka normalises it.
    pub name: String,
    /// Where to listen. Port 0 lets the system choose.
    pub bind: SocketAddr,
    /// What clients that came in here are told: host (None: the canonical host name) and port (0: the bound one).
    /// None if `advertised.listeners` leaves this listener out.
    pub advertised: Option<(Option<String>, u16)>,
}

impl Listener {
    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        self.bind
    }
}

/// `NAME://HOST:PORT`
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    name: String,
    host: Option<String>,
    port: u16,
}

/// The settings that listeners are made of; texts as in the file.
pub(super) struct Settings<'a> {
    pub listeners: &'a str,
    pub advertised: Option<&'a str>,
    pub protocol_map: &'a str,
    pub inter_broker_name: Option<&'a str>,
    pub inter_broker_protocol: Option<&'a str>,
}

/// The listeners, and which of them `inter.broker.listener.name` means.
///
/// # Errors
/// A sentence that names the key, its value and what is allowed.
pub(super) fn resolve(settings: &Settings<'_>) -> Result<(Vec<Listener>, usize), String> {
    let protocols = protocol_map(settings.protocol_map)?;
    let bound = addresses("listeners", settings.listeners)?;
    require_distinct("listeners", settings.listeners, &bound)?;
    require_distinct_ports(settings.listeners, &bound)?;
    for address in &bound {
        require_plaintext(address, &protocols)?;
    }
    let advertised = match settings.advertised {
        Some(text) => addresses("advertised.listeners", text)?,
        None => bound.clone(),
    };
    require_advertisable(settings, &bound, &advertised)?;
    let inter_broker = inter_broker(settings, &protocols, &bound, &advertised)?;
    let told = |name: &str| advertised.iter().find(|address| address.name == name);
    let listener = |address: &Address| {
        Ok(Listener {
            bind: bind_address(address).map_err(|why| format!("listeners={}: {why}", settings.listeners))?,
            name: address.name.clone(),
            advertised: told(&address.name).map(|address| (address.host.clone(), address.port)),
        })
    };
    let listeners = bound.iter().map(listener).collect::<Result<_, String>>()?;
    Ok((listeners, inter_broker))
}

/// An empty host is `[::]`, which takes IPv4 too, or `0.0.0.0` where the kernel has no IPv6.
fn bind_address(address: &Address) -> Result<SocketAddr, String> {
    let Some(host) = &address.host else {
        let ipv6 = Path::new("/proc/net/if_inet6").exists();
        let any =
            if ipv6 { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { IpAddr::from(Ipv4Addr::UNSPECIFIED) };
        return Ok(SocketAddr::new(any, address.port));
    };
    let mut resolved = (host.as_str(), address.port)
        .to_socket_addrs()
        .map_err(|error| format!("{host} does not resolve: {error}"))?;
    resolved.next().ok_or_else(|| format!("{host} resolves to no address"))
}

fn addresses(key: &str, text: &str) -> Result<Vec<Address>, String> {
    let items = split_list(text);
    if items.iter().all(String::is_empty) {
        return Err(format!("{key} is empty: at least one NAME://HOST:PORT is needed"));
    }
    items.iter().map(|item| address(item).map_err(|why| format!("{key}={text}: {why}"))).collect()
}

fn address(text: &str) -> Result<Address, String> {
    let unreadable = || format!("Unable to parse {text} to a broker endpoint (NAME://HOST:PORT)");
    let (name, rest) = text.split_once("://").ok_or_else(unreadable)?;
    let (host, port) = rest.rsplit_once(':').ok_or_else(unreadable)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let known = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    if name.is_empty() || !host.chars().all(known) {
        return Err(unreadable());
    }
    let port = port.parse().map_err(|error| format!("{}: port: {error}", unreadable()))?;
    let host = (!host.is_empty()).then(|| host.to_owned());
    Ok(Address { name: name.to_uppercase(), host, port })
}

fn protocol_map(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pair = |item: String| match item.rsplit_once(':') {
        Some((name, protocol)) => Ok((name.to_uppercase(), protocol.to_uppercase())),
        None => Err(format!("listener.security.protocol.map={text}: '{item}' is not NAME:PROTOCOL")),
    };
    split_list(text).into_iter().map(pair).collect()
}

fn require_distinct(key: &str, text: &str, listed: &[Address]) -> Result<(), String> {
    let repeated =
        |(at, address): (usize, &Address)| listed[..at].iter().any(|other| other.name == address.name);
    match listed.iter().enumerate().any(repeated) {
        true => Err(format!("Each listener must have a different name, {key}: {text}")),
        false => Ok(()),
    }
}

fn require_distinct_ports(text: &str, listed: &[Address]) -> Result<(), String> {
    let repeated = |(at, address): (usize, &Address)| {
        address.port != 0 && listed[..at].iter().any(|other| other.port == address.port)
    };
    match listed.iter().enumerate().any(repeated) {
        true => Err(format!("Each listener must have a different port, listeners: {text}")),
        false => Ok(()),
    }
}

fn require_plaintext(address: &Address, protocols: &BTreeMap<String, String>) -> Result<(), String> {
    match protocols.get(&address.name).map(String::as_str) {
        Some("PLAINTEXT") => Ok(()),
        Some(protocol @ ("SSL" | "SASL_PLAINTEXT" | "SASL_SSL")) => Err(format!(
            "listener {} uses {protocol}, which is not in this version: only PLAINTEXT is. Remove it from listeners, or map \
             it to PLAINTEXT in listener.security.protocol.map",
            address.name
        )),
        Some(protocol) => Err(format!(
            "listener.security.protocol.map: {protocol} of listener {} is no security protocol (PLAINTEXT, SSL, \
             SASL_PLAINTEXT, SASL_SSL)",
            address.name
        )),
        None => Err(format!(
            "No security protocol defined for listener {}: add {}:PLAINTEXT to listener.security.protocol.map",
            address.name, address.name
        )),
    }
}

fn require_advertisable(
    settings: &Settings<'_>,
    bound: &[Address],
    advertised: &[Address],
) -> Result<(), String> {
    let text = settings.advertised.unwrap_or(settings.listeners);
    require_distinct("advertised.listeners", text, advertised)?;
    if advertised.iter().any(|address| address.host.as_deref() == Some("0.0.0.0")) {
        return Err(format!(
            "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0 (it is {text}). Use a routable IP \
             address, or leave the host empty to advertise the canonical host name"
        ));
    }
    match advertised.iter().find(|address| bound.iter().all(|other| other.name != address.name)) {
        Some(stranger) => Err(format!(
            "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners: {} is \
             not in {}",
            stranger.name, settings.listeners
        )),
        None => Ok(()),
    }
}

fn inter_broker(
    settings: &Settings<'_>,
    protocols: &BTreeMap<String, String>,
    bound: &[Address],
    advertised: &[Address],
) -> Result<usize, String> {
    let names = || advertised.iter().map(|address| address.name.as_str()).collect::<Vec<_>>().join(",");
    let name = match (settings.inter_broker_name, settings.inter_broker_protocol) {
        (Some(_), Some(_)) => {
            return Err(
                "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set."
                    .to_owned(),
            );
        }
        (Some(name), None) => name.to_uppercase(),
        (None, protocol) => protocol.unwrap_or("PLAINTEXT").to_uppercase(),
    };
    if settings.inter_broker_name.is_some() && !protocols.contains_key(&name) {
        return Err(format!(
            "inter.broker.listener.name={name}: listener.security.protocol.map has no such listener"
        ));
    }
    let told = advertised.iter().any(|address| address.name == name);
    match bound.iter().position(|address| told && address.name == name) {
        Some(index) => Ok(index),
        None => Err(format!(
            "inter.broker.listener.name must be a listener name defined in advertised.listeners. It is {name}; the \
             valid options based on currently configured listeners are {}",
            names()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL";

    fn settings<'a>(listeners: &'a str, advertised: Option<&'a str>, protocol_map: &'a str) -> Settings<'a> {
        Settings { listeners, advertised, protocol_map, inter_broker_name: None, inter_broker_protocol: None }
    }

    fn refusal(listeners: &str, advertised: Option<&str>, map: &str) -> String {
        resolve(&settings(listeners, advertised, map)).unwrap_err()
    }

    #[test]
    fn the_default_listens_everywhere_and_advertises_the_host_name() {
        let (listeners, inter_broker) = resolve(&settings("PLAINTEXT://:9092", None, MAP)).unwrap();
        assert_eq!(inter_broker, 0);
        assert_eq!(listeners.len(), 1);
        assert_eq!(listeners[0].advertised, Some((None, 9092)));
        assert!(listeners[0].bind.ip().is_unspecified());
        assert_eq!(listeners[0].bind.port(), 9092);
    }

    #[test]
    fn several_listeners_keep_their_own_advertised_addresses() {
        let map = "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT";
        let asked = Settings {
            inter_broker_name: Some("internal"),
            ..settings(
                "EXTERNAL://0.0.0.0:9093, internal://[::1]:9092",
                Some("INTERNAL://10.0.0.1:9092,EXTERNAL://broker.example:19093"),
                map,
            )
        };
        let (listeners, inter_broker) = resolve(&asked).unwrap();
        assert_eq!(inter_broker, 1);
        assert_eq!(listeners[0].bind.to_string(), "0.0.0.0:9093");
        assert_eq!(listeners[0].advertised, Some((Some("broker.example".to_owned()), 19093)));
        assert_eq!(listeners[1].bind.to_string(), "[::1]:9092");
    }

    #[test]
    fn what_kafka_refuses_is_refused() {
        assert!(refusal("PLAINTEXT:9092", None, MAP).contains("Unable to parse PLAINTEXT:9092"));
        assert!(refusal("PLAINTEXT://a:99999", None, MAP).contains("Unable to parse"));
        assert!(refusal("PLAINTEXT://a:-1", None, MAP).contains("Unable to parse"));
        assert!(refusal("", None, MAP).contains("is empty"));
        assert!(refusal("FOO://:9092", None, MAP).contains("No security protocol defined for listener FOO"));
        assert!(refusal("PLAINTEXT://:1,PLAINTEXT://:2", None, MAP).contains("different name"));
        assert!(refusal("A://:1,B://:1", None, "A:PLAINTEXT,B:PLAINTEXT").contains("different port"));
        assert!(refusal("PLAINTEXT://0.0.0.0:1", None, MAP).contains("nonroutable"));
        assert!(refusal("PLAINTEXT://no.such.host.invalid:1", None, MAP).contains("does not resolve"));
        assert!(refusal("PLAINTEXT://:1", Some("OTHER://a:1"), MAP).contains("subset"));
        assert!(refusal("A://:1", None, "A:PLAINTEXT").contains("valid options"));
    }

    #[test]
    fn tls_and_sasl_are_refused_with_a_sentence() {
        for protocol in ["SSL", "SASL_PLAINTEXT", "SASL_SSL"] {
            let message = refusal(&format!("{protocol}://:9092"), None, MAP);
            assert!(message.contains(protocol) && message.contains("not in this version"), "{message}");
        }
        assert!(refusal("A://:1", None, "A:QUIC").contains("no security protocol"));
    }
}
