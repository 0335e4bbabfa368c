//! The texts of a report, one file for each language, and how values are written.
//!
//! A text has a name, and a language is a file of texts by name (`reports/words/`). Values stand in
//! braces, so that each language puts them where its grammar needs them. A test compares the
//! languages with each other and with the code: every text that is used exists in each language
//! with the same values, and every text is used.

pub mod given;
pub mod text;
pub mod units;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fmt::Write as _;

use crate::model::Unit;
use crate::statistics::{Bounds, Interval, Tail};

/// A language of reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese, in simplified characters.
    Chinese,
}

impl Language {
    /// The tag of the language, for documents.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    const fn file(self) -> &'static str {
        match self {
            Self::English => include_str!("../../words/en.toml"),
            Self::Chinese => include_str!("../../words/zh.toml"),
        }
    }
}

/// The texts of one language.
#[derive(Debug)]
pub struct Words {
    language: Language,
    subjects: BTreeMap<String, BTreeMap<String, String>>,
}

impl Words {
    /// Reads the texts of a language.
    pub fn of(language: Language) -> Self {
        // The files are part of the program, and a test reads each of them.
        let subjects = basic_toml::from_str(language.file()).unwrap_or_default();
        Self { language, subjects }
    }

    /// The language of the texts.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The text of this name, which is a subject and a key with a full stop between them.
    pub fn text<'w>(&'w self, name: &'w str) -> &'w str {
        self.find(name).unwrap_or(name)
    }

    /// The text of this name with its values.
    pub fn say(&self, name: &str, values: &[(&str, &dyn Display)]) -> String {
        let mut said = String::new();
        let mut rest = self.text(name);
        // Values are inserted in one pass, so that braces in a value are only text.
        while let Some((before, after)) = rest.split_once('{') {
            said.push_str(before);
            let (key, after) = after.split_once('}').unwrap_or((after, ""));
            if let Some((_, value)) = values.iter().find(|(known, _)| *known == key) {
                let _ = write!(said, "{value}");
            }
            rest = after;
        }
        said.push_str(rest);
        said
    }

    /// The text of this name with its only value.
    pub fn say_one(&self, name: &str, key: &str, value: impl Display) -> String {
        self.say(name, &[(key, &value)])
    }

    /// The text of this name, if there is one; for names that come from results.
    pub fn find(&self, name: &str) -> Option<&str> {
        let (subject, key) = name.split_once('.')?;
        self.entry(subject, key)
    }

    fn entry(&self, subject: &str, key: &str) -> Option<&str> {
        self.subjects.get(subject)?.get(key).map(String::as_str)
    }

    /// An enumeration: `a`, `a and b`, `a, b and c`.
    pub fn list(&self, items: &[String]) -> String {
        match items {
            [] => String::new(),
            [only] => only.clone(),
            [first @ .., last] => {
                let first = first.join(self.text("list.comma"));
                format!("{first}{}{last}", self.text("list.and"))
            }
        }
    }

    /// An interval with its unit.
    pub fn interval(&self, unit: Unit, interval: Interval, centre: f64) -> String {
        self.range(&units::interval(unit, interval, centre))
    }

    /// An interval of ratios.
    pub fn ratio_interval(&self, interval: Interval) -> String {
        self.range(&units::ratio_interval(interval))
    }

    /// How sure a far quantile is: its interval, or what an interval would take.
    pub fn bounds(&self, unit: Unit, tail: Tail) -> String {
        match tail.bounds {
            Bounds::Within(interval) => self.interval(unit, interval, tail.value),
            Bounds::Needs(more) => self.say("tails.needs", &[("count", &more)]),
            Bounds::NeedsRounds => self.text("tails.needs-rounds").to_owned(),
        }
    }

    /// An interval of shares of trials.
    pub fn share_interval(&self, interval: Interval) -> String {
        self.range(&units::share_interval(interval))
    }

    fn range(&self, english: &str) -> String {
        english.replace(" to ", self.text("list.to"))
    }
}

/// A value with its unit that no line end can divide.
pub fn unbroken(unit: Unit, value: f64) -> String {
    units::value(unit, value).replace(' ', "\u{a0}")
}

/// A difference with its sign and its unit that no line end can divide.
pub fn signed(unit: Unit, value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}", unbroken(unit, value))
}

/// The name with a capital, for a title.
pub fn capital(name: &str) -> String {
    let mut characters = name.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
