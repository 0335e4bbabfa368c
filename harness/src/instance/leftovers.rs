//! Takes away what a runtime leaves behind that doesn't go with its processes. A target names these
//! leftovers with the command line; whoever starts the command has them taken away.

use std::fs;
use std::time::Duration;

use isobench_container::cgroup::Cgroup;

use crate::instance::bounded_command;
use crate::instance::command_line::{CommandResult, Leftovers};

/// How long a runtime may take to delete a container.
const PATIENCE: Duration = Duration::from_secs(10);

impl Leftovers {
    /// Takes the leftovers of an instance away. After a success the runtime has deleted the container
    /// itself. What resists is taken away with the session.
    pub fn remove_after(&self, result: CommandResult) {
        if let (CommandResult::Failure, Some(deletion)) = (result, &self.deletion) {
            // Whether the runtime knows the container depends on how far the start had got.
            let _ = bounded_command::run(deletion, PATIENCE);
        }
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir_all(directory);
        }
        for path in &self.cgroups {
            // Dropping a group kills what is in the group and removes it. As a rule there is none.
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
        leftovers.remove_after(CommandResult::Success);
        assert!(!own.exists() && !told.exists());
        leftovers.remove_after(CommandResult::Failure);
        assert!(told.exists());
    }
}
