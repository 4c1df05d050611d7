//! Plays drawn stories on this machine: for each, a line with its settings, its text, and all that the page would show of it.
//! `ci/browser` plays the same stories in a browser, and compares.
//!
//!     cargo run -p play --features reference --bin play-native -- 1000

use heapkit::workload::{Rng, random_of_all_kinds};
use play::story::Story;
use play::view::{Summary, view};
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

const SETTINGS: [&str; 14] = [
    "page first",
    "page best",
    "page worst",
    "page first split",
    "page worst split",
    "page best join",
    "page first split join",
    "page best split join",
    "page worst split join",
    "system best",
    "system first",
    "bins",
    "fast",
    "cache",
];

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let Some(count) = count else {
        eprintln!("error: say how many stories: play-native 1000");
        return ExitCode::from(2);
    };
    match write(count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: can't write the stories: {e}");
            ExitCode::FAILURE
        }
    }
}

fn write(count: u64) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for seed in 0..count {
        let settings = SETTINGS[(seed % SETTINGS.len() as u64) as usize];
        let text = text(seed, settings.starts_with("page"));
        let Ok(chosen) = settings.parse() else { continue };
        let story = Story::play(chosen, &text);
        let steps: Vec<_> = (0..story.moments.len()).map(|now| view(&story, now, now.checked_sub(1))).collect();
        let shown = json!({ "summary": Summary::of(&story), "steps": steps });
        writeln!(out, "{}", json!({ "settings": settings, "text": text, "shown": shown }))?;
    }
    out.flush()
}

/// A story: on one page of small blocks, on a system of all kinds, with a large one now and then.
fn text(seed: u64, on_a_page: bool) -> String {
    let mut rng = Rng::new(seed);
    let most = match rng.below(4) {
        _ if on_a_page => 300,
        0 => 200_000,
        1 => 5_000,
        _ => 600,
    };
    let steps = 4 + rng.below(16);
    let ops = random_of_all_kinds(seed, steps, 0..=most, 8);
    let lines = ops.iter().map(|op| op.in_words()).filter(|line| !on_a_page || !line.contains("aligned"));
    lines.collect::<Vec<_>>().join("\n")
}
