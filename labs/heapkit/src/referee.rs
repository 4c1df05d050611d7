//! Plays a workload on an allocator and checks the heap after every step.
//!
//! The allocator may run in another process: the referee knows it by numbers alone. An address is an offset from the heap's
//! start, and memory is read and written through an [`Arena`], never through a pointer that the allocator returned.
//!
//! What any `malloc` promises, is checked here: a block lies in granted memory that nobody else uses, its bytes stay as the
//! program wrote them, no chunk is lost, the heap can be read and agrees with its lists, the system is told the truth. What a
//! lab promises beyond that, its [`Rules`] say. The referee looks at the raw heap through [`crate::image`], so that no mistake
//! of the allocator can hide behind the allocator.

pub mod bin_rules;
mod list_rules;
mod malloc_rules;
pub mod pattern;
mod payloads;
mod rules;
mod script;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod toy;
mod violation;

pub use bin_rules::BinRules;
pub use list_rules::{Fit, ListRules};
pub use malloc_rules::{MallocRules, THRESHOLD, THRESHOLD_MAX, TOP_PAD};
pub use payloads::Payloads;
pub use rules::{AnyMalloc, Expected, Held, Rules, Spot, StepView, check_joined, check_no_call_after};
pub use violation::{Kind, Violation};

use crate::draw::size_word_in_words;
use crate::format::{ALIGNMENT, MIN_CHUNK, PAYLOAD, SIZE_WORD, chunk_size};
use crate::image::{Block, Defect, Image, Link, Links, ListHead, Offset, Raw, State, UNSET};
use crate::journal::Journal;
use crate::memory::{Arena, HEAP_ROOM};
use crate::os::{self, Layout, Place, SimOs};
use crate::snapshot::Snapshot;
use crate::workload::{Op, elements, name};
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// A request for this many bytes, no system of ours can serve: whoever knows that need not ask.
const NO_SYSTEM_HAS: usize = 1 << 40;

/// Once in so many steps, each block in a mapping is looked at between its ends too: that is in no snapshot.
const FULL_LOOK: usize = 8;

/// One call of an allocator. A payload is an offset from the heap's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `request` bytes.
    Malloc {
        /// How many.
        request: usize,
    },
    /// `count` times `size` bytes that are zero.
    Calloc {
        /// How many elements.
        count: usize,
        /// The bytes of each.
        size: usize,
    },
    /// `request` bytes at a multiple of `align`.
    Aligned {
        /// What the address is a multiple of.
        align: usize,
        /// How many bytes.
        request: usize,
    },
    /// Makes a block `request` bytes long, wherever it then is.
    Realloc {
        /// The block.
        payload: usize,
        /// How many bytes.
        request: usize,
    },
    /// Gives a block back.
    Free {
        /// The block.
        payload: usize,
    },
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Malloc { request } => write!(f, "malloc({request})"),
            Self::Calloc { count, size } => write!(f, "calloc({count}, {size})"),
            Self::Aligned { align, request } => write!(f, "aligned({align}, {request})"),
            Self::Realloc { payload, request } => write!(f, "realloc({}, {request})", Offset(payload)),
            Self::Free { payload } => write!(f, "free({})", Offset(payload)),
        }
    }
}

impl Call {
    /// The call that carries out `op`, and the block that it is about; `payload_of` says where a block is, if it is alive. `None` if
    /// there is nothing to call.
    pub fn of(op: Op, payload_of: impl FnOnce(usize) -> Option<usize>) -> Option<(usize, Self)> {
        Some(match op {
            Op::Malloc { id, size } => (id, Call::Malloc { request: size }),
            Op::Calloc { id, size } => {
                let (count, size) = elements(size);
                (id, Call::Calloc { count, size })
            }
            Op::Aligned { id, align, size } => (id, Call::Aligned { align, request: size }),
            Op::Realloc { id, size } => match payload_of(id) {
                Some(payload) => (id, Call::Realloc { payload, request: size }),
                None => (id, Call::Malloc { request: size }),
            },
            Op::Free { id } => (id, Call::Free { payload: payload_of(id)? }),
            Op::Foreign { .. } => return None,
        })
    }

    /// The operation's name.
    pub const fn name(self) -> &'static str {
        match self {
            Call::Malloc { .. } => "malloc",
            Call::Calloc { .. } => "calloc",
            Call::Aligned { .. } => "aligned",
            Call::Realloc { .. } => "realloc",
            Call::Free { .. } => "free",
        }
    }

    /// How many bytes it asks for, if that is a number of bytes at all.
    pub const fn request(self) -> Option<usize> {
        match self {
            Call::Malloc { request } | Call::Aligned { request, .. } | Call::Realloc { request, .. } => Some(request),
            Call::Calloc { count, size } => count.checked_mul(size),
            Call::Free { .. } => None,
        }
    }

    /// What the returned address has to be a multiple of.
    fn alignment(self) -> usize {
        match self {
            Call::Aligned { align, .. } if align.is_power_of_two() => align.max(ALIGNMENT),
            _ => ALIGNMENT,
        }
    }
}

/// The allocator has no operation of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchOperation;

impl fmt::Display for NoSuchOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the allocator has no such operation")
    }
}

impl std::error::Error for NoSuchOperation {}

/// What the referee plays on: every allocator, in this process or in another one.
pub trait Allocator {
    /// Makes one call. Where the block is that it returned: `None` for null, and for a `free`.
    ///
    /// # Errors
    /// [`NoSuchOperation`], if the allocator doesn't have it.
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation>;

    /// Where its lists start, as it last told.
    fn lists(&mut self) -> Vec<ListHead>;
}

/// Watches one allocator.
pub struct Referee<'a> {
    os: &'a SimOs<dyn Arena>,
    allocator: &'a mut dyn Allocator,
    rules: Box<dyn Rules + 'a>,
    journal: &'a Journal,
    live: BTreeMap<usize, Held>,
    /// The heap before the last step, and after it.
    before: Moment,
    now: Moment,
    layout: Layout,
    /// How many snapshots have been taken.
    steps: usize,
}

/// The heap as it was at one moment.
#[derive(Clone)]
struct Moment {
    bytes: Snapshot,
    image: Image,
}

/// How a step comes out of its call.
struct Answer {
    call: Call,
    /// The block that it is about or makes.
    id: usize,
    /// What that block was before.
    old: Option<Held>,
    /// Where it is.
    seen: Option<(usize, Place)>,
    /// Where the break was before.
    end: usize,
    calls: Vec<os::Call>,
}

impl<'a> Referee<'a> {
    /// Watches `allocator`, which uses `os` alone, holds no block yet and keeps `rules`; steps go to `journal`.
    pub fn new(
        os: &'a SimOs<dyn Arena>,
        allocator: &'a mut dyn Allocator,
        rules: Box<dyn Rules + 'a>,
        journal: &'a Journal,
    ) -> Self {
        let layout = os.layout();
        let now = Moment::of(os, &layout, &allocator.lists());
        Referee { os, allocator, rules, journal, live: BTreeMap::new(), before: now.clone(), now, layout, steps: 0 }
    }

    /// Where the block `id` is, if it is alive.
    pub fn place(&self, id: usize) -> Option<Place> {
        self.live.get(&id).map(|held| held.place)
    }

    /// The heap as of the last answer.
    pub fn image(&self) -> &Image {
        &self.now.image
    }

    /// Takes one step. What can't be done is left out: a `free` of a block that isn't alive, other code that moves the break
    /// further than it can.
    ///
    /// # Errors
    /// The first promise that it broke.
    ///
    /// # Panics
    /// If the operation makes a block that is alive.
    pub fn play(&mut self, op: Op) -> Result<(), Violation> {
        self.step(op).map_err(|violation| {
            let shown = if violation.heap_is_before { &self.before } else { &self.now };
            Violation { heap: Box::new(shown.image.clone()), ..violation }
        })
    }

    fn step(&mut self, op: Op) -> Result<(), Violation> {
        if let Some(defect) = self.now.image.defects.first() {
            // An earlier step would have said so.
            let what = "The fresh heap makes no sense from its first chunk to the top chunk.";
            return Err(Violation { what: what.into(), ..self.unreadable(defect) });
        }
        if let Op::Foreign { delta } = op {
            self.foreign(op, delta);
            return Ok(());
        }
        let op = match op {
            // So the story calls it.
            Op::Realloc { id, size } if !self.live.contains_key(&id) => Op::Malloc { id, size },
            op => op,
        };
        let Some((id, call)) = Call::of(op, |id| self.live.get(&id).map(|held| held.at)) else { return Ok(()) };
        let old = self.live.get(&id).copied();
        let makes = !matches!(call, Call::Realloc { .. } | Call::Free { .. });
        assert!(old.is_none() || !makes, "`{op}` makes a block that is alive");

        self.journal.begin(op.in_words());
        let (end, first_call) = (self.os.end(), self.os.call_count());
        let answer = self.allocator.call(call);
        let Ok(payload) = answer else {
            self.journal.end("there is no such operation");
            let what = format!("This allocator has no operation `{}`.", call.name());
            return Err(Violation::new(Kind::NoSuchOperation, what));
        };
        let is_free = matches!(call, Call::Free { .. });
        let seen = payload.filter(|_| !is_free).map(|at| (at, self.os.place(at)));
        let null = if is_free { "" } else { "null" };
        self.journal.end(seen.map_or(null.into(), |(at, place)| spoken(at, place)));
        self.look();
        self.judge(&Answer { call, id, old, seen, end, calls: self.os.calls_after(first_call) })
    }

    fn foreign(&mut self, op: Op, delta: isize) {
        if self.os.can_move_foreign(delta) {
            self.journal.begin(op.in_words());
            self.os.foreign_sbrk(delta);
            self.journal.end("");
            self.look();
        }
    }

    /// Takes the one snapshot of a step.
    fn look(&mut self) {
        self.layout = self.os.layout();
        let now = Moment::of(self.os, &self.layout, &self.allocator.lists());
        self.before = std::mem::replace(&mut self.now, now);
        self.steps += 1;
    }

    fn judge(&mut self, answer: &Answer) -> Result<(), Violation> {
        if let Some(misuse) = self.os.misuse() {
            return Err(Violation::new(Kind::SystemMisused, misuse));
        }
        if matches!(answer.call, Call::Free { .. }) {
            self.live.remove(&answer.id);
        }
        let held = self.held();
        let expected = self.rules.expect(&view(answer, &self.before, &self.now, &self.layout, self.os, &held));
        // An overlap first: whatever else is wrong may come of it.
        if let Some((at, place)) = answer.seen {
            let wanted = expected.as_ref().map_or("memory that nobody else uses".into(), Expected::in_words);
            self.check_overlap(answer, at, place, &wanted)?;
        }
        let expected = expected?;
        if !matches!(answer.call, Call::Free { .. }) {
            self.settle(answer, &expected)?;
        }
        self.check_heap(answer)?;
        let held = self.held();
        self.rules.after(&view(answer, &self.before, &self.now, &self.layout, self.os, &held))?;
        self.check_nothing_is_lost()?;
        if answer.seen.is_some() {
            let Held { at, request, .. } = self.live[&answer.id];
            pattern::fill(answer.id, request, |i, bytes| self.os.arena().write(at + i, bytes));
        }
        Ok(())
    }

    /// Whether the new block, with the size word in front of it, lies in bytes that somebody else uses.
    fn check_overlap(&self, answer: &Answer, at: usize, place: Place, wanted: &str) -> Result<(), Violation> {
        let call = answer.call.name();
        let end = at.saturating_add(answer.call.request().unwrap_or(0).max(1));
        for held in self.live.values().filter(|held| held.id != answer.id) {
            let (other, held_end) = (name(held.id), held.at + held.request.max(1));
            let what = if at < held_end && held.at < end {
                format!("{call} returns bytes that still belong to {other}.")
            } else if at.saturating_sub(SIZE_WORD) < held_end && held.at - SIZE_WORD < end {
                format!("{call} returns a block that leaves no room for a header between it and {other}.")
            } else {
                continue;
            };
            let bytes = format!("{other}'s {} bytes at {}", held.request, held.place);
            let violation = Violation::new(Kind::Overlap, what)
                .expected(wanted, format!("{}, inside or around {bytes}", spoken(at, place)))
                .look_before();
            return Err(match held.in_heap() {
                Some(at) => violation.mark(at, format!("{other} is still in use")),
                None => violation,
            });
        }
        let foreign = self.layout.foreign.iter().find(|foreign| at < foreign.end && foreign.start < end);
        foreign.map_or(Ok(()), |foreign| {
            let what = format!("{call} returns bytes that belong to other code, which has moved the break as well.");
            Err(Violation::new(Kind::Overlap, what)
                .expected(wanted, spoken(at, place))
                .mark(foreign.start, "other code's memory"))
        })
    }

    /// Whether the block that was returned is what it has to be; it then belongs to the program.
    fn settle(&mut self, answer: &Answer, expected: &Expected) -> Result<(), Violation> {
        let Some((at, place)) = answer.seen else { return self.check_refusal(answer, expected) };
        // A product that no word can hold: no memory has as many bytes.
        let request = answer.call.request().unwrap_or(usize::MAX);
        let held = Held { id: answer.id, at, place, request, header: None };
        self.check_granted(answer, &held, expected)?;
        let chunk = self.check_place(answer, &held, expected)?;
        self.check_chunk_size(&held, chunk)?;
        self.check_bytes(answer, &held)?;
        self.live.insert(answer.id, held);
        Ok(())
    }

    /// Whether there may be no block.
    fn check_refusal(&self, answer: &Answer, expected: &Expected) -> Result<(), Violation> {
        if matches!(expected, Expected::Null { .. } | Expected::Anywhere { or_null: true }) {
            return Ok(());
        }
        let what = format!("{} gives up, but the request can be served.", answer.call.name());
        let violation = Violation::new(Kind::GaveUp, what).expected(expected.in_words(), "null").look_before();
        Err(self.mark_expected(violation, expected, "large enough"))
    }

    /// Whether all bytes of a new block are in memory that the system has granted.
    fn check_granted(&self, answer: &Answer, held: &Held, expected: &Expected) -> Result<(), Violation> {
        let (end, request) = (self.now.bytes.end(), held.request);
        let (room, what, seen) = match held.place {
            Place::Mapping { number, at } => {
                let room = self.mapping_len(number).saturating_sub(at);
                let seen = format!("{} for {request} bytes, with {room} bytes left there", held.place);
                (room, "past the end of its mapping", seen)
            }
            place => {
                let room = if place == Place::Elsewhere { 0 } else { end.saturating_sub(held.at) };
                let at = spoken(held.at, place);
                (room, "outside the heap", format!("{at} for {request} bytes; the heap ends at {}", Offset(end)))
            }
        };
        if room >= request.max(1) {
            return Ok(());
        }
        let what = format!("{} returns bytes {what}.", answer.call.name());
        Err(Violation::new(Kind::OutsideMemory, what).expected(expected.in_words(), seen))
    }

    /// Whether a new block is in one of the places that the rules name, and at a right address. The size that its chunk should
    /// have there.
    fn check_place(&self, answer: &Answer, held: &Held, expected: &Expected) -> Result<Option<usize>, Violation> {
        let (call, place) = (answer.call.name(), held.place);
        let spot = expected.spots().iter().find(|spot| spot.place == place);
        let instead = |violation: Violation| violation.expected(expected.in_words(), place.to_string()).look_before();
        if spot.is_none() && expected.spots().iter().any(|spot| is_header(place, spot.place)) {
            return Err(instead(header_returned(call)));
        }
        let align = answer.call.alignment();
        let address = self.os.arena().base().wrapping_add(held.at);
        if !address.is_multiple_of(align) {
            let what = format!("{call} returns an address that is no multiple of {align}.");
            let seen = format!("{place}, which is {} bytes after such a multiple", address % align);
            return Err(Violation::new(Kind::Misaligned, what).expected(format!("a multiple of {align}"), seen));
        }
        let what = match expected {
            _ if spot.is_some() => return Ok(spot.and_then(|spot| spot.chunk)),
            Expected::Anywhere { .. } => return Ok(None),
            Expected::Null { .. } => format!("{call} returns a block, but the rule says null."),
            Expected::At { .. } => format!("{call} returns another chunk than the rule says."),
        };
        let violation = instead(Violation::new(Kind::WrongPlace, what));
        Err(self.mark_expected(violation, expected, "this one serves the request"))
    }

    /// Whether a new block's chunk has the size that it should have. Before anybody writes to the block: if its chunk is too
    /// small, that destroys the next header.
    fn check_chunk_size(&self, held: &Held, wanted: Option<usize>) -> Result<(), Violation> {
        let block = held.in_heap().and_then(|at| self.now.image.block(at.checked_sub(PAYLOAD)?));
        let (Some(block), Some(wanted)) = (block, wanted) else { return Ok(()) };
        let (kind, compared) = match block.size.cmp(&wanted) {
            std::cmp::Ordering::Less => (Kind::ChunkTooSmall, "small"),
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Greater => (Kind::ChunkTooLarge, "large"),
        };
        Err(Violation::new(
            kind,
            format!("The block's chunk is too {compared} for a request of {} bytes.", held.request),
        )
        .expected(format!("a chunk of {wanted} bytes"), format!("{} bytes", block.size))
        .mark(block.at, "this chunk"))
    }

    /// Whether a new block has the bytes that it should have from the start: zeroes, or what it had before.
    fn check_bytes(&self, answer: &Answer, held: &Held) -> Result<(), Violation> {
        let read = |i: usize, into: &mut [u8]| self.read(held.at + i, into);
        if matches!(answer.call, Call::Calloc { .. })
            && let Some((i, seen)) = pattern::first_not_zero(held.request, read)
        {
            return Err(Violation::new(Kind::NotZero, "calloc returns bytes that are not zero.")
                .expected("0 everywhere", format!("{seen:#04x} at byte {i} of {}", held.request)));
        }
        if let Some(old) = answer.old
            && let Some((i, seen)) = pattern::first_changed(old.id, old.request, held.request, read)
        {
            let what = format!("realloc loses the bytes of {}.", name(old.id));
            return Err(changed(Kind::ContentLost, what, held, i, seen));
        }
        Ok(())
    }

    /// What holds between two steps.
    fn check_heap(&self, answer: &Answer) -> Result<(), Violation> {
        let image = &self.now.image;
        if let Some(defect) = image.defects.first() {
            // A chunk in use that is marked free has no prev_size after it, which is only what comes of the mistake.
            let is_footer = |held: &&Held| {
                let chunk = held.in_heap().and_then(|at| image.block(at.checked_sub(PAYLOAD)?));
                chunk.is_some_and(|chunk| chunk.end() == defect.at)
            };
            if let Some(held) = self.live.values().find(is_footer) {
                self.check_live(held, answer.call.name())?;
            }
            return Err(self.unreadable(defect));
        }
        if let Some(block) = image.blocks.iter().find(|block| block.state == State::Mapped) {
            let note = "M is set, \"a mapping of its own\", but this chunk is in the heap";
            return Err(self.unreadable(&Defect { at: block.at + SIZE_WORD, what: note.into() }));
        }
        // The new block isn't filled yet.
        let is_new = |held: &&Held| held.id == answer.id && answer.seen.is_some();
        for held in self.live.values() {
            self.check_live(held, answer.call.name())?;
            if is_new(&held) {
                continue;
            }
            let read = |i: usize, into: &mut [u8]| self.read(held.at + i, into);
            let changed_byte = if held.in_heap().is_some() || self.steps % FULL_LOOK == held.id % FULL_LOOK {
                pattern::first_changed(held.id, held.request, held.request, read)
            } else {
                pattern::first_changed_at_the_ends(held.id, held.request, read)
            };
            if let Some((i, seen)) = changed_byte {
                let what = format!("The bytes of {} changed while the program held them.", name(held.id));
                return Err(changed(Kind::ContentChanged, what, held, i, seen));
            }
        }
        image.list_defects().into_iter().next().map_or(Ok(()), |defect| {
            let what = match image.lists.len() {
                0 | 1 => "The free list and the heap disagree.",
                _ => "The lists and the heap disagree.",
            };
            let violation = Violation::new(Kind::ListBroken, what).mark(defect.at, &defect.what);
            Err(self.mark_change(violation, defect.at))
        })
    }

    /// The heap can't be walked to its end any more, or its words contradict each other.
    fn unreadable(&self, defect: &Defect) -> Violation {
        let what = "The heap no longer makes sense from its first chunk to the top chunk.";
        let violation = Violation::new(Kind::HeapUnreadable, what).mark(defect.at, &defect.what);
        let violation = self.mark_change(violation, defect.at);
        let is_header = |block: &&Block| block.at + SIZE_WORD == defect.at;
        if let Some(block) = self.before.image.blocks.iter().find(is_header) {
            let (was, is) = (block.size | block.flags, self.now.bytes.word(defect.at).unwrap_or_default());
            return if was == is {
                violation
            } else {
                violation.expected(format!("{}, as before this step", size_word_in_words(was)), size_word_in_words(is))
            };
        }
        let written_past = self.live.values().find(|held| {
            let end = held.in_heap().map(|at| at + held.request);
            end.is_some_and(|end| (end..end + MIN_CHUNK).contains(&defect.at))
        });
        match written_past {
            Some(held) => {
                let (name, end) = (name(held.id), Offset(held.at + held.request));
                let note = format!("{name}'s {} bytes end at {end}: did something write past them?", held.request);
                violation.mark(held.at, note)
            }
            None => violation,
        }
    }

    /// Whether a block's memory is there, and its chunk says that it is in use and large enough.
    fn check_live(&self, held: &Held, call: &str) -> Result<(), Violation> {
        let name = name(held.id);
        let lost = |what: String| Violation::new(Kind::BlockLost, what);
        let at = match held.place {
            Place::Heap(at) => at,
            Place::Mapping { number, .. } if self.layout.mappings[number - 1].alive => return Ok(()),
            Place::Mapping { number, .. } => {
                return Err(lost(format!("{name} is in use, but its mapping M{number} is gone.")));
            }
            Place::Elsewhere => return Err(lost(format!("{name} is in use, but its memory is gone."))),
        };
        let end = self.now.bytes.end();
        if held.request > end.saturating_sub(at) {
            return Err(lost(format!("{name} is in use, but the break has moved below its end."))
                .expected(format!("a break at {} or above", Offset(at + held.request)), Offset(end).to_string()));
        }
        let Some(block) = at.checked_sub(PAYLOAD).and_then(|chunk| self.now.image.block(chunk)) else {
            if self.now.image.block(at).is_some() {
                return Err(header_returned(call).mark(at, format!("{name} has this address")));
            }
            return Err(lost(format!("{name} is in use, but no chunk starts in front of its bytes."))
                .mark(at, format!("the {} bytes of {name} start here", held.request)));
        };
        let state = match block.state {
            State::Used => {
                let need = chunk_size(held.request);
                return if Some(block.size) >= need {
                    Ok(())
                } else {
                    let what = format!("{name}'s chunk is too small for its {} bytes.", held.request);
                    let wanted = format!("a chunk of {} bytes or more", need.unwrap_or(0));
                    Err(Violation::new(Kind::ChunkTooSmall, what)
                        .expected(wanted, format!("{} bytes", block.size))
                        .mark(block.at, format!("{name}'s chunk")))
                };
            }
            State::Free => {
                let (at, note) = (block.end(), format!("P is 0 here: it says that {name}'s chunk is free"));
                let violation =
                    lost(format!("{name} is in use, but its chunk is marked free.")).mark(at + SIZE_WORD, note);
                return Err(self.mark_change(violation, at + SIZE_WORD));
            }
            State::Top => "is part of the top chunk",
            State::Fence => "is a fence",
            State::Mapped => "says that it is a mapping",
            State::Foreign => "is other code's memory",
        };
        Err(lost(format!("{name} is in use, but its chunk {state}.")).mark(block.at, format!("{name}'s chunk")))
    }

    /// Each chunk in use is held by somebody: by the program, or by a list whose chunks look used.
    fn check_nothing_is_lost(&self) -> Result<(), Violation> {
        let image = &self.now.image;
        let held = self.live.values().filter_map(|held| held.in_heap()?.checked_sub(PAYLOAD));
        let listed = image.lists.iter().filter(|list| list.links != Links::BothWays).flat_map(|list| &list.chunks);
        let known: HashSet<usize> = held.chain(listed.copied()).collect();
        let lost = image.blocks.iter().find(|block| block.state == State::Used && !known.contains(&block.at));
        lost.map_or(Ok(()), |lost| {
            let what = "A chunk is lost: it is marked as in use, but nobody holds it.";
            Err(Violation::new(Kind::ChunkLost, what).mark(lost.at, "nobody holds this one"))
        })
    }

    /// Marks where the block should be, if a chunk is there before the step.
    fn mark_expected(&self, violation: Violation, expected: &Expected, note: &str) -> Violation {
        let at = match expected.spots().first().map(|spot| spot.place) {
            Some(Place::Heap(at)) => at - PAYLOAD,
            _ => return violation,
        };
        if self.before.image.block_around(at).is_some() { violation.mark(at, note) } else { violation }
    }

    /// Says what the word at `at` was before this step, if the allocator has changed it.
    fn mark_change(&self, violation: Violation, at: usize) -> Violation {
        let at = at / SIZE_WORD * SIZE_WORD;
        let (Some(was), Some(is)) = (self.before.bytes.word(at), self.now.bytes.word(at)) else { return violation };
        // A word that the program could write says nothing about the allocator, nor does fresh memory.
        let payload = |block: &Block| block.payload()..block.end() + SIZE_WORD;
        let blocks = &self.before.image.blocks;
        let says_nothing = was == is || was == UNSET;
        if says_nothing || blocks.iter().any(|block| block.state == State::Used && payload(block).contains(&at)) {
            return violation;
        }
        let raw = Raw::new(&self.now.bytes);
        let say = |word: usize, image: &Image| {
            let chunk = at.wrapping_sub(SIZE_WORD);
            let starts_chunk = image.block(chunk).is_some() || image.blocks.last().map_or(0, Block::end) == chunk;
            match raw.link(word) {
                _ if starts_chunk && word != UNSET => size_word_in_words(word),
                Link::To(to) => Offset(to).to_string(),
                _ => crate::draw::word(word),
            }
        };
        let (was, is) = (say(was, &self.before.image), say(is, &self.now.image));
        violation.mark(at, format!("changed in this step: was {was}, is {is}"))
    }

    /// Copies bytes of a block, as they were after the step: from the snapshot, or from a mapping that is there.
    fn read(&self, at: usize, into: &mut [u8]) {
        if at < self.now.bytes.end() {
            self.now.bytes.read(at, into);
        } else {
            self.os.arena().read(at, into);
        }
    }

    /// The blocks that the program holds, with the headers of those in mappings.
    fn held(&self) -> Vec<Held> {
        let header = |held: &Held| match held.place {
            Place::Mapping { number, at } if self.layout.mappings[number - 1].alive && at >= PAYLOAD => {
                let word = |before| self.os.arena().word(held.at - before);
                Some([word(PAYLOAD), word(SIZE_WORD)])
            }
            _ => None,
        };
        self.live.values().map(|held| Held { header: header(held), ..*held }).collect()
    }

    fn mapping_len(&self, number: usize) -> usize {
        self.layout.mappings[number - 1].len
    }
}

impl Moment {
    fn of(os: &SimOs<dyn Arena>, layout: &Layout, lists: &[ListHead]) -> Self {
        let bytes = os.arena().snapshot(0..layout.end);
        let image = Image::decode(&Raw { bytes: &bytes, foreign: &layout.foreign }, lists);
        Moment { bytes, image }
    }
}

fn view<'s>(
    answer: &'s Answer,
    before: &'s Moment,
    now: &'s Moment,
    layout: &'s Layout,
    os: &SimOs<dyn Arena>,
    held: &'s [Held],
) -> StepView<'s> {
    StepView {
        call: answer.call,
        old: answer.old.map(|held| held.place),
        seen: answer.seen.map(|(_, place)| place),
        before: &before.image,
        after: &now.image,
        base: os.arena().base(),
        end: answer.end,
        layout,
        is_fixed: os.is_fixed(),
        calls: &answer.calls,
        held,
    }
}

/// Whether `seen` is where the header is of a chunk whose payload is at `payload`.
fn is_header(seen: Place, payload: Place) -> bool {
    match (seen, payload) {
        (Place::Heap(seen), Place::Heap(at)) => seen + PAYLOAD == at,
        (Place::Mapping { number: seen_in, at: seen }, Place::Mapping { number, at }) => {
            number == seen_in && seen + PAYLOAD == at
        }
        _ => false,
    }
}

fn header_returned(call: &str) -> Violation {
    let what = format!("{call} returns the address of the chunk's header. The payload starts 16 bytes later.");
    Violation::new(Kind::HeaderReturned, what)
}

/// Byte `i` of a block isn't what the program wrote.
fn changed(kind: Kind, what: String, held: &Held, i: usize, seen: u8) -> Violation {
    let at = match held.place {
        Place::Heap(at) => Offset(at + i).to_string(),
        place => format!("byte {i} of the block at {place}"),
    };
    let wanted = format!("{:#04x} at {at}, as the program wrote it", pattern::byte(held.id, i));
    let violation = Violation::new(kind, what).expected(wanted, format!("{seen:#04x}"));
    match held.in_heap() {
        Some(at) => violation.mark(at, format!("byte {i} of {} was overwritten", name(held.id))),
        None => violation,
    }
}

/// Where a block is, as a story says it.
fn spoken(at: usize, place: Place) -> String {
    let before = at.wrapping_neg();
    match place {
        Place::Elsewhere if at < HEAP_ROOM => Offset(at).to_string(),
        Place::Elsewhere if before < HEAP_ROOM => format!("{before:#x} bytes before the heap"),
        place => place.to_string(),
    }
}

/// The size of a chunk that is cut from one of `size` bytes, for `need`: a rest that is no chunk stays with it.
fn cut(size: usize, need: usize) -> usize {
    if size.saturating_sub(need) >= MIN_CHUNK { need } else { size }
}
