//! The reference of lab 5: its heaps, and what it asks of the system.

use super::{Capture, Content, programs};
use crate::story::{STORY, Whole};
use heapkit::draw::{self, Strip};
use heapkit::image::{Image, ListHead, Raw};
use heapkit::memory::{Arena, PAGE, PrivateArena};
use heapkit::os::{Call, SimOs};
use heapkit::snapshot::Snapshot;
use heapkit::workload::{self, Op};
use lab02::request_to_chunk_size;
use lab05::Malloc;
use std::fmt::Write;
use std::process::Command;
use std::ptr::NonNull;

pub fn draw_all() -> Result<Vec<Capture>, String> {
    let mut captures = Vec::new();
    let mut svg = |name: &str, text| captures.push(Capture::new(format!("figures/{name}.svg"), Content::Fixed(text)));
    svg("first_growth", first_growth()?);
    svg("at_the_threshold", at_the_threshold()?);
    svg("aligned_block", aligned_block()?);
    let (os, log) = calls()?;
    captures.push(Capture::new("calls.txt", Content::Fixed(log)));
    captures.push(Capture::new("calls_on_linux.txt", Content::Traced(on_linux(&os))));
    captures.push(Capture::new("mapping_lengths.txt", Content::Fixed(mapping_lengths()?)));
    captures.push(Capture::new("two_fences.txt", Content::Fixed(two_fences()?)));
    Ok(captures)
}

pub type System = SimOs<PrivateArena>;

/// A malloc on a system of its own, and its blocks.
pub struct Stage<M = Malloc<&'static System>> {
    pub os: &'static System,
    pub malloc: M,
    blocks: Vec<Option<NonNull<u8>>>,
}

impl Stage {
    fn new() -> Result<Self, String> {
        Self::of(Malloc::new, 1024, 16)
    }

    fn image(&self) -> Image {
        self.image_with(&[ListHead::free_list(self.malloc.free_chunks().head().addr())])
    }
}

impl<M: Whole> Stage<M> {
    /// A malloc for so many blocks, on a system whose break can move by so many pages.
    pub fn of(malloc: impl FnOnce(&'static System) -> M, pages: usize, blocks: usize) -> Result<Self, String> {
        let arena = PrivateArena::reserve().map_err(|e| format!("no memory for a heap: {e}"))?;
        let os: &System = Box::leak(Box::new(SimOs::new(arena, pages * PAGE)));
        Ok(Stage { os, malloc: malloc(os), blocks: vec![None; blocks] })
    }

    pub fn play(mut self, story: &str) -> Result<Self, String> {
        for op in workload::parse(story).map_err(|e| e.to_string())? {
            self.take(op);
        }
        Ok(self)
    }

    pub fn take(&mut self, op: Op) {
        match op {
            Op::Foreign { delta } => self.os.foreign_sbrk(delta),
            // SAFETY: the blocks are this malloc's, and nobody else has them.
            _ => unsafe { self.malloc.take(&mut self.blocks, op) },
        }
    }

    /// How many bytes the malloc has from the system now.
    pub fn memory(&self) -> usize {
        self.os.end() + self.os.mappings().iter().map(|(_, mapping)| mapping.len).sum::<usize>()
    }

    /// The heap as it is now, with these lists.
    pub fn image_with(&self, lists: &[ListHead]) -> Image {
        let layout = self.os.layout();
        let bytes = self.os.arena().snapshot(0..layout.end);
        Image::decode(&Raw { bytes: &bytes, foreign: &layout.foreign }, lists)
    }

    /// Where the heap's last chunk in use begins that holds a block.
    pub fn last_in_use(&self) -> Option<usize> {
        let (arena, end) = (self.os.arena(), self.os.end());
        let blocks = self.blocks.iter().flatten().map(|block| arena.offset_of(block.as_ptr()));
        blocks.filter(|&at| at < end).max().map(|payload| payload - heapkit::format::PAYLOAD)
    }

    /// The first block's mapping: one chunk.
    fn first_mapping(&self) -> Option<Image> {
        let arena = self.os.arena();
        let (_, mapping) = self.os.mapping_of(arena.offset_of(self.blocks[0]?.as_ptr()))?;
        let bytes = arena.snapshot(mapping.range()).bytes(mapping.range());
        // The picture counts from the mapping's start.
        let bytes = Snapshot::new(arena.base() + mapping.start, 0, bytes);
        Some(Image::decode(&Raw::new(&bytes), &[]))
    }

    /// What has become of the break since.
    fn moved_since(&self, before: &Stage<M>) -> String {
        match self.os.end() - before.os.end() {
            0 => "the break stays".into(),
            bytes => format!("the break moves by {bytes}"),
        }
    }

    /// The chunks of the first blocks, with these names.
    pub fn names<'a>(&self, names: &[&'a str]) -> Vec<(usize, &'a str)> {
        let arena = self.os.arena();
        let chunk =
            |block: &Option<NonNull<u8>>| Some(arena.offset_of(block.as_ref()?.as_ptr()) - heapkit::format::PAYLOAD);
        self.blocks.iter().zip(names).filter_map(|(block, name)| Some((chunk(block)?, *name))).collect()
    }
}

/// The chapter's first two requests.
fn first_growth() -> Result<String, String> {
    let names = ["malloc(100)", "malloc(200)"];
    let none = Stage::new()?;
    let one = Stage::new()?.play("m0:100")?;
    let two = Stage::new()?.play("m0:100 m1:200")?;
    let strip = [("after malloc(100)", &none, &one), ("after malloc(200)", &one, &two)].iter().fold(
        Strip::default(),
        |strip, (what, before, after)| {
            strip.moment(&format!("{what}: {}", after.moved_since(before)), after.image(), &after.names(&names))
        },
    );
    Ok(strip.svg())
}

/// The break's distance from its start after a first request of 100 bytes.
pub fn moved_by_the_first() -> Result<usize, String> {
    Ok(Stage::new()?.play("m0:100")?.os.end())
}

/// One byte more, and the block is somewhere else.
fn at_the_threshold() -> Result<String, String> {
    let small = Stage::new()?.play("m0:131048")?;
    let large = Stage::new()?.play("m0:131049")?;
    let title = |request: usize, stage: &Stage| {
        let mappings = stage.os.mappings().len();
        Ok::<_, String>(format!("malloc({request}): {}, mappings: {mappings}", stage.moved_since(&Stage::new()?)))
    };
    let strip = Strip::default().moment(&title(131_048, &small)?, small.image(), &small.names(&["A"]));
    let mapping = large.first_mapping().ok_or("131049 bytes are no mapping")?;
    Ok(strip.moment(&title(131_049, &large)?, mapping, &[(0, "A")]).svg())
}

/// The heap goes on behind other code's memory, step by step.
pub fn fences() -> Result<Vec<String>, String> {
    let mut stage = Stage::new()?;
    let mut strip = Strip::default();
    for step in ["m0:100", "m1:100000", "b:4096", "m2:100000"] {
        stage = stage.play(step)?;
        strip = strip.moment("", stage.image(), &stage.names(&["A", "B", "C"]));
    }
    Ok(strip.steps())
}

fn two_fences() -> Result<String, String> {
    let image = Stage::new()?.play("m0:100 m1:100000 b:4096 m2:100000")?.image();
    let list = image.list().map(draw::list).unwrap_or_default();
    Ok(format!("{}list: {list}\n", draw::heap(&image, &[])))
}

/// The length of the mapping for a block.
pub fn mapping_of(request: usize) -> Result<usize, String> {
    match Stage::new()?.play(&format!("m0:{request}"))?.os.mappings().as_slice() {
        [(_, mapping)] => Ok(mapping.len),
        _ => Err(format!("{request} bytes are no mapping")),
    }
}

/// The system after a story.
pub fn play(story: &str) -> Result<&'static System, String> {
    Ok(Stage::new()?.play(story)?.os)
}

/// How long the mappings of some blocks are, with what they hold.
fn mapping_lengths() -> Result<String, String> {
    let mut text = format!("{:>9} {:>11} {:>12} {:>13}\n", "request", "its chunk", "and a word", "the mapping");
    for request in [131_049, 200_680, 200_681, 10 << 20] {
        let (chunk, mapping) = (request_to_chunk_size(request).unwrap_or_default(), mapping_of(request)?);
        let _ = writeln!(text, "{request:>9} {chunk:>11} {:>12} {:>13}", chunk + 8, mapping);
    }
    Ok(text)
}

/// What an aligned request leaves behind.
fn aligned_block() -> Result<String, String> {
    let names = ["A", "B"];
    let stage = Stage::new()?.play("m0:8 a1:256:100")?;
    Ok(Strip::default().moment("after A = malloc(8), B = aligned(256, 100)", stage.image(), &stage.names(&names)).svg())
}

/// The story, step by step, and the calls that each step makes.
fn calls() -> Result<(Vec<Call>, String), String> {
    let mut stage = Stage::new()?;
    let mut log = String::new();
    for op in workload::parse(STORY).map_err(|e| e.to_string())? {
        let before = stage.os.call_count();
        stage.take(op);
        let calls: Vec<String> = stage.os.calls_after(before).iter().map(Call::to_string).collect();
        let line = format!("{:<26} {}", op.in_words(), calls.join(", "));
        let _ = writeln!(log, "{}", line.trim_end());
    }
    Ok((stage.os.calls(), log))
}

/// The same story on Linux, as `strace` sees it, beside the simulated system's log.
fn on_linux(simulated: &[Call]) -> Result<String, String> {
    let program = programs::build(&["--package", "listings", "--features", "reference", "--bin", "whole_malloc"])?
        .join("whole_malloc");
    let output = Command::new("strace")
        .args(["-e", "trace=brk,mmap,munmap,mremap,getppid"])
        .arg(program)
        .output()
        .map_err(|e| format!("strace can't be started: {e}"))?;
    let trace = String::from_utf8_lossy(&output.stderr).into_owned();
    let seen = relative(&trace)
        .ok_or_else(|| format!("strace can't follow a program here: {}", trace.lines().next().unwrap_or("")))?;
    let mut text = format!("{:<36} strace\n", "SimOs");
    for index in 0..simulated.len().max(seen.len()) {
        let call = simulated.get(index).map(Call::to_string).unwrap_or_default();
        let _ = writeln!(text, "{call:<36} {}", seen.get(index).map_or("", String::as_str));
    }
    Ok(text)
}

/// The calls between the two marks, with distances for the break's addresses and numbers for those of mappings.
fn relative(trace: &str) -> Option<Vec<String>> {
    let mut calls = Vec::new();
    let mut mappings: Vec<String> = Vec::new();
    let (mut end, mut marks) = (0_i64, 0);
    for line in trace.lines() {
        let Some((call, result)) = line.rsplit_once(" = ") else { continue };
        let (name, arguments) = call.trim_end().trim_end_matches(')').split_once('(')?;
        let arguments: Vec<&str> = arguments.split(", ").collect();
        let number = |address: &str| mappings.iter().rposition(|known| known == address).map_or(0, |index| index + 1);
        let words = match name {
            "getppid" => {
                marks += 1;
                continue;
            }
            "brk" => {
                let at = i64::from_str_radix(result.trim_start_matches("0x"), 16).ok()?;
                let delta = at - std::mem::replace(&mut end, at);
                format!("brk({delta:+})")
            }
            _ if marks == 0 => continue,
            "mmap" => {
                mappings.push(result.to_owned());
                format!("mmap({}) → M{}", arguments[1], mappings.len())
            }
            "munmap" => format!("munmap(M{}, {})", number(arguments[0]), arguments[1]),
            "mremap" => {
                let (from, len, new_len) = (number(arguments[0]), arguments[1], arguments[2]);
                mappings.push(result.to_owned());
                format!("mremap(M{from}, {len}, {new_len}) → M{}", mappings.len())
            }
            _ => continue,
        };
        if marks == 1 {
            calls.push(words);
        }
    }
    (marks == 2).then_some(calls)
}
