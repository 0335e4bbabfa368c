//! The user that a program in a container runs as.

use std::fmt::{self, Display};
use std::str::FromStr;

/// A user and its groups, in ids of the container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The id of the primary group.
    pub gid: u32,
    /// The ids of further groups.
    pub groups: Vec<u32>,
}

impl User {
    /// All ids: of the user, the primary group and the further groups.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        [self.uid, self.gid]
            .into_iter()
            .chain(self.groups.iter().copied())
    }
}

/// A text that is no [`User`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not UID:GID or UID:GID:GROUP,..., all of them numbers")]
pub struct UserSyntaxError {
    text: String,
}

impl FromStr for User {
    type Err = UserSyntaxError;

    /// Reads `UID:GID` or `UID:GID:GROUP,GROUP,...`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.splitn(3, ':');
            Some(Self {
                uid: parts.next()?.parse().ok()?,
                gid: parts.next()?.parse().ok()?,
                groups: match parts.next() {
                    Some(groups) => {
                        let groups = groups.split(',').map(str::parse);
                        groups.collect::<Result<_, _>>().ok()?
                    }
                    None => Vec::new(),
                },
            })
        };
        parse().ok_or_else(|| UserSyntaxError {
            text: text.to_owned(),
        })
    }
}

impl Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)?;
        for (index, group) in self.groups.iter().enumerate() {
            write!(f, "{}{group}", if index == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_written_as_it_is_read() {
        for text in ["0:0", "1000:100", "7:8:9", "7:8:9,10"] {
            assert_eq!(text.parse::<User>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_error_names_the_text_that_is_no_user() {
        for text in ["", "1", "1:", "a:1", "-1:0", "1:2:", "1:2:3,", "1:2:3:4"] {
            let error = text.parse::<User>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
