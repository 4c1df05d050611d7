//! Says how a case ended, from what is left of it.

use crate::finding::{Finding, Kind};
use crate::inside::is_stack_overflow;
use crate::outside::{Remains, signal};
use crate::recorder::{Recorder, Word, access};
use crate::report::Verdict;
use heapkit::image::{Image, Offset, Raw};
use heapkit::journal::Step;
use heapkit::os::Mapping;
use heapkit::workload::{self, Op};
use std::time::Duration;

/// How a case ended, with all that explains it.
pub struct Outcome {
    /// In a word.
    pub verdict: Verdict,
    /// In a sentence or more.
    pub finding: Finding,
    /// What had been done.
    pub steps: Vec<Step>,
    /// The heap: before the last step where that tells more, else as it was at the end.
    pub heap: Option<Image>,
    /// Whether the heap is the one before the last step.
    pub heap_is_before: bool,
    /// The workload that was being played, and the how-manieth of the case it was.
    pub workload: Option<(usize, Vec<Op>)>,
    /// Whether the workload is the shortest that could be found.
    pub shrunk: bool,
    /// How long the case took.
    pub time: Duration,
}

/// Judges what is left of a case. Only a process that has written down `proof` has passed.
pub fn judge(recorder: &Recorder, remains: &Remains, proof: u64) -> Outcome {
    let finding = recorder.finding().and_then(|json| serde_json::from_str::<Finding>(&json).ok());
    let story = recorder.story();
    // A body that has come to its end is in the middle of no step.
    let in_a_step = story.steps.last().is_some_and(|step| step.result.is_none());
    let skipped = finding.clone().filter(|finding| finding.kind == Kind::Skipped);
    let proved = recorder.get(Word::Finished) == proof;
    let (verdict, mut finding) = if let Some(skipped) = skipped.filter(|_| proved) {
        (Verdict::Skipped, skipped)
    } else if proved && !in_a_step {
        (Verdict::Passed, Finding::new(recorder.measured().unwrap_or_default()))
    } else if recorder.get(Word::TimeUp) == 1 || remains.status.is_none() || signal(remains) == Some(libc::SIGXCPU) {
        (Verdict::Hung, hung())
    } else if let Some(signal) = signal(remains) {
        (Verdict::Crashed, crashed(recorder, signal, finding, &remains.output))
    } else if let Some(finding) = finding {
        match finding.kind {
            Kind::Wrong => (Verdict::Wrong, finding),
            Kind::Panicked => (Verdict::Wrong, panicked(finding)),
            Kind::NotWritten => (Verdict::NotWritten, finding),
            // Nobody but the case says that, and then it has finished.
            Kind::Skipped => (Verdict::Exited, exited(remains)),
        }
    } else {
        (Verdict::Exited, exited(remains))
    };
    if let (None, Some(places)) = (&finding.place, recorder.place()) {
        let mut places = places.lines().filter(|place| !place.is_empty()).map(str::to_owned);
        finding.place = places.next();
        finding.called_from = places.next();
    }
    let before = recorder.before().filter(|_| finding.look_before);
    let heap_is_before = before.is_some();
    let (layout, _) = recorder.layout();
    let drawn = recorder.get(Word::Bare) == 0;
    let heap = before.or_else(|| recorder.heap_bytes()).filter(|_| drawn).map(|bytes| {
        let foreign: Vec<_> = layout.foreign.into_iter().filter(|foreign| foreign.end <= bytes.len()).collect();
        let raw = Raw { base: recorder.get(Word::HeapBase) as usize, bytes: &bytes, foreign: &foreign };
        Image::decode(&raw, story.list_head)
    });
    let workload = recorder.workload().and_then(|line| {
        let (play, ops) = line.split_once(' ')?;
        Some((play.parse().ok()?, workload::parse(ops).ok()?))
    });
    Outcome { verdict, finding, steps: story.steps, heap, heap_is_before, workload, shrunk: false, time: remains.time }
}

fn hung() -> Finding {
    Finding::new(
        "Your code was still running when its time was up. Look for a loop that never ends: a list that leads \
         back into itself, or a walk that steps by a size of 0.",
    )
}

fn exited(remains: &Remains) -> Finding {
    let code = remains.status.and_then(|status| status.code()).unwrap_or_default();
    Finding::new(format!(
        "The process ended with exit code {code} before the case was over. Nothing in a lab may end the process."
    ))
}

fn panicked(finding: Finding) -> Finding {
    let what = format!("Your code panicked: {}.", finding.what);
    Finding { what, ..finding }
}

/// A crash, in words.
fn crashed(recorder: &Recorder, signal: i32, finding: Option<Finding>, output: &str) -> Finding {
    if let Some(finding) = finding.filter(|finding| finding.kind == Kind::Panicked) {
        return refused_by_the_compilers_checks(finding);
    }
    if signal != libc::SIGSEGV && signal != libc::SIGBUS {
        return Finding::new(match asked_for(output) {
            Some(bytes) => format!(
                "Your code asked the system for {bytes} of memory. An allocator is what others ask: it needs no memory but \
                 the heap it is given."
            ),
            None => "The process was ended from inside: something called abort.".to_owned(),
        });
    }
    let address = recorder.get(Word::FaultAddress);
    if is_stack_overflow(address, recorder.get(Word::StackPointer)) {
        return Finding::new("Your code calls itself without end: the stack is full.");
    }
    let did = match recorder.get(Word::FaultAccess) {
        access::WRITE => "wrote to",
        access::READ => "read from",
        _ => "touched",
    };
    let (base, len) = (recorder.get(Word::HeapBase), recorder.get(Word::HeapLen));
    let past_the_end = address.wrapping_sub(base.wrapping_add(len));
    let before_the_start = base.wrapping_sub(address);
    let what = if address == u64::MAX {
        format!(
            "Your code {did} an address that can't exist. Was the pointer read from a word that nobody had written, or from \
             bytes of the program?"
        )
    } else if address < NULL_PAGE {
        null_plus(did, address)
    } else if let Some(place) = in_a_mapping(recorder, address as usize) {
        format!("Your code {did} {place}.")
    } else if len > 0 && (past_the_end < NEAR || (FAR..FARTHEST).contains(&past_the_end)) {
        let distance = distance(past_the_end);
        format!(
            "Your code {did} an address {distance} past the end of the heap, which ends at {}.",
            Offset(len as usize)
        )
    } else if len > 0 && (before_the_start < NEAR || (FAR..FARTHEST).contains(&before_the_start)) {
        format!("Your code {did} an address {} before the start of the heap.", distance(before_the_start))
    } else if address < SMALL_NUMBER {
        format!("Your code {did} address {address:#x}, where there is no memory. Is this number a pointer at all?")
    } else {
        format!("Your code {did} an address far from the heap, where there is no memory: a wild pointer.")
    };
    Finding::new(what)
}

/// What is at an address in a mapping or right behind it.
fn in_a_mapping(recorder: &Recorder, address: usize) -> Option<String> {
    let (layout, left_out) = recorder.layout();
    let mut numbered = (left_out + 1..).zip(layout.mappings);
    let near = |mapping: &Mapping| address.wrapping_sub(mapping.start) < mapping.len.saturating_add(NEAR as usize);
    let (number, mapping) = numbered.find(|(_, mapping)| near(mapping))?;
    let distance = address - mapping.start;
    Some(match distance.checked_sub(mapping.len) {
        None => format!("byte {distance} of the mapping M{number}, which was given back"),
        Some(past) => format!("an address {past} bytes past the end of the mapping M{number}"),
    })
}

/// A distance in bytes, or in GiB where it is long.
fn distance(bytes: u64) -> String {
    if bytes < FAR { format!("{bytes} bytes") } else { format!("{} GiB", bytes >> 30) }
}

/// Addresses that come of a null pointer and an offset.
const NULL_PAGE: u64 = 4096;
/// What still counts as a miss of the heap, not as a wild pointer: the width of its guards.
const NEAR: u64 = 1 << 20;
/// From here to there a miss is a wrong size. Nearer, the kernel puts other mappings, and distances differ from run to run.
const FAR: u64 = 4 << 30;
const FARTHEST: u64 = 1 << 40;
/// Below this, the kernel maps nothing for a program of its own accord.
const SMALL_NUMBER: u64 = 1 << 32;

fn null_plus(did: &str, address: u64) -> String {
    let field = match address {
        0 => "prev_size",
        8 => "size_word",
        16 => "fd",
        24 => "bk",
        _ => {
            return format!("Your code {did} address {address:#x}: a null pointer plus {address}.");
        }
    };
    format!(
        "Your code {did} address {address:#x}, which is a null pointer plus {address}. In a chunk `{field}` stands at \
         +{address}: this looks like `(*chunk).{field}` where `chunk` is null."
    )
}

/// The compiler's own checks of a debug build end the process where a wrong `unsafe` would have gone on.
fn refused_by_the_compilers_checks(finding: Finding) -> Finding {
    let said = finding.what.lines().next().unwrap_or_default();
    let what = if said.contains("null pointer dereference") {
        "Your code follows a null pointer.".to_owned()
    } else if said.contains("misaligned pointer dereference") {
        format!("Your code follows a pointer that is not aligned: {said}. Chunks start at multiples of 16.")
    } else if let Some(rule) = said.strip_prefix("unsafe precondition(s) violated: ") {
        format!("Your code breaks the contract of an unsafe function: {rule}.")
    } else {
        format!("Your code panicked where it must not: {said}.")
    };
    Finding { what, ..finding }
}

/// `memory allocation of 68719476736 bytes failed` → `64 GiB`
fn asked_for(output: &str) -> Option<String> {
    let (bytes, _) = output.split_once("memory allocation of ")?.1.split_once(" bytes failed")?;
    let bytes: u64 = bytes.parse().ok()?;
    Some(match bytes >> 30 {
        0 => format!("{bytes} bytes"),
        gib => format!("{gib} GiB"),
    })
}
