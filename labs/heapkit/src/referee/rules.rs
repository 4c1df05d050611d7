//! What a lab promises beyond being a `malloc`.

use super::{Call, Kind, Violation};
use crate::format::{MIN_CHUNK, chunk_size};
use crate::image::{Image, State};
use crate::os::{self, Layout, Place};

/// What a lab promises beyond being a `malloc`: which chunk serves a request, what is joined, which calls the system sees.
///
/// What holds for any `malloc`, the referee checks by itself.
pub trait Rules {
    /// Where the block may be that this step asked for, and whether the system was asked for the right things. For a `free`,
    /// nobody looks at where.
    ///
    /// # Errors
    /// The system was asked for something else.
    fn expect(&mut self, step: &StepView<'_>) -> Result<Expected, Violation>;

    /// Whether everything is as it should be after the step, where the block is in its place and the heap can be read.
    ///
    /// # Errors
    /// What isn't.
    fn after(&mut self, step: &StepView<'_>) -> Result<(), Violation> {
        let _ = step;
        Ok(())
    }
}

/// One step, as it is judged.
#[derive(Clone, Copy)]
pub struct StepView<'a> {
    /// What the allocator was asked for.
    pub call: Call,
    /// Where the block was that this is about, for a `realloc` or a `free`.
    pub old: Option<Place>,
    /// Where the block is that it returned.
    pub seen: Option<Place>,
    /// The heap before the step.
    pub before: &'a Image,
    /// The heap after the step. It may be unreadable.
    pub after: &'a Image,
    /// The address of the heap's first byte.
    pub base: usize,
    /// Where the break was before the step.
    pub end: usize,
    /// Who has which memory after the step.
    pub layout: &'a Layout,
    /// Whether the heap can't grow: there is no system.
    pub is_fixed: bool,
    /// What the system was asked for in this step.
    pub calls: &'a [os::Call],
    /// The blocks that the program holds.
    pub held: &'a [Held],
}

impl StepView<'_> {
    /// The length of a mapping, which may be gone.
    pub fn mapping_len(&self, number: usize) -> usize {
        self.layout.mappings[number - 1].len
    }
}

/// A block that the program holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which one.
    pub id: usize,
    /// Where its bytes start, in the arena.
    pub at: usize,
    /// The same, as a place.
    pub place: Place,
    /// How many bytes were asked for.
    pub request: usize,
    /// For a block in a mapping: the two words in front of it.
    pub header: Option<[usize; 2]>,
}

impl Held {
    /// Where its bytes start in the heap, if that is where they are.
    pub fn in_heap(&self) -> Option<usize> {
        match self.place {
            Place::Heap(at) => Some(at),
            _ => None,
        }
    }
}

/// Where a block may be, by the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// In one of these places.
    At {
        /// The places.
        spots: Vec<Spot>,
        /// Why there.
        why: String,
    },
    /// Nowhere: the request is refused.
    Null {
        /// Why.
        why: String,
    },
    /// Wherever there is memory.
    Anywhere {
        /// Whether the request may be refused as well.
        or_null: bool,
    },
}

/// A place in which a block may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The place.
    pub place: Place,
    /// The size of the block's chunk there, if it is in the heap and the rules say that.
    pub chunk: Option<usize>,
}

impl Expected {
    /// The request is refused.
    pub fn null(why: impl Into<String>) -> Self {
        Expected::Null { why: why.into() }
    }

    /// In one place, in a chunk of this size.
    pub fn at(place: Place, chunk: Option<usize>, why: impl Into<String>) -> Self {
        Expected::At { spots: vec![Spot { place, chunk }], why: why.into() }
    }

    /// The places in which it may be, if the rules name any.
    pub fn spots(&self) -> &[Spot] {
        match self {
            Expected::At { spots, .. } => spots,
            _ => &[],
        }
    }

    /// What a verdict says was expected.
    pub fn in_words(&self) -> String {
        match self {
            Expected::At { spots, why } => spots.first().map_or(why.clone(), |spot| format!("{}, {why}", spot.place)),
            Expected::Null { why } => format!("null: {why}"),
            Expected::Anywhere { or_null: false } => "memory that nobody else uses".into(),
            Expected::Anywhere { or_null: true } => "memory that nobody else uses, or null".into(),
        }
    }
}

/// No rules beyond `malloc`'s own: a block may be anywhere. A request may be refused only if the system has refused memory for
/// it, or if there is no system and no chunk is large enough.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyMalloc;

impl Rules for AnyMalloc {
    fn expect(&mut self, step: &StepView<'_>) -> Result<Expected, Violation> {
        let or_null = step.calls.iter().any(|call| call.is_refused()) || !has_room(step);
        Ok(Expected::Anywhere { or_null })
    }
}

/// Whether somebody could serve the request, if nobody refuses.
fn has_room(step: &StepView<'_>) -> bool {
    let Some(need) = step.call.request().and_then(chunk_size) else { return false };
    let align = match step.call {
        Call::Aligned { align, .. } if !align.is_power_of_two() => return false,
        Call::Aligned { align, .. } => align,
        _ => 0,
    };
    // An aligned block may need a chunk in front of it.
    let Some(need) = need.checked_add(align) else { return false };
    let enough = need.saturating_add(MIN_CHUNK);
    let large = |state: State, size: usize| matches!(state, State::Free | State::Top) && size >= enough;
    !step.is_fixed && need < super::NO_SYSTEM_HAS
        || step.before.blocks.iter().any(|block| large(block.state, block.size))
}

/// No free chunk has a free neighbour, or borders on the top chunk.
///
/// # Errors
/// One that does.
pub fn check_joined(heap: &Image) -> Result<(), Violation> {
    let apart = heap
        .blocks
        .windows(2)
        .find(|pair| pair[0].state == State::Free && matches!(pair[1].state, State::Free | State::Top));
    let Some([first, second]) = apart else { return Ok(()) };
    let what = if second.state == State::Top { "borders on the top chunk" } else { "has a free neighbour" };
    Err(Violation::new(Kind::NotJoined, format!("A free chunk {what}: they should be one chunk."))
        .mark(first.at, "this one should have been joined"))
}

/// The system was asked for nothing more than these first `expected` calls.
///
/// # Errors
/// The first call beyond.
pub fn check_no_call_after(calls: &[os::Call], expected: usize) -> Result<(), Violation> {
    calls.get(expected).map_or(Ok(()), |call| {
        let what = "The system is asked for something, but the rule asks for nothing (more).";
        Err(Violation::new(Kind::WrongCall, what).expected("no call", call.to_string()))
    })
}
