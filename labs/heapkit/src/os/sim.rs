//! An operating system in a box: deterministic, watchful, and it says no when told to.

#[cfg(unix)]
use super::Os;
use super::PAGE;
use crate::image::Offset;
#[cfg(unix)]
use crate::memory::PrivateArena;
use crate::memory::{Arena, GUARD, HEAP_ROOM, MAPPINGS, START};
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
#[cfg(unix)]
use std::ptr::NonNull;

/// A simulated operating system. All its addresses are offsets from the start of the heap.
///
/// The break starts at the start of the arena's heap and moves inside it; memory past the break can't be touched, nor what lies
/// around a mapping, nor a mapping that was given back. Fresh break memory holds [`crate::memory::FRESH`] everywhere, so that
/// code which assumes zeroes is found out. A mapping always moves when its length changes, so that code which keeps the old
/// address is found out too.
///
/// The allocator may run in another process, which asks for each call. In this one, a system in a `PrivateArena` is an `Os`.
pub struct SimOs<A: ?Sized> {
    /// All that the break can ever hand out.
    room: usize,
    is_fixed: bool,
    state: RefCell<State>,
    /// Last, so that it may be any arena at all: `&SimOs<dyn Arena>`.
    arena: A,
}

#[derive(Default)]
struct State {
    layout: Layout,
    calls: Vec<Call>,
    refusal: Refusal,
    misuse: Option<String>,
}

/// Who has which memory.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Where the break is.
    pub end: usize,
    /// What other code has taken below the break, in order.
    pub foreign: Vec<Range<usize>>,
    /// Every mapping there ever was, in order.
    pub mappings: Vec<Mapping>,
}

/// A mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where its first byte is.
    pub start: usize,
    /// Its length in bytes.
    pub len: usize,
    /// Whether it is still there.
    pub alive: bool,
}

impl Mapping {
    /// Its bytes.
    pub fn range(self) -> Range<usize> {
        self.start..self.start + self.len
    }
}

/// Where an address lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// So many bytes after the start of the heap.
    Heap(usize),
    /// In a mapping.
    Mapping {
        /// Its number.
        number: usize,
        /// How far after its start.
        at: usize,
    },
    /// In no memory that the system has granted.
    Elsewhere,
}

/// `+0x0010`, `M1+0x0010`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Heap(at) => Offset(*at).fmt(f),
            Place::Mapping { number, at } => write!(f, "M{number}{}", Offset(*at)),
            Place::Elsewhere => f.write_str("an address outside the heap and all mappings"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A call that moved the break or changed a mapping. Mappings have numbers, from 1 on, in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The allocator moved the break.
    Sbrk {
        /// How far.
        delta: isize,
        /// Whether it was allowed to.
        granted: bool,
    },
    /// The allocator asked for a mapping.
    Mmap {
        /// Its length.
        len: usize,
        /// Its number, if it was granted.
        mapping: Option<usize>,
    },
    /// The allocator gave a mapping back.
    Munmap {
        /// Its number.
        mapping: usize,
        /// Its length.
        len: usize,
    },
    /// The allocator asked for another length.
    Mremap {
        /// The mapping's number.
        mapping: usize,
        /// Its length.
        len: usize,
        /// The length asked for.
        new_len: usize,
        /// Its number from then on, if it was granted.
        to: Option<usize>,
    },
    /// Other code moved the break.
    Foreign {
        /// How far: down, if it is negative.
        delta: isize,
    },
}

impl Call {
    /// Whether it asks for memory and was refused.
    pub fn is_refused(self) -> bool {
        matches!(
            self,
            Call::Sbrk { granted: false, .. } | Call::Mmap { mapping: None, .. } | Call::Mremap { to: None, .. }
        )
    }
}

/// `sbrk(+135168)`, `mmap(1052672) → M1`, `munmap(M1, 1052672)`
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Sbrk { delta, .. } => write!(f, "sbrk({delta:+})"),
            Call::Mmap { len, mapping: Some(mapping) } => write!(f, "mmap({len}) → M{mapping}"),
            Call::Mmap { len, mapping: None } => write!(f, "mmap({len})"),
            Call::Munmap { mapping, len } => write!(f, "munmap(M{mapping}, {len})"),
            Call::Mremap { mapping, len, new_len, to: Some(to) } => {
                write!(f, "mremap(M{mapping}, {len}, {new_len}) → M{to}")
            }
            Call::Mremap { mapping, len, new_len, to: None } => write!(f, "mremap(M{mapping}, {len}, {new_len})"),
            Call::Foreign { delta } => write!(f, "(other code: sbrk({delta:+}))"),
        }?;
        if self.is_refused() { f.write_str(" refused") } else { Ok(()) }
    }
}

/// The most bytes that were in the heap and in mappings at once, if nothing was there before these calls.
pub fn peak(calls: &[Call]) -> usize {
    let (mut now, mut peak) = (0_usize, 0);
    for call in calls {
        now = match *call {
            Call::Sbrk { delta, granted: true } | Call::Foreign { delta } => now.saturating_add_signed(delta),
            Call::Mmap { len, mapping: Some(_) } => now + len,
            Call::Munmap { len, .. } => now.saturating_sub(len),
            Call::Mremap { len, new_len, to: Some(_), .. } => (now + new_len).saturating_sub(len),
            _ => now,
        };
        peak = peak.max(now);
    }
    peak
}

/// Which calls the system refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// None that it can serve.
    #[default]
    Nothing,
    /// To move the break up.
    BreakUp,
    /// New mappings, and longer ones.
    Mappings,
    /// All memory: the break up, new mappings and longer ones.
    AllMemory,
    /// To take anything back: to move the break down, and to make a mapping shorter.
    GivingBack,
    /// One call alone: the one after so many others that it could have refused.
    Once(usize),
    /// The same one, and every call after it.
    From(usize),
}

impl Refusal {
    /// What a story says of it.
    pub fn in_words(self) -> Option<String> {
        match self {
            Refusal::Nothing => None,
            Refusal::BreakUp => Some("the system refuses to move the break up".into()),
            Refusal::Mappings => Some("the system refuses all mappings".into()),
            Refusal::AllMemory => Some("the system refuses all memory".into()),
            Refusal::GivingBack => Some("the system refuses to take memory back".into()),
            Refusal::Once(before) => Some(format!("the system refuses call no. {}", before + 1)),
            Refusal::From(before) => Some(format!("the system refuses call no. {} and all after it", before + 1)),
        }
    }

    /// Whether it refuses this call. One that is counted has passed then.
    fn hits(&mut self, call: Asked) -> bool {
        match self {
            Refusal::Nothing => false,
            Refusal::BreakUp => call == Asked::BreakUp,
            Refusal::Mappings => call == Asked::Mapping,
            Refusal::AllMemory => call != Asked::TakeBack,
            Refusal::GivingBack => call == Asked::TakeBack,
            Refusal::From(0) => true,
            Refusal::Once(0) => {
                *self = Refusal::Nothing;
                true
            }
            Refusal::Once(left) | Refusal::From(left) => {
                *left -= 1;
                false
            }
        }
    }
}

/// What a call asks for, as far as refusals are concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    BreakUp,
    Mapping,
    TakeBack,
}

/// More than this in all mappings together, no machine of ours has.
const MAPPED_AT_MOST: usize = 16 << 30;

impl<A: Arena> SimOs<A> {
    /// A system in a closed `arena`, whose break can move up by `room` bytes.
    pub fn new(arena: A, room: usize) -> Self {
        assert!(room <= HEAP_ROOM, "an arena's heap has no room for {room} bytes");
        SimOs { arena, room, is_fixed: false, state: RefCell::default() }
    }

    /// A fresh heap of `len` bytes, whole pages, in a closed `arena`: no system has to be asked, and none has more.
    pub fn with_heap(arena: A, len: usize) -> Self {
        let os = SimOs { is_fixed: true, ..Self::new(arena, len) };
        os.move_break(len);
        os
    }
}

impl<A: Arena + ?Sized> SimOs<A> {
    /// Whether it is a heap of fixed size.
    pub fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    /// The memory that it hands out.
    pub fn arena(&self) -> &A {
        &self.arena
    }

    /// Who has which memory now.
    pub fn layout(&self) -> Layout {
        self.state.borrow().layout.clone()
    }

    /// Where the break is now.
    pub fn end(&self) -> usize {
        self.state.borrow().layout.end
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state.borrow().calls.clone()
    }

    /// The calls after the first `count`.
    pub fn calls_after(&self, count: usize) -> Vec<Call> {
        self.state.borrow().calls[count..].to_vec()
    }

    /// How many calls there have been.
    pub fn call_count(&self) -> usize {
        self.state.borrow().calls.len()
    }

    /// What a call was told that isn't so, if that ever happened.
    pub fn misuse(&self) -> Option<String> {
        self.state.borrow().misuse.clone()
    }

    /// From now on, refuses these calls.
    pub fn refuse(&self, refusal: Refusal) {
        self.state.borrow_mut().refusal = refusal;
    }

    /// Whether other code can move the break by so much: up as far as there is room, down as far as it has moved it up before
    /// and nobody else since.
    pub fn can_move_foreign(&self, delta: isize) -> bool {
        let layout = &self.state.borrow().layout;
        if delta >= 0 {
            return delta.unsigned_abs() <= self.room - layout.end;
        }
        let newest = layout.foreign.last().filter(|newest| newest.end == layout.end);
        newest.is_some_and(|newest| newest.len() >= delta.unsigned_abs())
    }

    /// Moves the break, as other code of the process does, without a word to the allocator.
    ///
    /// # Panics
    /// Unless [`SimOs::can_move_foreign`].
    pub fn foreign_sbrk(&self, delta: isize) {
        assert!(self.can_move_foreign(delta), "other code can't move the break by {delta}");
        let from = self.end();
        let to = from.wrapping_add_signed(delta);
        self.move_break(to);
        let mut state = self.state.borrow_mut();
        state.calls.push(Call::Foreign { delta });
        let foreign = &mut state.layout.foreign;
        match foreign.last_mut().filter(|last| last.end == from) {
            Some(last) => last.end = to,
            None => foreign.push(from..to),
        }
        foreign.retain(|range| !range.is_empty());
    }

    /// The mapping in which `at` lies, and its number.
    pub fn mapping_of(&self, at: usize) -> Option<(usize, Mapping)> {
        let state = self.state.borrow();
        let mut numbered = (1..).zip(&state.layout.mappings);
        let inside = |mapping: &Mapping| mapping.alive && mapping.range().contains(&at);
        numbered.find(|(_, mapping)| inside(mapping)).map(|(number, mapping)| (number, *mapping))
    }

    /// Where a block lies.
    pub fn place(&self, payload: usize) -> Place {
        if let Some((number, mapping)) = self.mapping_of(payload) {
            return Place::Mapping { number, at: payload - mapping.start };
        }
        if payload < self.end() { Place::Heap(payload) } else { Place::Elsewhere }
    }

    /// The mapping with this number, whether it is still there or not.
    pub fn mapping(&self, number: usize) -> Mapping {
        self.state.borrow().layout.mappings[number - 1]
    }

    /// How many pages of the mapping `number` anybody has touched.
    pub fn touched_pages(&self, number: usize) -> usize {
        self.arena.touched(self.mapping(number).range())
    }

    /// The mappings that are there, with their numbers.
    pub fn mappings(&self) -> Vec<(usize, Mapping)> {
        let state = self.state.borrow();
        (1..).zip(state.layout.mappings.iter().copied()).filter(|(_, mapping)| mapping.alive).collect()
    }

    /// Memory that nobody was given and that holds something all the same: code gets there only if it opens pages by itself.
    pub fn stray(&self) -> Option<usize> {
        let mut start = self.end().next_multiple_of(PAGE);
        let mut mappings: Vec<Range<usize>> = self.mappings().into_iter().map(|(_, mapping)| mapping.range()).collect();
        mappings.sort_by_key(|mapping| mapping.start);
        for mapping in mappings.into_iter().chain(std::iter::once(self.arena.extent()..self.arena.extent())) {
            if self.arena.touched(start..mapping.start) > 0 {
                return Some(start);
            }
            start = mapping.end;
        }
        None
    }

    /// See [`Os::sbrk`]: moves the break, and returns where it was.
    pub fn sbrk(&self, delta: isize) -> Option<usize> {
        let end = self.end();
        if delta == 0 {
            return Some(end);
        }
        let to = end.checked_add_signed(delta);
        let floor = self.state.borrow().layout.foreign.last().map_or(0, |foreign| foreign.end);
        if delta < 0 && to.is_none_or(|to| to < floor) {
            self.misused(match floor {
                0 => format!("sbrk({delta}) moves the break below the start of the heap."),
                _ => format!("sbrk({delta}) takes memory away from other code, which has moved the break as well."),
            });
        }
        let refused = self.refuses(if delta > 0 { Asked::BreakUp } else { Asked::TakeBack });
        let to = to.filter(|&to| to >= floor && to <= self.room && !refused);
        self.record(Call::Sbrk { delta, granted: to.is_some() });
        self.move_break(to?);
        Some(end)
    }

    /// See [`Os::mmap`].
    pub fn mmap(&self, len: usize) -> Option<usize> {
        if len == 0 || !len.is_multiple_of(PAGE) {
            self.misused(format!("mmap is asked for {len} bytes: mappings are whole pages of {PAGE} bytes."));
            return None;
        }
        let mapping = if self.refuses(Asked::Mapping) || self.is_fixed { None } else { self.map(len) };
        self.record(Call::Mmap { len, mapping });
        Some(self.mapping(mapping?).start)
    }

    /// See [`Os::munmap`].
    pub fn munmap(&self, start: usize, len: usize) {
        let Some(mapping) = self.whole_mapping("munmap", start, len) else { return };
        self.record(Call::Munmap { mapping, len });
        self.unmap(mapping);
    }

    /// See [`Os::mremap`].
    pub fn mremap(&self, start: usize, len: usize, new_len: usize) -> Option<usize> {
        let mapping = self.whole_mapping("mremap", start, len)?;
        if new_len == 0 || !new_len.is_multiple_of(PAGE) {
            self.misused(format!("mremap is asked for {new_len} bytes: mappings are whole pages of {PAGE} bytes."));
            return None;
        }
        let refused = self.refuses(if new_len > len { Asked::Mapping } else { Asked::TakeBack });
        let to = if refused { None } else { self.map(new_len) };
        self.record(Call::Mremap { mapping, len, new_len, to });
        let new = self.mapping(to?).start;
        let common = self.arena.snapshot(start..start + len.min(new_len));
        for (at, bytes) in common.runs() {
            self.arena.write(new + (at - start), bytes);
        }
        self.unmap(mapping);
        Some(new)
    }

    /// See [`Os::discard`]. Whole pages take no memory then: [`SimOs::touched_pages`] tells.
    pub fn discard(&self, start: usize, len: usize) {
        // The arena starts at a page, so whole pages of offsets are whole pages of addresses.
        let pages = start.next_multiple_of(PAGE)..start.saturating_add(len) / PAGE * PAGE;
        match self.mapping_of(start) {
            Some((_, mapping)) if start.saturating_add(len) <= mapping.range().end => {
                if !pages.is_empty() {
                    self.arena.discard(pages);
                }
            }
            _ => self.misused(format!("discard is told {len} bytes that lie in no mapping.")),
        }
    }

    fn refuses(&self, call: Asked) -> bool {
        self.state.borrow_mut().refusal.hits(call)
    }

    fn misused(&self, what: String) {
        self.state.borrow_mut().misuse.get_or_insert(what);
    }

    fn record(&self, call: Call) {
        self.state.borrow_mut().calls.push(call);
    }

    /// Opens and closes pages, and makes new memory fresh.
    fn move_break(&self, to: usize) {
        let from = std::mem::replace(&mut self.state.borrow_mut().layout.end, to);
        let (old_pages, new_pages) = (from.next_multiple_of(PAGE), to.next_multiple_of(PAGE));
        if to < from {
            // On the page that stays open, too: nobody who gets these bytes next must find anything in them.
            self.arena.freshen(to..from.min(new_pages));
        }
        if new_pages < old_pages {
            self.arena.close(new_pages..old_pages);
            self.arena.discard(new_pages..old_pages);
        } else if new_pages > old_pages {
            self.arena.open(old_pages..new_pages);
            self.arena.freshen(old_pages..new_pages);
        }
    }

    /// A mapping between two guards, entered in the layout. No address is used twice: an old pointer leads to nothing.
    fn map(&self, len: usize) -> Option<usize> {
        let mapped: usize = self.mappings().iter().map(|(_, mapping)| mapping.len).sum();
        mapped.checked_add(len).filter(|&all| all <= MAPPED_AT_MOST)?;
        let newest = self.state.borrow().layout.mappings.last().map_or(MAPPINGS.start, |last| last.range().end);
        // The arena's own start is `START` bytes after a multiple of the guard's length.
        let start = (newest + GUARD).next_multiple_of(GUARD);
        if start + len + GUARD > MAPPINGS.end {
            return None;
        }
        self.arena.open(start..start + len);
        let mappings = &mut self.state.borrow_mut().layout.mappings;
        mappings.push(Mapping { start, len, alive: true });
        Some(mappings.len())
    }

    fn unmap(&self, number: usize) {
        let mapping = self.mapping(number);
        self.arena.close(mapping.range());
        self.arena.discard(mapping.range());
        self.state.borrow_mut().layout.mappings[number - 1].alive = false;
    }

    /// The number of the mapping that starts at `start` and has `len` bytes; notes a misuse if there is none.
    fn whole_mapping(&self, call: &str, start: usize, len: usize) -> Option<usize> {
        let Some((number, mapping)) = self.mapping_of(start) else {
            self.misused(if start < self.room {
                format!("{call} is told {}: that is below the break, and no mapping.", Offset(start))
            } else {
                format!("{call} is told an address where no mapping is (any more).")
            });
            return None;
        };
        if (mapping.start, mapping.len) == (start, len) {
            return Some(number);
        }
        let place = match start - mapping.start {
            0 => String::new(),
            distance => format!(" from {distance} bytes after its start"),
        };
        self.misused(format!(
            "{call} is told {len} bytes{place}, but the mapping M{number} has {} bytes.",
            mapping.len
        ));
        None
    }
}

const _: () = assert!(START < GUARD);

// SAFETY: what the system has granted is open in the arena, and no part of it is granted twice; what is not, is closed.
#[cfg(unix)]
unsafe impl Os for SimOs<PrivateArena> {
    fn program_break(&self) -> NonNull<u8> {
        self.arena.pointer(self.end())
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        self.sbrk(delta).map(|at| self.arena.pointer(at))
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        self.mmap(len).map(|at| self.arena.pointer(at))
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        self.munmap(self.arena.offset_of(start.as_ptr()), len);
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        self.mremap(self.arena.offset_of(start.as_ptr()), len, new_len).map(|at| self.arena.pointer(at))
    }

    unsafe fn discard(&self, start: NonNull<u8>, len: usize) {
        self.discard(self.arena.offset_of(start.as_ptr()), len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FRESH;

    fn os() -> SimOs<PrivateArena> {
        SimOs::new(PrivateArena::reserve().unwrap(), 64 * PAGE)
    }

    fn log(os: &SimOs<PrivateArena>) -> String {
        os.calls().iter().map(Call::to_string).collect::<Vec<_>>().join(", ")
    }

    fn byte(os: &SimOs<PrivateArena>, at: usize) -> u8 {
        os.arena().snapshot(at..at + 1).bytes(at..at + 1)[0]
    }

    #[test]
    fn the_break_hands_out_fresh_memory_again_and_again() {
        let os = os();
        assert_eq!(os.sbrk(100), Some(0));
        assert_eq!(byte(&os, 99), FRESH);
        os.arena().write(0, &[0; 100]);
        os.sbrk(-90).unwrap();
        os.sbrk(90).unwrap();
        assert_eq!((byte(&os, 9), byte(&os, 10)), (0, FRESH));
        assert_eq!(log(&os), "sbrk(+100), sbrk(-90), sbrk(+90)");
    }

    #[test]
    fn a_fixed_heap_is_there_from_the_start_and_is_all_there_is() {
        let os = SimOs::with_heap(PrivateArena::reserve().unwrap(), PAGE);
        assert_eq!((os.end(), os.call_count(), byte(&os, PAGE - 1)), (PAGE, 0, FRESH));
        assert_eq!((os.sbrk(16), os.mmap(PAGE), os.can_move_foreign(16)), (None, None, false));
    }

    #[test]
    fn the_peak_is_the_most_that_was_there_at_once() {
        let os = os();
        os.sbrk(4096);
        let start = os.mmap(8192).unwrap();
        os.munmap(start, 8192);
        os.sbrk(-4096);
        os.mmap(4096);
        assert_eq!((peak(&os.calls()), peak(&[])), (4096 + 8192, 0));
    }

    #[test]
    fn memory_that_other_code_took_stays_theirs() {
        let os = os();
        os.sbrk(4096);
        os.foreign_sbrk(100);
        assert_eq!(os.sbrk(-8), None);
        assert!(os.misuse().unwrap().contains("other code"));
        assert_eq!(os.layout().foreign.first(), Some(&(4096..4196)));
    }

    #[test]
    fn other_code_gives_back_no_more_than_it_took() {
        let os = os();
        os.sbrk(4096);
        os.foreign_sbrk(100);
        assert!(!os.can_move_foreign(-101));
        os.foreign_sbrk(-40);
        assert_eq!(os.layout().foreign.first(), Some(&(4096..4156)));
        os.foreign_sbrk(-60);
        assert_eq!((os.layout().foreign.len(), os.end()), (0, 4096));
        assert!(!os.can_move_foreign(-1));
    }

    #[test]
    fn a_mapping_is_zero_and_moves_when_its_length_changes() {
        let os = os();
        let first = os.mmap(PAGE).unwrap();
        assert_eq!(byte(&os, first), 0);
        os.arena().write(first, &[7]);
        let second = os.mremap(first, PAGE, 2 * PAGE).unwrap();
        assert_ne!(first, second);
        assert_eq!((byte(&os, second), byte(&os, second + PAGE)), (7, 0));
        os.munmap(second, 2 * PAGE);
        assert_eq!(log(&os), "mmap(4096) → M1, mremap(M1, 4096, 8192) → M2, munmap(M2, 8192)");
        assert_eq!((os.mappings(), os.misuse()), (vec![], None));
    }

    #[test]
    fn what_is_discarded_takes_no_memory_and_pages_that_are_not_whole_stay() {
        let os = os();
        let start = os.mmap(4 * PAGE).unwrap();
        os.arena().write(start, &[7; 4 * PAGE]);
        os.discard(start + 100, 2 * PAGE);
        assert_eq!((os.touched_pages(1), os.misuse()), (3, None));
        assert_eq!((byte(&os, start + PAGE - 1), byte(&os, start + 2 * PAGE)), (7, 7));
        os.discard(start + 3 * PAGE, PAGE + 1);
        assert!(os.misuse().unwrap().contains("no mapping"));
    }

    #[test]
    fn only_a_whole_mapping_can_be_given_back() {
        for (distance, len, says) in
            [(0, PAGE, "4096 bytes, but the mapping M1 has 8192"), (16, 2 * PAGE, "from 16 bytes after its start")]
        {
            let os = os();
            let mapping = os.mmap(2 * PAGE).unwrap();
            os.munmap(mapping + distance, len);
            assert!(os.misuse().unwrap().contains(says), "{:?}", os.misuse());
        }
    }

    #[test]
    fn it_refuses_what_it_is_told_to_refuse() {
        let os = os();
        os.refuse(Refusal::Once(1));
        let granted = [os.mmap(PAGE).is_some(), os.sbrk(1).is_some(), os.mmap(PAGE).is_some()];
        assert_eq!(granted, [true, false, true]);
        assert_eq!(os.mmap(32 << 30), None);
        assert_eq!(log(&os), "mmap(4096) → M1, sbrk(+1) refused, mmap(4096) → M2, mmap(34359738368) refused");
        os.refuse(Refusal::From(1));
        let granted = [os.sbrk(1).is_some(), os.sbrk(-1).is_some(), os.mmap(PAGE).is_some()];
        assert_eq!(granted, [true, false, false]);
    }
}
