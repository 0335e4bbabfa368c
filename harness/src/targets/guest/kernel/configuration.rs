//! The kernel's configuration: a fragment in `harness/kernel/`, in which each line has its reason.

use isobench_container::image::Digest;

use super::{Architecture, KernelError};

/// The options that are set. All others are off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The options as `CONFIG_NAME=VALUE`, in the order of the fragment.
    options: Vec<String>,
    /// Those of the options that not each source knows.
    optional: Vec<String>,
}

impl Configuration {
    /// The configuration of isobench's guests.
    pub fn of(architecture: Architecture) -> Self {
        Self::parse(architecture.fragment())
    }

    /// Parses a fragment. The text after `#` is the reason, which is left out. A `?` stands before an
    /// option that not each source knows.
    fn parse(fragment: &str) -> Self {
        let lines = fragment
            .lines()
            .map(|line| {
                line.split_once('#')
                    .map_or(line, |(option, _)| option)
                    .trim()
            })
            .filter(|option| !option.is_empty());
        let optional = lines.clone().filter_map(|line| line.strip_prefix('?'));
        let options = lines.clone().map(|line| line.trim_start_matches('?'));
        Self {
            options: options.map(str::to_owned).collect(),
            optional: optional.map(str::to_owned).collect(),
        }
    }

    /// The options in the form that the kernel's Kconfig reads.
    pub fn text(&self) -> String {
        let mut text = self.options.join("\n");
        text.push('\n');
        text
    }

    /// SHA-256 of the options, in hexadecimal. The reasons don't count: a changed reason causes no
    /// new build.
    pub fn hash(&self) -> String {
        Self::hash_of(&self.text())
    }

    /// SHA-256 of `text`, in hexadecimal.
    pub(super) fn hash_of(text: &str) -> String {
        Digest::of(text.as_bytes()).hex().to_owned()
    }

    /// Checks that all options are in `resolved`, the `.config` that Kconfig has made. Kconfig
    /// silently drops options that the source doesn't know or that depend on an option that is off.
    ///
    /// # Errors
    /// [`KernelError::Dropped`], with the dropped options.
    pub fn check(&self, resolved: &str) -> Result<(), KernelError> {
        let kept: std::collections::HashSet<_> = resolved.lines().collect();
        let dropped: Vec<_> = self
            .options
            .iter()
            .filter(|option| !kept.contains(option.as_str()) && !self.optional.contains(option))
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
    fn every_option_has_a_reason_and_occurs_once() {
        check_reasons(Architecture::X86_64);
        check_reasons(Architecture::Um);
    }

    fn check_reasons(architecture: Architecture) {
        let mut seen = HashSet::new();
        for line in architecture
            .fragment()
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (option, reason) = line
                .split_once(" # ")
                .unwrap_or_else(|| panic!("no reason: {line}"));
            assert!(reason.len() >= 5, "{line}");
            let (name, value) = option.split_once('=').unwrap();
            let name = name.trim_start_matches('?');
            assert!(name.starts_with("CONFIG_") && !value.is_empty(), "{line}");
            assert!(seen.insert(name), "{name} occurs twice");
        }
        assert_eq!(seen.len(), Configuration::of(architecture).options.len());
    }

    #[test]
    fn the_hash_depends_on_the_options_and_not_on_their_reasons() {
        let hash = |text| Configuration::parse(text).hash();
        assert_eq!(
            hash("# Why\nCONFIG_A=y # because\n"),
            hash("CONFIG_A=y # for another reason")
        );
        assert_ne!(hash("CONFIG_A=y"), hash("CONFIG_A=n"));
        assert_eq!(hash("CONFIG_A=y").len(), 64);
    }

    #[test]
    fn the_error_names_a_dropped_option() {
        let wanted = Configuration::parse("CONFIG_A=y # a\nCONFIG_B=3 # b\n?CONFIG_D=y # d\n");
        assert_eq!(wanted.text(), "CONFIG_A=y\nCONFIG_B=3\nCONFIG_D=y\n");
        assert!(wanted.check("CONFIG_A=y\nCONFIG_B=3\nCONFIG_C=y\n").is_ok());
        let error = wanted
            .check("# CONFIG_A is not set\nCONFIG_B=3\n")
            .unwrap_err();
        assert!(error.to_string().contains("no CONFIG_A=y;"), "{error}");
    }
}
