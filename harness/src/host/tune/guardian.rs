//! The process that changes the host's settings for a run and puts them back when the run is over, or gone.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::{Word, settings};

/// Changes the settings below `root`, tells which, waits for the end of standard input, and puts them back.
///
/// # Errors
/// Signals can't be held off; nothing is changed then.
pub fn keep(root: &Path) -> io::Result<ExitCode> {
    // Whoever ends this process by one of these means the run, whose end is seen here anyway.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    let mut changed = Vec::new();
    for setting in settings::wanted(root) {
        // Said before it is done: the harness must know of it if this process is killed in between.
        tell(&Word::Changing(setting.clone()));
        match settings::write(root, &setting.path, &setting.to) {
            Ok(()) => changed.push(setting),
            Err(error) => tell(&Word::Refused(error.to_string())),
        }
    }
    tell(&Word::Ready);
    // Nothing is ever said; a harness that has gone ends it as one that is done does.
    let mut nothing = [0; 64];
    loop {
        match io::stdin().read(&mut nothing) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    let kept = settings::put_back(root, &changed);
    Ok(ExitCode::from(u8::from(!kept.is_empty())))
}

/// A harness that has gone hears nothing, which is no failure: its end is seen next.
fn tell(word: &Word) {
    let line = serde_json::to_string(word).unwrap_or_default();
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
