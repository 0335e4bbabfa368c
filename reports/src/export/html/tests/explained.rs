//! The document of a run that explains a timed command.

use super::{render, section};
use crate::export::html::{ReportOptions, render as render_with};
use crate::fixture;
use crate::words::Language;

#[test]
fn an_explained_command_says_why_the_targets_differ() {
    let run = fixture::explained();
    let document = render(std::slice::from_ref(&run), None).unwrap();
    let unnamed = section(&document, "A timed command");
    for words in [
        "<h3>Why the targets differ</h3>",
        "than as a bare process, until its end;",
        "<td data-column=\"Start\"><span class=\"value\"><span><b>+2.50\u{a0}ms</b>",
        "<b>+50.0\u{a0}µs</b>",
        "<b>+2.75\u{a0}ms</b>",
        "bwrap has no term for Page faults: a price or a count wasn&#39;t measured.",
        "medians of 3 samples or more",
        "<dd>500: openat 250, read 150, close 100</dd>",
        "<dd>391 KiB: read 391 KiB, written 7.00 B, sent 0 B</dd>",
        "<b>780</b><small>openat 260, prctl 250, read 160, close 110</small>",
        "<b>18</b><small>port-write 16, halt 2</small>",
    ] {
        assert!(unnamed.contains(words), "{words}: {unnamed}");
    }
    assert!(!section(&document, "server").contains("Why the targets differ"));
    let chinese = ReportOptions {
        language: Language::Chinese,
        ..ReportOptions::default()
    };
    let translated = render_with(&[run], chinese).unwrap();
    assert!(section(&translated, "计时的命令").contains("<h3>各目标为何不同</h3>"));
}

#[test]
fn an_explained_run_is_told_by_its_commands() {
    let document = render(&[fixture::explained()], None).unwrap();
    assert!(document.contains("<h1>`python3 -m http.server"));
    assert!(!document.contains("run-1-claims"));
    let first = document.split("<table").nth(1).unwrap();
    let first = first.split("</table>").next().unwrap();
    assert_eq!(first.matches("<th scope=\"col\">").count(), 3, "{first}");
}
