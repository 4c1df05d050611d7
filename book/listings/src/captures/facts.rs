//! The numbers that stand in the pages' sentences.

use super::traces::Bill;
use super::{Capture, Content, pools, whole};
use crate::block;
use crate::process::PAGE;
use lab02::{CHUNK_COST, Header, MIN_CHUNK_SIZE, SizeWord, request_to_chunk_size};
use std::ffi::CStr;

/// A name, a value, and what the value depends on.
pub struct Fact {
    name: &'static str,
    value: Value,
    source: Source,
}

enum Value {
    Number(usize),
    Text(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The code of the course.
    Course,
    /// The C library's malloc.
    Glibc,
    /// The machine on which the captures were taken.
    Machine,
}

impl Fact {
    fn line(&self) -> String {
        match &self.value {
            Value::Number(number) => format!("{} = {number}", self.name),
            Value::Text(text) => format!("{} = \"{text}\"", self.name),
        }
    }
}

/// The file.
pub fn toml(facts: &[Fact]) -> String {
    let lines: String = facts.iter().map(|fact| fact.line() + "\n").collect();
    format!("# Written by `cargo run -p listings --features reference --bin capture`.\n{lines}")
}

/// Whether the committed file has these facts and no others, leaving out what can't be the same here.
pub fn agree(facts: &[Fact], committed: &str, glibc_comparable: bool) -> bool {
    let committed: Vec<&str> = committed.lines().filter(|line| !line.starts_with('#')).collect();
    committed.len() == facts.len()
        && committed.iter().zip(facts).all(|(line, fact)| match fact.source {
            Source::Course => *line == fact.line(),
            Source::Glibc if glibc_comparable => *line == fact.line(),
            Source::Glibc | Source::Machine => line.starts_with(&format!("{} = ", fact.name)),
        })
}

/// The C library of this machine, with its version.
pub fn c_library() -> String {
    match glibc_version() {
        Some(version) => format!("glibc {version}"),
        None => "a C library that isn't glibc".into(),
    }
}

/// Whether the C library's malloc behaves as the one the captures were taken on: links are masked from 2.32 on, and 2.42
/// changed the caches. Its mappings are whole pages of 4096 bytes.
pub fn glibc_is_comparable() -> bool {
    let minor = glibc_version().and_then(|version| version.strip_prefix("2.")?.parse::<u32>().ok());
    // SAFETY: sysconf only asks.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    minor.is_some_and(|minor| (32..42).contains(&minor)) && page == 4096 && cfg!(target_pointer_width = "64")
}

#[cfg(target_env = "gnu")]
fn glibc_version() -> Option<String> {
    // SAFETY: the function returns a string that lives as long as the program.
    Some(unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) }.to_string_lossy().into_owned())
}

#[cfg(not(target_env = "gnu"))]
fn glibc_version() -> Option<String> {
    None
}

/// What the program printed whose output is kept as `path`.
fn printed<'a>(programs: &'a [Capture], path: &str) -> Result<&'a str, String> {
    let program = programs.iter().find(|capture| capture.path == path);
    match program.map(|capture| &capture.content) {
        Some(Content::Glibc(text) | Content::Fixed(text)) => Ok(text),
        _ => Err(format!("no program printed {path}")),
    }
}

/// The hexadecimal number behind `place` in `text`.
fn first_word_after<'a>(text: &'a str, place: &str) -> Option<&'a str> {
    text.split_once(place)?.1.split_whitespace().next().filter(|word| word.starts_with("0x"))
}

/// Numbers that a listing printed: the fact, the capture, and what stands before the number, each place behind the one before.
const PRINTED: [(&str, &str, &[&str]); 24] = [
    ("first_growth", "first_malloc.txt", &["the break moved"]),
    ("in_front_of_the_first", "first_malloc.txt", &["in front of the chunk"]),
    ("top_after_the_first", "first_malloc.txt", &["the top chunk"]),
    ("growths_in_1000", "first_malloc.txt", &["in   1000 times", "the break moved"]),
    ("growths_in_10000", "first_malloc.txt", &["in  10000 times", "the break moved"]),
    ("many_calls", "first_malloc.txt", &["in   1000 times", "in"]),
    ("growth_after_printf", "printf_first.txt", &["the heap grew by"]),
    ("second_behind_first", "malloc_journey.txt", &["after the first block starts"]),
    ("mapping_of_10_mib", "malloc_journey.txt", &["the mapping's length"]),
    ("block_in_its_page", "malloc_journey.txt", &["from its page's start"]),
    ("chapters_distance_mib", "where_things_are.txt", &["in the chapter's output:"]),
    ("thread_heap_so_far", "thread_arena.txt", &["can be used for"]),
    ("first_mapped", "dynamic_threshold.txt", &["size that is mapped "]),
    ("first_mapped_after", "dynamic_threshold.txt", &["is mapped now"]),
    ("largest_that_raises", "dynamic_threshold.txt", &["raises it when freed"]),
    ("ten_blocks_grown", "trim.txt", &["the break moved"]),
    ("pages_pinned", "trim.txt", &["pages that are in memory"]),
    ("pages_trimmed", "trim.txt", &["after malloc_trim(0)"]),
    ("never_freed_blocks", "size_based_strategy.txt", &["never freed:"]),
    ("never_freed_bytes", "size_based_strategy.txt", &["never freed:", "blocks,"]),
    ("tcache_largest", "size_limits.txt", &["kept in a cache"]),
    ("fastbin_largest", "size_limits.txt", &["tcache_count=0", "kept in a cache"]),
    ("large_first", "size_limits.txt", &["is \"large\""]),
    ("holes_used_again", "fragmentation_demo.txt", &["between the messages"]),
];

/// The number that stands behind `places` in a capture of the listings.
fn number_after(programs: &[Capture], path: &str, places: &[&str]) -> Result<usize, String> {
    let rest = places.iter().try_fold(printed(programs, path)?, |text, place| Some(text.split_once(place)?.1));
    let number = rest.and_then(|rest| rest.split_whitespace().next()?.trim_start_matches('+').parse().ok());
    number.ok_or_else(|| format!("{path} has no number behind {places:?}"))
}

/// All facts; `programs` are the captures of the listings, `bills` what the traces cost.
pub fn compute(programs: &[Capture], bills: &[Bill]) -> Result<Vec<Fact>, String> {
    let chunk = |request| request_to_chunk_size(request).unwrap_or_default();
    let mut facts = vec![Fact {
        name: "glibc_version",
        value: Value::Text(glibc_version().unwrap_or_else(|| "none".into())),
        source: Source::Machine,
    }];
    let mut course = |name, number| facts.push(Fact { name, value: Value::Number(number), source: Source::Course });
    course("header_bytes", size_of::<Header>());
    course("chunk_cost", CHUNK_COST);
    course("min_chunk", MIN_CHUNK_SIZE);
    course("chunk_of_24", chunk(24));
    course("chunk_of_25", chunk(25));
    course("chunk_of_40", chunk(40));
    course("chunk_of_41", chunk(41));
    course("chunk_of_50", chunk(50));
    course("chunk_of_60", chunk(60));
    course("chunk_of_64", chunk(64));
    course("chunk_of_80", chunk(80));
    course("chunk_of_100", chunk(100));
    course("chunk_of_200", chunk(200));
    course("chunk_of_40_if_the_header_cost_16", (40 + 2 * CHUNK_COST).next_multiple_of(16));
    course("usable_of_64", chunk(64) - CHUNK_COST);
    course("left_over_of_0", chunk(0) - CHUNK_COST);
    course("chunk_of_150", chunk(150));
    course("rest_of_200_after_60", chunk(200) - chunk(60));
    course("unused_in_f", chunk(64) - CHUNK_COST - 32);
    course("first_growth_of_yours", whole::moved_by_the_first()?);
    course("traces", bills.len());
    course("node_bytes", pools::NODE);
    course("chunk_of_node", chunk(pools::NODE));
    let example = SizeWord::new(chunk(64), SizeWord::PREV_INUSE);
    let mut hex = |name, word: usize| {
        facts.push(Fact { name, value: Value::Text(format!("{word:#x}")), source: Source::Course });
    };
    hex("chunk_of_64_hex", example.size());
    hex("size_word_of_64", chunk(64) | SizeWord::PREV_INUSE);

    for (name, chunk) in super::figures::choices()? {
        let value = chunk.map_or(Value::Text("–".into()), Value::Number);
        facts.push(Fact { name, value, source: Source::Course });
    }

    // Words of live blocks, as the listings saw them: in processes of their own, where nothing else has used the heap.
    let flags = printed(programs, "flags.txt")?;
    let freed = printed(programs, "freed_words.txt")?;
    let mut glibc = |name, value| facts.push(Fact { name, value, source: Source::Glibc });
    let mut word = |name, text: &str, place: &str| {
        let word =
            first_word_after(text, place).ok_or_else(|| format!("no word stands behind `{place}` for {name}"))?;
        glibc(name, Value::Text(word.trim_end_matches(':').to_owned()));
        Ok::<_, String>(())
    };
    word("live_100", flags, "malloc(100) ")?;
    let (_, of_2000) = freed.split_once("malloc(2000)").ok_or("freed_words says nothing of 2000 bytes")?;
    let (_, behind) = of_2000.split_once("the next size word").ok_or("freed_words says nothing of the next chunk")?;
    word("live_2000", of_2000, "its own size word")?;
    word("live_2000_size", behind, "→")?;
    word("live_thread", flags, "malloc(100) in a second thread")?;
    word("live_mapped", flags, "malloc(1 MiB)")?;
    word("live_10_mib", printed(programs, "malloc_journey.txt")?, "its size word")?;
    for (name, path, places) in PRINTED {
        glibc(name, Value::Number(number_after(programs, path, places)?));
    }
    let first_mapped = number_after(programs, "dynamic_threshold.txt", &["size that is mapped "])?;
    glibc("largest_in_the_heap", Value::Number(first_mapped - 1));
    glibc("chunk_of_first_mapped", Value::Number(chunk(first_mapped)));
    // The threshold is compared with whole mappings, each a word longer than its chunk.
    let largest = number_after(programs, "dynamic_threshold.txt", &["raises it when freed"])?;
    let threshold_most = (chunk(largest) + CHUNK_COST).next_multiple_of(PAGE);
    glibc("threshold_most", Value::Number(threshold_most));
    glibc("threshold_most_mib", Value::Number((threshold_most as f64 / f64::from(1 << 20)).round() as usize));
    let addresses = number_after(programs, "thread_arena.txt", &["has addresses for"])?;
    glibc("thread_heap_mib", Value::Number(addresses >> 20));
    let links = if freed.contains("leads to X's payload, once its mask is off") { "masked" } else { "plain" };
    glibc("cache_links", Value::Text(links.into()));
    glibc("traces_no_worse", Value::Number(bills.iter().filter(|bill| bill.is_no_worse()).count()));
    let cached = std::thread::spawn(frees_in_the_cache).join().map_err(|_| "the second thread ended early")?;
    glibc("tcache_slots", Value::Number(cached));
    for (name, number) in super::fragmentation::facts()?.into_iter().chain(pools::facts()?) {
        facts.push(Fact { name, value: Value::Number(number), source: Source::Course });
    }
    Ok(facts)
}

/// How many freed blocks of one size come back last in, first out. To be called in a fresh thread: its cache is empty.
fn frees_in_the_cache() -> usize {
    const REQUEST: usize = 968;
    const BLOCKS: usize = 40;
    let blocks = [(); BLOCKS].map(|()| block::malloc(REQUEST));
    for block in blocks {
        // SAFETY: a live block, freed once.
        unsafe { block::free(block) };
    }
    let again = [(); BLOCKS].map(|()| block::malloc(REQUEST));
    // The cache keeps the first few, so these come back first, in reverse.
    blocks.iter().position(|old| *old == again[0]).map_or(0, |last| last + 1)
}
