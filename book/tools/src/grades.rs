//! The reader's own marks beside the rules of a page. `cargo book` alone has them, for a browser on the same machine: they are in no
//! page, and `grades.js` asks for them.

use oxhttp::model::{Request, header};
use proctor::explain::{self, Part};
use proctor::lab::Lab;
use proctor::playground;
use proctor::report::{self, CaseResult};
use proctor::standing::Standing;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Where a page asks for the marks in a lab: `/__grades/lab03`.
pub const PATH: &str = "/__grades/";

/// What a page runs to show them, and to load itself again after the next build.
pub const SCRIPT: &str = include_str!("grades.js");
/// How they look.
pub const STYLE: &str = include_str!("grades.css");

/// The marks in every lab of a course.
pub struct Grades {
    labs: Vec<Lab>,
    /// Where the report on a lab is.
    report: fn(&str) -> Option<PathBuf>,
}

impl Grades {
    /// Those of the reader, as `cargo test` leaves them.
    pub fn of(labs: Vec<Lab>) -> Self {
        Grades { labs, report: report::latest }
    }

    /// For each lab a text that changes when its marks do.
    pub fn versions(&self) -> BTreeMap<&str, String> {
        let version = |lab: &Lab| {
            let report = (self.report)(&lab.name).map_or(0, |path| changed(&path));
            format!("{report}-{}", changed(&lab.learner_file()))
        };
        self.labs.iter().map(|lab| (lab.name.as_str(), version(lab))).collect()
    }

    /// What the latest run of the lab called `name` said, if there is such a lab.
    pub fn of_lab(&self, name: &str) -> Option<Value> {
        let lab = self.labs.iter().find(|lab| lab.name == name)?;
        let standing = match Standing::read_from(lab, (self.report)(name).as_deref()) {
            Ok(standing) => standing,
            Err(line) => return Some(json!({ "summary": line })),
        };
        let Some(report) = &standing.report else {
            return Some(json!({ "summary": format!("Your marks appear here after cargo test -p {name}.") }));
        };
        let mut summary = format!(
            "Your last run of {name}: {} of {} points, {} of {} rules.",
            report.score,
            report.max_score,
            standing.rules_earned(),
            lab.rules.len()
        );
        if let Some(void) = &report.void {
            summary = format!("Nothing counted in your last run of {name}: {void}");
        } else if standing.is_old {
            summary.push_str(" You have edited your file since.");
        }
        let rules = report.rules.iter().map(|rule| {
            json!({
                "id": rule.id,
                "earned": rule.earned,
                "points": rule.points,
                "cases": rule.cases.iter().map(case).collect::<Vec<_>>(),
            })
        });
        let mut told = json!({ "summary": summary, "rules": rules.collect::<Vec<_>>() });
        if explain::missing(&standing).is_none() {
            told["explanation"] = match explain::read(lab) {
                Ok(parts) => parts.into_iter().map(part).collect(),
                Err(line) => json!([{ "text": line }]),
            };
        }
        Some(told)
    }
}

/// A part of an explanation, by what it is.
fn part(part: Part) -> Value {
    match part {
        Part::Heading(heading) => json!({ "heading": heading }),
        Part::Text(text) => json!({ "text": text }),
        Part::Code { place, lines } => json!({ "code": lines.join("\n"), "place": place }),
    }
}

fn case(case: &CaseResult) -> Value {
    let passed = case.verdict.is_pass();
    json!({
        "name": case.name,
        "passed": passed,
        "verdict": case.verdict.in_a_word(),
        // What a case that passed has measured is no explanation.
        "screen": if passed { "" } else { case.screen.as_str() },
        // What leads elsewhere is no story.
        "playground": case.playground.as_ref().filter(|link| link.starts_with(playground::PAGE)),
    })
}

/// Whether a browser asks this machine by one of its own names. A page from elsewhere whose name leads here (a forwarded port, or a
/// name that a stranger's server gives out) asks by that name, and is told nothing.
pub fn is_local<T>(request: &Request<T>) -> bool {
    let is_ours = |host: &str| {
        // `[::1]:3000` has colons of its own.
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) => name,
            _ => host,
        };
        ["127.0.0.1", "localhost", "[::1]"].contains(&name)
    };
    let headers = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let hosts: Vec<&str> = headers.chain(request.uri().authority().map(|authority| authority.as_str())).collect();
    !hosts.is_empty() && hosts.into_iter().all(is_ours)
}

/// When a file was written, 0 if there is none.
fn changed(path: &Path) -> u128 {
    let time = path.metadata().and_then(|file| file.modified()).ok();
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proctor::report::{Report, Verdict};
    use std::sync::OnceLock;

    const LAB: &str = r#"
        title = "Free lists"
        file  = "src/free_list.rs"
        page  = "free-lists.html"

        [[rule]]
        id     = "lifo"
        points = 60
        page   = "free-lists.html#lifo"
        en     = "The last one freed is used first."
        cases  = ["a_list_is_a_stack"]
        hints.en = ["Which end?"]

        [[rule]]
        id     = "unlink"
        points = 40
        page   = "free-lists.html#unlink"
        en     = "Unlinking joins the two neighbours."
        cases  = ["from_the_middle", "the_head"]
        hints.en = ["Which words change?"]
    "#;

    fn course() -> &'static Path {
        static COURSE: OnceLock<tempfile::TempDir> = OnceLock::new();
        let course = COURSE.get_or_init(|| {
            let course = tempfile::tempdir().unwrap();
            let dir = course.path().join("labs/lab03");
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("lab.toml"), LAB).unwrap();
            let lab = Lab::load(&dir).unwrap();
            let results =
                [("a_list_is_a_stack", Verdict::Passed, ""), ("from_the_middle", Verdict::Wrong, "fd <lost>")];
            let results = results.map(|(name, verdict, screen)| {
                let (kind, screen) = (None, screen.to_owned());
                let playground = Some("playground.html#heap=page&story=a=malloc(64)".to_owned());
                (name.to_owned(), CaseResult { name: name.to_owned(), verdict, kind, seconds: 0.0, screen, playground })
            });
            Report::new(&lab, &results.into(), None).save(&course.path().join("lab03.json")).unwrap();
            course
        });
        course.path()
    }

    /// Marks of a reader who has earned `lifo`, and not `unlink`.
    pub(crate) fn grades() -> Grades {
        Grades { labs: Lab::load_all(&course().join("labs")).unwrap(), report: |_| Some(course().join("lab03.json")) }
    }

    #[test]
    fn each_rule_has_its_mark_and_each_failed_case_its_screen() {
        let grade = grades().of_lab("lab03").unwrap();
        assert_eq!(grade["summary"], "Your last run of lab03: 60 of 100 points, 1 of 2 rules.");
        assert_eq!(grade["rules"][0]["earned"], 60);
        assert_eq!(grade["rules"][1]["earned"], 0);
        let cases = &grade["rules"][1]["cases"];
        assert_eq!((&cases[0]["verdict"], &cases[0]["screen"]), (&json!("wrong"), &json!("fd <lost>")));
        assert_eq!(cases[0]["playground"], "playground.html#heap=page&story=a=malloc(64)");
        assert_eq!(cases[1]["verdict"], "not run");
    }

    #[test]
    fn the_reference_is_explained_once_the_lab_is_done_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let lab = dir.path().join("labs/lab03");
        std::fs::create_dir_all(lab.join("solution")).unwrap();
        std::fs::write(lab.join("lab.toml"), LAB).unwrap();
        std::fs::write(lab.join("solution/explain.md"), "## Why\n\nIt is `short`.\n\n{{code get}}\n").unwrap();
        std::fs::write(lab.join("solution/free_list.rs"), "fn get() {\n    1\n}\n").unwrap();
        let labs = || Lab::load_all(&dir.path().join("labs")).unwrap();
        let failed = Grades { labs: labs(), ..grades() }.of_lab("lab03").unwrap();
        assert_eq!(failed["explanation"], Value::Null);

        let mut report = Report::load(&course().join("lab03.json")).unwrap();
        report.score = report.max_score;
        report.rules.iter_mut().for_each(|rule| rule.earned = rule.points);
        static DONE: OnceLock<PathBuf> = OnceLock::new();
        report.save(DONE.get_or_init(|| dir.path().join("lab03.json"))).unwrap();
        let done = Grades { labs: labs(), report: |_| DONE.get().cloned() }.of_lab("lab03").unwrap();
        assert_eq!(
            done["explanation"],
            json!([
                { "heading": "Why" },
                { "text": "It is `short`." },
                { "code": "fn get() {\n    1\n}", "place": "labs/lab03/solution/free_list.rs:1" },
            ])
        );
    }

    #[test]
    fn a_lab_without_a_report_says_how_to_get_one() {
        let grade = Grades { report: |_| None, ..grades() }.of_lab("lab03").unwrap();
        assert_eq!(grade["summary"], "Your marks appear here after cargo test -p lab03.");
        assert_eq!(grades().of_lab("lab30"), None);
    }

    #[test]
    fn a_save_of_the_file_and_a_new_report_make_another_version() {
        let course = tempfile::tempdir().unwrap();
        let dir = course.path().join("labs/lab03");
        std::fs::create_dir_all(dir.join("src")).unwrap();
        std::fs::write(dir.join("lab.toml"), LAB).unwrap();
        let grades = Grades { labs: Lab::load_all(&course.path().join("labs")).unwrap(), report: |_| None };
        let before = grades.versions()["lab03"].clone();
        std::fs::write(dir.join("src/free_list.rs"), "").unwrap();
        assert_ne!(grades.versions()["lab03"], before);
    }

    #[test]
    fn only_a_name_of_this_machine_is_local() {
        let asked_as = |host: &str| is_local(&Request::builder().uri("/").header(header::HOST, host).body(()).unwrap());
        for host in ["127.0.0.1:3000", "localhost:3001", "localhost", "[::1]:3000", "[::1]"] {
            assert!(asked_as(host), "{host}");
        }
        for host in ["example.org", "example.org:3000", "127.0.0.1.example.org:3000", "localhost.example.org", ""] {
            assert!(!asked_as(host), "{host}");
        }
        let request = Request::builder().uri("http://example.org/").header(header::HOST, "localhost").body(()).unwrap();
        assert!(!is_local(&request));
        assert!(!is_local(&Request::builder().uri("/").body(()).unwrap()));
    }
}
