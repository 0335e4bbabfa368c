//! How long the import of an image of 400 MB takes beside `umoci unpack` of the same image, in turns, and how much memory it takes.
//!
//! Both unpack gzip layers into files, umoci into one tree for a runtime, isobench into a directory a layer.
//! `cargo bench --bench import [-- ISOBENCH]` also compares with another build, whose program is at the path `ISOBENCH`.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark's figures are for whoever watches it"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use isobench::suite::goal::Bound;
use isobench_reports::statistics::Series;
use nix::sys::resource::{UsageWho, getrusage};
use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng as _};

const ISOBENCH: &str = env!("CARGO_BIN_EXE_isobench");
/// Small files as programs' packages have them, and a few large ones: how many, and the bytes of each.
const LAYERS: [(&str, usize, usize); 2] = [("small", 20_000, 10_000), ("large", 20, 10_000_000)];
const ROUNDS: u32 = 7;
/// Most memory of an import, in MiB.
const MOST_MEMORY: i64 = 64;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if !words.any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let other = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    match measure(other.as_deref().map(Path::new)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => isobench::commands::failure::report(&error),
    }
}

fn measure(other: Option<&Path>) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let place = directory.path();
    let Ok(version) = Command::new("umoci").arg("--version").output() else {
        println!("umoci is not installed: nothing to compare with");
        return Ok(());
    };
    let version = String::from_utf8_lossy(&version.stdout);
    make_image(place)?;
    // The first import is by isobench alone, so that the most memory of a child is that of an import.
    import(Path::new(ISOBENCH), place)?;
    let memory = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() / 1024;
    println!("an import's most memory: {memory} MiB of {MOST_MEMORY}");

    let mut names = vec!["isobench".to_owned(), version.trim().to_owned()];
    names.extend(other.map(|other| other.display().to_string()));
    let mut times = vec![Vec::new(); names.len()];
    for round in 0..ROUNDS {
        times[0].push((round, import(Path::new(ISOBENCH), place)?));
        times[1].push((round, unpack(place)?));
        if let Some(other) = other {
            times[2].push((round, import(other, place)?));
        }
    }
    let series: Vec<_> = times.into_iter().map(Series::new).collect();
    for (name, baseline) in names.iter().zip(&series).skip(1) {
        let name = format!("isobench image import: time of {name}");
        println!(
            "{}",
            Bound::AtMost(1.0).result_line(&name, &series[0], baseline)
        );
    }
    Ok(())
}

/// Makes an image in the layout `image`, by umoci.
fn make_image(place: &Path) -> anyhow::Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    umoci(place, &["init", "--layout", "image"])?;
    umoci(place, &["new", "--image", "image:v1"])?;
    for (name, count, size) in LAYERS {
        let tree = place.join(name);
        fs::create_dir(&tree)?;
        let mut content = vec![0; size];
        for number in 0..count {
            random.fill_bytes(&mut content);
            // Half of each byte is random, so gzip halves the file, as it does with programs.
            for byte in &mut content {
                *byte &= 0x0f;
            }
            fs::write(tree.join(number.to_string()), &content)?;
        }
        umoci(
            place,
            &[
                "insert",
                "--rootless",
                "--image",
                "image:v1",
                name,
                &format!("/{name}"),
            ],
        )?;
        fs::remove_dir_all(&tree)?;
    }
    Ok(())
}

/// Imports the image into a new store, and returns the seconds that the import took.
fn import(isobench: &Path, place: &Path) -> anyhow::Result<f64> {
    let store = place.join("store");
    let mut command = Command::new(isobench);
    command
        .args(["image", "import", "image", "--name", "one"])
        .env("ISOBENCH_STORE", &store);
    let took = timed(&mut command, place)?;
    fs::remove_dir_all(store)?;
    Ok(took)
}

/// Unpacks the image into a new bundle, and returns the seconds that it took.
fn unpack(place: &Path) -> anyhow::Result<f64> {
    let mut command = Command::new("umoci");
    command.args(["unpack", "--rootless", "--image", "image:v1", "bundle"]);
    let took = timed(&mut command, place)?;
    fs::remove_dir_all(place.join("bundle"))?;
    Ok(took)
}

fn umoci(place: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    timed(Command::new("umoci").args(arguments), place).map(drop)
}

fn timed(command: &mut Command, place: &Path) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let output = command.current_dir(place).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {command:?}"))?;
    let took = begun.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {said}");
    Ok(took.as_secs_f64())
}
