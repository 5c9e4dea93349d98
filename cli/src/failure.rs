//! How a tool ends badly, cut by what the user then sees: the usage, a line on stderr, or what the tool already printed.

use std::io;

use crate::client::ClientError;

/// Why a tool stops. It becomes an exit code in [`crate::tool`] alone.
#[derive(Debug)]
pub enum Failure {
    /// The command line makes no sense: the message, then the tool's options, on stderr. Exit code 1.
    Usage(String),
    /// One line on stderr and exit code 1.
    Message(String),
    /// A client's error: the same, with more to tell for tools that show Java's name of it.
    Client(ClientError),
    /// The tool has said all there is to say.
    Said(u8),
    /// stdout is gone: the reader of a pipe had enough, or the disk behind it is full.
    Output(io::Error),
}

impl Failure {
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::Usage(message.into())
    }

    pub fn message(message: impl Into<String>) -> Failure {
        Failure::Message(message.into())
    }

    /// An exception that Kafka's tool does not catch: the JVM says so in front of it.
    pub fn uncaught(self) -> Failure {
        match self {
            Failure::Message(message) => Failure::Message(format!("Exception in thread \"main\" {message}")),
            other => other,
        }
    }

    /// The message alone.
    pub fn text(&self) -> String {
        match self {
            Failure::Usage(message) | Failure::Message(message) => message.clone(),
            Failure::Client(error) => error.to_string(),
            Failure::Said(code) => format!("exit code {code}"),
            Failure::Output(error) => error.to_string(),
        }
    }

    /// The message behind the class of Java's exception, if it has one.
    pub fn described(&self) -> String {
        match self {
            Failure::Client(error) => error.described(),
            other => other.text(),
        }
    }
}

impl From<io::Error> for Failure {
    /// Only writes to a tool's output are propagated as they are; every other I/O error is worded where it happens.
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::Client(error)
    }
}
