//! What a whole malloc promises: where each block comes from, what the system is asked for, what goes back to it.
//!
//! What a step may do follows from the heap before it, as [`crate::image`] reads it, and from what the system grants: the
//! rules keep no heap of their own. Only the two thresholds have no place in memory, so the rules follow them.

use super::rules::{Expected, Rules, StepView, check_joined};
use super::script::{Pick, Script, Wanted};
use super::{Call, Kind, Violation};
use crate::format::{IS_MMAPPED, MIN_CHUNK, PAYLOAD, chunk_size};
use crate::os::Place;
use crate::workload::name;

/// How far the break moves beyond what is needed, and what trimming leaves.
pub const TOP_PAD: usize = 128 << 10;
/// The thresholds, as long as no mapping has been freed.
pub const THRESHOLD: usize = 128 << 10;
/// No larger mapping raises them.
pub const THRESHOLD_MAX: usize = 32 << 20;

/// The rules of a malloc on a system: the list, best fit, or the top chunk, or the break that moves, or a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MallocRules {
    mmap_threshold: usize,
    trim_threshold: usize,
    /// Whether what `free` gives back from the break's end is judged.
    judges_trimming: bool,
}

impl Default for MallocRules {
    fn default() -> Self {
        MallocRules { mmap_threshold: THRESHOLD, trim_threshold: THRESHOLD, judges_trimming: true }
    }
}

impl MallocRules {
    /// For a malloc that has asked the system for nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same for a malloc whose `free` may trim or not: what is judged then is everything else.
    pub fn but_trimming() -> Self {
        MallocRules { judges_trimming: false, ..Self::default() }
    }

    /// What the system hears when a block is given back.
    fn gives_back(&mut self, script: &mut Script<'_>, place: Place) -> Result<(), Violation> {
        match place {
            Place::Mapping { number, at } => {
                let len = script.step.mapping_len(number);
                script.call(Wanted::Munmap { number, len })?;
                let chunk = len - (at - PAYLOAD);
                if chunk > self.mmap_threshold && chunk <= THRESHOLD_MAX {
                    (self.mmap_threshold, self.trim_threshold) = (chunk, 2 * chunk);
                }
                Ok(())
            }
            _ if self.judges_trimming => script.trim(place, self.trim_threshold),
            _ => {
                script.may_trim();
                Ok(())
            }
        }
    }
}

impl MallocRules {
    pub(super) fn mmap_threshold(&self) -> usize {
        self.mmap_threshold
    }

    /// Where the block may be that this step asked for. Not all calls need be read then.
    pub(super) fn judge(&mut self, script: &mut Script<'_>) -> Result<Expected, Violation> {
        let step = script.step;
        Ok(match (step.call, step.old) {
            (Call::Malloc { request }, _) => script.take(chunk_size(request))?,
            (Call::Calloc { count, size }, _) => match count.checked_mul(size) {
                Some(request) => script.take(chunk_size(request))?,
                None => Expected::null("no word can count that many bytes"),
            },
            (Call::Aligned { align, request }, _) => script.aligned(align, request)?,
            (Call::Realloc { request, .. }, Some(old)) => {
                let (expected, moves) = script.realloc(old, request)?;
                if moves && !expected.spots().is_empty() {
                    self.gives_back(script, old)?;
                }
                expected
            }
            (Call::Free { .. }, Some(old)) => {
                self.gives_back(script, old)?;
                Expected::null("free returns nothing")
            }
            (Call::Realloc { .. } | Call::Free { .. }, None) => Expected::null("there is no such block"),
        })
    }
}

impl Rules for MallocRules {
    fn expect(&mut self, step: &StepView<'_>) -> Result<Expected, Violation> {
        let mut script = Script::new(step, self.mmap_threshold, Pick::AnySmallest);
        let expected = self.judge(&mut script)?;
        script.done()?;
        Ok(expected)
    }

    fn after(&mut self, step: &StepView<'_>) -> Result<(), Violation> {
        check_mapping_headers(step)?;
        check_no_chunk_is_too_large(step)?;
        check_joined(step.after)?;
        check_no_mapping_is_lost(step)
    }
}

/// The header of a block in a mapping says how far after the mapping's start it is, and how long the rest is.
fn check_mapping_headers(step: &StepView<'_>) -> Result<(), Violation> {
    for held in step.held {
        let (Place::Mapping { number, at }, Some(seen)) = (held.place, held.header) else { continue };
        let lead = at - PAYLOAD;
        let wanted = [lead, (step.mapping_len(number) - lead) | IS_MMAPPED];
        if seen != wanted {
            let say = |[lead, word]: [usize; 2]| format!("prev_size {lead}, size word {word:#x}");
            let what = format!("The header in front of {} does not describe its mapping.", name(held.id));
            return Err(Violation::new(Kind::MappingHeader, what).expected(say(wanted), say(seen)));
        }
    }
    Ok(())
}

/// A block's chunk is at most 16 bytes larger than it has to be: more would be a chunk of its own.
fn check_no_chunk_is_too_large(step: &StepView<'_>) -> Result<(), Violation> {
    for held in step.held {
        let block = held.in_heap().and_then(|at| step.after.block(at - PAYLOAD));
        let (Some(block), Some(need)) = (block, chunk_size(held.request)) else { continue };
        if block.size.saturating_sub(need) >= MIN_CHUNK {
            let name = name(held.id);
            let what = format!("{name}'s chunk is larger than it has to be: what is too much should be free.");
            return Err(Violation::new(Kind::ChunkTooLarge, what)
                .expected(format!("{need} bytes or 16 more"), format!("{} bytes", block.size))
                .mark(block.at, format!("{name}'s chunk")));
        }
    }
    Ok(())
}

/// In each mapping that is there is a block.
fn check_no_mapping_is_lost(step: &StepView<'_>) -> Result<(), Violation> {
    let has_block = |wanted: usize| {
        step.held.iter().any(|held| matches!(held.place, Place::Mapping { number, .. } if number == wanted))
    };
    let mut alive = (1..).zip(&step.layout.mappings).filter(|(_, mapping)| mapping.alive);
    alive.find(|(number, _)| !has_block(*number)).map_or(Ok(()), |(number, mapping)| {
        let what = format!("The mapping M{number} of {} bytes is lost: no block is in it.", mapping.len);
        Err(Violation::new(Kind::MappingLost, what))
    })
}
