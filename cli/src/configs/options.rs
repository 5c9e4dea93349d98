//! The options of `kafka-configs.sh`, and which of them exclude each other.

use std::net::ToSocketAddrs;

use super::entity::{Entities, Kind};
use crate::failure::Failure;
use crate::options::{HELP, Parsed, Spec, VERSION, flag, text};

pub const SPEC: Spec = Spec {
    options: &[
        text("zookeeper", "urls", "Refused: there is no ZooKeeper here. Use --bootstrap-server."),
        text("zk-tls-config-file", "ZooKeeper TLS configuration", "Refused: there is no ZooKeeper here."),
        text(
            "bootstrap-server",
            "server to connect to",
            "REQUIRED: where to connect first: HOST:PORT, or several with commas between.",
        ),
        text("command-config", "command config property file", "File with properties of the client."),
        flag("alter", "Change the configuration."),
        flag("describe", "Show the configuration."),
        flag("all", "Show defaults and server.properties too, not only what was set with this tool."),
        text(
            "entity-type",
            "entity type",
            "What it is about: topics, clients, users, brokers, broker-loggers or ips.",
        ),
        text("entity-name", "entity name", "Its name: topic, client.id, user, broker id or address."),
        flag("entity-default", "The default for all that have no setting of their own."),
        text(
            "add-config",
            "k1=v1,k2=[v1,v2,v2],k3=v3",
            "Settings to make; brackets around a value that has commas.",
        ),
        text("add-config-file", "file", "File with properties to set."),
        text("delete-config", "k1,k2", "Settings to remove."),
        flag("force", "Accepted for scripts: this tool never asks."),
        text("topic", "topic", "A topic: short for --entity-type topics --entity-name."),
        text("client", "client", "A client.id."),
        flag("client-defaults", "The default of all clients."),
        text("user", "user", "A user."),
        flag("user-defaults", "The default of all users."),
        text("broker", "broker id", "A broker."),
        flag("broker-defaults", "The default of all brokers."),
        text("broker-logger", "broker id", "The loggers of a broker."),
        text("ip", "address", "An address."),
        flag("ip-defaults", "The default of all addresses."),
        HELP,
        VERSION,
    ],
    abbreviations: false,
};

/// Refuses what makes no sense together.
///
/// # Errors
/// The message of Kafka's tool.
pub fn check(options: &Parsed, entities: &Entities) -> Result<(), Failure> {
    if options.has("zookeeper") || options.has("zk-tls-config-file") {
        return Err(Failure::message(
            "There is no ZooKeeper here: use --bootstrap-server instead of --zookeeper.",
        ));
    }
    if !options.has("bootstrap-server") {
        return Err(Failure::message(
            "One of the required --bootstrap-server or --zookeeper arguments must be specified",
        ));
    }
    let (named, defaulted) =
        (entities.names.iter().any(|name| !name.is_empty()), entities.names.iter().any(String::is_empty));
    if named {
        check_names(entities)?;
    }
    if options.has("describe") && entities.has(Kind::BrokerLogger) && !named {
        return Err(Failure::message(format!(
            "an entity name must be specified with --describe of {}",
            entities.kinds_text()
        )));
    }
    if options.has("alter") {
        check_alter(options, entities, named, defaulted)?;
    }
    Ok(())
}

/// The one action, before anything else is looked at.
///
/// # Errors
/// The message of Kafka's tool.
pub fn check_action(options: &Parsed) -> Result<(), Failure> {
    if options.has("alter") == options.has("describe") {
        return Err(Failure::usage("Command must include exactly one action: --describe, --alter"));
    }
    Ok(options.exclude("describe", &["alter", "add-config", "delete-config"])?)
}

fn check_names(entities: &Entities) -> Result<(), Failure> {
    let kind = entities.first().plural();
    for name in entities.names.iter().filter(|name| !name.is_empty()) {
        if (entities.has(Kind::Broker) || entities.has(Kind::BrokerLogger)) && name.parse::<i32>().is_err() {
            return Err(Failure::message(format!(
                "The entity name for {kind} must be a valid integer broker id, but it is: {name}"
            )));
        }
        if entities.has(Kind::Ip) && (name.as_str(), 0).to_socket_addrs().is_err() {
            return Err(Failure::message(format!(
                "The entity name for {kind} must be a valid IP or resolvable host, but it is: {name}"
            )));
        }
    }
    Ok(())
}

fn check_alter(options: &Parsed, entities: &Entities, named: bool, defaulted: bool) -> Result<(), Failure> {
    let may_default =
        [Kind::User, Kind::Client, Kind::Broker, Kind::Ip].into_iter().any(|kind| entities.has(kind));
    if may_default && !named && !defaulted {
        return Err(Failure::message(
            "an entity-name or default entity must be specified with --alter of users, clients, brokers or ips",
        ));
    }
    if !may_default && !named {
        let kinds = entities.kinds_text();
        return Err(Failure::message(format!("an entity name must be specified with --alter of {kinds}")));
    }
    match (options.has("add-config"), options.has("add-config-file"), options.has("delete-config")) {
        (true, true, _) => {
            Err(Failure::message("Only one of --add-config or --add-config-file must be specified"))
        }
        (false, false, false) => Err(Failure::message(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
        )),
        _ => Ok(()),
    }
}
