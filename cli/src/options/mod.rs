//! Command lines as Kafka's tools read them, which is joptsimple's way.
//!
//! A table of options per tool, and no `clap`: joptsimple takes `-topic x` for `--topic x`, lets a required argument
//! swallow whatever comes next (`--topic --list` names a topic `--list`), has options whose argument may be missing,
//! accepts and ignores what is no option, and reports all of it in words that scripts match on. None of that can be had
//! from clap, and a faithful copy of it is two small files.

pub mod argparse;
mod parse;
mod usage;

pub use parse::{Fault, Parsed};
pub use usage::usage;

/// What follows an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    None,
    Required,
    /// The next word if it does not look like an option.
    Optional,
}

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    String,
    /// 32 bits, Java's Integer.
    Integer,
    /// 64 bits, Java's Long.
    Long,
}

/// One option of a tool.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    pub name: &'static str,
    pub argument: Argument,
    pub kind: Kind,
    /// What the argument is, in the usage.
    pub placeholder: &'static str,
    pub default: Option<&'static str>,
    pub description: &'static str,
}

/// All options of a tool.
#[derive(Debug)]
pub struct Spec {
    pub options: &'static [Opt],
    /// Whether `--boot` is `--bootstrap-server`, if nothing else begins so. Kafka's tools differ.
    pub abbreviations: bool,
}

/// An option without argument.
pub const fn flag(name: &'static str, description: &'static str) -> Opt {
    Opt { name, argument: Argument::None, kind: Kind::String, placeholder: "", default: None, description }
}

/// An option with a text as its argument.
pub const fn text(name: &'static str, placeholder: &'static str, description: &'static str) -> Opt {
    with(name, Kind::String, placeholder, description)
}

/// An option with a 32-bit number.
pub const fn integer(name: &'static str, placeholder: &'static str, description: &'static str) -> Opt {
    with(name, Kind::Integer, placeholder, description)
}

/// An option with a 64-bit number.
pub const fn long(name: &'static str, placeholder: &'static str, description: &'static str) -> Opt {
    with(name, Kind::Long, placeholder, description)
}

const fn with(name: &'static str, kind: Kind, placeholder: &'static str, description: &'static str) -> Opt {
    Opt { name, argument: Argument::Required, kind, placeholder, default: None, description }
}

impl Opt {
    /// What holds when the option is not given.
    pub const fn or(self, default: &'static str) -> Opt {
        Opt { default: Some(default), ..self }
    }

    /// The argument may be left out.
    pub const fn optional(self) -> Opt {
        Opt { argument: Argument::Optional, ..self }
    }
}

impl Spec {
    pub(crate) fn find(&self, name: &str) -> Option<&'static Opt> {
        self.options.iter().find(|option| option.name == name)
    }
}

/// The two options that every tool has.
pub const HELP: Opt = flag("help", "Print this usage.");
pub const VERSION: Opt = flag("version", "Print the version.");
