//! `kafka-configs.sh`: shows and changes the configuration of topics, brokers and their loggers, and the quotas of users,
//! clients and addresses.
//!
//! [`options`] is the command line, [`entity`] whom it is about, [`changes`] what is to be changed; [`resource`] acts on
//! what has a configuration, [`quota`] and [`scram`] on the rest.

mod changes;
mod entity;
mod options;
mod quota;
mod resource;
mod scram;

use std::io::Write;

use crate::failure::Failure;
use crate::options::Parsed;
use crate::session;
use crate::tool::Tool;

use entity::{Entities, Kind};

pub const TOOL: Tool = Tool {
    name: "configs",
    summary: "This tool helps to manipulate and describe entity config for a topic, client, user, broker or ip",
    on_nothing: None,
    spec: &options::SPEC,
    run,
};

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let entities = Entities::of(options)?;
    options::check(options, &entities)?;
    // What a broker refuses is told with the command line, as Kafka's tool does.
    perform(options, &entities, out).map_err(|failure| match failure {
        Failure::Client(error) => {
            let words = options.words.join(" ");
            Failure::message(format!(
                "Error while executing config command with args '{words}'\n\
                 java.util.concurrent.ExecutionException: {}",
                error.described()
            ))
        }
        other => other,
    })
}

fn perform(options: &Parsed, entities: &Entities, out: &mut dyn Write) -> Result<(), Failure> {
    let mut client = session::connect(options)?;
    if options.has("describe") {
        return match entities.first() {
            Kind::Topic | Kind::Broker | Kind::BrokerLogger => {
                resource::describe(&mut client, entities, options.has("all"), out)
            }
            Kind::User | Kind::Client => {
                quota::describe(&mut client, entities, out)?;
                scram::describe(&mut client, entities, out)
            }
            Kind::Ip => quota::describe(&mut client, entities, out),
        };
    }
    if entities.kinds.len() != entities.names.len() {
        return Err(Failure::message("An entity name must be specified for every entity type"));
    }
    let changes = changes::Changes::of(options, out)?;
    match entities.first() {
        Kind::Topic | Kind::Broker | Kind::BrokerLogger => resource::alter(&mut client, entities, &changes)?,
        Kind::User | Kind::Client => {
            quota::check_names(entities, &changes)?;
            match changes.any(quota::is_quota) {
                true => quota::alter(&mut client, entities, &changes)?,
                false => scram::alter(&mut client, &entities.names[0], &changes)?,
            }
        }
        Kind::Ip => {
            quota::check_names(entities, &changes)?;
            quota::alter(&mut client, entities, &changes)?;
        }
    }
    let kind = entities.first();
    match entities.names[0].as_str() {
        "" => writeln!(out, "Completed updating default config for {} in the cluster.", kind.plural())?,
        name => writeln!(out, "Completed updating config for {} {name}.", kind.singular())?,
    }
    Ok(())
}
