//! Says why a candidate has not answered.

use crate::arena::SharedArena;
use crate::finding::Finding;
use crate::process::Ended;
use crate::report::Verdict;
use candidate::wire::{BASE, note};
use heapkit::image::Offset;
use heapkit::memory::{ARENA, MAPPINGS};
use heapkit::os::{Mapping, SimOs};

/// What is wrong, after a candidate ended and left what it printed.
pub fn judge(arena: &SharedArena, system: Option<&SimOs<SharedArena>>, ended: &Ended, output: &str) -> Finding {
    let panicked =
        (arena.note(note::KIND) == note::PANICKED).then(|| arena.note_text(note::MESSAGE)).flatten().map(shortened);
    let mut finding = match ended {
        Ended::Stuck => Finding::ended(
            Verdict::Hung,
            "Your code doesn't come back from this call. Look for a loop that never ends: a list that leads back into itself, or a \
             walk that steps by a size of 0.",
        ),
        Ended::Asleep => Finding::ended(
            Verdict::Hung,
            "Your code doesn't come back from this call: it sleeps, or waits for something.",
        ),
        Ended::Asking => Finding::ended(
            Verdict::Hung,
            "Your code doesn't come back from this call: it asks the system again and again. Look for a loop that goes on although \
             the system has refused, or although it got what it wanted.",
        ),
        Ended::Slow => Finding::ended(
            Verdict::Slow,
            "Your code gets on, but so slowly that this case would never end: each answer takes many thousand times as long as it \
             should. Look for work that is done again and again.",
        ),
        Ended::Greedy => Finding::ended(
            Verdict::Crashed,
            "Your code writes to more than a gigabyte of memory, until the exam stops it. Of a chunk, an allocator writes only the header \
             and the links, however long the chunk is.",
        ),
        Ended::Nonsense => {
            Finding::ended(Verdict::Exited, "Your code writes over what the exam needs to listen to it.")
        }
        Ended::Killed(signal) => match &panicked {
            Some(said) => Finding::ended(Verdict::Crashed, refused_by_the_compilers_checks(said)),
            None => Finding::ended(Verdict::Crashed, crashed(arena, system, *signal, output)),
        },
        Ended::Left(code) => match &panicked {
            Some(said) if said.starts_with("not yet implemented") => Finding::ended(Verdict::NotWritten, said),
            Some(said) => Finding::ended(Verdict::Wrong, format!("Your code panicked: {said}.")),
            None => Finding::ended(
                Verdict::Exited,
                format!(
                    "The process ended with exit code {code} before the case was over. Nothing in a lab may end the process."
                ),
            ),
        },
    };
    let places = arena.note_text(note::PLACE).unwrap_or_default();
    let mut places = places.lines().filter(|place| !place.is_empty()).map(str::to_owned);
    finding.place = places.next();
    finding.called_from = places.next();
    finding
}

/// A crash, in words.
fn crashed(arena: &SharedArena, system: Option<&SimOs<SharedArena>>, signal: i32, output: &str) -> String {
    if (signal != libc::SIGSEGV && signal != libc::SIGBUS) || arena.note(note::KIND) != note::FAULT {
        return match asked_for(output) {
            Some(bytes) => format!(
                "Your code asked the system for {bytes} of memory. An allocator is what others ask: it needs no memory but \
                 the heap it is given."
            ),
            None if signal == libc::SIGABRT => "The process ended itself: something called abort.".to_owned(),
            None => format!("Signal {signal} ended the process."),
        };
    }
    let address = arena.note(note::ADDRESS);
    if note::is_stack_overflow(address, arena.note(note::STACK)) {
        return "Your code calls itself again and again, until the stack is full.".to_owned();
    }
    let did = match arena.note(note::ACCESS) {
        note::WRITE => "wrote to",
        note::READ => "read from",
        _ => "touched",
    };
    if address == u64::MAX {
        return format!(
            "Your code {did} an address that can't exist. Was the pointer read from a word that nobody had written, or from \
             bytes of the program?"
        );
    }
    if address < NULL_PAGE {
        return null_plus(did, address);
    }
    let below_null = address.wrapping_neg();
    if below_null < NULL_PAGE {
        return format!("Your code {did} the address {below_null} bytes before 0: a null pointer minus {below_null}.");
    }
    let end = system.map_or(0, SimOs::end);
    let at = (address as usize).wrapping_sub(BASE);
    if at < end {
        return format!(
            "Your code {did} {}, which is none of its business here: the exam has closed that page.",
            Offset(at)
        );
    }
    if let Some(place) = in_a_mapping(system, at) {
        return format!("Your code {did} {place}.");
    }
    if end > 0 && at == end {
        return format!("Your code {did} the first byte past the end of the heap, which ends at {}.", Offset(end));
    }
    if end > 0 && at < MAPPINGS.start {
        return format!(
            "Your code {did} an address {} past the end of the heap, which ends at {}.",
            distance(at - end),
            Offset(end)
        );
    }
    if end > 0 && at.wrapping_neg() < FAR {
        return format!("Your code {did} an address {} before the start of the heap.", distance(at.wrapping_neg()));
    }
    if at < ARENA {
        return format!("Your code {did} an address {} past the end of the heap.", distance(at - end));
    }
    if address < SMALL_NUMBER {
        return format!(
            "Your code {did} address {address:#x}, where there is no memory. Is this number a pointer at all?"
        );
    }
    format!("Your code {did} an address far from the heap, where there is no memory: a wild pointer.")
}

/// What is at an address in a mapping or right after it.
fn in_a_mapping(system: Option<&SimOs<SharedArena>>, at: usize) -> Option<String> {
    let mappings = system?.layout().mappings;
    let near = |mapping: &Mapping| at.wrapping_sub(mapping.start) < mapping.len.saturating_add(NEAR);
    let (number, mapping) = (1..).zip(mappings).find(|(_, mapping)| near(mapping))?;
    let distance = at - mapping.start;
    Some(match distance.checked_sub(mapping.len) {
        None => format!("byte {distance} of the mapping M{number}, which was given back"),
        Some(past) => format!("an address {past} bytes past the end of the mapping M{number}"),
    })
}

/// A distance in bytes, or in GiB where it is long.
fn distance(bytes: usize) -> String {
    if bytes < FAR { format!("{bytes} bytes") } else { format!("{} GiB", bytes >> 30) }
}

/// Addresses that come of a null pointer and an offset.
const NULL_PAGE: u64 = 4096;
/// What still counts as a miss of a mapping: the width of its guard.
const NEAR: usize = 1 << 20;
/// A longer miss is told in GiB.
const FAR: usize = 4 << 30;
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
        "Your code {did} address {address:#x}, which is a null pointer plus {address}. In a chunk `{field}` lies at \
         +{address}: this looks like `(*chunk).{field}` where `chunk` is null."
    )
}

/// What a panic said, without the end of a message that would fill a screen.
fn shortened(mut said: String) -> String {
    const MOST: usize = 600;
    if said.len() > MOST {
        said.truncate(said.floor_char_boundary(MOST));
        said.push_str(" …");
    }
    said
}

/// The compiler's own checks of a debug build end the process where a wrong `unsafe` would have gone on.
fn refused_by_the_compilers_checks(said: &str) -> String {
    let said = said.lines().next().unwrap_or_default();
    if said.contains("null pointer dereference") {
        "Your code follows a null pointer.".to_owned()
    } else if said.contains("misaligned pointer dereference") {
        format!("Your code follows a pointer that is not aligned: {said}. Chunks start at multiples of 16.")
    } else if let Some(rule) = said.strip_prefix("unsafe precondition(s) violated: ") {
        format!("Your code breaks the contract of an unsafe function: {rule}.")
    } else {
        format!("Your code panicked where it must not: {said}.")
    }
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
