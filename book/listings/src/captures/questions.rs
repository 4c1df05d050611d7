//! The answers to questions at the ends of pages, each by code of a reference.

use super::stage::Stage;
use super::whole::{self, System};
use crate::process::PAGE;
use heapkit::memory::{HEAP_ROOM, PrivateArena};
use heapkit::os::SimOs;
use lab02::{Chunk, Header, PAYLOAD_OFFSET, SizeWord, request_to_chunk_size};
use lab03::{Fit, FreeList};
use lab04::CoalescingHeap;
use lab06::{BIN_COUNT, sizes_of};
use lab07::{Pool, pool_scope};
use std::mem::offset_of;

/// Answers that are numbers.
pub fn numbers() -> Result<Vec<(&'static str, usize)>, String> {
    Ok(vec![
        ("added_to_25", request_to_chunk_size(25).unwrap_or_default() - 25),
        ("words_to_the_middle", words_to_the_middle()?),
        ("words_about_a_free_neighbour", Row::new()?.words_written_by_free()),
        ("hole_of_a_reused_chunk", hole_of_a_reused_chunk()?),
        ("calls_of_100_files", calls_of_files(100)?),
        ("slot_of_one_byte", slot_of_one_byte()?),
    ])
}

/// Answers that are words.
pub fn words() -> Result<Vec<(&'static str, String)>, String> {
    let say = |yes: bool, no: &str| if yes { "yes" } else { no }.to_owned();
    let next_is_larger = (2..BIN_COUNT - 1).all(|bin| sizes_of(bin).end <= sizes_of(bin + 1).start);
    Ok(vec![
        ("first_word_past_the_end", first_word_past_the_end()?.to_owned()),
        ("prev_size_when_used_again", Row::new()?.prev_size_when_used_again().to_owned()),
        ("next_bin_fits", say(next_is_larger, "no")),
    ])
}

const SIZE: usize = 48;
const WORDS: usize = SIZE / size_of::<usize>();

/// Three chunks side by side, each marked as in use, and a header after them.
struct Row {
    arena: PrivateArena,
}

impl Row {
    fn new() -> Result<Self, String> {
        let row = Row { arena: PrivateArena::heap(PAGE).map_err(|e| format!("no memory for a row: {e}"))? };
        for at in 0..4 {
            // SAFETY: each header is inside the arena, which is ours, and the size leads to the next one.
            unsafe { row.chunk(at).set_size_word(SizeWord::new(SIZE, SizeWord::PREV_INUSE)) };
        }
        Ok(row)
    }

    fn chunk(&self, at: usize) -> Chunk {
        // SAFETY: the chunk is inside the arena, at a multiple of 16, and the pointer may be used for all of it.
        unsafe { Chunk::from_header(self.arena.pointer(at * SIZE).cast::<Header>()) }
    }

    fn word(&self, at: usize) -> usize {
        // SAFETY: a word of the arena, which is ours.
        unsafe { self.arena.pointer(at * size_of::<usize>()).cast::<usize>().read() }
    }

    /// How many words of the second chunk's header say that the first one is free.
    fn words_written_by_free(&self) -> usize {
        let header = || [self.word(WORDS), self.word(WORDS + 1)];
        let before = header();
        // SAFETY: the first chunk has a next one, and nobody uses its payload.
        unsafe { self.chunk(0).mark_free() };
        header().iter().zip(before).filter(|(now, before)| *now != before).count()
    }

    /// What becomes of the boundary tag when the chunk before is used again.
    fn prev_size_when_used_again(&self) -> &'static str {
        // SAFETY: as above.
        unsafe { self.chunk(0).mark_free() };
        let tag = self.word(WORDS);
        // SAFETY: as above.
        unsafe { self.chunk(0).mark_in_use() };
        match self.word(WORDS) {
            now if now == tag => "it keeps its old value",
            0 => "it becomes 0",
            _ => "it becomes another number",
        }
    }
}

/// How many words lead to the second of three chunks in a list: of the list itself and of all chunks.
fn words_to_the_middle() -> Result<usize, String> {
    let row = Row::new()?;
    let mut list = FreeList::new();
    for at in [2, 1, 0] {
        // SAFETY: the chunk is in no list, and nobody else writes its words while the list is used.
        unsafe { list.push(row.chunk(at)) };
    }
    let middle = row.chunk(1).header().addr().get();
    Ok(usize::from(list.head().addr() == middle) + (0..3 * WORDS).filter(|at| row.word(*at) == middle).count())
}

/// How large the hole is when a chunk of 96 bytes has served a request that needs 80, and is free again.
fn hole_of_a_reused_chunk() -> Result<usize, String> {
    let mut stage: Stage<CoalescingHeap> = Stage::new(PAGE, Fit::Best)?;
    stage.malloc(80);
    // Without a block in use after it, the top chunk would swallow it.
    stage.malloc(1);
    stage.free(0);
    stage.malloc(64);
    stage.free(2);
    Ok(stage.allocator.fragmentation().largest)
}

/// How often the system is asked for something, or given something back, by a program that reads so many files into a buffer of
/// 1 MiB, one after the other.
fn calls_of_files(files: usize) -> Result<usize, String> {
    let story = vec![format!("m0:{} f0", 1 << 20); files].join(" ");
    Ok(whole::play(&story)?.call_count())
}

/// From one value of a byte to the next, in a pool.
fn slot_of_one_byte() -> Result<usize, String> {
    let os: System = SimOs::new(PrivateArena::reserve().map_err(|e| format!("no memory for a pool: {e}"))?, HEAP_ROOM);
    pool_scope(&os, |brand| {
        let mut pool: Pool<'_, u8, _> = Pool::new(brand);
        let (first, second) = (pool.alloc(1).ok(), pool.alloc(2).ok());
        let (Some(first), Some(second)) = (first, second) else { return Err("the pool has no slots".to_owned()) };
        let distance = (&raw const *second).addr() - (&raw const *first).addr();
        pool.free(first);
        pool.free(second);
        Ok(distance)
    })
}

/// The word that a program hits which writes on after the last usable byte of a block.
fn first_word_past_the_end() -> Result<&'static str, String> {
    let row = Row::new()?;
    match PAYLOAD_OFFSET + row.chunk(0).usable_size() - SIZE {
        at if at == offset_of!(Header, prev_size) => Ok("the next chunk's prev_size"),
        at if at == offset_of!(Header, size_word) => Ok("the next chunk's size word"),
        at if at == offset_of!(Header, fd) => Ok("the next chunk's payload"),
        at => Err(format!("a block ends {at} bytes into the next chunk")),
    }
}
