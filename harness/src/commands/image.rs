//! `isobench image`: the store of images that other tools made.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use bytesize::ByteSize;
use isobench_container::image::{Image, ImageName, Imported, Store, import_for_containers};
use jiff::Timestamp;
use serde::Serialize;

use crate::commands::arguments::{ImageCommand, ImportArguments};
use crate::commands::terminal::columns;
use crate::streams::say;
use crate::timing::store::open_store;

/// The narrowest terminal that lines are cut for.
const NARROWEST: usize = 20;
/// Width of the first column at least.
const NAME: usize = 4;
/// Width of the columns after the first: layers, size, date, and two spaces before each of them.
const OTHER_COLUMNS: usize = 2 + 6 + 2 + 10 + 2 + 10;

/// Imports, lists or removes images of this user.
///
/// # Errors
/// The image, its name or the store is wrong; the error says how.
pub fn image(command: &ImageCommand) -> anyhow::Result<ExitCode> {
    let store = open_store()?;
    match command {
        ImageCommand::Import(arguments) => {
            say(describe(&import_from(&store, arguments)?))?;
        }
        ImageCommand::Ls(arguments) if arguments.json => {
            let images = store.images()?;
            let images: Vec<_> = images.iter().map(listed).collect();
            say(serde_json::to_string_pretty(&images).context("cannot write JSON")?)?;
        }
        ImageCommand::Ls(_) => say(table(&store.images()?, columns().map(usize::from)))?,
        ImageCommand::Rm(arguments) => {
            for name in &arguments.names {
                let name = name.parse()?;
                // Without the image, no store is made to remove the image from.
                store.image(&name)?;
                store.writer()?.remove(&name)?;
                say(format_args!("removed {name}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn import_from(store: &Store, arguments: &ImportArguments) -> anyhow::Result<Imported> {
    let name = arguments.name.as_deref().map(str::parse::<ImageName>);
    let (path, reference) = (&arguments.path, arguments.reference.as_deref());
    let name = name.transpose()?;
    Ok(import_for_containers(store, path, name, reference)?)
}

fn describe(imported: &Imported) -> String {
    let Imported { image, shared, .. } = imported;
    let mut text = format!(
        "imported {}: layers {} ({shared} there already), {}",
        image.name,
        image.layers.len(),
        ByteSize(image.bytes)
    );
    let left_out = [
        (imported.devices_left_out, "device nodes"),
        (
            imported.variables_left_out,
            "environment entries without a value",
        ),
        (
            imported.attributes_left_out,
            "extended attributes outside of user.*",
        ),
    ];
    for (count, what) in left_out.into_iter().filter(|(count, _)| *count > 0) {
        // Writing to a string can't fail.
        let _ = write!(text, "\n{what} left out: {count}");
    }
    for path in &imported.over_links {
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "\n{} is a link in one layer and a directory in a higher one: containers have the \
             directory",
            path.display().to_string().escape_debug()
        );
    }
    for (layer, count) in &imported.owners_changed {
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "\n{layer}: files of ids above 65535, which belong to 65534 inside: {count}"
        );
    }
    if !imported.owners_kept {
        text.push_str("\nall files belong to user 0 inside: only root can keep other owners");
    }
    text
}

/// An image as `ls --json` lists it.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    name: &'a str,
    id: String,
    layers: usize,
    bytes: u64,
    created: Option<&'a str>,
}

fn listed(image: &Image) -> Listed<'_> {
    Listed {
        name: image.name.as_str(),
        id: image.id.to_string(),
        layers: image.layers.len(),
        bytes: image.bytes,
        created: image.created.as_deref(),
    }
}

/// The images as a table that fits a terminal of `columns`, if there is one. Another reader has a
/// line for each image.
fn table(images: &[Image], columns: Option<usize>) -> String {
    let longest = images.iter().map(|image| image.name.as_str().len()).max();
    let longest = longest.unwrap_or(0).max(NAME);
    let columns = columns.map(|columns| columns.max(NARROWEST));
    let beside = columns.map_or(longest, |columns| columns.saturating_sub(OTHER_COLUMNS));
    let mut lines = Vec::new();
    let width = longest.min(beside.max(NAME));
    if beside >= NAME {
        lines.push(row(width, "NAME", "LAYERS", "SIZE", "CREATED"));
    }
    for image in images {
        let name = image.name.as_str();
        let [layers, size, created] = details(image);
        if name.len() <= width && beside >= NAME {
            lines.push(row(width, name, &layers, &size, &created));
            continue;
        }
        let pieces = name.as_bytes().chunks(columns.unwrap_or(longest));
        lines.extend(pieces.map(|piece| String::from_utf8_lossy(piece).into_owned()));
        if beside >= NAME {
            lines.push(row(width, "", &layers, &size, &created));
        } else {
            let details = [format!("layers: {layers}"), size, created];
            lines.extend(details.map(|detail| format!("  {detail}")));
        }
    }
    lines.join("\n")
}

/// The number of layers, the size and the date of an image.
fn details(image: &Image) -> [String; 3] {
    // The image brought this text along: only a date is printed.
    let created = image
        .created
        .as_deref()
        .and_then(|text| text.parse::<Timestamp>().ok());
    let created = created.map_or("-".to_owned(), |time| time.strftime("%Y-%m-%d").to_string());
    let size = ByteSize(image.bytes).to_string();
    [image.layers.len().to_string(), size, created]
}

fn row(width: usize, name: &str, layers: &str, size: &str, created: &str) -> String {
    format!("{name:<width$}  {layers:>6}  {size:>10}  {created}")
}

#[cfg(test)]
mod tests {
    use isobench_container::image::Digest;

    use super::*;

    #[test]
    fn a_table_fits_its_terminal_and_shows_no_control_characters() {
        let image = |name: &str, created: &str| Image {
            name: name.parse().unwrap(),
            id: Digest::of(b""),
            created: Some(created.to_owned()),
            layers: vec![Digest::of(b""); 127],
            bytes: 1023 << 20,
            stacked: Vec::new(),
            config: None,
        };
        let images = [
            image("busybox", "2024-05-06T07:08:09.123+02:00"),
            image(&("host.example/".repeat(12) + "a"), "\u{1b}[2J"),
        ];
        for columns in [0, 20, 37, 38, 40, 80, 300] {
            let text = table(&images, Some(columns));
            let widest = text.lines().map(str::len).max();
            assert!(widest <= Some(columns.max(NARROWEST)), "{text}");
            assert!(
                text.contains("busybox:latest") && text.contains("2024-05-06"),
                "{text}"
            );
        }
        let text = table(&images, None);
        assert_eq!(text.lines().count(), 1 + images.len(), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert_eq!(table(&[], Some(80)), "NAME  LAYERS        SIZE  CREATED");
    }
}
