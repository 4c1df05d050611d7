//! Every wrong implementation is caught, every right one passes, and what a learner is shown teaches.
//!
//! `cargo test -p selfcheck --test zoo -- --nocapture` prints who caught what.

use autograde::Grade;
use proctor::lab::Lab;
use proctor::report::CaseResult;
use selfcheck::course::{labs, read, reference_file};
use selfcheck::grading::{Job, grade_all};
use selfcheck::zoo::{self, Failure, Member};
use std::fmt::Write;
use std::path::Path;
use std::sync::LazyLock;

const WORK_DIR: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/grading");

/// A lab's zoo must not shrink below these numbers.
const LEAST_WRONG: usize = 12;
const LEAST_RIGHT: usize = 3;

/// One implementation of a lab.
struct Animal {
    lab: Lab,
    member: Member,
    text: String,
}

static ANIMALS: LazyLock<Vec<Animal>> = LazyLock::new(|| {
    let animals_of = |lab: Lab| -> Vec<Animal> {
        let reference = read(&reference_file(&lab));
        let members = zoo::members(&lab).unwrap_or_else(|line| panic!("{line}"));
        let animal = |member: Member| {
            let text = member.apply(&reference).unwrap_or_else(|e| panic!("{} {}: {e}", lab.name, member.name));
            Animal { lab: lab.clone(), member, text }
        };
        members.into_iter().map(animal).collect()
    };
    labs().into_iter().flat_map(animals_of).collect()
});

/// What each of [`ANIMALS`] earned; graded once for all tests of this file.
static GRADES: LazyLock<Vec<Grade>> = LazyLock::new(|| {
    let jobs: Vec<Job> = ANIMALS.iter().map(|animal| Job { lab: &animal.lab, text: &animal.text }).collect();
    grade_all(&jobs, Path::new(WORK_DIR)).unwrap_or_else(|line| panic!("{line}"))
});

fn graded() -> impl Iterator<Item = (&'static Animal, &'static Grade)> {
    ANIMALS.iter().zip(GRADES.iter())
}

#[test]
fn every_member_of_the_zoo_applies_and_names_cases_of_its_lab() {
    for lab in labs() {
        let of_lab = || ANIMALS.iter().filter(|animal| animal.lab.name == lab.name);
        let wrong: Vec<&Failure> = of_lab().filter_map(|animal| animal.member.fails.as_ref()).collect();
        assert!(wrong.len() >= LEAST_WRONG, "{} has only {} wrong ones", lab.name, wrong.len());
        let right = of_lab().count() - wrong.len();
        assert!(right >= LEAST_RIGHT, "{} has only {right} right ones", lab.name);
        for case in wrong.iter().flat_map(|failure| &failure.caught_by) {
            assert!(lab.rule_of_case(case).is_some(), "{} has no case `{case}`", lab.name);
        }
    }
}

#[test]
fn every_wrong_implementation_is_caught_by_the_case_whose_rule_it_breaks() {
    let (mut table, mut at_large) = (String::new(), String::new());
    for (animal, grade) in graded() {
        let Some(failure) = &animal.member.fails else { continue };
        let (lab, name) = (&animal.lab.name, &animal.member.name);
        for case in &failure.caught_by {
            let seen = find(grade, case).verdict;
            let _ = writeln!(table, "{lab}  {name:<36}  {:<8}  {case}", format!("{seen:?}").to_lowercase());
            if seen != failure.verdict {
                let _ = writeln!(at_large, "{lab} {name}: {case} ended {seen:?}, not {:?}", failure.verdict);
                at_large.extend(grade.compiler_message.iter().map(String::as_str));
            }
        }
    }
    println!("{table}");
    assert!(at_large.is_empty(), "\n{at_large}");
}

#[test]
fn every_right_implementation_passes() {
    let mut refused = String::new();
    for (animal, grade) in graded().filter(|(animal, _)| animal.member.fails.is_none()) {
        println!("{}  {:<36}  {} points", animal.lab.name, animal.member.name, grade.report.score);
        let failing = grade.report.cases().filter(|case| !case.verdict.is_pass());
        for case in failing {
            let _ = writeln!(refused, "{} {}: {}\n{}", animal.lab.name, animal.member.name, case.name, case.screen);
        }
        refused.extend(grade.compiler_message.iter().map(String::as_str));
    }
    assert!(refused.is_empty(), "\n{refused}");
}

fn find<'a>(grade: &'a Grade, case: &str) -> &'a CaseResult {
    let found = grade.report.cases().find(|result| result.name == case);
    found.unwrap_or_else(|| panic!("there is no case `{case}`"))
}

/// What a learner sees, kept word for word: `cargo insta review` shows what a change of proctor does to it.
mod failures_teach {
    use super::*;

    /// A screen of an ordinary terminal.
    const WIDTH: usize = 100;
    const LINES: usize = 45;

    fn shows(screen: &str, lab: &str, member: &str, case: &str) {
        let mut zoo = graded();
        let found = zoo.find(|(animal, _)| animal.lab.name == lab && animal.member.name == member);
        let (_, grade) = found.unwrap_or_else(|| panic!("{lab} has no `{member}` in its zoo"));
        let text = &find(grade, case).screen;
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_description(format!("labs/{lab}/zoo/wrong/{member}.patch, {case}"));
        settings.bind(|| insta::assert_snapshot!(screen, text));
        assert!(text.lines().count() <= LINES, "{screen} has {} lines", text.lines().count());
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{screen}: wider than {WIDTH} columns: {line}");
        }
    }

    #[test]
    fn a_forgotten_flag() {
        shows("a_forgotten_flag", "lab03", "reused_chunk_still_marked_free", "the_chapters_a_b_c_d");
    }

    #[test]
    fn a_wrong_link() {
        shows("a_wrong_link", "lab03", "old_head_keeps_its_bk", "links_lead_both_ways");
    }

    #[test]
    fn an_overlap() {
        shows("an_overlap", "lab03", "remembers_the_last_one_freed", "the_chapters_a_b_c_d");
    }

    #[test]
    fn a_write_past_the_end_of_a_chunk() {
        shows("a_write_past_the_end_of_a_chunk", "lab03", "wipes_the_next_header", "the_chapters_a_b_c_d");
    }

    #[test]
    fn a_read_past_the_end_of_the_heap() {
        shows("a_read_past_the_end_of_the_heap", "lab03", "top_gets_a_boundary_tag", "the_chapters_a_b_c_d");
    }

    #[test]
    fn a_cycle_in_the_list() {
        shows("a_cycle_in_the_list", "lab03", "pushed_twice", "the_chapters_a_b_c_d");
    }

    #[test]
    fn an_endless_loop() {
        let case = "the_checker_names_each_defect_and_its_place";
        shows("an_endless_loop", "lab02", "check_steps_by_zero", case);
    }

    #[test]
    fn a_walk_in_a_circle() {
        shows("a_walk_in_a_circle", "lab03", "head_written_too_early", "worst_fit_takes_the_largest");
    }

    #[test]
    fn a_recursion_without_end() {
        let case = "a_request_that_nothing_can_serve_is_refused";
        shows("a_recursion_without_end", "lab03", "asks_itself_again", case);
    }

    #[test]
    fn a_null_pointer_plus_an_offset() {
        let case = "unlinking_the_tail_ends_the_list_one_chunk_earlier";
        shows("a_null_pointer_plus_an_offset", "lab03", "tail_taken_for_a_middle", case);
    }

    #[test]
    fn a_request_for_64_gib() {
        shows("a_request_for_64_gib", "lab03", "asks_the_system_for_memory", "an_absurd_request_is_refused");
    }

    #[test]
    fn an_early_exit() {
        let case = "a_request_that_nothing_can_serve_is_refused";
        shows("an_early_exit", "lab03", "ends_the_process", case);
    }

    #[test]
    fn a_boundary_tag_that_was_not_written() {
        let case = "a_freed_chunk_is_free_in_the_next_ones_header";
        shows("a_boundary_tag_that_was_not_written", "lab02", "footer_not_written", case);
    }
}
