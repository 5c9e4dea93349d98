//! The command line, as Kafka's: `thalweg-server server.properties [--override property=value]*`.

use std::path::PathBuf;

/// Shown with `--help`, and when the command line makes no sense.
pub const USAGE: &str = "\
USAGE: thalweg-server server.properties [--override property=value]*
Option               Description
------               -----------
--override <String>  Optional property that should override values set in
                       server.properties file
--version            Print version information and exit.
--help               Print this and exit.
";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Serve { file: PathBuf, overrides: Vec<String> },
    Version,
    Help,
}

impl Command {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// What is wrong; the caller shows it with [`USAGE`].
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
        let mut arguments = arguments.into_iter();
        let mut file = None;
        let mut overrides = Vec::new();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--version" => return Ok(Command::Version),
                "--help" | "-h" => return Ok(Command::Help),
                "--override" => match arguments.next() {
                    Some(setting) => overrides.push(setting),
                    None => return Err("Option override requires an argument".to_owned()),
                },
                other => match other.strip_prefix("--override=") {
                    Some(setting) => overrides.push(setting.to_owned()),
                    None if other.starts_with('-') => {
                        return Err(format!("{} is not a recognized option", other.trim_start_matches('-')));
                    }
                    None if file.is_none() => file = Some(PathBuf::from(argument)),
                    None => return Err(format!("Found non argument parameters: {argument}")),
                },
            }
        }
        match file {
            Some(file) => Ok(Command::Serve { file, overrides }),
            None => Err("The server.properties file is missing".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, String> {
        Command::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn a_file_and_any_number_of_overrides() {
        let serve = parse(&["f.properties", "--override", "a=1", "--override=b=2=3"]).unwrap();
        let overrides = vec!["a=1".to_owned(), "b=2=3".to_owned()];
        assert_eq!(serve, Command::Serve { file: "f.properties".into(), overrides });
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        assert!(parse(&[]).unwrap_err().contains("missing"));
        assert!(parse(&["f", "--override"]).unwrap_err().contains("requires an argument"));
        assert_eq!(parse(&["f", "g"]).unwrap_err(), "Found non argument parameters: g");
        assert_eq!(parse(&["f", "--port"]).unwrap_err(), "port is not a recognized option");
        assert_eq!(parse(&["--version"]), Ok(Command::Version));
    }
}
