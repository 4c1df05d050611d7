//! The numbers that stand in the pages' sentences.

use super::traces::Bill;
use super::{Capture, Content, pools, questions, ship, stories, whole};
use crate::block;
use crate::process::PAGE;
use lab02::{CHUNK_COST, Header, MIN_CHUNK_SIZE, SizeWord, request_to_chunk_size};
use lab06::{BIN_COUNT, BINS_PER_DOUBLING, MIN_LARGE_SIZE, bin_of};
use lab08::{ARENA_COUNT, CACHE_LIMIT, CACHED_BYTES, REGION_SIZE};
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

/// Whether the C library's malloc behaves as the one the captures were taken on: links are masked from 2.32 on, and
/// since 2.41 small chunks don't pass through the unsorted bin. Its mappings are whole pages of 4096 bytes.
pub fn glibc_is_comparable() -> bool {
    let minor = glibc_version().and_then(|version| version.strip_prefix("2.")?.parse::<u32>().ok());
    // SAFETY: sysconf only asks.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    minor.is_some_and(|minor| (32..41).contains(&minor)) && page == 4096 && cfg!(target_pointer_width = "64")
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
pub fn printed<'a>(programs: &'a [Capture], path: &str) -> Result<&'a str, String> {
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
const PRINTED: [(&str, &str, &[&str]); 29] = [
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
    ("never_freed_blocks", "size_based_strategy.txt", &["if nothing were freed:"]),
    ("never_freed_bytes", "size_based_strategy.txt", &["if nothing were freed:", "blocks,"]),
    ("tcache_largest", "size_limits.txt", &["kept in a cache"]),
    ("fastbin_largest", "size_limits.txt", &["tcache_count=0", "kept in a cache"]),
    ("large_first", "size_limits.txt", &["is \"large\""]),
    ("moved_under_a_block", "trim.txt", &["one of 24 above", "were freed"]),
    ("first_back", "reuse_order.txt", &["12 blocks of     40 bytes, side by side"]),
    ("step_of_u64", "five_things.txt", &["first.add(1)", "steps over"]),
    ("sixteen_on", "five_things.txt", &["16 bytes after first"]),
    ("fd_at", "five_things.txt", &["fd comes after"]),
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
    course("left_over_of_41", chunk(41) - CHUNK_COST - 41);
    course("listed_after_case_4", stories::listed_after_case_4()?);
    course("mapping_of_first_mapped", whole::mapping_of(131_049)?);
    course("pages_of_200000", whole::mapping_of(200_000)? / PAGE);
    course("usable_of_64", chunk(64) - CHUNK_COST);
    course("left_over_of_0", chunk(0) - CHUNK_COST);
    course("chunk_of_150", chunk(150));
    course("rest_of_200_after_60", chunk(200) - chunk(60));
    course("unused_in_f", chunk(64) - CHUNK_COST - 32);
    course("first_growth_of_yours", whole::moved_by_the_first()?);
    course("traces", bills.len());
    course("node_bytes", pools::NODE);
    course("chunk_of_node", chunk(pools::NODE));
    course("chunk_of_1000", chunk(1000));
    course("chunk_of_1001", chunk(1001));
    course("chunk_of_2000", chunk(2000));
    course("bin_of_1000", bin_of(chunk(1000)));
    course("bin_of_1001", bin_of(chunk(1001)));
    course("bin_of_2000", bin_of(chunk(2000)));
    course("bin_count", BIN_COUNT);
    course("arena_count", ARENA_COUNT);
    course("region_size", REGION_SIZE);
    course("cache_limit", CACHE_LIMIT);
    course("cached_kib", CACHED_BYTES >> 10);
    course("cached_of_32", CACHED_BYTES / 32);
    course("small_cache", ship::SMALL_ROOM);
    course("cached_of_a_thousand", ship::cached_of(1000, 1000)?);
    let [cached, not_cached] = ship::steps_on_flags()?;
    course("steps_with_cache", cached);
    course("steps_without_cache", not_cached);
    course("min_large_size", MIN_LARGE_SIZE);
    course("bins_per_doubling", BINS_PER_DOUBLING);
    let gs =
        bills.iter().map(|bill| &bill.looks).find(|looks| looks.program == "gs").ok_or("there is no trace of gs")?;
    course("gs_searches", gs.searches);
    course("gs_looks_list", gs.list.round() as usize);
    course("gs_looks_list_in_all", (gs.list * gs.searches as f64).round() as usize);
    course("gs_looks_bins_in_all", (gs.bins * gs.searches as f64).round() as usize);
    let most = bills.iter().map(|bill| bill.looks.bins).fold(0.0, f64::max);
    facts.push(Fact { name: "most_looks_bins", value: Value::Text(format!("{most:.1}")), source: Source::Course });
    for (name, measured) in super::speed::facts()? {
        facts.push(Fact { name, value: Value::Text(measured), source: Source::Course });
    }
    let example = SizeWord::new(chunk(64), SizeWord::PREV_INUSE);
    let mut hex = |name, word: usize| {
        facts.push(Fact { name, value: Value::Text(format!("{word:#x}")), source: Source::Course });
    };
    hex("chunk_of_64_hex", example.size());
    hex("size_word_of_64", chunk(64) | SizeWord::PREV_INUSE);

    let choices = super::figures::choices()?;
    let fails = choices.iter().find(|(name, chunk)| name.ends_with("_for_150") && chunk.is_none());
    let fails = fails.and_then(|(name, _)| name.strip_suffix("_for_150")).ok_or("every strategy serves 150 bytes")?;
    facts.push(Fact { name: "fails_150", value: Value::Text(fails.replace('_', " ")), source: Source::Course });
    for (name, chunk) in choices {
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
    for (name, text) in in_words(programs)? {
        glibc(name, Value::Text(text));
    }
    glibc("own_bits_changed", Value::Number(own_bits_changed(of_2000)?));
    let prev_size = first_word_after(printed(programs, "payload_end.txt")?, "b's prev_size after").unwrap_or_default();
    glibc("bytes_lent", Value::Number(prev_size.matches("5a").count()));
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
    for (name, number) in questions::numbers()? {
        facts.push(Fact { name, value: Value::Number(number), source: Source::Course });
    }
    for (name, text) in questions::words()? {
        facts.push(Fact { name, value: Value::Text(text), source: Source::Course });
    }
    Ok(facts)
}

/// Answers that are words: where three requests found their memory, and what is so of some pointers.
fn in_words(programs: &[Capture]) -> Result<Vec<(&'static str, String)>, String> {
    let story = printed(programs, "free_list_visualization.txt")?;
    let place_of_e = story.split_once(": the place of ").and_then(|(_, rest)| rest.split_whitespace().next());
    let place_of_f = if story.contains("cut out of B: no") { "the top chunk" } else { "B" };
    let demo = "fragmentation_demo.txt";
    let large = number_after(programs, demo, &["from the first message"])?;
    let last_message = number_after(programs, demo, &["the last message, which is freed"])?;
    let moved = number_after(programs, demo, &["malloc(5000)", "the break moved"])?;
    let place_of_5000 = match (large == last_message, moved) {
        (true, _) => "where the last message was",
        (false, 0) => "in a hole",
        (false, _) => "above the old break",
    };
    let bins = printed(programs, "glibcs_bins.txt")?;
    let waits = |block: &str| {
        let place = bins.split_once(block).and_then(|(_, rest)| rest.trim_start().split("  ").next());
        place.ok_or_else(|| format!("glibcs_bins doesn't say where the {block} waits"))
    };
    let second = printed(programs, "dynamic_threshold.txt")?.split_once("round 2");
    let second = second.and_then(|(_, rest)| rest.lines().next()).ok_or("dynamic_threshold has no second round")?;
    let five_things = printed(programs, "five_things.txt")?;
    let said = |what: &str| {
        let answer = five_things.split_once(what).and_then(|(_, rest)| rest.split_whitespace().next());
        answer.ok_or_else(|| format!("five_things doesn't say whether {what}"))
    };
    Ok(vec![
        ("place_of_e", place_of_e.ok_or("the story of A, B, C and D doesn't say where E is")?.to_owned()),
        ("place_of_f", place_of_f.to_owned()),
        ("place_of_5000", place_of_5000.to_owned()),
        ("second_of_200000", second.trim().to_owned()),
        ("eighth_of_32", waits("8th block of   32 bytes")?.to_owned()),
        ("eighth_of_200", waits("8th block of  200 bytes")?.to_owned()),
        ("of_nowhere", if said("NonNull::new(nowhere) is some")? == "no" { "None" } else { "Some" }.to_owned()),
        ("same_address", said("both have the same address")?.to_owned()),
    ])
}

/// In how many bits a size word differs after `free`, by what `freed_words` printed of it.
fn own_bits_changed(text: &str) -> Result<usize, String> {
    let (_, words) =
        text.split_once("its own size word").ok_or("freed_words says nothing of the chunk's own size word")?;
    let line = words.lines().next().unwrap_or_default();
    let word = |text: &str| {
        usize::from_str_radix(text.trim().trim_start_matches("0x"), 16).map_err(|e| format!("{line}: {e}"))
    };
    let (before, after) = line.split_once('→').ok_or("freed_words shows no second size word")?;
    Ok((word(before)? ^ word(after)?).count_ones() as usize)
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
