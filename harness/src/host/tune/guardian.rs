//! The guardian: the process that changes the host's settings for a run, and restores them when the
//! harness has finished or has been killed.
//!
//! The guardian holds a lock until the settings are restored: a second run would take the first one's
//! settings for the host's own.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use procfs::LockType;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::{GuardianMessage, settings};
use crate::host::session::Claim;

/// Changes the settings below `root`, reports each change on standard output, waits for the end of
/// standard input, and restores the settings. The exit code is 1 if a setting can't be restored.
///
/// # Errors
/// No handlers for signals can be installed. Nothing is changed then.
pub fn run(root: &Path) -> io::Result<ExitCode> {
    // These signals are meant for the whole run. The guardian sees the run's end on standard input.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    let place = root.join("sys");
    // A host without this directory has nothing to change.
    let lock = Claim::take(&place);
    if let Ok(None) = lock {
        let by = holder(&place);
        send(&GuardianMessage::Held { by });
        return Ok(ExitCode::SUCCESS);
    }
    let mut changed = Vec::new();
    for setting in settings::wanted_changes(root) {
        // The harness must know of the change even if this process is killed just after the change.
        // So the message comes first.
        send(&GuardianMessage::Changing(setting.clone()));
        match settings::write(root, &setting.path, &setting.to) {
            Ok(()) => changed.push(setting),
            Err(error) => send(&GuardianMessage::Refused(error.to_string())),
        }
    }
    send(&GuardianMessage::Ready);
    wait_for_end_of_input();
    let unrestored = settings::restore(root, &changed);
    drop(lock);
    Ok(ExitCode::from(u8::from(!unrestored.is_empty())))
}

/// The process that holds the lock of `directory`, if it can be seen from here (`proc_locks(5)`).
fn holder(directory: &Path) -> Option<i32> {
    let inode = fs::metadata(directory).ok()?.ino();
    let all = procfs::locks().ok()?;
    let is_held =
        |lock: &procfs::Lock| matches!(lock.lock_type, LockType::FLock) && lock.inode == inode;
    all.into_iter().find(is_held)?.pid
}

/// Waits until the harness closes its end of the pipe, or the kernel closes that end because the
/// harness has ended. The harness never writes anything.
fn wait_for_end_of_input() {
    let mut ignored = [0; 64];
    loop {
        match io::stdin().read(&mut ignored) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
}

/// Sends a message to the harness. If the harness has ended, the message is lost, and the guardian
/// sees the end of its input next.
fn send(message: &GuardianMessage) {
    let line = serde_json::to_string(message).unwrap_or_default();
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
