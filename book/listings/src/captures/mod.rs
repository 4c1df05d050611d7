//! Everything in `captured/`: what the listings print, the figures, and the facts.

mod bins;
mod decision;
mod exam;
mod facts;
mod figures;
mod fragmentation;
mod growth;
mod holes;
mod looks;
mod plot;
mod pools;
mod programs;
mod questions;
mod rivals;
mod ship;
mod speed;
mod stage;
mod stories;
mod threads;
mod traces;
mod warehouse;
mod whole;

use std::fmt::Write;
use std::path::Path;

/// One file of `captured/`.
pub struct Capture {
    /// Its path in that folder.
    pub path: String,
    /// What the code gives now.
    pub content: Content,
}

/// What stands in a file, and how far it depends on the machine.
pub enum Content {
    /// The same wherever the course builds.
    Fixed(String),
    /// What a program saw of the C library's own malloc.
    Glibc(String),
    /// A table of which only the last column depends on the C library's malloc.
    GlibcLast(String),
    /// Lines of both kinds.
    Facts(Vec<facts::Fact>),
    /// What other allocators do, or why they can't be asked here.
    Rivals(Result<String, String>),
    /// What a tool saw that may be missing here, or why it can't be asked.
    Traced(Result<String, String>),
}

impl Capture {
    fn new(path: impl Into<String>, content: Content) -> Self {
        Capture { path: path.into(), content }
    }

    /// The text of the file; `None` if it can't be had here.
    pub fn text(&self) -> Option<String> {
        match &self.content {
            Content::Fixed(text) | Content::Glibc(text) | Content::GlibcLast(text) => Some(text.clone()),
            Content::Facts(facts) => Some(facts::toml(facts)),
            Content::Rivals(text) | Content::Traced(text) => text.clone().ok(),
        }
    }

    /// Whether `committed`, the file as it is, agrees with what the code gives now.
    fn agrees(&self, committed: &str, glibc_comparable: bool) -> bool {
        match &self.content {
            Content::Fixed(text) => text == committed,
            Content::Glibc(text) => !glibc_comparable || text == committed,
            Content::GlibcLast(text) => {
                text == committed || !glibc_comparable && without_last_column(text) == without_last_column(committed)
            }
            Content::Facts(facts) => facts::agree(facts, committed, glibc_comparable),
            Content::Traced(text) => text.as_ref().map_or(true, |text| text == committed),
            Content::Rivals(text) => {
                rivals::notice(text, committed).is_some() || text.as_ref().is_ok_and(|text| text == committed)
            }
        }
    }
}

/// The columns are set apart by two spaces and more.
fn without_last_column(table: &str) -> Vec<&str> {
    table.lines().map(|line| line.rsplit_once("  ").map_or(line, |(rest, _)| rest.trim_end())).collect()
}

/// Runs every listing, draws every figure, computes every fact.
///
/// # Errors
/// One line: what could not be run.
pub fn all() -> Result<Vec<Capture>, String> {
    let mut captures = programs::run_all()?;
    let bills = traces::bills()?;
    let facts = facts::compute(&captures, &bills)?;
    let thresholds = ["mmap_threshold.txt", "dynamic_threshold.txt"].map(|path| facts::printed(&captures, path));
    let [first, second] = thresholds;
    let decision = decision::drawing(first?, second?)?;
    captures.push(Capture::new("figures/decision.svg", Content::Glibc(decision)));
    captures.extend(figures::draw_all()?);
    captures.extend(stories::draw_all()?);
    captures.extend(fragmentation::draw_all()?);
    captures.extend(whole::draw_all()?);
    captures.extend(bins::draw_all()?);
    captures.extend(ship::draw_all()?);
    captures.extend(pools::draw_all()?);
    captures.push(Capture::new("figures/exam.svg", Content::Fixed(exam::drawing()?)));
    captures.push(Capture::new("figures/threads.svg", Content::Fixed(threads::drawing())));
    captures.push(Capture::new("figures/stack_and_heap.svg", Content::Fixed(warehouse::drawing()?)));
    captures.push(Capture::new("growth_sum.txt", Content::Fixed(growth::first_growth()?)));
    let looks: Vec<_> = bills.iter().map(|bill| &bill.looks).collect();
    captures.push(Capture::new("figures/looks.svg", Content::Fixed(looks::plot(&looks))));
    captures.push(Capture::new("traces.txt", Content::GlibcLast(traces::table(&bills))));
    captures.push(Capture::new("facts.toml", Content::Facts(facts)));
    captures.push(Capture::new(rivals::FILE, Content::Rivals(rivals::ask())));
    Ok(captures)
}

/// Writes the captures into the folder `captured`.
///
/// # Errors
/// One line that names the file.
pub fn write(captures: &[Capture], captured: &Path) -> Result<(), String> {
    for capture in captures {
        let Some(text) = capture.text() else {
            eprintln!("left as it is: book/listings/captured/{}", capture.path);
            continue;
        };
        let path = captured.join(&capture.path);
        let folder = path.parent().unwrap_or(captured);
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

/// Compares the captures with the files in the folder `captured`: a line for each that is no longer what the code gives.
pub fn differences(captures: &[Capture], captured: &Path) -> String {
    let glibc_comparable = facts::glibc_is_comparable();
    let mut lines = String::new();
    let is_known = |path: &str| OF_OTHERS.contains(&path) || captures.iter().any(|capture| capture.path == path);
    for path in files(captured).filter(|path| !is_known(path)) {
        let _ = writeln!(lines, "book/listings/captured/{path} is written by no code: remove it");
    }
    for capture in captures {
        let agrees = std::fs::read_to_string(captured.join(&capture.path))
            .is_ok_and(|committed| capture.agrees(&committed, glibc_comparable));
        if !agrees {
            let _ = writeln!(lines, "book/listings/captured/{} is not what the code gives now", capture.path);
        }
    }
    lines
}

/// The captures that aren't written here: a failing case, as the exam shows it, and what the labs' cases were tried on, which the
/// proof of the whole course takes; and what was measured once.
const OF_OTHERS: [&str; 4] = ["failing_case.txt", "two_threads_inside.txt", "tests.md", speed::FILE];

/// The files in the folder `captured`, by their paths in it.
fn files(captured: &Path) -> impl Iterator<Item = String> {
    ["", "figures/"].into_iter().flat_map(|folder| {
        let entries = std::fs::read_dir(captured.join(folder)).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().is_file())
            .map(move |entry| format!("{folder}{}", entry.file_name().to_string_lossy()))
    })
}

/// What can't be compared here, and why: a line for each.
pub fn notices(captures: &[Capture], captured: &Path) -> Vec<String> {
    let glibc = (!facts::glibc_is_comparable()).then(|| {
        format!(
            "skipped: the captures of the C library's own malloc were taken on glibc 2.36, and {} works differently",
            facts::c_library()
        )
    });
    let tools = captures.iter().filter_map(|capture| match &capture.content {
        Content::Rivals(text) => {
            let committed = std::fs::read_to_string(captured.join(&capture.path)).unwrap_or_default();
            rivals::notice(text, &committed)
        }
        Content::Traced(Err(why)) => Some(format!("skipped: {}: {why}", capture.path)),
        _ => None,
    });
    glibc.into_iter().chain(tools).collect()
}
