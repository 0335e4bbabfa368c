//! What a runtime may leave behind that doesn't go with its processes: a container that it knows of, files, cgroups in
//! hierarchies that isobench has no use for. A target names them with the command line; whoever started that has them
//! taken away.

use std::fs;
use std::time::Duration;

use isobench_container::cgroup::Cgroup;

use crate::instance::bounded_command;
use crate::instance::command_line::Leftovers;

/// How long a runtime may take to delete a container.
const PATIENCE: Duration = Duration::from_secs(10);

impl Leftovers {
    /// Takes them away; `well` says that the instance ended well, so that the runtime has deleted the container itself.
    /// What resists is taken away with the session.
    pub fn remove(&self, well: bool) {
        if let (false, Some(deletion)) = (well, &self.deletion) {
            // Whether it knows the container depends on how far that had got.
            let _ = bounded_command::run(deletion, PATIENCE);
        }
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir_all(directory);
        }
        for path in &self.cgroups {
            // Dropping it kills what is in it and removes it. As a rule there is none.
            drop(Cgroup::adopt(path.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::command_line::CommandLine;

    #[test]
    fn the_container_is_deleted_only_after_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let told = directory.path().join("told");
        let script = format!("echo deleted >> {}", told.display());
        let own = directory.path().join("own");
        let leftovers = Leftovers {
            deletion: Some(Box::new(CommandLine::new("/bin/sh").args(["-c", &script]))),
            directory: Some(own.clone()),
            cgroups: vec!["/sys/fs/cgroup/no-such-group".into()],
        };
        fs::create_dir(&own).unwrap();
        leftovers.remove(true);
        assert!(!own.exists() && !told.exists());
        leftovers.remove(false);
        assert!(told.exists());
    }
}
