//! The three reports are what their readers expect, for submissions of every kind.

use crate::course::{ABORTS, BROKEN, FakeCourse, HALF, RIGHT, assert_graded};
use serde_json::Value;
use std::fs;

const KINDS: [(&str, &str); 4] = [("right", RIGHT), ("half", HALF), ("aborts", ABORTS), ("broken", BROKEN)];

/// Every element JUnit XML has here: the element it stands in, the attributes it must have and may have.
const JUNIT: [(&str, &str, &[&str], &[&str]); 8] = [
    ("testsuites", "", &["name", "tests", "failures", "errors"], &["time", "skipped"]),
    ("testsuite", "testsuites", &["name", "tests", "failures", "errors"], &["skipped", "time"]),
    ("properties", "testsuite", &[], &[]),
    ("property", "properties", &["name", "value"], &[]),
    ("testcase", "testsuite", &["name", "classname"], &["time"]),
    ("failure", "testcase", &["type"], &["message"]),
    ("error", "testcase", &["type"], &["message"]),
    ("skipped", "testcase", &[], &["type", "message"]),
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
