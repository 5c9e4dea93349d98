//! From words to options: joptsimple 5's rules, and the words in which it and Kafka complain.

use std::collections::BTreeMap;

use super::{Argument, Kind, Opt, Spec};

/// A command line that makes no sense. The texts are joptsimple's and Kafka's: users and scripts know them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{0} is not a recognized option")]
    Unrecognized(String),
    #[error("{given} is ambiguous: it may be {}", .candidates.join(", "))]
    Ambiguous { given: String, candidates: Vec<&'static str> },
    #[error("Option {0} requires an argument")]
    ArgumentMissing(&'static str),
    #[error("Cannot parse argument '{value}' of option {option}")]
    Unreadable { option: &'static str, value: String },
    #[error("Found multiple arguments for option {0}, but you asked for only one")]
    Repeated(&'static str),
    #[error("Missing required argument \"[{0}]\"")]
    Missing(&'static str),
    #[error("Option \"[{used}]\" can't be used with option \"[{with}]\"")]
    Excluded { used: &'static str, with: &'static str },
}

/// The options of one command line.
#[derive(Debug)]
pub struct Parsed {
    spec: &'static Spec,
    given: BTreeMap<&'static str, Vec<String>>,
    order: Vec<&'static str>,
    /// The words that are no options.
    pub rest: Vec<String>,
    /// The command line itself, for tools that repeat it in their messages.
    pub words: Vec<String>,
}

impl Parsed {
    /// # Errors
    /// What joptsimple would refuse: an unknown option, a missing argument, an argument of the wrong kind.
    pub fn parse(spec: &'static Spec, arguments: &[String]) -> Result<Parsed, Fault> {
        let mut parsed = Parsed {
            spec,
            given: BTreeMap::new(),
            order: Vec::new(),
            rest: Vec::new(),
            words: arguments.to_vec(),
        };
        let mut words = arguments.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                parsed.rest.extend(words.by_ref().map(str::to_owned));
            } else if let Some(long) = word.strip_prefix("--") {
                let (option, attached) = parsed.recognize(long)?;
                parsed.accept(option, attached, &mut words)?;
            } else if word.len() > 1 && word.starts_with('-') {
                parsed.accept_single_dash(&word[1..], &mut words)?;
            } else {
                parsed.rest.push(word.to_owned());
            }
        }
        Ok(parsed)
    }

    /// What another grammar has read.
    pub(super) fn of(
        spec: &'static Spec,
        given: BTreeMap<&'static str, Vec<String>>,
        words: Vec<String>,
    ) -> Parsed {
        let order = given.keys().copied().collect();
        Parsed { spec, given, order, rest: Vec::new(), words }
    }

    /// The option that a word without its dashes names, and the argument behind `=`.
    fn recognize<'a>(&self, word: &'a str) -> Result<(&'static Opt, Option<&'a str>), Fault> {
        let (name, attached) = match word.split_once('=') {
            Some((name, attached)) => (name, Some(attached)),
            None => (word, None),
        };
        let unknown = || Fault::Unrecognized(name.to_owned());
        if let Some(option) = self.spec.find(name) {
            return Ok((option, attached));
        }
        if !self.spec.abbreviations || name.is_empty() {
            return Err(unknown());
        }
        let mut candidates = self.spec.options.iter().filter(|option| option.name.starts_with(name));
        match (candidates.next(), candidates.next()) {
            (Some(option), None) => Ok((option, attached)),
            (None, _) => Err(unknown()),
            _ => {
                let of = self.spec.options.iter().map(|option| option.name);
                let candidates = of.filter(|option| option.starts_with(name)).collect();
                Err(Fault::Ambiguous { given: name.to_owned(), candidates })
            }
        }
    }

    /// `-topic x`, or a cluster of options of one letter, of which Kafka's tools have none but `-h`.
    fn accept_single_dash<'a>(
        &mut self,
        word: &str,
        words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    ) -> Result<(), Fault> {
        match self.recognize(word) {
            Ok((option, attached)) => self.accept(option, attached, words),
            // joptsimple then reads the letters one by one, and names the first that it does not know.
            Err(Fault::Unrecognized(name)) => {
                Err(Fault::Unrecognized(name.chars().next().map(String::from).unwrap_or_default()))
            }
            Err(fault) => Err(fault),
        }
    }

    fn accept<'a>(
        &mut self,
        option: &'static Opt,
        attached: Option<&str>,
        words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    ) -> Result<(), Fault> {
        let attached = attached.filter(|argument| !argument.is_empty()).map(str::to_owned);
        let argument = match option.argument {
            Argument::None => None,
            Argument::Required => match attached.or_else(|| words.next().map(str::to_owned)) {
                Some(argument) => Some(argument),
                None => return Err(Fault::ArgumentMissing(option.name)),
            },
            Argument::Optional => {
                attached.or_else(|| words.next_if(|next| !looks_like_an_option(next)).map(str::to_owned))
            }
        };
        self.given.entry(option.name).or_default().extend(argument);
        self.order.push(option.name);
        Ok(())
    }

    /// # Panics
    /// When the tool has no such option, which is a bug of the tool.
    fn option(&self, name: &str) -> &'static Opt {
        match self.spec.find(name) {
            Some(option) => option,
            None => panic!("no option is called {name}"),
        }
    }

    /// Whether the option was given.
    pub fn has(&self, name: &'static str) -> bool {
        self.given.contains_key(self.option(name).name)
    }

    /// The same for an option that not every tool has.
    pub fn has_if_known(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// The options in the order in which they stand, for those that belong together by it.
    pub fn order(&self) -> &[&'static str] {
        &self.order
    }

    /// All arguments that were given for an option; its default does not count.
    pub fn values(&self, name: &'static str) -> &[String] {
        self.given.get(self.option(name).name).map_or(&[], Vec::as_slice)
    }

    /// The argument of an option that makes sense once, or its default.
    ///
    /// # Errors
    /// When it was given more than once.
    pub fn value(&self, name: &'static str) -> Result<Option<&str>, Fault> {
        match self.values(name) {
            [] => Ok(self.option(name).default),
            [one] => Ok(Some(one)),
            _ => Err(Fault::Repeated(self.option(name).name)),
        }
    }

    /// As [`Parsed::value`], for a number. As with joptsimple, what is no number is noticed when it is asked for.
    ///
    /// # Errors
    /// When it was given more than once, or is no number of this size.
    pub fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<Option<N>, Fault> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let unreadable = Fault::Unreadable { option: self.option(name).name, value: value.to_owned() };
        value.parse().map(Some).or(Err(unreadable))
    }

    /// The argument as it was written, which is a number if the option takes one.
    ///
    /// # Errors
    /// When it was given more than once, or is no number of the option's size.
    pub fn checked(&self, name: &'static str) -> Result<Option<&str>, Fault> {
        match self.option(name).kind {
            Kind::String => {}
            Kind::Integer => {
                self.number::<i32>(name)?;
            }
            Kind::Long => {
                self.number::<i64>(name)?;
            }
        }
        self.value(name)
    }

    /// # Errors
    /// Names the first of these options that is missing.
    pub fn require(&self, names: &[&'static str]) -> Result<(), Fault> {
        match names.iter().find(|name| !self.has(name)) {
            Some(name) => Err(Fault::Missing(self.option(name).name)),
            None => Ok(()),
        }
    }

    /// # Errors
    /// Names the first option of `invalid` that was given although `used` was.
    pub fn exclude(&self, used: &'static str, invalid: &[&'static str]) -> Result<(), Fault> {
        if !self.has(used) {
            return Ok(());
        }
        match invalid.iter().find(|name| self.has(name)) {
            Some(with) => Err(Fault::Excluded { used, with: self.option(with).name }),
            None => Ok(()),
        }
    }
}

fn looks_like_an_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

impl From<Fault> for crate::failure::Failure {
    fn from(fault: Fault) -> crate::failure::Failure {
        crate::failure::Failure::Usage(fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{flag, integer, text};
    use super::*;

    const STRICT: Spec = Spec { options: OPTIONS, abbreviations: false };
    const LOOSE: Spec = Spec { options: OPTIONS, abbreviations: true };
    const OPTIONS: &[Opt] = &[
        flag("list", ""),
        text("topic", "topic", ""),
        text("topic-id", "id", ""),
        integer("partitions", "n", "").or("7"),
        text("state", "state", "").optional(),
    ];

    fn parse(spec: &'static Spec, line: &str) -> Result<Parsed, Fault> {
        Parsed::parse(spec, &line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_follow_or_are_attached() {
        for line in ["--topic a --list", "--topic=a --list", "-topic a -list", "--topic= a --list=x"] {
            let parsed = parse(&STRICT, line).unwrap();
            assert_eq!(parsed.value("topic"), Ok(Some("a")), "{line}");
            assert!(parsed.has("list"), "{line}");
        }
    }

    #[test]
    fn a_required_argument_takes_what_comes_next_and_an_optional_one_does_not() {
        assert_eq!(parse(&STRICT, "--topic --list").unwrap().value("topic"), Ok(Some("--list")));
        let parsed = parse(&STRICT, "--state --list").unwrap();
        assert!(parsed.has("state") && parsed.values("state").is_empty() && parsed.has("list"));
        assert_eq!(parse(&STRICT, "--state Empty").unwrap().value("state"), Ok(Some("Empty")));
        assert_eq!(parse(&STRICT, "--topic").unwrap_err().to_string(), "Option topic requires an argument");
    }

    #[test]
    fn unknown_options_are_named() {
        assert_eq!(parse(&STRICT, "--lst").unwrap_err().to_string(), "lst is not a recognized option");
        assert_eq!(parse(&STRICT, "-lst").unwrap_err().to_string(), "l is not a recognized option");
        assert_eq!(parse(&STRICT, "--li").unwrap_err().to_string(), "li is not a recognized option");
    }

    #[test]
    fn an_abbreviation_must_be_unambiguous() {
        assert!(parse(&LOOSE, "--li").unwrap().has("list"));
        assert_eq!(parse(&LOOSE, "--topic x").unwrap().value("topic"), Ok(Some("x")));
        assert!(matches!(parse(&LOOSE, "--top x"), Err(Fault::Ambiguous { .. })));
    }

    #[test]
    fn numbers_are_checked_and_defaults_stand_in() {
        assert_eq!(parse(&STRICT, "--list").unwrap().number::<i32>("partitions"), Ok(Some(7)));
        assert_eq!(
            parse(&STRICT, "--partitions x").unwrap().number::<i32>("partitions").unwrap_err().to_string(),
            "Cannot parse argument 'x' of option partitions"
        );
        let twice = parse(&STRICT, "--partitions 1 --partitions 2").unwrap();
        assert_eq!(
            twice.value("partitions").unwrap_err().to_string(),
            "Found multiple arguments for option partitions, but you asked for only one"
        );
    }

    #[test]
    fn what_is_no_option_is_kept_apart() {
        let parsed = parse(&STRICT, "a --list - b -- --topic").unwrap();
        assert_eq!(parsed.rest, ["a", "-", "b", "--topic"]);
        assert!(!parsed.has("topic"));
    }
}
