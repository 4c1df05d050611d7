//! An operating system in a box: deterministic, watchful, and it says no when told to.

use super::{Os, PAGE};
use crate::image::Offset;
use crate::memory::{FRESH, Heap};
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;

/// A simulated operating system.
///
/// The break starts at the start of a [`Heap`] and moves inside it; memory past the break can't be touched, nor what lies
/// around a mapping, nor a mapping that was given back. Fresh break memory holds [`FRESH`] everywhere, so that code which
/// assumes zeroes is found out. [`Os::mremap`] always moves, so that code which keeps the old address is found out too.
pub struct SimOs {
    /// All that the break can ever hand out.
    heap: Heap,
    state: RefCell<State>,
    on_change: Box<dyn Fn(&Layout)>,
}

#[derive(Default)]
struct State {
    layout: Layout,
    /// Where each mapping starts, as the pointer that the kernel gave.
    starts: Vec<NonNull<u8>>,
    calls: Vec<Call>,
    refusal: Refusal,
    misuse: Option<String>,
}

/// Who has which memory.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// The break, as an offset from the start of the heap.
    pub end: usize,
    /// What other code has taken below the break, as offsets, in order.
    pub foreign: Vec<Range<usize>>,
    /// Every mapping there ever was, in order.
    pub mappings: Vec<Mapping>,
}

/// A mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The address of its first byte.
    pub start: usize,
    /// Its length in bytes.
    pub len: usize,
    /// Whether it is still there.
    pub alive: bool,
}

/// Where an address lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// So many bytes behind the start of the heap.
    Heap(usize),
    /// In a mapping.
    Mapping {
        /// Its number.
        number: usize,
        /// How far behind its start.
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
        /// How far up.
        bytes: usize,
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
            Call::Foreign { bytes } => write!(f, "(other code: sbrk(+{bytes}))"),
        }?;
        if self.is_refused() { f.write_str(" refused") } else { Ok(()) }
    }
}

/// Which requests for memory the system refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// None that it can serve.
    #[default]
    Nothing,
    /// To move the break up.
    Break,
    /// New mappings, and longer ones.
    Mappings,
    /// Both.
    Everything,
    /// To take anything back: to move the break down, and to make a mapping shorter.
    Less,
    /// Of both together only the one after this many more.
    OneAfter(usize),
}

impl Refusal {
    /// What a story says of it.
    pub fn in_words(self) -> Option<String> {
        match self {
            Refusal::Nothing => None,
            Refusal::Break => Some("the system refuses to move the break up".into()),
            Refusal::Mappings => Some("the system refuses all mappings".into()),
            Refusal::Everything => Some("the system refuses all memory".into()),
            Refusal::Less => Some("the system refuses to take memory back".into()),
            Refusal::OneAfter(before) => Some(format!("the system refuses request no. {} for memory", before + 1)),
        }
    }

    /// Whether it refuses the next request, which is one for the break or else for a mapping.
    fn hits(&mut self, is_break: bool) -> bool {
        match self {
            Refusal::Nothing | Refusal::Less => false,
            Refusal::Break => is_break,
            Refusal::Mappings => !is_break,
            Refusal::Everything => true,
            Refusal::OneAfter(0) => {
                *self = Refusal::Nothing;
                true
            }
            Refusal::OneAfter(left) => {
                *left -= 1;
                false
            }
        }
    }
}

/// More than this in all mappings together, no machine of ours has.
const MAPPED_AT_MOST: usize = 1 << 30;

impl SimOs {
    /// A system whose break starts at the start of `heap` and can move to its end. `on_change` hears of every change.
    pub fn new(heap: Heap, on_change: impl Fn(&Layout) + 'static) -> Self {
        heap.close(0..heap.len());
        let os = SimOs { heap, state: RefCell::default(), on_change: Box::new(on_change) };
        (os.on_change)(&Layout::default());
        os
    }

    /// Who has which memory now.
    pub fn layout(&self) -> Layout {
        self.state.borrow().layout.clone()
    }

    /// The memory up to the break, `None` while there is none.
    pub fn heap(&self) -> Option<Heap> {
        let end = self.state.borrow().layout.end;
        (end > 0).then(|| self.heap.first(end))
    }

    /// Where the break started.
    pub fn start(&self) -> NonNull<u8> {
        self.heap.start()
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state.borrow().calls.clone()
    }

    /// How many calls there have been.
    pub fn call_count(&self) -> usize {
        self.state.borrow().calls.len()
    }

    /// What a call was told that isn't so, if that ever happened.
    pub fn misuse(&self) -> Option<String> {
        self.state.borrow().misuse.clone()
    }

    /// From now on, refuses these requests.
    pub fn refuse(&self, refusal: Refusal) {
        self.state.borrow_mut().refusal = refusal;
    }

    /// Whether the break can move up by `bytes`.
    pub fn has_room(&self, bytes: usize) -> bool {
        bytes <= self.heap.len() - self.state.borrow().layout.end
    }

    /// Moves the break up by `bytes`, as other code of the process does, behind the allocator's back.
    ///
    /// # Panics
    /// If the heap is too small for that.
    pub fn foreign_sbrk(&self, bytes: usize) {
        let at = self.state.borrow().layout.end;
        assert!(at + bytes <= self.heap.len(), "the simulated heap has no {bytes} bytes left");
        self.move_break(at + bytes);
        let mut state = self.state.borrow_mut();
        state.calls.push(Call::Foreign { bytes });
        match state.layout.foreign.last_mut().filter(|last| last.end == at) {
            Some(last) => last.end += bytes,
            None => state.layout.foreign.push(at..at + bytes),
        }
        drop(state);
        self.changed();
    }

    /// The mapping in which `address` lies, and its number.
    pub fn mapping_of(&self, address: usize) -> Option<(usize, Mapping)> {
        let state = self.state.borrow();
        let mut numbered = (1..).zip(&state.layout.mappings);
        let inside =
            |mapping: &Mapping| mapping.alive && (mapping.start..mapping.start + mapping.len).contains(&address);
        numbered.find(|(_, mapping)| inside(mapping)).map(|(number, mapping)| (number, *mapping))
    }

    /// Where a block lies.
    pub fn place(&self, payload: NonNull<u8>) -> Place {
        let address = payload.addr().get();
        if let Some((number, mapping)) = self.mapping_of(address) {
            return Place::Mapping { number, at: address - mapping.start };
        }
        let offset = address.wrapping_sub(self.start().addr().get());
        if offset < self.layout().end { Place::Heap(offset) } else { Place::Elsewhere }
    }

    /// How many pages of the mapping `number` anybody has touched, as far as the kernel can tell.
    pub fn touched_pages(&self, number: usize) -> usize {
        let mapping = self.state.borrow().layout.mappings[number - 1];
        let mut resident = vec![0_u8; mapping.len / PAGE];
        let start = self.state.borrow().starts[number - 1];
        // SAFETY: mincore only asks; it writes one byte for each page.
        unsafe { libc::mincore(start.as_ptr().cast(), mapping.len, resident.as_mut_ptr()) };
        resident.iter().filter(|page| **page & 1 != 0).count()
    }

    /// The mappings that are there, with their numbers.
    pub fn mappings(&self) -> Vec<(usize, Mapping)> {
        let state = self.state.borrow();
        (1..).zip(state.layout.mappings.iter().copied()).filter(|(_, mapping)| mapping.alive).collect()
    }

    fn changed(&self) {
        (self.on_change)(&self.state.borrow().layout);
    }

    fn misused(&self, what: String) {
        self.state.borrow_mut().misuse.get_or_insert(what);
    }

    /// Opens and closes pages, and makes new memory fresh.
    fn move_break(&self, to: usize) {
        let from = std::mem::replace(&mut self.state.borrow_mut().layout.end, to);
        let (old_pages, new_pages) = (from.next_multiple_of(PAGE), to.next_multiple_of(PAGE));
        if new_pages < old_pages {
            self.heap.close(new_pages..old_pages);
        } else if new_pages > old_pages {
            self.heap.open(old_pages..new_pages);
            self.heap.fill(old_pages..new_pages, FRESH);
        }
        if to < from {
            // On the page that stays open, too: whoever gets these bytes next must not find anything in them.
            self.heap.fill(to..from.min(new_pages), FRESH);
        }
    }

    fn record(&self, call: Call) {
        self.state.borrow_mut().calls.push(call);
    }

    /// A mapping between two guards, entered in the layout.
    fn map(&self, len: usize) -> Option<usize> {
        let mapped: usize = self.mappings().iter().map(|(_, mapping)| mapping.len).sum();
        mapped.checked_add(len).filter(|&all| all <= MAPPED_AT_MOST)?;
        let start = Heap::zeroed(len).ok()?.start();
        let mut state = self.state.borrow_mut();
        state.starts.push(start);
        state.layout.mappings.push(Mapping { start: start.addr().get(), len, alive: true });
        Some(state.layout.mappings.len())
    }

    /// The place of a mapping, as a pointer.
    fn pointer(&self, number: usize) -> Option<NonNull<u8>> {
        self.state.borrow().starts.get(number.checked_sub(1)?).copied()
    }

    /// The number of the mapping that starts at `start` and has `len` bytes; notes a misuse if there is none.
    fn exactly(&self, call: &str, start: NonNull<u8>, len: usize) -> Option<usize> {
        let address = start.addr().get();
        let Some((number, mapping)) = self.mapping_of(address) else {
            let inside = address.checked_sub(self.heap.start().addr().get()).filter(|offset| *offset < self.heap.len());
            self.misused(match inside {
                Some(offset) => format!("{call} is told +{offset:#06x}: that is below the break, and no mapping."),
                None => format!("{call} is told an address where no mapping is (any more)."),
            });
            return None;
        };
        if (mapping.start, mapping.len) == (address, len) {
            return Some(number);
        }
        let place = match address - mapping.start {
            0 => String::new(),
            distance => format!(" from {distance} bytes behind its start"),
        };
        self.misused(format!(
            "{call} is told {len} bytes{place}, but the mapping M{number} has {} bytes.",
            mapping.len
        ));
        None
    }
}

// SAFETY: the heap is this system's own, and the break hands out each of its bytes once until it moves back; every mapping
// is a piece of memory of its own.
unsafe impl Os for SimOs {
    fn program_break(&self) -> NonNull<u8> {
        let end = self.state.borrow().layout.end;
        // SAFETY: at most one past the last byte of the heap.
        unsafe { self.heap.start().add(end) }
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        let before = self.program_break();
        if delta == 0 {
            return Some(before);
        }
        let end = self.state.borrow().layout.end;
        let to = end.checked_add_signed(delta);
        let floor = self.state.borrow().layout.foreign.last().map_or(0, |foreign| foreign.end);
        if delta < 0 && to.is_none_or(|to| to < floor) {
            self.misused(match floor {
                0 => format!("sbrk({delta}) moves the break below the start of the heap."),
                _ => format!("sbrk({delta}) takes memory away from other code, which has moved the break as well."),
            });
        }
        let to = to.filter(|&to| to >= floor && to <= self.heap.len());
        let refused = match delta > 0 {
            true => self.state.borrow_mut().refusal.hits(true),
            false => self.state.borrow().refusal == Refusal::Less,
        };
        let to = to.filter(|_| !refused);
        self.record(Call::Sbrk { delta, granted: to.is_some() });
        self.move_break(to?);
        self.changed();
        Some(before)
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        if len == 0 || !len.is_multiple_of(PAGE) {
            self.misused(format!("mmap is asked for {len} bytes: mappings are whole pages of {PAGE} bytes."));
            return None;
        }
        let refused = self.state.borrow_mut().refusal.hits(false);
        let mapping = if refused { None } else { self.map(len) };
        self.record(Call::Mmap { len, mapping });
        self.changed();
        self.pointer(mapping?)
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        let Some(mapping) = self.exactly("munmap", start, len) else { return };
        self.record(Call::Munmap { mapping, len });
        self.state.borrow_mut().layout.mappings[mapping - 1].alive = false;
        // SAFETY: the mapping is exactly this, and nobody uses what is given to `munmap` any more.
        unsafe { crate::memory::take_away(start, len) };
        self.changed();
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        let mapping = self.exactly("mremap", start, len)?;
        if new_len == 0 || !new_len.is_multiple_of(PAGE) {
            self.misused(format!("mremap is asked for {new_len} bytes: mappings are whole pages of {PAGE} bytes."));
            return None;
        }
        let refused = match new_len > len {
            true => self.state.borrow_mut().refusal.hits(false),
            false => self.state.borrow().refusal == Refusal::Less,
        };
        let to = if refused { None } else { self.map(new_len) };
        self.record(Call::Mremap { mapping, len, new_len, to });
        let new = self.pointer(to?)?;
        self.state.borrow_mut().layout.mappings[mapping - 1].alive = false;
        // SAFETY: both mappings are that long, and they are two; nobody uses the old place of a mapping that has moved.
        unsafe {
            new.copy_from_nonoverlapping(start, len.min(new_len));
            crate::memory::take_away(start, len);
        }
        self.changed();
        Some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os() -> SimOs {
        SimOs::new(Heap::reserve(64 * PAGE).unwrap(), |_| {})
    }

    fn log(os: &SimOs) -> String {
        os.calls().iter().map(Call::to_string).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_break_hands_out_fresh_memory_again_and_again() {
        let os = os();
        // SAFETY: nobody uses what is given back.
        unsafe {
            let first = os.sbrk(100).unwrap();
            assert_eq!(first, os.start());
            assert_eq!(first.add(99).read(), FRESH);
            first.write_bytes(0, 100);
            os.sbrk(-90).unwrap();
            os.sbrk(90).unwrap();
            assert_eq!((first.add(9).read(), first.add(10).read()), (0, FRESH));
        }
        assert_eq!(log(&os), "sbrk(+100), sbrk(-90), sbrk(+90)");
    }

    #[test]
    fn memory_that_other_code_took_stays_theirs() {
        let os = os();
        // SAFETY: nobody uses what is given back.
        unsafe {
            os.sbrk(4096);
            os.foreign_sbrk(100);
            assert_eq!(os.sbrk(-8), None);
        }
        assert!(os.misuse().unwrap().contains("other code"));
        assert_eq!(os.layout().foreign.first(), Some(&(4096..4196)));
    }

    #[test]
    fn a_mapping_is_zero_and_moves_when_its_length_changes() {
        let os = os();
        let first = os.mmap(PAGE).unwrap();
        // SAFETY: the mapping is ours.
        unsafe {
            assert_eq!(first.read(), 0);
            first.write(7);
            let second = os.mremap(first, PAGE, 2 * PAGE).unwrap();
            assert_ne!(first, second);
            assert_eq!((second.read(), second.add(PAGE).read()), (7, 0));
            os.munmap(second, 2 * PAGE);
        }
        assert_eq!(log(&os), "mmap(4096) → M1, mremap(M1, 4096, 8192) → M2, munmap(M2, 8192)");
        assert_eq!((os.mappings(), os.misuse()), (vec![], None));
    }

    #[test]
    fn only_a_whole_mapping_can_be_given_back() {
        for (distance, len, says) in
            [(0, PAGE, "4096 bytes, but the mapping M1 has 8192"), (16, 2 * PAGE, "from 16 bytes behind its start")]
        {
            let os = os();
            let mapping = os.mmap(2 * PAGE).unwrap();
            // SAFETY: nobody uses the mapping.
            unsafe { os.munmap(mapping.add(distance), len) };
            assert!(os.misuse().unwrap().contains(says), "{:?}", os.misuse());
        }
    }

    #[test]
    fn it_refuses_what_it_is_told_to_refuse() {
        let os = os();
        os.refuse(Refusal::OneAfter(1));
        // SAFETY: nobody uses the memory.
        let granted = [os.mmap(PAGE).is_some(), unsafe { os.sbrk(1) }.is_some(), os.mmap(PAGE).is_some()];
        assert_eq!(granted, [true, false, true]);
        assert_eq!(os.mmap(2 << 30), None);
        assert_eq!(log(&os), "mmap(4096) → M1, sbrk(+1) refused, mmap(4096) → M2, mmap(2147483648) refused");
    }
}
