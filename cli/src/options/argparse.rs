//! Command lines of the tools that Kafka reads with argparse4j instead of joptsimple: the performance producer and the
//! verifiable clients.
//!
//! The options stand in the same kind of table; [`Program`] adds what argparse4j knows of them. It accepts unambiguous
//! beginnings of names, an option with several arguments and negative numbers as arguments, refuses words that it cannot
//! place, prints its help on stdout with exit code 0, and complains in words of its own.

use std::collections::BTreeMap;

use super::{Argument, Kind, Opt, Parsed, Spec};
use crate::failure::Failure;

/// What argparse4j is told beside the options.
pub struct Program {
    /// What the program calls itself in its messages.
    pub name: &'static str,
    pub required: &'static [&'static str],
    /// Exactly one of these must be given.
    pub exclusive: &'static [&'static str],
    /// Options that take one argument or more.
    pub several: &'static [&'static str],
    /// An option and the only arguments that it takes.
    pub choices: Option<(&'static str, &'static [&'static str])>,
}

/// A command line that was read, or help that was asked for.
pub enum Outcome {
    Parsed(Parsed),
    Help(String),
}

impl Program {
    /// # Errors
    /// In argparse4j's words, with exit code 1.
    pub fn parse(&self, spec: &'static Spec, summary: &str, words: &[String]) -> Result<Outcome, Failure> {
        if words.is_empty() || words.iter().any(|word| word == "-h" || word == "--help") {
            return Ok(Outcome::Help(self.help(spec, summary)));
        }
        let given = self
            .read(spec, words)
            .map_err(|why| Failure::message(format!("{}\n{}: error: {why}", self.usage(spec), self.name)))?;
        Ok(Outcome::Parsed(Parsed::of(spec, given, words.to_vec())))
    }

    fn read(
        &self,
        spec: &'static Spec,
        words: &[String],
    ) -> Result<BTreeMap<&'static str, Vec<String>>, String> {
        let mut given: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let mut misplaced: Vec<&str> = Vec::new();
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            let Some((option, attached)) = recognize(spec, word)? else {
                misplaced.push(word);
                continue;
            };
            let mut arguments: Vec<String> = attached.into_iter().map(str::to_owned).collect();
            if option.argument != Argument::None && arguments.is_empty() {
                let several = self.several.contains(&option.name);
                while arguments.is_empty() || several {
                    let Some(argument) = words.next_if(|next| is_argument(next)) else { break };
                    arguments.push(argument.to_owned());
                }
                if arguments.is_empty() {
                    let expected = if several { "1 argument(s)" } else { "one argument" };
                    return Err(format!("argument --{}: expected {expected}", option.name));
                }
            }
            self.check(option, &arguments, &given)?;
            // The last one wins.
            given.insert(option.name, arguments);
        }
        if !misplaced.is_empty() {
            return Err(format!("unrecognized arguments: '{}'", misplaced.join(" ")));
        }
        self.check_required(&given)?;
        Ok(given)
    }

    fn check(
        &self,
        option: &Opt,
        arguments: &[String],
        given: &BTreeMap<&'static str, Vec<String>>,
    ) -> Result<(), String> {
        if self.exclusive.contains(&option.name)
            && let Some(other) =
                self.exclusive.iter().find(|&&name| name != option.name && given.contains_key(name))
        {
            return Err(format!("argument --{}: not allowed with argument --{other}", option.name));
        }
        for argument in arguments {
            let kind = match option.kind {
                Kind::Integer if argument.parse::<i32>().is_err() => "Integer",
                Kind::Long if argument.parse::<i64>().is_err() => "Long",
                _ => match self.choices {
                    Some((name, choices)) if name == option.name && !choices.contains(&argument.as_str()) => {
                        let choices = choices.join(",");
                        return Err(format!(
                            "argument --{name}: invalid choice: '{argument}' (choose from {{{choices}}})"
                        ));
                    }
                    _ => continue,
                },
            };
            return Err(format!(
                "argument --{}: could not convert '{argument}' to {kind} (For input string: \"{argument}\")",
                option.name
            ));
        }
        Ok(())
    }

    fn check_required(&self, given: &BTreeMap<&'static str, Vec<String>>) -> Result<(), String> {
        if let Some(missing) = self.required.iter().find(|&&name| !given.contains_key(name)) {
            return Err(format!("argument --{missing} is required"));
        }
        if !self.exclusive.is_empty() && !self.exclusive.iter().any(|&name| given.contains_key(name)) {
            return Err(format!("one of the arguments --{} is required", self.exclusive.join(" --")));
        }
        Ok(())
    }

    fn usage(&self, spec: &Spec) -> String {
        let mut usage = format!("usage: {} [-h]", self.name);
        for option in spec.options {
            let text = self.signature(option);
            let required = self.required.contains(&option.name);
            usage.push_str(&if required { format!(" {text}") } else { format!(" [{text}]") });
        }
        usage
    }

    fn signature(&self, option: &Opt) -> String {
        let placeholder = match option.placeholder {
            "" => option.name.to_uppercase(),
            placeholder => placeholder.to_owned(),
        };
        match option.argument {
            Argument::None => format!("--{}", option.name),
            _ if self.several.contains(&option.name) => {
                format!("--{} {placeholder} [{placeholder} ...]", option.name)
            }
            _ => format!("--{} {placeholder}", option.name),
        }
    }

    fn help(&self, spec: &Spec, summary: &str) -> String {
        let mut help = format!("{}\n\n{summary}\n\narguments:\n  -h, --help\n", self.usage(spec));
        for option in spec.options {
            let default = option.default.map(|default| format!(" (default: {default})")).unwrap_or_default();
            help.push_str(&format!(
                "  {}\n          {}{default}\n",
                self.signature(option),
                option.description
            ));
        }
        help
    }
}

/// An option by its name or by a beginning that only it has, with the argument behind `=`; none for another word.
fn recognize<'a>(
    spec: &'static Spec,
    word: &'a str,
) -> Result<Option<(&'static Opt, Option<&'a str>)>, String> {
    let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) else { return Ok(None) };
    let (name, attached) = match long.split_once('=') {
        Some((name, attached)) => (name, Some(attached)),
        None => (long, None),
    };
    if let Some(option) = spec.find(name) {
        return Ok(Some((option, attached)));
    }
    let candidates: Vec<&'static Opt> =
        spec.options.iter().filter(|option| option.name.starts_with(name)).collect();
    match candidates.as_slice() {
        [] => Ok(None),
        [option] => Ok(Some((option, attached))),
        several => {
            let names: Vec<String> = several.iter().map(|option| format!("--{}", option.name)).collect();
            Err(format!("ambiguous option: --{name} could match {}", names.join(", ")))
        }
    }
}

/// What may follow an option: anything that is no option; negative numbers are none.
fn is_argument(word: &str) -> bool {
    match word.strip_prefix('-') {
        None => true,
        Some(rest) => !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{flag, integer, text};
    use super::*;

    const SPEC: Spec = Spec {
        options: &[
            text("topic", "TOPIC", ""),
            integer("throughput", "THROUGHPUT", ""),
            text("producer-props", "P=V", ""),
            text("producer.config", "FILE", ""),
            text("record-size", "N", ""),
            text("payload-file", "F", ""),
            flag("print-metrics", ""),
        ],
        abbreviations: true,
    };
    const PROGRAM: Program = Program {
        name: "program",
        required: &["topic"],
        exclusive: &["record-size", "payload-file"],
        several: &["producer-props"],
        choices: Some(("throughput", &["-1", "5"])),
    };

    fn parse(line: &str) -> Result<Parsed, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match PROGRAM.parse(&SPEC, "", &words) {
            Ok(Outcome::Parsed(parsed)) => Ok(parsed),
            Ok(Outcome::Help(help)) => Err(help),
            Err(Failure::Message(message)) => Err(message.rsplit_once("error: ").unwrap().1.to_owned()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_take_their_arguments() {
        let parsed =
            parse("--topic t --thr -1 --producer-props a=b c=d --record-size=7 --print-metrics").unwrap();
        assert_eq!(parsed.value("throughput"), Ok(Some("-1")));
        assert_eq!(parsed.values("producer-props"), ["a=b", "c=d"]);
        assert_eq!(parsed.value("record-size"), Ok(Some("7")));
        assert!(parsed.has("print-metrics"));
    }

    #[test]
    fn complaints_are_argparses() {
        for (line, complaint) in [
            ("--record-size 1", "argument --topic is required"),
            ("--topic t", "one of the arguments --record-size --payload-file is required"),
            (
                "--topic t --record-size 1 --payload-file f",
                "argument --payload-file: not allowed with argument --record-size",
            ),
            ("--topic", "argument --topic: expected one argument"),
            (
                "--topic t --producer-props --record-size 1",
                "argument --producer-props: expected 1 argument(s)",
            ),
            (
                "--topic t --throughput x",
                "argument --throughput: could not convert 'x' to Integer (For input string: \"x\")",
            ),
            ("--topic t --throughput 6", "argument --throughput: invalid choice: '6' (choose from {-1,5})"),
            ("--topic t --no-such 1", "unrecognized arguments: '--no-such 1'"),
            (
                "--p 1",
                "ambiguous option: --p could match --producer-props, --producer.config, --payload-file, --print-metrics",
            ),
        ] {
            assert_eq!(parse(line).unwrap_err(), complaint, "{line}");
        }
        assert!(
            parse("--topic -h").unwrap_err().starts_with("usage: program [-h] --topic TOPIC [--throughput")
        );
    }
}
