//! What Autolab reads from the end of a grader's output: a line that describes the rules, and a last one with the scores.

use super::{GradeReport, remark, screens};
use serde_json::{Map, Value, json};

/// The stage of the feedback that has the rules.
const STAGE: &str = "Rules";
/// The stage before it, where something holds for the whole grade.
const REMARK: &str = "Submission";

/// Two lines of JSON. The problems that the lab has on the Autolab site are called as the rules' ids, and Autolab refuses scores for
/// others. What waits or can't be read has null for each: the problem stays ungraded. (For no scores at all, Autolab enters zeros.)
pub fn to_lines(grade: &GradeReport) -> String {
    let has_score = !grade.is_waiting() && grade.unreadable.is_none();
    let mut stages = vec![STAGE];
    let mut feedback = Map::new();
    if let Some(remark) = remark(grade) {
        stages.insert(0, REMARK);
        feedback.insert(
            REMARK.to_owned(),
            json!({ "read this": { "passed": has_score && grade.compiler_message.is_none(), "hint": remark } }),
        );
    }
    let mut results = Map::new();
    let mut scores = Map::new();
    for (rule, share) in grade.shares() {
        let kept = if has_score { share == rule.points } else { rule.earned == rule.points };
        let mut result = json!({ "passed": kept });
        if !kept {
            result["hint"] = Value::String(format!("{}\n\n{}", rule.text, screens(grade, rule)));
        }
        results.insert(rule.id.clone(), result);
        scores.insert(rule.id.clone(), if has_score { share.into() } else { Value::Null });
    }
    feedback.insert(STAGE.to_owned(), Value::Object(results));
    feedback.insert("_presentation".to_owned(), "semantic".into());
    feedback.insert("stages".to_owned(), stages.into());
    let mut last = json!({ "scores": scores });
    if has_score {
        last["scoreboard"] = json!([grade.score()]);
    }
    format!("{}\n{last}\n", Value::Object(feedback))
}
