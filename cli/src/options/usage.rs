//! The options of a tool as text: two columns within eighty characters, by name, as Kafka's tools print them.

use super::{Argument, Kind, Opt, Spec};

const LEFT: usize = 38;
const WIDTH: usize = 80;

/// The usage of a tool.
pub fn usage(spec: &Spec) -> String {
    let mut options: Vec<&Opt> = spec.options.iter().collect();
    options.sort_by_key(|option| option.name);
    let mut text = String::new();
    row(&mut text, "Option", "Description");
    row(&mut text, "------", "-----------");
    for option in options {
        row(&mut text, &signature(option), &description(option));
    }
    text
}

fn signature(option: &Opt) -> String {
    let kind = match option.kind {
        Kind::String => "String",
        Kind::Integer => "Integer",
        Kind::Long => "Long",
    };
    let argument = match option.placeholder {
        "" => kind.to_owned(),
        placeholder => format!("{kind}: {placeholder}"),
    };
    match option.argument {
        Argument::None => format!("--{}", option.name),
        Argument::Required => format!("--{} <{argument}>", option.name),
        Argument::Optional => format!("--{} [{argument}]", option.name),
    }
}

fn description(option: &Opt) -> String {
    match option.default {
        Some(default) => format!("{} (default: {default})", option.description),
        None => option.description.to_owned(),
    }
}

fn row(text: &mut String, left: &str, right: &str) {
    let left = wrap(left, LEFT);
    let right = wrap(right, WIDTH - LEFT - 2);
    for line in 0..left.len().max(right.len()) {
        let cell = |column: &[String]| column.get(line).cloned().unwrap_or_default();
        let both = format!("{:<LEFT$}  {}", cell(&left), cell(&right));
        text.push_str(both.trim_end());
        text.push('\n');
    }
}

/// Breaks at spaces; lines after the first are indented by two.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.trim().is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(format!("  {word}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::{flag, text};
    use super::*;

    const SPEC: Spec = Spec {
        options: &[
            text(
                "topic",
                "topic",
                "The topic, or for most actions a regular expression that selects topics.",
            ),
            flag("list", "List the topics."),
        ],
        abbreviations: false,
    };

    #[test]
    fn options_stand_in_order_and_within_the_width() {
        let usage = usage(&SPEC);
        assert!(usage.find("--list").unwrap() < usage.find("--topic <String: topic>").unwrap());
        assert!(usage.lines().all(|line| line.len() <= WIDTH), "{usage}");
    }
}
