//! Plays every kind of operation on a whole malloc and checks the heap, the mappings and the system calls after every step.
//!
//! What a step may do follows from the heap before it, as [`crate::image`] reads it, and from what the system grants:
//! the referee keeps no heap of its own. Only the two thresholds have no place in memory, so it follows them itself.

use super::Violation;
use super::payloads::{check, fill, sampled};
use super::script::{Expected, Script, Step, THRESHOLD, THRESHOLD_MAX, Wanted};
use crate::format::{IS_MMAPPED, MIN_CHUNK, PAYLOAD, SIZE_WORD, chunk_size};
use crate::image::{Image, Raw, State};
use crate::journal::Journal;
use crate::os::{Place, SimOs};
use crate::workload::{Op, elements, name};
use std::collections::BTreeMap;
use std::ptr::NonNull;

/// What the referee plays on.
pub trait WholeMalloc {
    /// `request` bytes, or `None` where there are none.
    fn malloc(&mut self, request: usize) -> Option<NonNull<u8>>;

    /// `count` times `size` bytes that are zero.
    fn calloc(&mut self, count: usize, size: usize) -> Option<NonNull<u8>>;

    /// `request` bytes at a multiple of `align`.
    fn aligned(&mut self, align: usize, request: usize) -> Option<NonNull<u8>>;

    /// Makes a block `request` bytes long.
    ///
    /// # Safety
    /// `payload` is a block of this malloc that has not been freed.
    unsafe fn realloc(&mut self, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>>;

    /// Gives a block back.
    ///
    /// # Safety
    /// `payload` is a block of this malloc that has not been freed, and nobody uses it any more.
    unsafe fn free(&mut self, payload: NonNull<u8>);

    /// The address of the free list's first chunk, 0 for an empty list.
    fn list_head(&self) -> usize;
}

/// A block the program holds.
#[derive(Clone, Copy)]
struct Live {
    payload: NonNull<u8>,
    place: Place,
    request: usize,
}

/// Watches one allocator on one simulated system.
pub struct WholeReferee<'a> {
    os: &'a SimOs,
    allocator: &'a mut dyn WholeMalloc,
    journal: &'a Journal,
    live: BTreeMap<usize, Live>,
    mmap_threshold: usize,
    trim_threshold: usize,
}

impl<'a> WholeReferee<'a> {
    /// Watches `allocator`, which is fresh and uses `os` alone; steps go to `journal`.
    pub fn new(os: &'a SimOs, allocator: &'a mut dyn WholeMalloc, journal: &'a Journal) -> Self {
        let live = BTreeMap::new();
        WholeReferee { os, allocator, journal, live, mmap_threshold: THRESHOLD, trim_threshold: THRESHOLD }
    }

    /// Where the block `id` is, if it is alive.
    pub fn place(&self, id: usize) -> Option<Place> {
        self.live.get(&id).map(|live| live.place)
    }

    /// Takes one step. An operation that the simulated system has no room for is left out.
    ///
    /// # Errors
    /// The first promise that it broke.
    pub fn play(&mut self, op: Op) -> Result<(), Violation> {
        if let Op::Foreign { bytes } = op {
            if !self.os.has_room(bytes) {
                return Ok(());
            }
            self.journal.begin(&op.in_words());
            self.os.foreign_sbrk(bytes);
            self.journal.end("");
            return Ok(());
        }
        let head_before = self.allocator.list_head();
        self.journal.list_starts_at(head_before);
        let step = Step {
            image: self.image(),
            end: self.os.layout().end,
            first_call: self.os.call_count(),
            mmap_threshold: self.mmap_threshold,
        };
        let result = match op {
            Op::Realloc { id, size } => match self.live.get(&id).copied() {
                Some(old) => self.realloc(step, id, old, size),
                None => self.new_block(step, Op::Malloc { id, size }),
            },
            Op::Free { id } => match self.live.remove(&id) {
                Some(live) => self.free(&step, id, live),
                None => Ok(()),
            },
            other => self.new_block(step, other),
        };
        let result = self.os.misuse().map_or(result, |misuse| Err(Violation::new(misuse)));
        let shown_before = result.as_ref().is_err_and(|violation| violation.look_before);
        self.journal.list_starts_at(if shown_before { head_before } else { self.allocator.list_head() });
        result?;
        self.check()
    }

    fn image(&self) -> Image {
        let Some(heap) = self.os.heap() else { return Image::empty() };
        let foreign = self.os.layout().foreign;
        // SAFETY: all bytes below the break can be read, and nobody writes them while they are decoded: the allocator runs
        // on this thread. A copy of megabytes at every step would take most of the time.
        let bytes = unsafe { heap.region().as_ref() };
        let raw = Raw { base: heap.start().addr().get(), bytes, foreign: &foreign };
        Image::decode(&raw, Some(self.allocator.list_head()))
    }

    fn new_block(&mut self, step: Step, op: Op) -> Result<(), Violation> {
        let (id, request) = match op {
            Op::Malloc { id, size } | Op::Calloc { id, size } | Op::Aligned { id, size, .. } => (id, size),
            Op::Realloc { .. } | Op::Free { .. } | Op::Foreign { .. } => return Ok(()),
        };
        self.journal.begin(&op.in_words());
        let payload = match op {
            Op::Calloc { .. } => {
                let (count, each) = elements(request);
                self.allocator.calloc(count, each)
            }
            Op::Aligned { align, .. } => self.allocator.aligned(align, request),
            _ => self.allocator.malloc(request),
        };
        let place = payload.map(|payload| self.os.place(payload));
        self.journal.end(&shown(place));
        let mut script = Script::new(self.os, &step);
        let expected = match op {
            Op::Aligned { align, .. } => script.aligned(align, request)?,
            _ => script.take(chunk_size(request))?,
        };
        script.done()?;
        let Some(live) = self.settle(payload, place, request, &expected)? else { return Ok(()) };
        if matches!(op, Op::Calloc { .. }) {
            // SAFETY: `settle` has made sure that these bytes are the block's.
            let bytes = unsafe { std::slice::from_raw_parts(live.payload.as_ptr(), request) };
            if let Some(i) = bytes.iter().position(|byte| *byte != 0) {
                return Err(Violation::new("calloc returns bytes that are not zero.")
                    .expected("0 everywhere", format!("{:#04x} at byte {i} of {request}", bytes[i])));
            }
        }
        self.live.insert(id, live);
        // SAFETY: the block was seen to have that many bytes, in memory that the system has granted.
        unsafe { fill(id, live.payload, live.request) };
        Ok(())
    }

    fn realloc(&mut self, step: Step, id: usize, old: Live, request: usize) -> Result<(), Violation> {
        self.journal.begin(&Op::Realloc { id, size: request }.in_words());
        // SAFETY: `live` holds the block, so it has not been freed.
        let payload = unsafe { self.allocator.realloc(old.payload, request) };
        let place = payload.map(|payload| self.os.place(payload));
        self.journal.end(&shown(place));
        let mut script = Script::new(self.os, &step);
        let after = self.image();
        let expected = script.realloc(old.place, request)?;
        let moves = expected.moves && !expected.to.places.is_empty();
        if moves {
            self.gives_back(&mut script, old.place, &after)?;
        }
        script.done()?;
        let Some(live) = self.settle_but(Some(id), payload, place, request, &expected.to)? else { return Ok(()) };
        let common = sampled(old.request).filter(|i| *i < request);
        // SAFETY: the new block has these bytes, as `settle` has made sure.
        unsafe { check(id, live.payload, common, "realloc loses the bytes of")? };
        self.live.insert(id, live);
        // SAFETY: the block was seen to have that many bytes, in memory that the system has granted.
        unsafe { fill(id, live.payload, live.request) };
        Ok(())
    }

    fn free(&mut self, step: &Step, id: usize, live: Live) -> Result<(), Violation> {
        self.journal.begin(&Op::Free { id }.in_words());
        // SAFETY: `live` held the block, so it has not been freed, and nobody uses it.
        unsafe { self.allocator.free(live.payload) };
        self.journal.end("");
        let mut script = Script::new(self.os, step);
        let after = self.image();
        self.gives_back(&mut script, live.place, &after)?;
        script.done()
    }

    /// What the system hears when a block is given back.
    fn gives_back(&mut self, script: &mut Script, place: Place, after: &Image) -> Result<(), Violation> {
        match place {
            Place::Mapping { number, at } => {
                let len = script.mapping_len(number);
                script.call(Wanted::Munmap { number, len })?;
                let chunk = len - (at - PAYLOAD);
                if chunk > self.mmap_threshold && chunk <= THRESHOLD_MAX {
                    (self.mmap_threshold, self.trim_threshold) = (chunk, 2 * chunk);
                }
                Ok(())
            }
            _ => script.trim(after, self.trim_threshold),
        }
    }

    fn settle(
        &self,
        payload: Option<NonNull<u8>>,
        place: Option<Place>,
        request: usize,
        expected: &Expected,
    ) -> Result<Option<Live>, Violation> {
        self.settle_but(None, payload, place, request, expected)
    }

    /// Whether the block is where it has to be; `but` is a block that it may overlap.
    fn settle_but(
        &self,
        but: Option<usize>,
        payload: Option<NonNull<u8>>,
        place: Option<Place>,
        request: usize,
        expected: &Expected,
    ) -> Result<Option<Live>, Violation> {
        let wanted = match expected.places.first() {
            Some((place, _)) => format!("{place}, {}", expected.why),
            None => format!("null: {}", expected.why),
        };
        let Some((payload, place)) = payload.zip(place) else {
            return if expected.places.is_empty() {
                Ok(None)
            } else {
                Err(Violation::new("The malloc gives up, but the request can be served.").expected(wanted, "null"))
            };
        };
        let room = match place {
            Place::Heap(at) => self.os.layout().end.saturating_sub(at),
            Place::Mapping { number, at } => self.mapping_len(number).saturating_sub(at),
            Place::Elsewhere => 0,
        };
        if request > room {
            return Err(Violation::new("The block runs on past the memory that the system has granted.")
                .expected(wanted, format!("{place} for {request} bytes, with {room} bytes left there")));
        }
        let (from, to) = (payload.addr().get(), payload.addr().get() + request.max(1));
        let overlapped = self.live.iter().filter(|(id, _)| Some(**id) != but).find(|(_, live)| {
            let at = live.payload.addr().get();
            from < at + live.request.max(1) && at < to
        });
        if let Some((other, live)) = overlapped {
            let other = name(*other);
            return Err(Violation::new(format!("The block's bytes still belong to {other}."))
                .expected(wanted, format!("{place}; {other} has {} bytes at {}", live.request, live.place)));
        }
        let Some((_, chunk)) = expected.places.iter().find(|(expected, _)| *expected == place) else {
            let is_header = |expected: &(Place, usize)| match (expected.0, place) {
                (Place::Heap(at), Place::Heap(seen)) => at == seen + PAYLOAD,
                (Place::Mapping { number, at }, Place::Mapping { number: seen_number, at: seen }) => {
                    number == seen_number && at == seen + PAYLOAD
                }
                _ => false,
            };
            let what = if expected.places.iter().any(is_header) {
                "The block starts where its chunk's header stands. The payload starts 16 bytes on."
            } else {
                "The block is in another place than the rule says."
            };
            return Err(Violation::new(what).expected(wanted, place.to_string()).look_before());
        };
        let live = Live { payload, place, request };
        self.check_chunk(&live, *chunk)?;
        Ok(Some(live))
    }

    /// Whether a new block's chunk has the size that it should have. Before anybody writes to the block: if its chunk is too
    /// small, that destroys the next header.
    fn check_chunk(&self, live: &Live, size: usize) -> Result<(), Violation> {
        let Place::Heap(at) = live.place else { return Ok(()) };
        let image = self.image();
        match image.block(at - PAYLOAD) {
            Some(block) if block.size != size => {
                let compared = if block.size < size { "small" } else { "large" };
                Err(Violation::new(format!(
                    "The block's chunk is too {compared} for a request of {} bytes.",
                    live.request
                ))
                .expected(format!("a chunk of {size} bytes"), format!("{} bytes", block.size))
                .mark(block.at, "this chunk"))
            }
            _ => Ok(()),
        }
    }

    fn mapping_len(&self, number: usize) -> usize {
        self.os.layout().mappings[number - 1].len
    }

    /// Checks everything that holds between two steps.
    fn check(&self) -> Result<(), Violation> {
        if let Some(misuse) = self.os.misuse() {
            return Err(Violation::new(misuse));
        }
        let image = self.image();
        if let Some(defect) = image.defects.first() {
            let what = "The heap no longer makes sense from its first chunk to the top chunk.";
            return Err(Violation::new(what).mark(defect.at, defect.what.clone()));
        }
        for (id, live) in &self.live {
            self.check_live(&image, *id, live)?;
        }
        let list_defect = image.list.as_ref().and_then(|list| list.defects(&image).into_iter().next());
        if let Some(defect) = list_defect {
            return Err(Violation::new("The free list and the heap disagree.").mark(defect.at, defect.what));
        }
        let neighbours = image
            .blocks
            .windows(2)
            .find(|pair| pair[0].state == State::Free && matches!(pair[1].state, State::Free | State::Top));
        if let Some([first, second]) = neighbours {
            let what = if second.state == State::Top { "borders on the top chunk" } else { "has a free neighbour" };
            return Err(Violation::new(format!("A free chunk {what}: they should be one chunk."))
                .mark(first.at, "this one should have been joined"));
        }
        let is_live = |at: usize| self.live.values().any(|live| live.place == Place::Heap(at + PAYLOAD));
        if let Some(lost) = image.blocks.iter().find(|block| block.state == State::Used && !is_live(block.at)) {
            return Err(Violation::new("A chunk is lost: it is marked as in use, but nobody holds it.")
                .mark(lost.at, "nobody holds this one"));
        }
        let has_block = |wanted: usize| {
            self.live.values().any(|live| matches!(live.place, Place::Mapping { number, .. } if number == wanted))
        };
        match self.os.mappings().iter().find(|(number, _)| !has_block(*number)) {
            Some((number, mapping)) => Err(Violation::new(format!(
                "The mapping M{number} of {} bytes is lost: no block is in it.",
                mapping.len
            ))),
            None => Ok(()),
        }
    }

    fn check_live(&self, image: &Image, id: usize, live: &Live) -> Result<(), Violation> {
        let (block_name, need) = (name(id), chunk_size(live.request).unwrap_or(0));
        match live.place {
            Place::Heap(at) => {
                let Some(block) = image.block(at - PAYLOAD) else {
                    return Err(Violation::new(format!(
                        "{block_name} is in use, but no chunk starts in front of its bytes."
                    ))
                    .mark(at, format!("the {} bytes of {block_name} start here", live.request)));
                };
                if block.state != State::Used {
                    let what = if block.state == State::Top { "is part of the top chunk" } else { "is marked free" };
                    return Err(Violation::new(format!("{block_name} is in use, but its chunk {what}."))
                        .mark(block.at, format!("{block_name}'s chunk")));
                }
                if block.size < need || block.size >= need + MIN_CHUNK {
                    let what = if block.size < need {
                        format!("{block_name}'s chunk is too small for its {} bytes.", live.request)
                    } else {
                        format!("{block_name}'s chunk is larger than it has to be: what is too much should be free.")
                    };
                    let wanted = if block.size < need { "or more" } else { "or 16 more" };
                    return Err(Violation::new(what)
                        .expected(format!("{need} bytes {wanted}"), format!("{} bytes", block.size))
                        .mark(block.at, format!("{block_name}'s chunk")));
                }
            }
            Place::Mapping { number, at } => {
                let lead = at - PAYLOAD;
                let wanted = (lead, (self.mapping_len(number) - lead) | IS_MMAPPED);
                // SAFETY: a block of a mapping that is there starts at least 16 bytes behind the mapping's start.
                let seen = unsafe {
                    let header = live.payload.byte_sub(PAYLOAD).cast::<usize>();
                    (header.read(), header.byte_add(SIZE_WORD).read())
                };
                if seen != wanted {
                    let say = |(lead, word): (usize, usize)| format!("prev_size {lead}, size word {word:#x}");
                    return Err(Violation::new(format!(
                        "The header in front of {block_name} does not describe its mapping."
                    ))
                    .expected(say(wanted), say(seen)));
                }
            }
            Place::Elsewhere => {}
        }
        // SAFETY: the block's bytes are in memory that the system has granted and not taken back: no misuse was noted.
        unsafe { check(id, live.payload, sampled(live.request), "The program's bytes changed in") }
    }
}

fn shown(place: Option<Place>) -> String {
    place.map_or("null".into(), |place| place.to_string())
}
