//! The names that users give to images.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes. The store has a file of that name.
const MAX_LENGTH: usize = 200;

/// A name such as `debian:12` or `localhost/tools/busybox:latest`. A name without a tag gets the
/// tag `latest`, as in other tools.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName {
    text: String,
}

impl ImageName {
    /// A name that resembles `text`, for an image that brings no name of its own.
    ///
    /// # Errors
    /// No character of `text` is allowed in a name.
    pub fn resembling(text: &str) -> Result<Self, NameSyntaxError> {
        let allowed: String = text
            .chars()
            .map(|c| if is_allowed(c) { c } else { '-' })
            .collect();
        allowed.trim_start_matches(['-', '.', ':', '/']).parse()
    }

    /// The name of the image's file in the store. Of the characters of a name only the slash must
    /// be replaced.
    pub fn file_name(&self) -> String {
        format!("{}.json", self.text.replace('/', "%"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '+')
}

/// A text that is no [`ImageName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no name for an image; use letters, digits and `.`, `_`, `-`, `+`, `/`, `:`, as in debian:12"
)]
pub struct NameSyntaxError {
    text: String,
}

impl FromStr for ImageName {
    type Err = NameSyntaxError;

    fn from_str(text: &str) -> Result<Self, NameSyntaxError> {
        let refused = || NameSyntaxError {
            text: text.chars().take(MAX_LENGTH).collect(),
        };
        let good_start = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let good_end = text.ends_with(|c: char| c.is_ascii_alphanumeric());
        if !good_start || !good_end || !text.chars().all(is_allowed) {
            return Err(refused());
        }
        let last = text.rsplit('/').next().unwrap_or(text);
        let text = if last.contains([':', '@']) {
            text.to_owned()
        } else {
            format!("{text}:latest")
        };
        if text.len() > MAX_LENGTH {
            return Err(refused());
        }
        Ok(Self { text })
    }
}

impl TryFrom<String> for ImageName {
    type Error = NameSyntaxError;

    fn try_from(text: String) -> Result<Self, NameSyntaxError> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.text
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_without_a_tag_gets_the_tag_latest() {
        for (text, name) in [
            ("busybox", "busybox:latest"),
            ("busybox:1", "busybox:1"),
            ("host:5000/a/b", "host:5000/a/b:latest"),
            ("a@sha256:00", "a@sha256:00"),
        ] {
            assert_eq!(text.parse::<ImageName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_text_that_is_no_name_is_refused() {
        for text in [
            "",
            "-a",
            "a b",
            "a\n",
            ":a",
            "../a",
            "a/",
            "%",
            &"a".repeat(200),
        ] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_can_be_made_to_resemble_a_text() {
        let resembling = ImageName::resembling(".my image").unwrap();
        assert_eq!(resembling.as_str(), "my-image:latest");
        assert!(ImageName::resembling("..").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_with_a_plain_file_name_or_refused(text in "\\PC{0,30}|[a-z./:]{1,12}") {
            if let Ok(name) = text.parse::<ImageName>() {
                prop_assert_eq!(&name.as_str().parse::<ImageName>().unwrap(), &name);
                let file = name.file_name();
                prop_assert!(!file.contains('/') && !file.starts_with('.') && file.len() <= 255);
            }
        }
    }
}
