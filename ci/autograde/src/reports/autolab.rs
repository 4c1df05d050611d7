//! What Autolab reads from the end of a grader's output: a line that describes the rules, and a last one with the scores.

use super::{GradeReport, screens};
use serde_json::{Map, Value, json};

/// The name of the one stage of the feedback: the rules.
const STAGE: &str = "Rules";

/// Two lines of JSON. What is held for review has no scores: its problems stay ungraded. The problems that the lab has on the Autolab site are called as the rules' ids.
pub fn to_lines(grade: &GradeReport) -> String {
    let mut results = Map::new();
    let mut scores = Map::new();
    for rule in &grade.report.rules {
        let kept = rule.earned == rule.points;
        let mut result = json!({ "passed": kept });
        if !kept {
            result["hint"] = Value::String(format!("{}\n\n{}", rule.text, screens(grade, rule)));
        }
        results.insert(rule.id.clone(), result);
        if !grade.is_held() {
            scores.insert(rule.id.clone(), rule.earned.into());
        }
    }
    let feedback = json!({ "_presentation": "semantic", "stages": [STAGE], STAGE: results });
    let scores = json!({ "scores": scores, "scoreboard": [grade.counted(grade.report.score)] });
    format!("{feedback}\n{scores}\n")
}
