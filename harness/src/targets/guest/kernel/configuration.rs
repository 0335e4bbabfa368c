//! The kernel's configuration: the fragment in `harness/kernel/guest.config`, each line with its reason.

use isobench_container::image::Digest;

use super::KernelError;

/// The fragment, which comes with the program.
const FRAGMENT: &str = include_str!("../../../../kernel/guest.config");

/// Options to be set; everything else is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// `CONFIG_NAME=VALUE`, in order.
    options: Vec<String>,
}

impl Configuration {
    /// The one that isobench's guests use.
    pub fn own() -> Self {
        Self::parse(FRAGMENT)
    }

    /// Reads a fragment: what stands behind `#` is the reason.
    fn parse(fragment: &str) -> Self {
        let options = fragment
            .lines()
            .map(|line| {
                line.split_once('#')
                    .map_or(line, |(option, _)| option)
                    .trim()
            })
            .filter(|option| !option.is_empty())
            .map(str::to_owned)
            .collect();
        Self { options }
    }

    /// As the kernel's Kconfig reads it.
    pub fn text(&self) -> String {
        let mut text = self.options.join("\n");
        text.push('\n');
        text
    }

    /// SHA-256 of the options in hexadecimal: a change of a reason alone builds nothing anew.
    pub fn hash(&self) -> String {
        Self::hash_of(&self.text())
    }

    /// SHA-256 of any text in hexadecimal.
    pub(super) fn hash_of(text: &str) -> String {
        Digest::of(text.as_bytes()).hex().to_owned()
    }

    /// Whether all options are in `resolved`, the `.config` that Kconfig made: it drops silently what the
    /// source doesn't know or what depends on something that is off.
    ///
    /// # Errors
    /// [`KernelError::Dropped`], naming those that aren't.
    pub fn check(&self, resolved: &str) -> Result<(), KernelError> {
        let kept: std::collections::HashSet<_> = resolved.lines().collect();
        let dropped: Vec<_> = self
            .options
            .iter()
            .filter(|option| !kept.contains(option.as_str()))
            .cloned()
            .collect();
        if dropped.is_empty() {
            Ok(())
        } else {
            Err(KernelError::Dropped(dropped.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_option_has_its_reason_and_stands_once() {
        let mut seen = HashSet::new();
        for line in FRAGMENT
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (option, reason) = line
                .split_once(" # ")
                .unwrap_or_else(|| panic!("no reason: {line}"));
            assert!(reason.len() >= 5, "{line}");
            let (name, value) = option.split_once('=').unwrap();
            assert!(name.starts_with("CONFIG_") && !value.is_empty(), "{line}");
            assert!(seen.insert(name), "{name} stands twice");
        }
        assert_eq!(seen.len(), Configuration::own().options.len());
    }

    #[test]
    fn the_hash_is_of_the_options_and_not_of_their_reasons() {
        let hash = |text| Configuration::parse(text).hash();
        assert_eq!(
            hash("# Why\nCONFIG_A=y # because\n"),
            hash("CONFIG_A=y # for another reason")
        );
        assert_ne!(hash("CONFIG_A=y"), hash("CONFIG_A=n"));
        assert_eq!(hash("CONFIG_A=y").len(), 64);
    }

    #[test]
    fn a_dropped_option_is_named() {
        let wanted = Configuration::parse("CONFIG_A=y # a\nCONFIG_B=3 # b\n");
        assert!(wanted.check("CONFIG_A=y\nCONFIG_B=3\nCONFIG_C=y\n").is_ok());
        let error = wanted
            .check("# CONFIG_A is not set\nCONFIG_B=3\n")
            .unwrap_err();
        assert!(error.to_string().contains("no CONFIG_A=y;"), "{error}");
    }
}
