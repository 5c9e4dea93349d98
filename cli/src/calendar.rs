//! Times as Java's `SimpleDateFormat` writes them, which is how users of the performance tools give a format.
//!
//! English names, as in Kafka's scripts' default locale. Deliberately absent: the letters whose meaning depends on where
//! weeks begin (`Y`, `w`, `W`, `F`); they are refused by name.

use jiff::Zoned;

/// Milliseconds since the epoch.
pub fn now_ms() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// A moment in the zone of this machine.
#[derive(Debug, Clone)]
pub struct LocalTime(Zoned);

/// A pattern that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("Illegal pattern character '{0}'")]
    Illegal(char),
    #[error("the pattern letter '{0}' is not supported, since it depends on where weeks begin")]
    Week(char),
    #[error("Unterminated quote")]
    Quote,
}

impl LocalTime {
    pub fn now() -> LocalTime {
        LocalTime(Zoned::now())
    }

    pub fn of(time: Zoned) -> LocalTime {
        LocalTime(time)
    }

    /// # Errors
    /// When the pattern is not one that `SimpleDateFormat` takes, or asks for weeks.
    pub fn format(&self, pattern: &str) -> Result<String, PatternError> {
        let mut text = String::new();
        let mut rest = pattern.chars().peekable();
        while let Some(letter) = rest.next() {
            match letter {
                '\'' => quoted(&mut rest, &mut text)?,
                letter if letter.is_ascii_alphabetic() => {
                    let mut width = 1;
                    while rest.next_if_eq(&letter).is_some() {
                        width += 1;
                    }
                    text.push_str(&self.field(letter, width)?);
                }
                other => text.push(other),
            }
        }
        Ok(text)
    }

    fn field(&self, letter: char, width: usize) -> Result<String, PatternError> {
        let time = &self.0;
        let number = |value: i64| Ok(format!("{value:0width$}"));
        match letter {
            'y' if width == 2 => Ok(format!("{:02}", time.year().rem_euclid(100))),
            'y' => number(time.year().into()),
            'M' | 'L' if width > 2 => Ok(name(&time.strftime("%B").to_string(), width)),
            'M' | 'L' => number(time.month().into()),
            'd' => number(time.day().into()),
            'D' => number(time.day_of_year().into()),
            'E' => Ok(name(&time.strftime("%A").to_string(), width)),
            'u' => number(time.weekday().to_monday_one_offset().into()),
            'a' => Ok(if time.hour() < 12 { "AM" } else { "PM" }.to_owned()),
            'H' => number(time.hour().into()),
            'k' => number(if time.hour() == 0 { 24 } else { time.hour().into() }),
            'K' => number((time.hour() % 12).into()),
            'h' => number(if time.hour() % 12 == 0 { 12 } else { (time.hour() % 12).into() }),
            'm' => number(time.minute().into()),
            's' => number(time.second().into()),
            'S' => number(time.millisecond().into()),
            'G' => Ok("AD".to_owned()),
            'z' => Ok(time.strftime("%Z").to_string()),
            'Z' => Ok(time.strftime("%z").to_string()),
            'X' => Ok(iso_offset(time.offset().seconds(), width)),
            'Y' | 'w' | 'W' | 'F' => Err(PatternError::Week(letter)),
            other => Err(PatternError::Illegal(other)),
        }
    }
}

/// Up to three letters mean the short form.
fn name(full: &str, width: usize) -> String {
    if width > 3 { full.to_owned() } else { full.chars().take(3).collect() }
}

fn iso_offset(seconds: i32, width: usize) -> String {
    if seconds == 0 {
        return "Z".to_owned();
    }
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    match width {
        1 => format!("{sign}{:02}", minutes / 60),
        2 => format!("{sign}{:02}{:02}", minutes / 60, minutes % 60),
        _ => format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
    }
}

/// Text between quotes; two quotes are one, inside and outside of such text.
fn quoted(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    text: &mut String,
) -> Result<(), PatternError> {
    if rest.next_if_eq(&'\'').is_some() {
        text.push('\'');
        return Ok(());
    }
    loop {
        match rest.next() {
            Some('\'') if rest.next_if_eq(&'\'').is_some() => text.push('\''),
            Some('\'') => return Ok(()),
            Some(other) => text.push(other),
            None => return Err(PatternError::Quote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> LocalTime {
        LocalTime(text.parse().unwrap())
    }

    #[test]
    fn patterns_as_java_writes_them() {
        let time = at("2022-05-03T00:07:08.009+02:00[+02:00]");
        for (pattern, expected) in [
            ("yyyy-MM-dd HH:mm:ss:SSS", "2022-05-03 00:07:08:009"),
            ("yy/M/d h:m a", "22/5/3 12:7 AM"),
            ("EEE, EEEE d MMM MMMM", "Tue, Tuesday 3 May May"),
            ("'at' k 'o''clock'", "at 24 o'clock"),
            ("Z X XX XXX D u", "+0200 +02 +0200 +02:00 123 2"),
        ] {
            assert_eq!(time.format(pattern).as_deref(), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        let time = at("2022-05-03T00:07:08Z[UTC]");
        assert_eq!(time.format("yyyy-mm-DDTHH"), Err(PatternError::Illegal('T')));
        assert_eq!(time.format("ww"), Err(PatternError::Week('w')));
        assert_eq!(time.format("'open"), Err(PatternError::Quote));
    }
}
