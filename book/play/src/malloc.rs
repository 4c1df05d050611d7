//! The mallocs of the labs, and what can be switched in them.

use crate::memory::PlayOs;
use heapkit::image::ListHead;
use heapkit::os::Os;
use heapkit::referee::bin_rules::{bins, cache};
use lab02::{Chunk, MIN_CHUNK_SIZE, SizeWord, request_to_chunk_size};
use lab03::{CorruptedLink, Fit, FreeList, ListHeap};
use lab04::{CoalescingHeap, FreeChunks, coalesce, split};
use lab05::Malloc;
use lab06::{Bins, FastMalloc};
use lab08::{Cache, MAIN, SharedMalloc};
use std::mem;
use std::ptr::NonNull;
use std::str::FromStr;

/// As much room as the cache has for each size: so little that a reader sees it fill. The page about lab 8 shows the same one.
const CACHE_ROOM: usize = 512;

/// What a reader has switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the memory comes from, and where free chunks wait.
    pub heap: Heap,
    /// Which free chunk serves a request; bins choose for themselves.
    pub fit: Fit,
    /// Whether a chunk that is too large is split: on one page. The others always do it.
    pub splitting: bool,
    /// Whether free neighbours are joined: on one page. The others always do it.
    pub joining: bool,
}

/// Where the memory comes from, and where free chunks wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heap {
    /// One page and a free list: labs 3 and 4.
    Page,
    /// A system and a free list: lab 5.
    System,
    /// A system and bins: lab 6.
    Bins,
    /// The same with fast bins in front of it.
    Fast,
    /// The same for threads, of which one plays here, with its cache: lab 8.
    Cache,
}

/// `page first split join`
impl FromStr for Settings {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut settings = Settings { heap: Heap::Page, fit: Fit::First, splitting: false, joining: false };
        for word in text.split_whitespace() {
            match word {
                "page" => settings.heap = Heap::Page,
                "system" => settings.heap = Heap::System,
                "bins" => settings.heap = Heap::Bins,
                "fast" => settings.heap = Heap::Fast,
                "cache" => settings.heap = Heap::Cache,
                "first" => settings.fit = Fit::First,
                "best" => settings.fit = Fit::Best,
                "worst" => settings.fit = Fit::Worst,
                "split" => settings.splitting = true,
                "join" => settings.joining = true,
                _ => return Err(format!("there is no setting `{word}`")),
            }
        }
        Ok(settings)
    }
}

impl Settings {
    /// Whose malloc this is, as a sentence.
    pub fn in_words(self) -> String {
        let fit = match self.fit {
            Fit::First => "first fit",
            Fit::Best => "best fit",
            Fit::Worst => "worst fit",
        };
        match self.heap {
            Heap::Page => match (self.splitting, self.joining) {
                (false, false) => format!("This is the malloc of lab 3: one page, one free list, {fit}."),
                (true, true) => format!("This is the malloc of lab 4: it splits and joins, with {fit}."),
                (true, false) => format!("This malloc splits, but it never joins: half of lab 4, with {fit}."),
                (false, true) => format!("This malloc joins, but it never splits: half of lab 4, with {fit}."),
            },
            Heap::System if self.fit == Fit::Best => {
                "This is the malloc of lab 5: one free list, the break, and mappings.".into()
            }
            Heap::System => format!("This is the malloc of lab 5, but with {fit} in its free list."),
            Heap::Bins => "This is the malloc of lab 6: the one of lab 5, with bins in place of the list.".into(),
            Heap::Fast => "This is the malloc of lab 6 with its fast bins.".into(),
            Heap::Cache => {
                format!(
                    "This is the malloc of lab 8, used by one thread. Its cache has room for {CACHE_ROOM} bytes of each size, so that it fills soon."
                )
            }
        }
    }
}

/// A malloc at play.
pub enum Player<'os> {
    /// Lab 3.
    List(ListHeap),
    /// Lab 4.
    Coalescing(CoalescingHeap),
    /// One half of lab 4.
    Half(Half),
    /// Lab 5.
    System(Malloc<&'os PlayOs, FittedList>),
    /// Lab 6.
    Bins(Box<Malloc<&'os PlayOs, Bins>>),
    /// Lab 6 with fast bins.
    Fast(Box<FastMalloc<&'os PlayOs>>),
    /// Lab 8.
    Cached(Box<OneThread<'os>>),
}

/// The malloc that threads share, and the cache of the only one.
pub struct OneThread<'os> {
    malloc: SharedMalloc<&'os PlayOs>,
    cache: Cache,
}

impl<'os> Player<'os> {
    /// The malloc that the settings name, on a fresh system: one that [`Player::system`] has made.
    pub fn new(settings: Settings, os: &'os PlayOs) -> Self {
        let fit = settings.fit;
        // SAFETY: a fresh page, which nobody else uses; and a new list, like new bins, holds no chunk.
        unsafe {
            match settings.heap {
                Heap::Page => match (settings.splitting, settings.joining) {
                    (false, false) => Player::List(ListHeap::new(os.region(), fit)),
                    (true, true) => Player::Coalescing(CoalescingHeap::new(os.region(), fit)),
                    _ => Player::Half(Half::new(os.region(), settings)),
                },
                Heap::System => Player::System(Malloc::with(os, FittedList { list: FreeList::new(), fit })),
                Heap::Bins => Player::Bins(Box::new(Malloc::with(os, Bins::new()))),
                Heap::Fast => Player::Fast(Box::new(FastMalloc::new(os))),
                Heap::Cache => {
                    let malloc = SharedMalloc::new(os, |found| unreachable!("a story breaks no heap: {found}"));
                    Player::Cached(Box::new(OneThread { malloc, cache: Cache::with_room(CACHE_ROOM) }))
                }
            }
        }
    }

    /// The system that the settings need.
    pub fn system(settings: Settings) -> PlayOs {
        if settings.heap == Heap::Page { PlayOs::one_page() } else { PlayOs::new() }
    }

    /// A block of `request` bytes.
    pub fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        match self {
            Player::List(heap) => heap.malloc(request),
            Player::Coalescing(heap) => heap.malloc(request),
            Player::Half(heap) => heap.malloc(request),
            Player::System(malloc) => malloc.malloc(request),
            Player::Bins(malloc) => malloc.malloc(request),
            Player::Fast(malloc) => malloc.malloc(request),
            Player::Cached(thread) => thread.malloc.malloc(&mut thread.cache, request),
        }
    }

    /// A block of zeroes. The mallocs of labs 3 and 4 don't have this call: it is played as `malloc`, and the bytes are cleared.
    pub fn calloc(&mut self, count: usize, size: usize) -> Option<NonNull<u8>> {
        match self {
            Player::System(malloc) => malloc.calloc(count, size),
            Player::Bins(malloc) => malloc.calloc(count, size),
            Player::Fast(malloc) => malloc.calloc(count, size),
            Player::Cached(thread) => thread.malloc.calloc(&mut thread.cache, count, size),
            _ => {
                let request = count.checked_mul(size)?;
                let block = self.malloc(request)?;
                // SAFETY: a block of `request` bytes that nobody uses yet.
                unsafe { block.write_bytes(0, request) };
                Some(block)
            }
        }
    }

    /// Whether it has `calloc`, `realloc` and `aligned` of its own.
    pub fn is_whole(&self) -> bool {
        matches!(self, Player::System(_) | Player::Bins(_) | Player::Fast(_) | Player::Cached(_))
    }

    /// A block at a multiple of `align`, if the malloc [has](Player::is_whole) this call.
    pub fn aligned(&mut self, align: usize, request: usize) -> Option<NonNull<u8>> {
        match self {
            Player::System(malloc) => malloc.aligned(align, request),
            Player::Bins(malloc) => malloc.aligned(align, request),
            Player::Fast(malloc) => malloc.aligned(align, request),
            Player::Cached(thread) => thread.malloc.aligned(&mut thread.cache, align, request),
            _ => None,
        }
    }

    /// Another length. The mallocs of labs 3 and 4 don't have this call: where the chunk is too small, it is played as `malloc`, a
    /// copy, and `free`.
    ///
    /// # Safety
    /// `block` is a block of this malloc that has not been freed. If it moves, nobody uses the old place any more.
    pub unsafe fn realloc(&mut self, block: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        // SAFETY: the same rule. A chunk in use has `usable` bytes, and the new block, which is another one, has more.
        unsafe {
            match self {
                Player::System(malloc) => malloc.realloc(block, request),
                Player::Bins(malloc) => malloc.realloc(block, request),
                Player::Fast(malloc) => malloc.realloc(block, request),
                Player::Cached(thread) => thread.malloc.realloc(&mut thread.cache, block, request),
                _ => {
                    let usable = Chunk::from_payload(block).usable_size();
                    if request <= usable {
                        return Some(block);
                    }
                    let new = self.malloc(request)?;
                    new.copy_from_nonoverlapping(block, usable);
                    self.free(block);
                    Some(new)
                }
            }
        }
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// `block` is a block of this malloc that has not been freed, and nobody uses it any more.
    pub unsafe fn free(&mut self, block: NonNull<u8>) {
        // SAFETY: the same rule.
        unsafe {
            match self {
                Player::List(heap) => heap.free(block),
                Player::Coalescing(heap) => heap.free(block),
                Player::Half(heap) => heap.free(block),
                Player::System(malloc) => malloc.free(block),
                Player::Bins(malloc) => malloc.free(block),
                Player::Fast(malloc) => malloc.free(block),
                Player::Cached(thread) => thread.malloc.free(&mut thread.cache, block),
            }
        }
    }

    /// Where its lists start.
    pub fn lists(&self) -> Vec<ListHead> {
        let one = |list: &FreeList| vec![ListHead::free_list(list.head().addr())];
        match self {
            Player::List(heap) => one(heap.free_list()),
            Player::Coalescing(heap) => one(heap.free_list()),
            Player::Half(heap) => one(&heap.free),
            Player::System(malloc) => one(&malloc.free_chunks().list),
            Player::Bins(malloc) => named(malloc.free_chunks(), &[]),
            Player::Fast(malloc) => with_fast_bins(malloc),
            Player::Cached(thread) => {
                let mut lists = thread.malloc.inspect(MAIN, |arena| with_fast_bins(arena.malloc()));
                lists.extend(cache(&thread.cache.heads().map(|head| head.addr())));
                lists
            }
        }
    }
}

/// The lists of a malloc with fast bins that hold something.
fn with_fast_bins<O: Os>(malloc: &FastMalloc<O>) -> Vec<ListHead> {
    let fast: Vec<usize> = malloc.fast_bins().iter().map(|bin| bin.head().addr()).collect();
    named(malloc.bins(), &fast)
}

/// The lists that hold something, as heapkit names them: the unsorted bin is number 0, then come the bins, then the fast bins.
fn named(all: &Bins, fast: &[usize]) -> Vec<ListHead> {
    let lists = [all.unsorted()].into_iter().chain(all.sorted()).map(|list| list.head().addr());
    let heads = lists.chain(fast.iter().copied()).enumerate().filter(|(_, head)| *head != 0);
    bins(&heads.flat_map(|(number, head)| [number, head]).collect::<Vec<_>>())
}

/// A malloc that splits or joins, but not both: lab 4 with one of its halves left out.
pub struct Half {
    free: FreeList,
    top: Chunk,
    settings: Settings,
}

impl Half {
    /// As [`CoalescingHeap::new`].
    ///
    /// # Safety
    /// As for [`CoalescingHeap::new`].
    pub(crate) unsafe fn new(region: NonNull<[u8]>, settings: Settings) -> Self {
        // SAFETY: the region is ours and has room for a header, and the size leads to its end.
        let top = unsafe {
            let mut top = Chunk::from_header(region.cast());
            top.set_size_word(SizeWord::new(region.len(), SizeWord::PREV_INUSE));
            top
        };
        Half { free: FreeList::new(), top, settings }
    }

    fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        let size = request_to_chunk_size(request)?;
        let mut chunk = match self.free.take(self.settings.fit, size) {
            Some(chunk) if !self.settings.splitting => chunk,
            // SAFETY: `take` gives a chunk of at least `size` bytes that is in no list any more, and the rest is in none yet.
            Some(mut chunk) => unsafe {
                if let Some(mut rest) = split(&mut chunk, size) {
                    rest.mark_free();
                    self.free.push(rest);
                }
                chunk
            },
            None => {
                self.top.size().checked_sub(size).filter(|rest| *rest >= MIN_CHUNK_SIZE)?;
                // SAFETY: the top chunk is in no list, and the rest was just seen to be large enough for a chunk.
                let rest = unsafe { split(&mut self.top, size) }?;
                mem::replace(&mut self.top, rest)
            }
        };
        // SAFETY: neither a chunk from the list nor one cut from the top is the top chunk itself.
        unsafe { chunk.mark_in_use() };
        Some(chunk.payload())
    }

    /// # Safety
    /// As for [`CoalescingHeap::free`].
    unsafe fn free(&mut self, payload: NonNull<u8>) {
        // SAFETY: a block of this malloc that has not been freed is a chunk in use, and all free chunks but the top chunk are in the
        // list.
        unsafe {
            let mut chunk = Chunk::from_payload(payload);
            if self.settings.joining {
                coalesce(chunk, &mut self.free, &mut self.top);
            } else {
                chunk.mark_free();
                self.free.push(chunk);
            }
        }
    }
}

/// A free list from which the reader's fit takes.
pub struct FittedList {
    list: FreeList,
    fit: Fit,
}

// SAFETY: `take` gives what the fit has found, and unlinks it; `unlink` takes a chunk out, or says that it hasn't.
unsafe impl FreeChunks for FittedList {
    unsafe fn put(&mut self, chunk: Chunk) {
        // SAFETY: `push` asks for the same.
        unsafe { self.list.push(chunk) }
    }

    fn take(&mut self, size: usize) -> Option<Chunk> {
        self.list.take(self.fit, size)
    }

    unsafe fn remove(&mut self, chunk: &Chunk) -> Result<(), CorruptedLink> {
        // SAFETY: `unlink` asks for the same.
        unsafe { self.list.unlink(chunk) }
    }
}
