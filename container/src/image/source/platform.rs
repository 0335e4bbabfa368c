//! Which of the machines that images are made for this machine is.

use std::arch::is_x86_feature_detected as has;

use super::documents::Platform;

impl Platform {
    /// Whether programs for this platform are for this machine, or may be. What a builder leaves
    /// out or leaves empty is taken for this machine's.
    pub fn is_ours(&self) -> bool {
        let lower = |text: &Option<String>| text.as_deref().unwrap_or_default().to_lowercase();
        let architecture = lower(&self.architecture);
        matches!(architecture.as_str(), "" | "amd64" | "x86_64" | "x86-64")
            && matches!(lower(&self.os).as_str(), "" | "linux")
    }

    /// How well programs for this platform fit a processor of `level`: the higher, the better.
    pub fn rank(&self, level: u8) -> u8 {
        let wanted = match self.variant.as_deref() {
            None | Some("" | "v1") => 1,
            Some("v2") => 2,
            Some("v3") => 3,
            Some("v4") => 4,
            Some(_) => return 0,
        };
        if wanted <= level { wanted } else { 0 }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        write!(f, "{}/{}", part(&self.os), part(&self.architecture))?;
        match &self.variant {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

/// The level of this processor, from 1 to 4 (x86-64 psABI, "Micro-Architecture Levels"). Features
/// that no processor lacks which has the others aren't asked for.
pub fn level() -> u8 {
    let second = has!("sse4.2") && has!("ssse3") && has!("popcnt") && has!("cmpxchg16b");
    let third = has!("avx2") && has!("bmi1") && has!("bmi2") && has!("fma") && has!("movbe");
    let fourth = has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq");
    match (second, third, fourth && has!("avx512vl")) {
        (true, true, true) => 4,
        (true, true, false) => 3,
        (true, false, _) => 2,
        (false, ..) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        Platform {
            architecture: Some(architecture.to_owned()),
            os: Some(os.to_owned()),
            variant: variant.map(str::to_owned),
        }
    }

    #[test]
    fn this_machine_has_many_names() {
        for (os, architecture) in [("linux", "amd64"), ("", ""), ("Linux", "x86_64")] {
            assert!(
                platform(os, architecture, None).is_ours(),
                "{os} {architecture}"
            );
        }
        assert!(Platform::default().is_ours());
        for (os, architecture) in [
            ("linux", "arm64"),
            ("windows", "amd64"),
            ("unknown", "unknown"),
        ] {
            assert!(
                !platform(os, architecture, None).is_ours(),
                "{os} {architecture}"
            );
        }
    }

    #[test]
    fn the_highest_variant_that_runs_is_the_best() {
        let ranks = |level| {
            let variants = [
                None,
                Some("v1"),
                Some("v2"),
                Some("v3"),
                Some("v4"),
                Some("v9"),
            ];
            variants.map(|variant| platform("linux", "amd64", variant).rank(level))
        };
        assert_eq!(ranks(1), [1, 1, 0, 0, 0, 0]);
        assert_eq!(ranks(3), [1, 1, 2, 3, 0, 0]);
        assert!((1..=4).contains(&level()));
    }
}
