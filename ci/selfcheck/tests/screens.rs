//! What a learner is shown when it goes wrong teaches: the screens of some wrong implementations, kept word for word.
//!
//! When a change of proctor or heapkit changes a screen on purpose, read it as a learner would, then accept it:
//! `INSTA_UPDATE=always cargo test -p selfcheck --test screens`.

use proctor::report::{CaseResult, Verdict};
use selfcheck::course::{labs, read, reference_file};
use selfcheck::grading::{Job, grade_all};
use selfcheck::zoo;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

const WORK_DIR: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/grading");

/// A screen of an ordinary terminal.
const WIDTH: usize = 100;
const LINES: usize = 45;

const CHECKER: &str = "the_checker_names_each_defect_and_its_place";
const FREED: &str = "a_freed_chunk_is_free_in_the_next_ones_header";
const STORY: &str = "the_chapters_a_b_c_d";
const TAIL: &str = "unlinking_the_tail_ends_the_list_one_chunk_earlier";
const REFUSED: &str = "a_request_that_nothing_can_serve_is_refused";
const ABSURD: &str = "an_absurd_request_is_refused";

/// The one that the README and the book's welcome page show.
const SHOWN: &str = "a_chunk_at_the_wrong_end_of_the_list";

/// Those that the book shows, and the files from which its pages take them.
const IN_THE_BOOK: [(&str, &str); 2] = [(SHOWN, "failing_case.txt"), (INSIDE, "two_threads_inside.txt")];
const INSIDE: &str = "two_threads_inside";

/// The name of the screen; the lab, the wrong implementation and the case that fails with it.
const SCREENS: [(&str, &str, &str, &str); 22] = [
    ("a_boundary_tag_that_was_not_written", "lab02", "footer_not_written", FREED),
    (SHOWN, "lab03", "push_at_the_tail", STORY),
    (
        "a_break_moved_too_little",
        "lab01",
        "asks_for_what_it_needs",
        "a_first_request_of_100_bytes_moves_the_break_by_135168",
    ),
    ("a_chunk_nobody_holds", "lab05", "the_lead_is_lost", "an_aligned_block_leaves_free_chunks_around_it"),
    ("a_mapping_given_back_in_part", "lab05", "gives_back_from_the_payload", "a_freed_mapping_goes_back_at_once"),
    ("a_mapping_that_has_moved", "lab05", "the_mapping_has_not_moved", "a_mapping_changes_its_length"),
    ("a_refusal_not_expected", "lab05", "a_refusal_panics", "a_mapping_serves_where_the_break_may_not_move"),
    ("memory_of_other_code", "lab05", "alone_in_the_world", "the_heap_goes_on_behind_other_code"),
    ("one_fence_too_few", "lab05", "one_fence", "the_heap_goes_on_behind_other_code"),
    ("a_cycle_in_the_list", "lab03", "pushed_twice", STORY),
    ("a_forgotten_flag", "lab03", "reused_chunk_still_marked_free", STORY),
    ("a_null_pointer_plus_an_offset", "lab03", "tail_taken_for_a_middle", TAIL),
    ("a_read_past_the_end_of_the_heap", "lab03", "top_gets_a_boundary_tag", STORY),
    ("a_recursion_without_end", "lab03", "asks_itself_again", REFUSED),
    ("a_request_for_64_gib", "lab03", "asks_the_system_for_memory", ABSURD),
    ("a_walk_in_a_circle", "lab03", "head_written_too_early", "worst_fit_takes_the_largest"),
    ("a_write_past_the_end_of_a_chunk", "lab03", "wipes_the_next_header", STORY),
    ("a_wrong_link", "lab03", "old_head_keeps_its_bk", "links_lead_both_ways"),
    ("an_early_exit", "lab03", "ends_the_process", REFUSED),
    ("an_endless_loop", "lab02", "check_steps_by_zero", CHECKER),
    (INSIDE, "lab08", "tests_and_then_sets", "one_thread_at_a_time_is_inside"),
    ("an_overlap", "lab03", "remembers_the_last_one_freed", STORY),
];

/// The text of each screen, by its name.
static TEXTS: LazyLock<BTreeMap<&str, String>> =
    LazyLock::new(|| RESULTS.iter().map(|(name, result)| (*name, without_chance(result))).collect());

/// What became of the case that each screen is about.
static RESULTS: LazyLock<BTreeMap<&str, CaseResult>> = LazyLock::new(|| {
    let labs = labs();
    let sources = SCREENS.map(|(_, lab, member, _)| {
        let lab = labs.iter().find(|known| known.name == lab).unwrap_or_else(|| panic!("there is no {lab}"));
        let zoo = zoo::members(lab).unwrap_or_else(|line| panic!("{line}"));
        let wrong = zoo.iter().find(|known| known.name == member).unwrap_or_else(|| panic!("there is no {member}"));
        (lab, wrong.apply(&read(&reference_file(lab))).unwrap_or_else(|line| panic!("{member}: {line}")))
    });
    let cases = SCREENS.map(|(.., case)| [case.to_owned()]);
    let jobs: Vec<Job> = sources.iter().zip(&cases).map(|((lab, text), cases)| Job { lab, text, cases }).collect();
    let grades = grade_all(&jobs, Path::new(WORK_DIR)).unwrap_or_else(|line| panic!("{line}"));
    let mut results = BTreeMap::new();
    for ((name, .., case), grade) in SCREENS.into_iter().zip(grades) {
        let mut cases = grade.report.cases();
        let result = cases.find(|result| result.name == case).unwrap_or_else(|| panic!("there is no case {case}"));
        results.insert(name, result.clone());
    }
    results
});

/// A loop without end is interrupted somewhere in it: where that was differs from run to run.
fn without_chance(result: &CaseResult) -> String {
    let mut text = String::new();
    let mut lines = result.screen.lines();
    while let Some(line) = lines.next() {
        let is_place = line.starts_with("  at  ") || line.starts_with("  from  ");
        if result.verdict == Verdict::Hung && is_place {
            // And the line of source that stands there.
            lines.next();
        } else {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[test]
fn a_screen_is_a_screen() {
    for (name, text) in &*TEXTS {
        let lines = text.lines().count();
        assert!((1..=LINES).contains(&lines), "{name} has {lines} lines");
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{name} is wider than {WIDTH} columns: {line}");
        }
    }
}

#[test]
fn a_story_of_calls_is_a_link_to_the_playground_and_no_other_is() {
    let link = |name: &str| RESULTS[name].playground.as_deref();
    assert_eq!(
        link(SHOWN),
        Some("playground.html#heap=page&fit=first&story=a=malloc(64);b=malloc(64);free(a);free(b)")
    );
    assert_eq!(
        link("memory_of_other_code"),
        Some(
            "playground.html#heap=system&fit=best&story=a=malloc(100);\
             other%20code%20moves%20the%20break%20by%20+4096;b=malloc(130000);c=malloc(100000)"
        )
    );
    for (name, lab, ..) in SCREENS {
        let text = &TEXTS[name];
        // The questions of a lab about its functions are no calls; and no playground has a system that refuses.
        let is_played = text.contains("the shortest story") && !["lab01", "lab02", "lab08"].contains(&lab);
        let is_playable = is_played && !text.contains("the allocator is made") && !text.contains("the system refuses");
        assert_eq!(link(name).is_some(), is_playable, "{name}: {:?}", link(name));
    }
}

#[test]
fn every_screen_is_the_one_that_was_read_and_accepted() {
    let mut changed = Vec::new();
    for (name, lab, member, case) in SCREENS {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_description(format!("labs/{lab}/zoo/wrong/{member}.patch, {case}"));
        let compare = || settings.bind(|| insta::assert_snapshot!(name, TEXTS[name]));
        // insta has shown the difference; the other screens are compared too.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(compare)).is_err() {
            changed.push(name);
        }
    }
    assert!(changed.is_empty(), "changed: {}", changed.join(", "));
}

#[test]
fn the_readme_and_the_book_show_a_screen_as_it_is_now() {
    const FENCE: &str = "```text\n";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let screen = &TEXTS[SHOWN];
    let readme = root.join("README.md");
    let text = read(&readme);
    let (head, rest) = text.split_once(FENCE).expect("the README has a fence for a screen");
    let (_, tail) = rest.split_once("```").expect("the fence has an end");
    let renewed = format!("{head}{FENCE}{screen}```{tail}");
    let renews = std::env::var("INSTA_UPDATE").as_deref() == Ok("always");
    let how = "to renew it: INSTA_UPDATE=always cargo test -p selfcheck --test screens";
    for (name, file) in IN_THE_BOOK {
        let in_the_book = root.join("book/listings/captured").join(file);
        if renews {
            std::fs::write(&in_the_book, &TEXTS[name]).expect("the book can be written");
        }
        assert!(read(&in_the_book) == TEXTS[name], "{} is out of date; {how}", in_the_book.display());
    }
    if renews {
        std::fs::write(&readme, &renewed).expect("the README can be written");
    }
    assert!(read(&readme) == renewed, "the screen in README.md is out of date; {how}");
}
