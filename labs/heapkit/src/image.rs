//! Decodes raw heap bytes into blocks.
//!
//! The decoder trusts nothing: whatever stands in the bytes, it ends, and says what it could not make sense of.

use crate::format::{ALIGNMENT, FLAGS, IS_MMAPPED, MIN_CHUNK, PAYLOAD, PREV_INUSE, SIZE_WORD};
use crate::memory::FRESH;
use crate::snapshot::Snapshot;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Range;

/// An offset from the start of the heap. Pictures never show raw addresses: these change from run to run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(pub usize);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:#06x}", self.0)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a chunk is to the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its payload belongs to the program.
    Used,
    /// It waits to be used again: the next chunk's `PREV_INUSE` is clear.
    Free,
    /// The last chunk, from which new ones are cut.
    Top,
    /// The end of a stretch of memory behind which other code has put its own: headers that are never free.
    Fence,
    /// A mapping of its own, as its flag `IS_MMAPPED` says.
    Mapped,
    /// No chunk at all: memory of other code.
    Foreign,
}

/// One chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it starts.
    pub at: usize,
    /// Bytes to the next one.
    pub size: usize,
    /// The flags of its size word.
    pub flags: usize,
    /// What it is.
    pub state: State,
    /// Its first two payload words, where a free chunk keeps its links.
    pub fd: Link,
    /// See [`Block::fd`].
    pub bk: Link,
}

impl Block {
    /// Where its payload starts.
    pub fn payload(&self) -> usize {
        self.at + PAYLOAD
    }

    /// Where it ends.
    pub fn end(&self) -> usize {
        self.at + self.size
    }
}

/// Where a word that should be a link points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Null: the list ends here.
    End,
    /// Into the heap.
    To(usize),
    /// Neither null nor inside the heap.
    Wild(usize),
    /// No link at all: the chunk is in use, and these are bytes of the program.
    Payload,
}

/// Something in the bytes that no well-kept heap has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// The word that is wrong.
    pub at: usize,
    /// What is wrong with it, as a sentence without a full stop.
    pub what: String,
}

/// What a word of fresh heap memory reads.
pub const UNSET: usize = usize::from_ne_bytes([FRESH; size_of::<usize>()]);

/// The bytes of a heap, as they were at one moment, and who has them.
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    /// The bytes, from offset 0 on.
    pub bytes: &'a Snapshot,
    /// Which of them belong to other code, in order.
    pub foreign: &'a [Range<usize>],
}

impl<'a> Raw<'a> {
    /// Bytes that are all the allocator's.
    pub fn new(bytes: &'a Snapshot) -> Self {
        Raw { bytes, foreign: &[] }
    }

    /// The word at `at`, if all of it is inside the heap.
    pub fn word(&self, at: usize) -> Option<usize> {
        self.bytes.word(at)
    }

    /// What `word` points to, read as a link.
    pub fn link(&self, word: usize) -> Link {
        match word.checked_sub(self.bytes.base()) {
            _ if word == 0 => Link::End,
            Some(offset) if self.bytes.contains(offset) => Link::To(offset),
            _ => Link::Wild(word),
        }
    }
}

/// Where a list of chunks starts, and how its chunks lead to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListHead {
    /// What the list is called: `list`, `fast bin 32`. Pictures show it.
    pub name: String,
    /// The word that leads to the first chunk: its address, or 0 for an empty list.
    pub head: usize,
    /// The form of its links.
    pub links: Links,
}

/// The name of a list that is the only one.
pub const FREE_LIST: &str = "list";

impl ListHead {
    /// The one free list of a lab: linked both ways, called [`FREE_LIST`].
    pub fn free_list(head: usize) -> Self {
        ListHead { name: FREE_LIST.into(), head, links: Links::BothWays }
    }
}

/// How the chunks of a list lead to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// `fd` leads to the next chunk, `bk` to the one before. The chunks are marked free.
    BothWays,
    /// `fd` leads to the next chunk. To their neighbours, the chunks are in use.
    OneWay,
    /// A cache's list, one way as well. Its head and its links lead to the *payload* of a chunk, and each link is masked by the address
    /// of the place where it is, shifted by 12: glibc's `PROTECT_PTR`.
    Masked,
}

/// A decoded heap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The chunks, in the order of their addresses.
    pub blocks: Vec<Block>,
    /// What is wrong. The blocks behind a wrong size can't be found.
    pub defects: Vec<Defect>,
    /// The lists that somebody knows of.
    pub lists: Vec<List>,
}

/// A list, followed from its head as far as it makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// What it is called.
    pub name: String,
    /// The form of its links.
    pub links: Links,
    /// The chunks, first to last.
    pub chunks: Vec<usize>,
    /// The link at which the walk stopped: [`Link::End`] for a list in order.
    pub last: Link,
}

impl Image {
    /// No heap yet.
    pub fn empty() -> Self {
        Image { blocks: Vec::new(), defects: Vec::new(), lists: Vec::new() }
    }

    /// Decodes a heap with these lists.
    pub fn decode(raw: &Raw<'_>, lists: &[ListHead]) -> Self {
        let mut image = Image::empty();
        image.walk(raw);
        image.check_neighbours(raw);
        image.lists = lists.iter().map(|head| image.follow(raw, head)).collect();
        image
    }

    /// The block that starts at `at`.
    pub fn block(&self, at: usize) -> Option<&Block> {
        self.blocks.binary_search_by_key(&at, |block| block.at).ok().map(|index| &self.blocks[index])
    }

    /// The block in which the byte at `at` lies.
    pub fn block_around(&self, at: usize) -> Option<&Block> {
        self.blocks.iter().find(|block| (block.at..block.end()).contains(&at))
    }

    /// The free chunks, in the order of their addresses.
    pub fn free(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(|block| block.state == State::Free)
    }

    /// The top chunk.
    pub fn top(&self) -> Option<&Block> {
        self.blocks.iter().rfind(|block| block.state == State::Top)
    }

    /// The first list: where there is but one, the free list.
    pub fn list(&self) -> Option<&List> {
        self.lists.first()
    }

    /// The chunks of the first list, first to last.
    pub fn list_order(&self) -> &[usize] {
        self.list().map_or(&[], |list| &list.chunks)
    }

    /// The free chunks of all lists that hold at least `size` bytes, in list order.
    pub fn candidates(&self, size: usize) -> Vec<&Block> {
        let free = self.lists.iter().filter(|list| list.links == Links::BothWays);
        let chunks = free.flat_map(|list| &list.chunks);
        chunks.filter_map(|&at| self.block(at)).filter(|block| block.size >= size).collect()
    }

    fn defect(&mut self, at: usize, what: String) {
        self.defects.push(Defect { at, what });
    }

    /// Walks from stretch to stretch: other code may have taken memory in between. The newest one ends with the top chunk,
    /// the others with fences.
    fn walk(&mut self, raw: &Raw<'_>) {
        let starts = raw.foreign.iter().map(|foreign| foreign.end.next_multiple_of(ALIGNMENT));
        let ends = raw.foreign.iter().map(|foreign| foreign.start).chain([raw.bytes.end()]);
        let stretches: Vec<Range<usize>> = [0].into_iter().chain(starts).zip(ends).map(|(at, end)| at..end).collect();
        let newest = stretches.iter().rposition(|stretch| !stretch.is_empty());
        for (index, stretch) in stretches.into_iter().enumerate() {
            if let Some(foreign) = index.checked_sub(1).map(|index| &raw.foreign[index]) {
                self.blocks.push(Block {
                    at: foreign.start,
                    size: foreign.len(),
                    flags: 0,
                    state: State::Foreign,
                    fd: Link::Payload,
                    bk: Link::Payload,
                });
            }
            let (first, end) = (self.blocks.len(), stretch.end);
            self.walk_stretch(raw, stretch, newest != Some(index));
            // Where the walk broke off, the last block that it reached isn't the top chunk.
            let last = self.blocks[first..].last_mut().filter(|last| last.end() == end);
            if let Some(last) = last.filter(|last| newest == Some(index) && last.state != State::Mapped) {
                last.state = State::Top;
            }
        }
    }

    /// Walks one stretch; a `fenced` one ends with headers that may be smaller than a chunk.
    fn walk_stretch(&mut self, raw: &Raw<'_>, stretch: Range<usize>, fenced: bool) {
        let (first, end) = (self.blocks.len(), stretch.end);
        let mut at = stretch.start;
        // A break that other code has moved may stand anywhere: the last few bytes are then nobody's.
        while at < end && (end.is_multiple_of(ALIGNMENT) || end - at >= ALIGNMENT) {
            let word_at = at + SIZE_WORD;
            let Some(word) = raw.word(word_at) else {
                return self.defect(at, format!("the last {} bytes are no chunk", end - at));
            };
            let (size, flags) = (word & !FLAGS, word & FLAGS);
            if word == UNSET {
                return self
                    .defect(word_at, "nobody has written this size word: the memory here is still fresh".into());
            }
            let is_fence = fenced && size == ALIGNMENT && end - at < 2 * MIN_CHUNK;
            if (size < MIN_CHUNK && !is_fence) || !size.is_multiple_of(ALIGNMENT) {
                let needs = if size < MIN_CHUNK { "at least 32" } else { "a multiple of 16" };
                return self.defect(word_at, format!("the word is {word:#06x}: size {size:#x}, but a size is {needs}"));
            }
            if size > end - at {
                return self.defect(
                    word_at,
                    format!("the word is {word:#06x}: size {size:#x}, but the heap ends {:#x} bytes on", end - at),
                );
            }
            let link = |at| raw.word(at).map_or(Link::End, |word| raw.link(word));
            let state = match flags & IS_MMAPPED {
                0 if is_fence => State::Fence,
                0 => State::Used,
                _ => State::Mapped,
            };
            self.blocks.push(Block { at, size, flags, state, fd: link(at + PAYLOAD), bk: link(at + PAYLOAD + 8) });
            at += size;
        }
        let blocks = &mut self.blocks[first..];
        let next_says_free: Vec<bool> = blocks.iter().skip(1).map(|next| next.flags & PREV_INUSE == 0).collect();
        for (block, free) in blocks.iter_mut().zip(next_says_free) {
            if free && block.state != State::Mapped {
                block.state = State::Free;
            }
        }
        if fenced {
            // Nobody can say whether the last one is in use: behind it stands somebody else's memory. The header before it
            // says that it is, and has swallowed what was too small for a chunk.
            let mut from_the_end = blocks.iter_mut().rev();
            from_the_end.next().into_iter().for_each(|last| last.state = State::Fence);
            let swallowed =
                from_the_end.next().filter(|block| block.state == State::Used && block.size < MIN_CHUNK + ALIGNMENT);
            swallowed.into_iter().for_each(|block| block.state = State::Fence);
            let fences = blocks.iter().rev().take_while(|block| block.state == State::Fence).count();
            if fences == 1 {
                let what = "other code's memory follows, and one header alone can't say that it is itself in use";
                self.defect(end.saturating_sub(ALIGNMENT), what.into());
            }
        }
    }

    fn check_neighbours(&mut self, raw: &Raw<'_>) {
        // Other code's memory has no flags, and P means nothing in a mapping.
        let first = self.blocks.first().filter(|first| !matches!(first.state, State::Foreign | State::Mapped));
        if first.is_some_and(|first| first.flags & PREV_INUSE == 0) {
            self.defect(SIZE_WORD, "P is 0, \"the chunk before is free\", but no chunk stands before the first".into());
        }
        let free: Vec<(usize, usize)> = self.free().map(|block| (block.at, block.size)).collect();
        for (at, size) in free {
            let footer = raw.word(at + size).unwrap_or_default();
            if footer != size {
                let before = format!("the free chunk before, {}, has size {size:#x}", Offset(at));
                let what = match footer {
                    UNSET => format!("nobody has written this prev_size, but {before}"),
                    _ => format!("prev_size is {footer:#x}, but {before}"),
                };
                self.defect(at + size, what);
            }
        }
    }

    fn follow(&self, raw: &Raw<'_>, head: &ListHead) -> List {
        let of_payload = |word: usize| raw.link(if word == 0 { 0 } else { word.wrapping_sub(PAYLOAD) });
        let first = if head.links == Links::Masked { of_payload(head.head) } else { raw.link(head.head) };
        let mut list = List { name: head.name.clone(), links: head.links, chunks: Vec::new(), last: first };
        let mut seen = HashSet::new();
        while let Link::To(at) = list.last {
            let Some(block) = self.block(at).filter(|_| seen.insert(at)) else { break };
            list.chunks.push(at);
            list.last = match head.links {
                Links::BothWays if block.state != State::Free => Link::Payload,
                Links::BothWays | Links::OneWay => block.fd,
                Links::Masked => {
                    let mask = (raw.bytes.base() + at + PAYLOAD) >> 12;
                    raw.word(at + PAYLOAD).map_or(Link::End, |word| of_payload(word ^ mask))
                }
            };
        }
        list
    }

    /// What is wrong with the lists, or where they disagree with the heap they run through.
    pub fn list_defects(&self) -> Vec<Defect> {
        let mut defects: Vec<Defect> = self.lists.iter().flat_map(|list| list.defects(self)).collect();
        let mut listed: BTreeMap<usize, &List> = BTreeMap::new();
        for list in &self.lists {
            for &at in &list.chunks {
                if let Some(other) = listed.insert(at, list) {
                    let what = format!("{} is in two lists, {} and {}", Offset(at), other.name, list.name);
                    defects.push(Defect { at, what });
                }
            }
        }
        let all_end = self.lists.iter().all(|list| list.last == Link::End);
        if !self.lists.is_empty() && all_end {
            let not_listed = self.free().filter(|block| !listed.contains_key(&block.at));
            let in_which = if self.lists.len() == 1 { "the list" } else { "any list" };
            defects.extend(not_listed.map(|block| Defect {
                at: block.at,
                what: format!("{} is free, but not in {in_which}", Offset(block.at)),
            }));
        }
        defects
    }
}

impl List {
    /// Why the list has no proper end, if it has none.
    pub fn broken_end(&self) -> Option<Defect> {
        let last = self.chunks.last().copied().unwrap_or(0);
        let what = match self.last {
            Link::End => return None,
            Link::To(to) if self.chunks.contains(&to) => {
                format!("fd leads back to {}: the list is a circle", Offset(to))
            }
            Link::To(to) => format!("the list leads to {}, where no chunk starts", Offset(to)),
            Link::Wild(UNSET) => "fd was never written: the list leads nowhere".into(),
            Link::Wild(word) => format!("the list leads out of the heap, to {word:#x}"),
            Link::Payload => format!("{} is in the list, but it isn't free: no link is kept here", Offset(last)),
        };
        Some(Defect { at: last + PAYLOAD, what })
    }

    /// What is wrong with the list itself, or where its chunks disagree with it.
    pub fn defects(&self, image: &Image) -> Vec<Defect> {
        let mut defects = Vec::new();
        let mut before = Link::End;
        for &at in self.chunks.iter().filter(|_| self.links == Links::BothWays) {
            let Some(block) = image.block(at) else { continue };
            if block.state != State::Free {
                defects.push(in_use_and_listed(image, block));
                continue;
            }
            if block.bk != before {
                let what = format!("bk is {}, but {} it in the list", Goal(block.bk), ComesBefore(before));
                defects.push(Defect { at: at + PAYLOAD + 8, what });
            }
            before = Link::To(at);
        }
        if defects.is_empty() {
            defects.extend(self.broken_end());
        }
        defects
    }
}

/// A chunk of the list that is in use: what says so is the next chunk's size word.
fn in_use_and_listed(image: &Image, block: &Block) -> Defect {
    let listed = Offset(block.at);
    match image.block(block.end()) {
        Some(next) => Defect {
            at: next.at + SIZE_WORD,
            what: format!(
                "the word at {} is {:#06x}: P = 1 \"the chunk before is in use\", but {listed} is in the list",
                Offset(next.at + SIZE_WORD),
                next.size | next.flags
            ),
        },
        None => Defect { at: block.at, what: format!("the top chunk, {listed}, is in the list") },
    }
}

/// A link, as a sentence names it.
struct Goal(Link);

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Link::End => f.write_str("null"),
            Link::To(at) => write!(f, "{}", Offset(at)),
            Link::Wild(UNSET) => f.write_str("unset"),
            Link::Wild(word) => write!(f, "{word:#x}"),
            Link::Payload => f.write_str("payload"),
        }
    }
}

/// What comes before a chunk in the list.
struct ComesBefore(Link);

impl fmt::Display for ComesBefore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Link::End => f.write_str("nothing comes before"),
            other => write!(f, "{} comes before", Goal(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heap of words, at an address no real heap has.
    fn decode(words: &[usize], head: Option<usize>) -> Image {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let heads: Vec<ListHead> = head.map(ListHead::free_list).into_iter().collect();
        Image::decode(&Raw::new(&Snapshot::new(0x1000, 0, bytes)), &heads)
    }

    #[test]
    fn a_chunk_is_free_when_the_next_one_says_so() {
        let image = decode(&[0, 0x21, 0, 0, 0x20, 0x20, 0, 0], None);
        let states: Vec<State> = image.blocks.iter().map(|block| block.state).collect();
        assert_eq!(states, [State::Free, State::Top]);
        assert_eq!(image.defects, []);
    }

    #[test]
    fn a_size_of_zero_ends_the_walk_with_a_defect() {
        let image = decode(&[0, 0x21, 0, 0, 0, 0, 0, 0], None);
        assert_eq!(image.blocks.len(), 1);
        assert_eq!(image.defects[0].at, 0x28);
    }

    #[test]
    fn a_size_past_the_end_is_a_defect() {
        let image = decode(&[0, 0x1001, 0, 0], None);
        assert_eq!(image.blocks, []);
        assert_eq!(image.defects[0].at, 8);
    }

    #[test]
    fn a_footer_that_lies_is_a_defect() {
        let image = decode(&[0, 0x21, 0, 0, 0x30, 0x20, 0, 0], None);
        assert_eq!(image.defects[0].at, 0x20);
    }

    #[test]
    fn a_mapping_is_no_top_chunk_and_nothing_comes_before_it() {
        let image = decode(&[0, 0x22, 0, 0], None);
        assert_eq!(image.blocks[0].state, State::Mapped);
        assert_eq!(image.defects, []);
        assert_eq!(crate::draw::heap(&image, &[]), "+0x0000   mapped   32   M\n");
    }

    #[test]
    fn memory_of_other_code_stands_between_two_stretches() {
        let words = [0, 0x21, 0, 0, 0x20, 0x10, 0, 0x11, 7, 7, 7, 7, 0, 0x21, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word: &usize| word.to_ne_bytes()).collect();
        let foreign = 0x40..0x5c;
        let bytes = Snapshot::new(0x1000, 0, bytes);
        let raw = Raw { bytes: &bytes, foreign: std::slice::from_ref(&foreign) };
        let image = Image::decode(&raw, &[ListHead::free_list(0x1000)]);
        let states: Vec<State> = image.blocks.iter().map(|block| block.state).collect();
        assert_eq!(states, [State::Free, State::Fence, State::Fence, State::Foreign, State::Top]);
        assert_eq!(image.defects, []);
    }

    #[test]
    fn a_circle_in_the_list_is_found_and_left() {
        let image = decode(&[0, 0x21, 0x1000, 0, 0x20, 0x20, 0, 0], Some(0x1000));
        let list = image.list().unwrap();
        assert_eq!((list.chunks.as_slice(), list.last), ([0].as_slice(), Link::To(0)));
        assert!(list.defects(&image)[0].what.contains("circle"));
    }

    #[test]
    fn a_free_chunk_missing_from_the_list_is_a_defect() {
        let image = decode(&[0, 0x21, 0, 0, 0x20, 0x20, 0, 0], Some(0));
        assert_eq!(image.list_defects()[0].what, "+0x0000 is free, but not in the list");
    }

    #[test]
    fn a_masked_list_that_leads_one_way_is_followed() {
        let mask = |at: usize| (0x1000 + at + PAYLOAD) >> 12;
        let words = [0, 0x21, 0x1030 ^ mask(0), 0, 0, 0x21, mask(0x20), 0, 0, 0x21, 0, 0];
        let bytes = words.iter().flat_map(|word: &usize| word.to_ne_bytes()).collect();
        let head = ListHead { name: "cache".into(), head: 0x1010, links: Links::Masked };
        let image = Image::decode(&Raw::new(&Snapshot::new(0x1000, 0, bytes)), &[head]);
        assert_eq!((image.list_order(), image.lists[0].last), ([0, 0x20].as_slice(), Link::End));
        assert_eq!(image.list_defects(), []);
    }
}
