//! The three reports are what their readers expect, for submissions of every kind.

use crate::course::{ABORTS, BROKEN, FakeCourse, HALF, RIGHT, assert_graded};
use serde_json::Value;
use std::fs;

const KINDS: [(&str, &str); 4] = [("right", RIGHT), ("half", HALF), ("aborts", ABORTS), ("broken", BROKEN)];

/// Every element JUnit XML has here: the element it stands in, the attributes it must have and may have.
const JUNIT: [(&str, &str, &[&str], &[&str]); 9] = [
    ("testsuites", "", &["name", "tests", "failures", "errors"], &["time", "skipped"]),
    ("testsuite", "testsuites", &["name", "tests", "failures", "errors"], &["skipped", "time"]),
    ("properties", "testsuite", &[], &[]),
    ("property", "properties", &["name", "value"], &[]),
    ("testcase", "testsuite", &["name", "classname"], &["time"]),
    ("failure", "testcase", &["type"], &["message"]),
    ("error", "testcase", &["type"], &["message"]),
    ("skipped", "testcase", &[], &["type", "message"]),
    ("system-out", "testcase", &[], &[]),
];

/// Grades one submission of each kind, and hands the text of its report `file` to `check`.
fn for_each_kind(file: &str, check: impl Fn(&str, &str)) {
    let course = FakeCourse::new();
    for (kind, text) in KINDS {
        let folder = course.submit(kind, "src/free_list.rs", text);
        assert_graded(&course.autograde(&folder).output().unwrap());
        check(kind, &fs::read_to_string(course.out().join(file)).unwrap());
    }
}

pub fn assert_valid(schema: &str, kind: &str, text: &str) -> Value {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let report: Value = serde_json::from_str(text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&report).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{kind}: {errors:?}\n{text}");
    report
}

#[test]
fn report_json_follows_its_schema() {
    for_each_kind("report.json", |kind, text| {
        let report = assert_valid(include_str!("../schemas/report.schema.json"), kind, text);
        assert_eq!(report["submission"], kind);
        assert_eq!(report["file"], "src/free_list.rs");
        assert_eq!(report["compiler_message"].is_string(), kind == "broken");
        assert_eq!(report["held"][0]["line"], if kind == "aborts" { 2.into() } else { Value::Null });
        assert!(report["sandbox"]["active"].as_array().unwrap().iter().any(|name| name == "limits"));
    });
}

#[test]
fn results_json_follows_gradescopes_schema() {
    for_each_kind("results.json", |kind, text| {
        let results = assert_valid(include_str!("../schemas/gradescope.schema.json"), kind, text);
        let tests = results["tests"].as_array().unwrap();
        let sum: i64 = tests.iter().map(|test| test["score"].as_i64().unwrap()).sum();
        // What is held has earned its points, and they don't count yet.
        assert_eq!(results["score"], if kind == "aborts" { 0 } else { sum }, "{kind}");
        let unlink = &tests[1];
        let output = unlink["output"].as_str().unwrap();
        match kind {
            "right" => assert_eq!((unlink["status"].as_str(), output), (Some("passed"), "")),
            "half" => assert!(output.contains("saw <0>")),
            "aborts" => {
                assert_eq!(output, "crashed");
                assert!(results["output"].as_str().unwrap().starts_with("Held for review"));
                assert_eq!(results["extra_data"]["held"][0]["line"], 2);
            }
            _ => assert!(output.contains("error[E0308]")),
        }
    });
}

#[test]
fn classroom_json_follows_its_schema_and_what_is_printed_is_what_is_recorded() {
    for_each_kind("classroom.json", |kind, text| {
        let runners = assert_valid(include_str!("../schemas/classroom.schema.json"), kind, text);
        let (mut printed, mut recorded, mut most) = (0.0, 0.0, 0.0);
        for pair in runners.as_array().unwrap() {
            let results = &pair["results"];
            let tests = results["tests"].as_array().unwrap();
            let passed = tests.iter().filter(|test| test["status"] == "pass").count();
            // As the reporter computes what it prints, and what it records.
            printed += passed as f64 / tests.len() as f64 * results["max_score"].as_f64().unwrap();
            recorded += tests.iter().map(|test| test["score"].as_f64().unwrap()).sum::<f64>();
            most += results["max_score"].as_f64().unwrap();
        }
        let wanted = match kind {
            "right" => 100.0,
            "half" => 40.0,
            _ => 0.0,
        };
        assert_eq!((printed, recorded, most), (wanted, wanted, 100.0), "{kind}");
        // It prints the code of a failing test, and the message of an error.
        let (code, message) = match kind {
            "right" => ("", ""),
            "half" => ("saw <0>", ""),
            "aborts" => ("", "Held for review: 40 points wait"),
            _ => ("", "error[E0308]"),
        };
        let test = &runners.as_array().unwrap().last().unwrap()["results"]["tests"][0];
        assert!(test["test_code"].as_str().unwrap().contains(code), "{kind}: {test}");
        assert!(test["message"].as_str().unwrap().contains(message), "{kind}: {test}");
    });
}

#[test]
fn markdown_keeps_what_learners_wrote_inside_its_fences() {
    let course = FakeCourse::new();
    let text = format!("compile_error!(\"``` </pre> <img src=x> ````` @everyone\");\n{RIGHT}");
    let folder = course.submit("fences", "src/free_list.rs", &text);
    assert_graded(&course.autograde(&folder).output().unwrap());
    let report = fs::read_to_string(course.out().join("report.md")).unwrap();
    let mut fence: Option<String> = None;
    for line in report.lines() {
        let run: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if *open == line => fence = None,
            Some(_) => {}
            None if run.len() > 2 => fence = Some(run),
            None => assert!(!line.contains("<img"), "{report}"),
        }
    }
    assert!(fence.is_none() && report.contains("<img src=x>"), "{report}");
}

#[test]
fn a_learners_page_is_one_file_and_shows_what_its_instructor_allows() {
    let course = FakeCourse::new();
    let folder = course.submit("<b>half", "src/free_list.rs", HALF);
    let page = |options: &[&str]| {
        assert_graded(&course.autograde(&folder).args(options).output().unwrap());
        fs::read_to_string(course.out().join("page.html")).unwrap()
    };
    let usual = page(&[]);
    assert!(usual.contains("<b>40</b> of 100 points"), "{usual}");
    assert!(usual.contains("saw &lt;0&gt; ]]&gt;") && usual.contains("unlink middle"), "{usual}");
    assert!(usual.contains("Hint 1 of 1") && usual.contains("Which two?"), "the first hint, to unfold");
    assert!(usual.contains("<h1>&lt;b&gt;half</h1>") && !usual.contains("<b>half"), "{usual}");
    assert!(!usual.contains("://") && !usual.contains("<script") && !usual.contains("<link"), "nothing is loaded");
    let other = page(&["--hints", "0", "--book", "https://example.org/heap/"]);
    assert!(!other.contains("Which two?"));
    assert!(other.contains("<a href=\"https://example.org/heap/free-lists.html#unlink\">read</a>"), "{other}");
}

#[test]
fn what_can_not_be_read_has_its_reports_and_no_points() {
    let course = FakeCourse::new();
    let folder = course.submit("nothing", "src/other.rs", "");
    course.submit("nothing", "src/another.rs", "");
    let output = course.autograde(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = |file: &str| fs::read_to_string(course.out().join(file)).unwrap();
    let said = "nor another file called free_list.rs (there are src/another.rs, src/other.rs)";
    assert!(!course.out().join("report.json").exists());
    for file in ["junit.xml", "results.json", "classroom.json", "report.md", "page.html", "autolab.txt"] {
        let text = text(file);
        assert!(text.contains(said), "{file}: {text}");
        assert!(!text.contains(&*folder.to_string_lossy()), "{file} tells where it lies: {text}");
    }
    let results = assert_valid(include_str!("../schemas/gradescope.schema.json"), "unreadable", &text("results.json"));
    assert_eq!(results["score"], 0);
    assert_valid(include_str!("../schemas/classroom.schema.json"), "unreadable", &text("classroom.json"));
    let last = "{\"scores\":{\"lifo\":null,\"unlink\":null}}\n";
    assert!(text("autolab.txt").ends_with(last), "no points are not zero points");
}

#[test]
fn a_schema_refuses_what_is_not_a_report() {
    for schema in [include_str!("../schemas/report.schema.json"), include_str!("../schemas/gradescope.schema.json")] {
        let schema: Value = serde_json::from_str(schema).unwrap();
        let wrong = serde_json::json!({ "score": "all", "format": "another" });
        assert!(!jsonschema::is_valid(&schema, &wrong));
    }
}

#[test]
fn junit_xml_has_only_what_ci_systems_read() {
    for_each_kind("junit.xml", |kind, text| {
        let document = roxmltree::Document::parse(text).unwrap();
        for element in document.descendants().filter(|node| node.is_element()) {
            let name = element.tag_name().name();
            let (_, parent, must, may) = JUNIT
                .iter()
                .find(|(known, ..)| *known == name)
                .unwrap_or_else(|| panic!("{kind}: <{name}> is not JUnit"));
            let stands_in = element.parent_element().map_or("", |node| node.tag_name().name());
            assert_eq!(stands_in, *parent, "{kind}: <{name}>");
            for attribute in *must {
                assert!(element.has_attribute(*attribute), "{kind}: <{name}> has no {attribute}");
            }
            for attribute in element.attributes() {
                let known = must.contains(&attribute.name()) || may.contains(&attribute.name());
                assert!(known, "{kind}: <{name} {}> is not JUnit", attribute.name());
            }
        }
        let count = |node: roxmltree::Node, name: &str| {
            node.descendants().filter(|child| child.has_tag_name(name)).count().to_string()
        };
        for suite in document.descendants().filter(|node| node.has_tag_name("testsuite")) {
            assert_eq!(suite.attribute("tests"), Some(&*count(suite, "testcase")), "{kind}");
            assert_eq!(suite.attribute("failures"), Some(&*count(suite, "failure")), "{kind}");
            assert_eq!(suite.attribute("errors"), Some(&*count(suite, "error")), "{kind}");
        }
        let all = document.root_element();
        // What is held for review, `include_str!` here, is a case of its own: somebody has to see it.
        let cases = if kind == "aborts" { "4" } else { "3" };
        assert_eq!(count(all, "testcase"), cases, "{kind}");
        let (failures, errors) = match kind {
            "right" => ("0", "0"),
            "half" => ("1", "0"),
            "aborts" => ("0", "3"),
            _ => ("0", "3"),
        };
        assert_eq!((&*count(all, "failure"), &*count(all, "error")), (failures, errors), "{kind}");
    });
}
