//! The document as a whole.

mod every_number;
mod explained;
mod hostile;
mod numbers;

use regex::Regex;

use super::*;
use crate::fixture;
use crate::model::EMULATED;

fn render(runs: &[Run], baseline: Option<&str>) -> Result<String, ReportError> {
    let options = ReportOptions {
        baseline,
        ..ReportOptions::default()
    };
    super::render(runs, options)
}

/// A run with every kind of row whose document is short enough to read.
fn small() -> Run {
    let mut run = fixture::run();
    run.samples.retain(|sample| sample.round < 8);
    run
}

/// A run whose document is shorter still: three targets, one of which can't run, and one
/// experiment.
fn tiny() -> Run {
    let mut run = small();
    run.targets
        .retain(|target| ["process", "container", "microvm-linux"].contains(&target.name.as_str()));
    run.samples
        .retain(|sample| ["process", "container"].contains(&sample.target.as_str()));
    run.samples.retain(|sample| sample.experiment == "startup");
    run.experiments.truncate(1);
    run
}

#[test]
fn an_unavailable_target_stands_in_the_ladder_and_in_what_is_missing_alone() {
    let mut run = small();
    run.targets[3].name = "absent".to_owned();
    let document = render(&[run], None).unwrap();
    let has = |section: &str| {
        let section = document.split(&format!("id=\"run-1{section}\"")).nth(1);
        let section = section.unwrap().split("</section>").next().unwrap();
        section.contains("absent")
    };
    assert!(has("-ladder") && has("-missing"));
    assert!(!has("-waterfall"), "the waterfalls");
    for index in 0..3 {
        assert!(!has(&format!("-{index}")), "experiment {index}");
    }
}

#[test]
fn instances_that_stay_have_lines_and_a_number_that_would_fit() {
    let mut run = fixture::run();
    fixture::add_density(&mut run);
    let html = render(&[run], None).unwrap();
    for words in ["Memory of idle instances", "one more", "that stay"] {
        assert!(html.contains(words), "{words}");
    }
}

#[test]
fn cost_stands_against_isolation_where_a_run_has_looked() {
    let mut run = small();
    fixture::add_isolation(&mut run);
    let document = render(&[run.clone()], None).unwrap();
    let section = document.split("id=\"run-1-tradeoff\">").nth(1).unwrap();
    let section = section.split("</section>").next().unwrap();
    assert_eq!(
        section.matches("<figure>").count(),
        2,
        "start-up and memory"
    );
    for words in [
        "process 355, ",
        "290, as seen inside",
        "not the host&#39;s",
        "1,030 port-write and 6 port-read",
    ] {
        assert!(section.contains(words), "{words}");
    }
    let finding = "Isolation, Host system calls that a program inside causes: 355 in process; 293 in container (0.83×) and 5 in microvm-bare";
    assert!(document.contains(finding), "counts are no costs");
    // A target that wasn't measured has no row, and no other number in its place.
    assert!(!section.contains("bwrap"));
    // The memory of the target whose processes belong to a daemon.
    assert_eq!(section.matches("not measured").count(), 1);
    assert_eq!(section.matches("no VM").count(), 3);
    let chinese = ReportOptions {
        language: Language::Chinese,
        ..ReportOptions::default()
    };
    let translated = super::render(&[run], chinese).unwrap();
    assert!(translated.contains("290，从内部看"));
    assert!(
        render(&[tiny()], None)
            .unwrap()
            .contains("does, with plots of cost against isolation")
    );
}

/// The section with this heading.
fn section<'d>(document: &'d str, heading: &str) -> &'d str {
    let section = document.split(&format!("\">{heading}</h2>")).nth(1);
    section.unwrap().split("</section>").next().unwrap()
}

#[test]
fn a_timed_command_has_its_name_its_command_line_and_its_tail() {
    let mut run = fixture::run();
    fixture::add_time(&mut run);
    let document = render(&[run.clone()], None).unwrap();
    let server = section(&document, "server");
    for words in [
        "<code>python3 -m http.server --bind 127.0.0.1 8080 --directory /srv/&#60;www&#62; &#38;&#38; true</code>",
        "Time until ready, sample by sample",
        "Median, p95 and p99",
        "The slowest: Time until ready",
        "needs 40 more",
        "82.4 to 100 %, 19 of 19",
        "74.0 to 99.9 %, 18 of 19",
        "Time until ready: polled each 1.00 ms; the intervals include it.",
    ] {
        assert!(server.contains(words), "{words}");
    }
    let unnamed = section(&document, "A timed command");
    assert!(unnamed.contains("<code>python3 -c &#39;print(1)&#39;</code>"));
    assert!(!unnamed.contains("polled each"));
    for words in [
        "<h3>server: Time until ready, by part</h3>",
        "microvm-bare runs static programs alone",
        "takes 21.7\u{a0}ms as a process",
    ] {
        assert!(document.contains(words), "{words}");
    }
    let chinese = ReportOptions {
        language: Language::Chinese,
        ..ReportOptions::default()
    };
    let translated = super::render(&[run], chinese).unwrap();
    let section = section(&translated, "计时的命令");
    for words in [
        "还需要 40 个",
        "19 个中有 18 个",
        "最慢的样本：结束所需时间",
    ] {
        assert!(section.contains(words), "{words}");
    }
}

#[test]
fn a_run_that_only_timed_commands_decides_no_claims() {
    let mut run = fixture::run();
    fixture::only_time(&mut run);
    let document = render(&[run], None).unwrap();
    assert!(!document.contains("run-1-claims") && !document.contains("doesn't say how much"));
    let verdict =
        "<h1>`python3 -m http.server --bind 127.0.0.1 8080 --directory /s…` is ready after";
    assert!(document.contains(verdict));
}

#[test]
fn tails_are_told_of_starts_alone() {
    let mut run = fixture::with_prices();
    fixture::add_crowds(&mut run);
    fixture::add_burst(&mut run);
    let document = render(&[run], None).unwrap();
    let tables = |heading: &str| section(&document, heading).matches("The slowest: ").count();
    let told = ["Startup", "Parallel", "Burst", "Memory", "Start-parts"].map(tables);
    assert_eq!(told, [1, 3, 1, 0, 0]);
    let plots = |heading: &str| {
        section(&document, heading)
            .matches("Median, p95 and p99")
            .count()
    };
    assert_eq!(["Startup", "Parallel", "Disk"].map(plots), [1, 1, 0]);
    assert!(section(&document, "Startup").contains("container median 2.47 ms, p95 3.25 ms"));
}

#[test]
fn what_is_shared_and_what_is_copied_have_plots_and_cards() {
    let mut run = fixture::run();
    fixture::add_image(&mut run);
    for (language, words) in [
        (
            Language::English,
            [
                "In the page cache, a copy for each",
                "One more container adds",
            ],
        ),
        (
            Language::Chinese,
            ["页缓存中，每个实例一份副本", "每多一个 container"],
        ),
    ] {
        let options = ReportOptions {
            language,
            ..ReportOptions::default()
        };
        let html = super::render(std::slice::from_ref(&run), options).unwrap();
        for words in words {
            assert!(html.contains(words), "{words}");
        }
    }
}

#[test]
fn the_document_of_a_run() {
    insta::assert_snapshot!(render(&[tiny()], None).unwrap());
}

#[test]
fn the_first_screen_has_a_cost_of_each_kind_before_a_second_of_any() {
    let mut run = fixture::run();
    fixture::add_density(&mut run);
    fixture::add_image(&mut run);
    run.experiments.reverse();
    let document = render(&[run], None).unwrap();
    let first = document.split("<table").nth(1).unwrap();
    let headings = first.split("<th scope=\"col\">").skip(2).take(4);
    let headings: Vec<&str> = headings
        .map(|heading| heading.split(':').next().unwrap())
        .collect();
    assert_eq!(headings, ["Startup", "Memory", "Disk", "Image"]);
}

#[test]
fn an_emulated_processor_is_told_before_any_figure() {
    let stamped = |run: &Run| render(std::slice::from_ref(run), None).unwrap();
    let mut run = tiny();
    assert!(!stamped(&run).contains(EMULATED));
    run.host.facts.push(fixture::emulation());
    let document = stamped(&run);
    assert!(document.find(EMULATED).unwrap() < document.find("<h1>").unwrap());
}

/// A run with nothing but a price list and several starts at once.
fn priced() -> Run {
    let mut run = fixture::with_prices();
    fixture::add_crowds(&mut run);
    run.experiments.drain(..3);
    let known: Vec<String> = run.experiments.iter().map(|one| one.name.clone()).collect();
    run.samples
        .retain(|sample| known.contains(&sample.experiment));
    run.targets
        .retain(|target| ["process", "container", "bwrap"].contains(&target.name.as_str()));
    run
}

#[test]
fn price_lists_and_crowds_have_sections_of_their_own() {
    let document = render(&[priced()], None).unwrap();
    let from = document
        .find("<section aria-labelledby=\"run-1-0\"")
        .unwrap();
    let to = document
        .find("<section aria-labelledby=\"run-1-host\"")
        .unwrap();
    insta::assert_snapshot!(&document[from..to]);
}

#[test]
fn it_loads_nothing_and_runs_nothing() {
    let document = render(&[small(), priced()], None).unwrap();
    assert!(document.contains("default-src 'none'"));
    let addresses = document
        .match_indices("://")
        .map(|(at, _)| &document[at.saturating_sub(5)..(at + 24).min(document.len())]);
    for address in addresses {
        assert!(address.contains("://www.w3.org/2000/svg"), "{address}");
    }
    // The document itself has the marks that plots refer to.
    let marks = Regex::new("\"url\\(#(dot-[0-9a-f]+)\\)\"").unwrap();
    for mark in marks.captures_iter(&document) {
        assert!(document.contains(&format!(" id=\"{}\"", &mark[1])));
    }
    let document = marks.replace_all(&document, "");
    for forbidden in ["<script", "@import", "url(", " onload", " src=", "<iframe"] {
        assert!(!document.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn an_exercise_hides_every_figure_behind_what_the_reader_opens() {
    let options = ReportOptions {
        exercise: true,
        ..ReportOptions::default()
    };
    let document = super::render(&[tiny()], options).unwrap();
    assert_eq!(document.matches("<script>").count(), 1);
    assert!(document.contains(&format!("script-src '{}'", exercise::DIGEST)));
    // The text outside of all `<details>`, without the words of their summaries.
    let open = document.split("<details").enumerate().map(|(index, part)| {
        let after = part.split_once("</details>").map(|(_, after)| after);
        after.unwrap_or(if index == 0 { part } else { "" })
    });
    let open: String = open.collect();
    let body = open.split_once("<body>").unwrap().1;
    assert!(
        body.contains("<label") && !body.contains("2.45 ms"),
        "{body}"
    );
    assert!(
        document.contains("<b>2.45 ms</b>"),
        "behind the answers it is"
    );
}

#[test]
fn no_colour_escapes_the_style_sheet() {
    for run in [small(), priced()] {
        let document = render(&[run], None).unwrap();
        let body = document.split_once("<body>").unwrap().1;
        for attribute in ["fill", "stroke"] {
            let fixed = format!(" {attribute}=\"#");
            assert!(!body.contains(&fixed), "drawings name their colours");
        }
    }
}

#[test]
fn runs_of_several_hosts_stand_beside_each_other() {
    let (one, mut other) = (small(), small());
    other.host.summary = "another host".to_owned();
    other.targets.retain(|target| target.name != "docker");
    other.samples.retain(|sample| sample.target != "docker");
    let document = render(&[one, other], None).unwrap();
    let section = document.split_once("The runs beside each other").unwrap().1;
    let section = section.split_once("<main").unwrap().0;
    assert!(section.contains("<h3>Startup: spawn to ready</h3>"));
    assert!(section.contains("<th scope=\"col\">run 1</th><th scope=\"col\">run 2</th>"));
    let docker = section.lines().skip_while(|line| !line.contains("docker"));
    let cells: Vec<_> = docker.skip(1).take(2).collect();
    assert!(cells[0].contains(" ms</b>"), "{cells:?}");
    assert!(cells[1].contains("not measured"), "{cells:?}");
    assert!(
        !render(&[small()], None)
            .unwrap()
            .contains("The runs beside each other")
    );
}

#[test]
fn each_run_has_its_section() {
    let mut other = small();
    other.host.summary = "another host".to_owned();
    let document = render(&[small(), other], None).unwrap();
    assert!(document.contains("<main id=\"run-1\">") && document.contains("<main id=\"run-2\">"));
    assert!(document.contains("<a href=\"#run-2\">another host</a>"));
}

#[test]
fn partial_runs_and_empty_runs_say_so() {
    let mut run = small();
    run.partial = true;
    run.samples.clear();
    let document = render(&[run.clone()], None).unwrap();
    assert!(document.contains("Partial run.") && document.contains("not measured"));
    run.targets.clear();
    run.experiments.clear();
    assert!(render(&[run], None).unwrap().contains("no bare process"));
    assert!(render(&[], None).unwrap().contains("</html>"));
}
