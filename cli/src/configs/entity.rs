//! Whom a command line is about: `--entity-type` with `--entity-name` or `--entity-default`, or the short options.

use super::options;
use crate::failure::Failure;
use crate::options::Parsed;

/// What can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Topic,
    Client,
    User,
    Broker,
    Ip,
    BrokerLogger,
}

const KINDS: [Kind; 6] = [Kind::Topic, Kind::Client, Kind::User, Kind::Broker, Kind::Ip, Kind::BrokerLogger];

/// The short options with a name, in the order in which Kafka's tool takes them, and those for defaults.
const FLAGS: [(&str, Kind); 6] = [
    ("topic", Kind::Topic),
    ("client", Kind::Client),
    ("user", Kind::User),
    ("broker", Kind::Broker),
    ("broker-logger", Kind::BrokerLogger),
    ("ip", Kind::Ip),
];
const DEFAULT_FLAGS: [(&str, Kind); 4] = [
    ("client-defaults", Kind::Client),
    ("user-defaults", Kind::User),
    ("broker-defaults", Kind::Broker),
    ("ip-defaults", Kind::Ip),
];

impl Kind {
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Topic => "topics",
            Kind::Client => "clients",
            Kind::User => "users",
            Kind::Broker => "brokers",
            Kind::Ip => "ips",
            Kind::BrokerLogger => "broker-loggers",
        }
    }

    pub fn singular(self) -> &'static str {
        self.plural().trim_end_matches('s')
    }
}

/// Kinds and names in the order of the command line; an empty name is the default.
#[derive(Debug)]
pub struct Entities {
    pub kinds: Vec<Kind>,
    pub names: Vec<String>,
}

impl Entities {
    /// # Errors
    /// When the action or the kinds make no sense, in the order in which Kafka's tool looks at them.
    pub fn of(options: &Parsed) -> Result<Entities, Failure> {
        options::check_action(options)?;
        let mut kinds = Vec::new();
        let mut unknown = None;
        for text in options.values("entity-type") {
            match KINDS.into_iter().find(|kind| kind.plural() == text) {
                Some(kind) => kinds.push(kind),
                None => unknown = unknown.or(Some(text)),
            }
        }
        let given = |(flag, kind): &(&'static str, Kind)| options.has(flag).then_some(*kind);
        kinds.extend(FLAGS.iter().filter_map(given));
        kinds.extend(DEFAULT_FLAGS.iter().filter_map(given));
        if let Some(twice) = kinds.iter().enumerate().find(|(at, kind)| kinds[..*at].contains(kind)) {
            let twice = twice.1.plural();
            return Err(Failure::message(format!("Duplicate entity type(s) specified: {twice}")));
        }
        if let Some(unknown) = unknown {
            let known: Vec<&str> = KINDS.iter().map(|kind| kind.plural()).collect();
            let connection =
                if options.has("bootstrap-server") { "--bootstrap-server" } else { "--zookeeper" };
            return Err(Failure::message(format!(
                "Invalid entity type {unknown}, the entity type must be one of {} with the {connection} argument",
                known.join(", ")
            )));
        }
        check_kinds(&kinds)?;
        check_styles(options)?;
        Ok(Entities { names: names(options)?, kinds })
    }

    pub fn first(&self) -> Kind {
        self.kinds[0]
    }

    pub fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    pub fn kinds_text(&self) -> String {
        self.kinds.iter().map(|kind| kind.plural()).collect::<Vec<_>>().join(",")
    }
}

fn check_kinds(kinds: &[Kind]) -> Result<(), Failure> {
    if kinds.is_empty() {
        return Err(Failure::message("At least one entity type must be specified"));
    }
    let clients_of_users = kinds.iter().all(|kind| matches!(kind, Kind::User | Kind::Client));
    if kinds.len() > 1 && !clients_of_users {
        return Err(Failure::message("Only 'users' and 'clients' entity types may be specified together"));
    }
    Ok(())
}

fn check_styles(options: &Parsed) -> Result<(), Failure> {
    let long = ["entity-name", "entity-type", "entity-default"].iter().any(|option| options.has(option));
    let short = FLAGS.iter().any(|(flag, _)| options.has(flag))
        || DEFAULT_FLAGS.iter().any(|(flag, _)| options.has(flag));
    if long && short {
        return Err(Failure::message(
            "--entity-{type,name,default} should not be used in conjunction with specific entity flags",
        ));
    }
    Ok(())
}

/// `--entity-name` and `--entity-default` belong to the types in the order in which they stand.
fn names(options: &Parsed) -> Result<Vec<String>, Failure> {
    let mut given = options.values("entity-name").iter();
    let mut names = Vec::new();
    for option in options.order() {
        match *option {
            "entity-name" => names.extend(given.next().cloned()),
            "entity-default" => names.push(String::new()),
            _ => {}
        }
    }
    for (flag, _) in FLAGS {
        names.extend(options.value(flag)?.map(str::to_owned));
    }
    names.extend(DEFAULT_FLAGS.iter().filter(|(flag, _)| options.has(flag)).map(|_| String::new()));
    Ok(names)
}
