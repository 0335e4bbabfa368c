//! Removes what a runtime leaves behind after its processes have ended. A target names these
//! leftovers with the command line, and the code that starts the command has them removed.

use std::fs;
use std::time::Duration;

use isobench_container::cgroup::Cgroup;

use crate::instance::bounded_command;
use crate::instance::command_line::{CommandResult, Leftovers};

/// How long a runtime may take to delete a container.
pub const DELETION_LIMIT: Duration = Duration::from_secs(10);

impl Leftovers {
    /// Removes the leftovers of an instance. After a success the runtime itself has deleted the
    /// container. What can't be removed now is removed at the end of the session.
    pub fn remove_after(&self, result: CommandResult) {
        if let (CommandResult::Failure, Some(deletion)) = (result, &self.deletion) {
            // A start that failed early has made no container, and then the deletion fails.
            let _ = bounded_command::run(deletion, DELETION_LIMIT);
        }
        if let Some(mounted) = &self.mounted {
            // What is still mounted goes with the namespace.
            let _ = mounted.unmount();
        }
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir_all(directory);
        }
        for path in &self.cgroups {
            // Dropping a cgroup kills its processes and removes it. Usually the cgroup is gone
            // already.
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
        let log = directory.path().join("log");
        let script = format!("echo deleted >> {}", log.display());
        let own = directory.path().join("own");
        let leftovers = Leftovers {
            deletion: Some(Box::new(CommandLine::new("/bin/sh").args(["-c", &script]))),
            directory: Some(own.clone()),
            mounted: None,
            cgroups: vec!["/sys/fs/cgroup/no-such-group".into()],
        };
        fs::create_dir(&own).unwrap();
        leftovers.remove_after(CommandResult::Success);
        assert!(!own.exists());
        assert!(!log.exists());
        leftovers.remove_after(CommandResult::Failure);
        assert!(log.exists());
    }
}
