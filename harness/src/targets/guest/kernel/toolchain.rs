//! The programs and headers that a kernel's build needs, and their versions on this host.

use std::env;
use std::path::Path;
use std::process::Command;

use super::KernelError;

/// Each program, and the package of Debian that contains it.
const PROGRAMS: [(&str, &str); 10] = [
    ("make", "make"),
    ("gcc", "gcc"),
    ("ld", "binutils"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
    ("lz4", "lz4"),
    ("setpriv", "util-linux"),
];
/// Each header file, and the package of Debian that contains it.
const HEADERS: [(&str, &str); 2] = [
    ("libelf.h", "libelf-dev"),
    ("openssl/opensslv.h", "libssl-dev"),
];

/// Checks that all programs and headers are installed.
///
/// # Errors
/// [`KernelError::Tools`], with the command that installs what is missing.
pub fn check() -> Result<(), KernelError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let has_program =
        |name: &str| env::split_paths(&path).any(|directory| directory.join(name).is_file());
    let has_header = |name: &str| {
        [
            "/usr/include",
            "/usr/include/x86_64-linux-gnu",
            "/usr/local/include",
        ]
        .iter()
        .any(|directory| Path::new(directory).join(name).is_file())
    };
    let programs = PROGRAMS.iter().filter(|(name, _)| !has_program(name));
    let headers = HEADERS.iter().filter(|(name, _)| !has_header(name));
    missing(programs.chain(headers).copied().collect())
}

/// The error for missing programs and headers, each with its package.
fn missing(needs: Vec<(&str, &str)>) -> Result<(), KernelError> {
    if needs.is_empty() {
        return Ok(());
    }
    let (missing, packages) = needs
        .into_iter()
        .map(|(name, package)| (name.to_owned(), package.to_owned()))
        .unzip();
    Err(KernelError::Tools { missing, packages })
}

/// The compiler and the linker with their versions.
pub fn versions() -> String {
    let first_line = |program: &str| {
        let output = Command::new(program).arg("--version").output().ok()?;
        Some(
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .next()?
                .to_owned(),
        )
    };
    ["gcc", "ld"]
        .iter()
        .filter_map(|program| first_line(program))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_missing_tools_has_the_command_that_installs_them() {
        let error = missing(vec![("flex", "flex"), ("libelf.h", "libelf-dev")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a kernel's build needs flex, libelf.h; install with: \
             apt-get install --no-install-recommends flex libelf-dev"
        );
        assert!(error.is_bad_input());
        assert!(missing(Vec::new()).is_ok());
    }
}
