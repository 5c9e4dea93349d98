//! `--bootstrap-server`: a list of HOST:PORT.

use std::fmt;

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Takes `host:port[,host:port...]` apart; IPv6 addresses stand in brackets.
///
/// # Errors
/// The message of Kafka's clients for the first address that is none.
pub fn parse_bootstrap(list: &str) -> Result<Vec<Address>, String> {
    let addresses: Result<Vec<Address>, String> =
        list.split(',').map(str::trim).filter(|one| !one.is_empty()).map(parse_one).collect();
    match addresses {
        Ok(addresses) if addresses.is_empty() => {
            Err("No resolvable bootstrap urls given in bootstrap.servers".to_owned())
        }
        other => other,
    }
}

fn parse_one(text: &str) -> Result<Address, String> {
    // A protocol in front is accepted and without meaning, as in Kafka: `PLAINTEXT://host:9092`.
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let split = bare.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u32>().ok()?)));
    let invalid = || format!("Invalid url in bootstrap.servers: {text}");
    let (host, port) = split.ok_or_else(invalid)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match u16::try_from(port) {
        Ok(port) if !host.is_empty() => Ok(Address { host: host.to_owned(), port }),
        Ok(_) => Err(invalid()),
        Err(_) => Err(format!("Invalid port in bootstrap.servers: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_servers_and_brackets() {
        let parsed = parse_bootstrap("a:1, [::1]:2,PLAINTEXT://b:3").unwrap();
        let shown: Vec<String> = parsed.iter().map(Address::to_string).collect();
        assert_eq!(shown, ["a:1", "[::1]:2", "b:3"]);
        assert_eq!(parsed[1].host, "::1");
    }

    #[test]
    fn what_is_no_address_is_named() {
        assert_eq!(parse_bootstrap("localhost").unwrap_err(), "Invalid url in bootstrap.servers: localhost");
        assert!(parse_bootstrap("a:1,b:x").unwrap_err().ends_with("b:x"));
        assert!(parse_bootstrap("").unwrap_err().starts_with("No resolvable"));
    }
}
