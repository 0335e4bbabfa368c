//! The texts of a [`Spec`] as the C strings that system calls take, made once and held.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::c_string::{absolute, c_string};
use super::error::ConfigError;
use super::spec::Spec;

/// The longest host name, in bytes (`__NEW_UTS_LEN`).
const MAX_HOSTNAME: usize = 64;
/// The host name of a container that was given none.
const DEFAULT_HOSTNAME: &str = "isobench";

/// The texts of a [`Spec`] as C strings.
#[derive(Debug, Clone)]
pub struct Strings {
    /// The absolute paths of the layers on the host, lowest first.
    pub layers: Vec<CString>,
    /// The host name.
    pub hostname: CString,
    /// The directory in which the program starts.
    pub working_directory: CString,
    /// The program's path.
    pub program: CString,
    /// The program's arguments, of which its own name is the first.
    pub arguments: Vec<CString>,
    /// The program's environment, as `KEY=VALUE`.
    pub environment: Vec<CString>,
}

impl Strings {
    /// Makes the strings of `spec`.
    ///
    /// # Errors
    /// A text has a zero byte in it, a variable has no name, or the host name is empty or too long.
    pub fn of(spec: &Spec) -> Result<Self, ConfigError> {
        let layers = spec.layers.iter().map(|path| absolute("layer", path));
        let name = spec.name.as_deref().unwrap_or(spec.program.as_os_str());
        let names = std::iter::once(name).chain(spec.arguments.iter().map(OsString::as_os_str));
        let directory = spec.working_directory.as_deref().unwrap_or(Path::new("/"));
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            hostname: hostname(spec.hostname.as_deref())?,
            working_directory: c_string(directory)?,
            program: c_string(&spec.program)?,
            arguments: names.map(c_string).collect::<Result<_, _>>()?,
            environment: spec
                .environment
                .iter()
                .map(|text| variable(text))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn hostname(name: Option<&OsStr>) -> Result<CString, ConfigError> {
    let name = name.unwrap_or(OsStr::new(DEFAULT_HOSTNAME));
    if name.is_empty() || name.len() > MAX_HOSTNAME {
        return Err(ConfigError::Hostname {
            name: name.to_owned(),
        });
    }
    c_string(name)
}

fn variable(text: &OsStr) -> Result<CString, ConfigError> {
    let equals = text.as_bytes().iter().position(|byte| *byte == b'=');
    if equals.is_none_or(|position| position == 0) {
        return Err(ConfigError::Environment {
            text: text.to_owned(),
        });
    }
    c_string(text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_programs_name_is_its_first_argument() {
        let spec = Spec {
            program: PathBuf::from("/bin/true"),
            arguments: vec!["a".into()],
            ..Spec::default()
        };
        let arguments = Strings::of(&spec).unwrap().arguments;
        assert_eq!(arguments, [c"/bin/true".to_owned(), c"a".to_owned()]);
        let named = Spec {
            name: Some("./typed".into()),
            ..spec
        };
        let arguments = Strings::of(&named).unwrap().arguments;
        assert_eq!(arguments, [c"./typed".to_owned(), c"a".to_owned()]);
    }
}
