//! The reference of lab 8: its caches, and the steps that its locks take.

use super::whole::{Stage, System};
use super::{Capture, Content, bins};
use crate::story::OneThread;
use heapkit::draw::Strip;
use heapkit::image::Image;
use heapkit::memory::{PAGE, PrivateArena};
use heapkit::referee::bin_rules;
use heapkit::sync::Flag;
use lab02::{ALIGNMENT, SizeWord, request_to_chunk_size};
use lab08::{CACHED_BYTES, Cache, MAIN, REGION_SIZE, SharedMalloc, arena_of, size_word_of};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub fn draw_all() -> Result<Vec<Capture>, String> {
    Ok(vec![Capture::new("two_arenas.txt", Content::Fixed(two_arenas()?))])
}

/// How two threads' blocks lead to their arenas.
fn two_arenas() -> Result<String, String> {
    let malloc = SharedMalloc::<_>::new(system()?, |found| panic!("{found}"));
    let mut text = String::new();
    for thread in ["the first thread", "the second thread"] {
        let mut cache = Cache::new();
        let block = malloc.malloc(&mut cache, 100).ok_or("there is room for a block")?;
        // SAFETY: a block in use.
        let (word, arena) = unsafe { (size_word_of(block), arena_of(block)) };
        let flag = word.has(SizeWord::NON_MAIN_ARENA);
        let size = word.size();
        let _ = writeln!(text, "malloc(100) in {thread}\n  size {size}, NON_MAIN_ARENA {}", usize::from(flag));
        if flag {
            let from_start = block.addr().get() % REGION_SIZE;
            let _ = writeln!(
                text,
                "  {from_start} bytes after a multiple of {REGION_SIZE}: a region starts there, and its first word is {arena}"
            );
        }
        let _ = writeln!(text, "  so the block belongs to arena {arena}");
    }
    Ok(text)
}

fn system() -> Result<&'static System, String> {
    let arena = PrivateArena::reserve().map_err(|e| format!("no memory for a heap: {e}"))?;
    Ok(Box::leak(Box::new(System::new(arena, 64 * PAGE))))
}

/// A cache with so much room is full when the reader still sees each block.
pub const SMALL_ROOM: usize = 512;

type Cached = Stage<OneThread<&'static System>>;

/// The heap, with the lists of the cache and of the main arena.
fn image(stage: &Cached) -> Image {
    let OneThread { malloc, cache } = &stage.malloc;
    let mut lists = malloc.inspect(MAIN, |arena| bins::lists(arena.malloc()));
    lists.extend(bin_rules::cache(&cache.heads().map(|head| head.addr())));
    stage.image_with(&lists)
}

/// Blocks of one size are freed until their list in a small cache is full, and one more.
pub fn cache_spills() -> Result<Vec<String>, String> {
    let count = SMALL_ROOM / 32 + 1;
    let blocks: Vec<String> = (1..=count).map(|block| block.to_string()).collect();
    let made: Vec<String> = (0..=count).map(|block| format!("m{block}:24")).collect();
    let mut stage =
        Cached::of(|os| OneThread::new(os, Cache::with_room(SMALL_ROOM)), 1024, 32)?.play(&made.join(" "))?;
    let names = stage.names(&blocks.iter().map(String::as_str).collect::<Vec<_>>());
    let frees: Vec<String> = (0..count).map(|block| format!("f{block}")).collect();
    let mut strip = Strip::default().moment("", image(&stage), &names);
    for step in [&frees[0], &frees[1], &frees[2..count - 1].join(" "), &frees[count - 1], "m20:24"] {
        stage = stage.play(step)?;
        strip = strip.moment("", image(&stage), &names);
    }
    Ok(strip.steps())
}

/// How many of `count` blocks of `request` bytes wait in a thread's cache, after that thread has freed what another one has made.
pub fn cached_of(count: usize, request: usize) -> Result<usize, String> {
    let malloc = SharedMalloc::<_>::new(system()?, |found| panic!("{found}"));
    let [mut maker, mut breaker] = [Cache::new(), Cache::new()];
    for _ in 0..count {
        let block = malloc.malloc(&mut maker, request).ok_or("there is room for a block")?;
        // SAFETY: a block of this malloc, which nobody uses.
        unsafe { malloc.free(&mut breaker, block) };
    }
    let size = request_to_chunk_size(request).ok_or("no chunk is so large")?;
    Ok((CACHED_BYTES - breaker.room()[size / ALIGNMENT]) / size)
}

/// A flag that counts the steps taken on any flag of its kind.
struct Counted(AtomicBool);

static STEPS: AtomicUsize = AtomicUsize::new(0);

impl Counted {
    fn flag(&self) -> &AtomicBool {
        STEPS.fetch_add(1, Ordering::Relaxed);
        &self.0
    }
}

impl Flag for Counted {
    const CLEAR: Self = Counted(AtomicBool::new(false));

    fn load(&self, order: Ordering) -> bool {
        self.flag().load(order)
    }

    fn store(&self, value: bool, order: Ordering) {
        self.flag().store(value, order);
    }

    fn swap(&self, value: bool, order: Ordering) -> bool {
        self.flag().swap(value, order)
    }

    fn pause(&self) {}
}

/// How many steps on flags a `malloc` takes that the cache serves, and one that it can't serve.
pub fn steps_on_flags() -> Result<[usize; 2], String> {
    let malloc = SharedMalloc::<_, Counted>::new(system()?, |found| panic!("{found}"));
    let mut cache = Cache::new();
    let block = malloc.malloc(&mut cache, 24).ok_or("there is room for a block")?;
    // SAFETY: a block of this malloc, which nobody uses.
    unsafe { malloc.free(&mut cache, block) };
    let mut steps_of = |request| {
        let before = STEPS.load(Ordering::Relaxed);
        let _ = malloc.malloc(&mut cache, request);
        STEPS.load(Ordering::Relaxed) - before
    };
    Ok([steps_of(24), steps_of(24)])
}
