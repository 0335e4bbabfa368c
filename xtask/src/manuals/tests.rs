use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::*;

/// The long options of each subcommand, which is named by its words: `isobench image ls`.
type Options = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_help_and_the_man_pages_and_the_completions_name_the_same_options() {
    let prefix = tempfile::tempdir().unwrap();
    let written = write(prefix.path()).unwrap();
    let read = |path: &str| fs::read_to_string(prefix.path().join(path)).unwrap();
    let helped = in_helps();

    assert!(helped["isobench run"].contains("targets"), "{helped:?}");
    assert!(helped["isobench kernel build"].contains("source"));
    assert_eq!(written.len(), helped.len() + SHELLS.len());
    let mut pages = Options::new();
    for command in helped.keys() {
        let page = read(&format!("{MAN_PAGES}/{}.1", command.replace(' ', "-")));
        pages.insert(command.clone(), in_man_page(&page));
    }
    assert_eq!(pages, helped, "man pages");
    for (shell, path) in SHELLS {
        let completed = match shell {
            Shell::Bash => in_bash(&read(path)),
            Shell::Fish => in_fish(&read(path)),
            Shell::Zsh => in_zsh(&read(path)),
            other => panic!("no test reads the completions of {other}"),
        };
        assert_eq!(completed, helped, "{shell}");
    }
}

#[test]
fn an_error_names_the_directory_that_cannot_be_made() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = format!("{:#}", write(file.path()).unwrap_err());
    let directory = file.path().join(MAN_PAGES);
    assert!(error.contains(directory.to_str().unwrap()), "{error}");
}

/// What `--help` of every subcommand says, which is drawn from the command line as it's parsed.
fn in_helps() -> Options {
    fn add(command: &mut Command, words: &str, options: &mut Options) {
        let help = command.render_long_help().to_string();
        let lines = help.lines().map(str::trim_start);
        let lines = lines.filter(|line| line.starts_with('-'));
        options.insert(words.to_owned(), lines.flat_map(long_options).collect());
        let shown = command.get_subcommands_mut();
        for subcommand in shown.filter(|it| !it.is_hide_set()) {
            let words = format!("{words} {}", subcommand.get_name());
            add(subcommand, &words, options);
        }
    }
    let mut options = Options::new();
    add(&mut built(Cli::command()), "isobench", &mut options);
    options
}

/// The options are the terms of a list, in bold, their hyphens behind backslashes.
fn in_man_page(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| line.starts_with(r"\fB\-"));
    lines
        .map(|line| line.replace(r"\fB", "").replace(r"\fR", ""))
        .flat_map(|line| long_options(&line.replace('\\', "")))
        .collect()
}

/// A branch of a `case` each subcommand: `isobench__subcmd__image__subcmd__ls)`, then `opts="..."`.
fn in_bash(script: &str) -> Options {
    let branch = Regex::new(r#"(?m)^ +(isobench\S*)\)\n +opts="(.*)"$"#).unwrap();
    let found = branch.captures_iter(script).map(|found| {
        let (_, [command, options]) = found.extract();
        let options = long_options(options).into_iter().collect();
        (command.replace("__subcmd__", " "), options)
    });
    found.collect()
}

/// A line each option, with the subcommand in a condition.
fn in_fish(script: &str) -> Options {
    let line = Regex::new(
        r#"(?mx)^complete\ -c\ isobench\ -n\ "(?:__fish_isobench_needs_command
        |__fish_isobench_using_subcommand\ (?<command>\S+?)
        (?:;\ and\ (?:not\ .*|__fish_seen_subcommand_from\ (?<below>\S+)))?)"
        (?:\ -s\ \w)?\ -l\ (?<option>\S+)"#,
    )
    .unwrap();
    let mut options = Options::new();
    for found in line.captures_iter(script) {
        let words = [found.name("command"), found.name("below")];
        let words = words.into_iter().flatten().map(|word| word.as_str());
        let command = std::iter::once("isobench").chain(words).collect::<Vec<_>>();
        let names = options.entry(command.join(" ")).or_default();
        names.insert(found["option"].to_owned());
    }
    options
}

/// A branch of a `case` each subcommand, `(ls)`, inside of its parent's; in it a line each option,
/// which may begin with the options that it excludes.
fn in_zsh(script: &str) -> Options {
    let branch = Regex::new(r"^\(([\w-]+)\)$").unwrap();
    let option = Regex::new(r"^'(?:\([^)]*\))?\*?--([\w-]+)").unwrap();
    let mut options = Options::new();
    let mut branches = vec!["isobench"];
    let lines = script.lines().map(str::trim);
    // Behind the branches stand functions that describe the subcommands again.
    for line in lines.take_while(|line| !line.starts_with("(( $+functions")) {
        if let Some(found) = branch.captures(line) {
            let (_, [name]) = found.extract();
            branches.push(name);
        } else if line == ";;" {
            branches.pop();
        } else if let Some(found) = option.captures(line) {
            let mut command = branches.clone();
            // What has subcommands is a branch once more for the words behind it.
            command.dedup();
            let names = options.entry(command.join(" ")).or_default();
            names.insert(found[1].to_owned());
        }
    }
    options
}

/// The names behind `--` in `text`, each at the begin of a word.
fn long_options(text: &str) -> Vec<String> {
    let option = Regex::new(r"(?:^|\s|\|)--([\w-]+)").unwrap();
    let found = option.captures_iter(text);
    found.map(|found| found[1].to_owned()).collect()
}
