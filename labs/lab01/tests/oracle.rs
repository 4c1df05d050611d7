//! What the right answers are, by other means than the lab's own.

use crate::questions::Source;
use std::ops::Range;

const ALIGNMENT: usize = 16;
const TOP_PAD: usize = 131_072;
const PAGE: usize = 4096;

/// More than any system of the exam has: a learner's code may know that without asking.
const NO_SYSTEM_HAS: usize = 1 << 40;

/// The source, by the page's table: the lines of [`Source`] in their order.
pub fn source(is_null: bool, moved: isize, inside: bool, mapped: bool) -> Source {
    let evidence = [
        (Source::Refused, is_null),
        (Source::Break, inside && moved > 0),
        (Source::Heap, inside && moved <= 0),
        (Source::Mapping, !inside && mapped),
        (Source::Elsewhere, true),
    ];
    let first = evidence.into_iter().find_map(|(source, holds)| holds.then_some(source));
    first.unwrap_or(Source::Elsewhere)
}

/// How many bytes a block of `request` bytes takes.
pub fn size(request: usize) -> usize {
    request.max(1).next_multiple_of(ALIGNMENT)
}

/// What an allocator knows that puts one block after the other: which bytes it has left.
#[derive(Clone, Debug, Default)]
pub struct Bump {
    left: Range<usize>,
}

/// What has to come of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// A block at this place, without a call.
    Serve(usize),
    /// A call that moves the break by `delta`; and if it is granted, a block at `place`.
    Grow {
        /// By how many bytes.
        delta: usize,
        /// Where the block starts then.
        place: usize,
        /// Whether the block starts in what was left.
        joins: bool,
        /// How many bytes were missing.
        missing: usize,
    },
    /// `None`: no memory is that large.
    Hopeless,
}

impl Bump {
    /// What has to come of `request`, with the break at `end`.
    pub fn plan(&self, request: usize, end: usize) -> Plan {
        let size = (request.max(1) as u128).div_ceil(ALIGNMENT as u128) * ALIGNMENT as u128;
        let left = self.left.len() as u128;
        if size <= left {
            return Plan::Serve(self.left.start);
        }
        let joins = left > 0 && self.left.end == end;
        let missing = if joins { size - left } else { size };
        let pages = (missing + TOP_PAD as u128).div_ceil(PAGE as u128);
        let delta = pages * PAGE as u128;
        if delta > NO_SYSTEM_HAS as u128 {
            return Plan::Hopeless;
        }
        let place = if joins { self.left.start } else { end.next_multiple_of(ALIGNMENT) };
        Plan::Grow { delta: delta as usize, place, joins, missing: missing as usize }
    }

    /// The block at `place` was handed out for `request` bytes; the break has moved to `end` for it, if it has.
    pub fn hand_out(&mut self, place: usize, request: usize, end: Option<usize>) {
        self.left = place + size(request)..end.unwrap_or(self.left.end);
    }

    /// The bytes that are left.
    pub fn left(&self) -> Range<usize> {
        self.left.clone()
    }
}
