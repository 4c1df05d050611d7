//! Lab 7's reference: the slots of a pool, a region that grows, and two workloads on malloc, pool and region.

use super::{Capture, Content, programs};
use crate::parser::in_blocks::Blocks;
use crate::parser::{in_a_pool, in_a_region, in_blocks, texts, tokens};
use heapkit::draw;
use heapkit::image::Offset;
use heapkit::memory::{Arena, HEAP_ROOM, PrivateArena};
use heapkit::os::{Call, SimOs};
use heapkit::trace;
use heapkit::workload::{Op, Rng};
use lab02::request_to_chunk_size;
use lab05::Malloc;
use lab07::{Handle, Mappings, Pool, Region, pool_scope};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::ptr::NonNull;

pub fn draw_all() -> Result<Vec<Capture>, String> {
    let fixed = |name: &str, text| Capture::new(name, Content::Fixed(text));
    let probe = programs::build(&["--package", "listings", "--features", "reference", "--bin", PROBE])?.join(PROBE);
    Ok(vec![
        fixed("figures/pool_slots.svg", slots()?),
        fixed("lost_slots.txt", lost()?),
        fixed("region_grows.txt", region_grows()?),
        Capture::new("parser.txt", Content::GlibcLast(parser(&probe)?)),
        Capture::new("server.txt", Content::GlibcLast(server(&probe)?)),
    ])
}

/// The numbers of the page, by the names of the facts.
pub fn facts() -> Result<Vec<(&'static str, usize)>, String> {
    let lost = lost()?;
    let lost =
        lost.split_whitespace().next().and_then(|number| number.parse().ok()).ok_or("the pool counts no slots")?;
    Ok(vec![("lost_slots", lost), ("region_calls", region_grows()?.lines().count())])
}

const PROBE: &str = "glibc_on_a_trace";

type System = SimOs<PrivateArena>;

fn system() -> Result<System, String> {
    Ok(SimOs::new(PrivateArena::reserve().map_err(|e| format!("no memory for a capture: {e}"))?, HEAP_ROOM))
}

// ---- pictures ----

/// The values of the figure: 24 bytes each.
type Value = [usize; 3];

/// A pool, drawn from its memory three times: five values, two of them freed, and one more.
fn slots() -> Result<String, String> {
    const SHOWN: usize = 6;
    let os = system()?;
    pool_scope(&os, |brand| {
        let mut pool: Pool<'_, Value, _> = Pool::new(brand);
        let mut taken: BTreeMap<usize, (&str, Handle<'_, Value>)> = BTreeMap::new();
        let mut dead: BTreeSet<usize> = BTreeSet::new();
        let mut moments = Vec::new();
        let moment = |title: &str, taken: &BTreeMap<usize, (&str, Handle<'_, Value>)>, dead: &BTreeSet<usize>| {
            let (_, mapping) = os.mappings().first().copied().ok_or("the pool has a mapping")?;
            let first = taken.keys().chain(dead).min().copied().ok_or("the pool has a value")?;
            let cells = (0..SHOWN).map(|n| first + n * size_of::<Value>()).map(|at| {
                let (name, what) = match taken.get(&at) {
                    Some((name, _)) => (*name, State::Taken),
                    None if dead.contains(&at) => {
                        let link = os.arena().word(at).checked_sub(os.arena().base());
                        ("dead", State::Dead(link.map(|link| (link - first) / size_of::<Value>())))
                    }
                    None => ("fresh", State::Fresh),
                };
                Slot { at: at - mapping.start, name: name.to_owned(), state: what }
            });
            Ok::<_, &str>(Moment { title: title.to_owned(), header: first - mapping.start, slots: cells.collect() })
        };
        let offset = |handle: &Handle<'_, Value>| os.arena().offset_of(&raw const **handle);
        for name in ["a", "b", "c", "d", "e"] {
            let handle = pool.alloc([0; 3]).map_err(|_| "the system has memory")?;
            taken.insert(offset(&handle), (name, handle));
        }
        moments.push(moment("five values", &taken, &dead)?);
        for freed in ["b", "d"] {
            let at = taken.iter().find(|(_, (name, _))| *name == freed).map(|(at, _)| *at).ok_or("a value")?;
            let (_, handle) = taken.remove(&at).ok_or("a handle")?;
            pool.free(handle);
            dead.insert(at);
        }
        moments.push(moment("after pool.free(b), pool.free(d)", &taken, &dead)?);
        let handle = pool.alloc([0; 3]).map_err(|_| "the system has memory")?;
        dead.remove(&offset(&handle));
        taken.insert(offset(&handle), ("f", handle));
        moments.push(moment("after f = pool.alloc(…)", &taken, &dead)?);
        for (_, handle) in taken.into_values() {
            pool.free(handle);
        }
        Ok(drawing(&moments))
    })
}

/// One state of a pool.
struct Moment {
    title: String,
    /// How many bytes come before the first slot.
    header: usize,
    slots: Vec<Slot>,
}

impl Moment {
    /// The state for those who can't see it.
    fn in_words(&self) -> String {
        let slots = self.slots.iter().map(|slot| match slot.state {
            State::Taken => format!("{} holds a value", slot.name),
            State::Dead(Some(to)) => {
                format!("a dead slot at {} leads to the one at {}", Offset(slot.at), Offset(self.slots[to].at))
            }
            State::Dead(None) => format!("the slot at {} died first and leads nowhere", Offset(slot.at)),
            State::Fresh => format!("the slot at {} was never used", Offset(slot.at)),
        });
        format!("{}: after a header of {} bytes, {}.", self.title, self.header, slots.collect::<Vec<_>>().join("; "))
    }
}

struct Slot {
    /// From the mapping's start.
    at: usize,
    name: String,
    state: State,
}

enum State {
    Taken,
    /// Its link leads to the slot of this number.
    Dead(Option<usize>),
    Fresh,
}

/// The slots of each moment side by side, with an arrow for each link.
fn drawing(moments: &[Moment]) -> String {
    const CELL: usize = 92;
    const HEADER: usize = 70;
    const ROW: usize = 128;
    let slots = moments.first().map_or(0, |moment| moment.slots.len());
    let (width, height) = (16 + HEADER + slots * CELL, moments.len() * ROW);
    let mut svg = format!(
        "<svg class=\"heap schematic\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" {}>",
        draw::described(&moments.iter().map(Moment::in_words).collect::<Vec<_>>().join(" "))
    );
    for (row, Moment { title, header, slots }) in moments.iter().enumerate() {
        let top = row * ROW;
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"4\" y=\"{}\">{title}</text>\
             <rect class=\"word\" x=\"8\" y=\"{y}\" width=\"{HEADER}\" height=\"44\"/>\
             <text class=\"label\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">header</text>\
             <text class=\"small\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{header} bytes</text>\
             <text class=\"addr\" x=\"8\" y=\"{}\">+0x0000</text>",
            top + 15,
            8 + HEADER / 2,
            top + 52,
            8 + HEADER / 2,
            top + 68,
            top + 92,
            y = top + 34,
        );
        let left = |n: usize| 8 + HEADER + n * CELL;
        for (n, Slot { at, name, state }) in slots.iter().enumerate() {
            let (class, what) = match state {
                State::Taken => ("used", "a value".to_owned()),
                State::Dead(Some(_)) => ("free", "a link".to_owned()),
                State::Dead(None) => ("free", "the last: 0".to_owned()),
                State::Fresh => ("top", "never used".to_owned()),
            };
            let middle = left(n) + CELL / 2;
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{CELL}\" height=\"44\"/>\
                 <text class=\"label\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{name}</text>\
                 <text class=\"small\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{what}</text>\
                 <text class=\"addr\" x=\"{}\" y=\"{}\">{}</text>",
                left(n),
                top + 34,
                top + 52,
                top + 68,
                left(n),
                top + 92,
                Offset(*at)
            );
            if let State::Dead(Some(to)) = state {
                let (from, to, y) = (middle, left(*to) + CELL / 2, top + 34);
                let _ = write!(
                    svg,
                    "<path class=\"link\" d=\"M {from} {y} C {from} {up}, {to} {up}, {to} {end}\"/>\
                     <path class=\"arrow\" d=\"M {to} {y} l -4 -8 h 8 z\"/>",
                    up = top + 14,
                    end = y - 6,
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// What a pool says when a tree is freed by its root alone.
fn lost() -> Result<String, String> {
    let os = system()?;
    // Its message is what we want, and not on this program's own stream.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool_scope(&os, |brand| {
            let mut pool = Pool::new(brand);
            if let Ok(Some(tree)) = in_a_pool::parse(&mut tokens("list ( head ( fd bk ) tail )"), &mut pool) {
                pool.free(tree);
            }
        });
    }));
    std::panic::set_hook(hook);
    let panic = ended.err().ok_or("the pool has to notice")?;
    let message = panic.downcast_ref::<String>().ok_or("a panic has a message")?;
    Ok(format!("{message}\n"))
}

/// The calls of a region that holds more and more.
fn region_grows() -> Result<String, String> {
    let os = system()?;
    let mut mappings = Mappings::new(&os);
    let mut region = Region::new(&mut mappings);
    let mut text = String::new();
    let mut seen = 0;
    let mut total = 0;
    for values in 1..=10_000 {
        region.alloc([0_usize; 3]).ok_or("the system has memory")?;
        for call in os.calls_after(seen) {
            if let Call::Mmap { len, .. } = call {
                total += len;
            }
            let _ = writeln!(text, "value {values:>5}: {:<26} {total:>7} bytes", call.to_string());
        }
        seen = os.call_count();
    }
    Ok(text)
}

// ---- two workloads ----

/// What a workload took from the system.
#[derive(Clone, Copy)]
struct Bill {
    /// The most bytes at one time.
    taken: usize,
    calls: usize,
}

/// How much a system has handed out and not got back.
fn taken(os: &System) -> usize {
    os.end() + os.mappings().iter().map(|(_, mapping)| mapping.len).sum::<usize>()
}

/// Watches what an allocator takes, and what a search has before it.
struct Watch<'a> {
    os: &'a System,
    most: usize,
    requests: usize,
    listed: usize,
}

impl<'a> Watch<'a> {
    fn new(os: &'a System) -> Self {
        Watch { os, most: 0, requests: 0, listed: 0 }
    }

    fn look(&mut self) {
        self.most = self.most.max(taken(self.os));
    }

    /// Before a request.
    fn before(&mut self, malloc: &Malloc<&System>) {
        self.requests += 1;
        self.listed += malloc.free_chunks().iter().count();
        self.look();
    }

    /// How many free chunks there are for a search to look at, on average.
    fn looked_at(&self) -> usize {
        self.listed / self.requests.max(1)
    }

    fn bill(mut self) -> Bill {
        self.look();
        Bill { taken: self.most, calls: self.os.call_count() }
    }
}

/// A malloc that is watched.
struct Watched<'w, 'a> {
    malloc: Malloc<&'a System>,
    watch: &'w mut Watch<'a>,
}

impl Blocks for Watched<'_, '_> {
    fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        self.watch.before(&self.malloc);
        self.malloc.malloc(request)
    }

    unsafe fn free(&mut self, block: NonNull<u8>) {
        // SAFETY: the contract is the same one.
        unsafe { self.malloc.free(block) }
    }
}

/// What the C library took for the same.
fn of_glibc(probe: &Path, name: &str, ops: &[Op]) -> Result<String, String> {
    let path = std::env::temp_dir().join(format!("{name}-{}.rep", std::process::id()));
    trace::write(&path, ops).map_err(|e| e.to_string())?;
    let output = Command::new(probe).env_clear().arg(&path).output();
    let _ = std::fs::remove_file(&path);
    let output = output.map_err(|e| format!("{}: {e}", probe.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(if said.is_empty() { "–".into() } else { said })
}

/// A row of a table.
fn row(what: &str, cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("  {cell:>15}")).collect();
    format!("{what:<30}{cells}\n")
}

// ---- a parser ----

const TEXTS: usize = 60;
/// The bytes of a node, whoever keeps it.
pub const NODE: usize = size_of::<in_a_region::Node<'_>>();
const _: () = assert!(size_of::<in_a_pool::Node<'_, '_>>() == NODE && size_of::<in_blocks::Node<'_>>() == NODE);

/// The same as operations: a node is taken after all below it and beside it, and freed before them.
fn parser_ops(texts: &[String]) -> Vec<Op> {
    struct Node(usize, Option<Box<Node>>, Option<Box<Node>>);

    fn parse(tokens: &mut crate::parser::Tokens<'_>, ops: &mut Vec<Op>) -> Option<Box<Node>> {
        tokens.next().filter(|token| *token != ")")?;
        let first = if tokens.next_if_eq(&"(").is_some() { parse(tokens, ops) } else { None };
        let next = parse(tokens, ops);
        let id = ops.len();
        ops.push(Op::Malloc { id, size: NODE });
        Some(Box::new(Node(id, first, next)))
    }

    fn free(mut tree: Option<Box<Node>>, ops: &mut Vec<Op>) {
        while let Some(node) = tree {
            let Node(id, first, next) = *node;
            ops.push(Op::Free { id });
            free(first, ops);
            tree = next;
        }
    }

    let mut ops = Vec::new();
    for text in texts {
        let tree = parse(&mut tokens(text), &mut ops);
        free(tree, &mut ops);
    }
    ops
}

/// Trees of texts, built and dropped one after the other.
fn parser(probe: &Path) -> Result<String, String> {
    let no_memory = |_| "the system has memory".to_owned();
    let texts = texts(TEXTS);
    let os = system()?;
    let mut watch = Watch::new(&os);
    let mut watched = Watched { malloc: Malloc::new(&os), watch: &mut watch };
    for text in &texts {
        let tree = in_blocks::parse(&mut tokens(text), &mut watched).map_err(no_memory)?;
        // SAFETY: the tree was parsed with this malloc, and is used no more.
        unsafe { in_blocks::free(tree, &mut watched) };
    }
    let looked_at = watch.looked_at();
    let in_blocks = watch.bill();

    let os = system()?;
    let mut watch = Watch::new(&os);
    pool_scope(&os, |brand| {
        let mut pool = Pool::new(brand);
        for text in &texts {
            let tree = in_a_pool::parse(&mut tokens(text), &mut pool).map_err(no_memory)?;
            watch.look();
            in_a_pool::free(tree, &mut pool);
        }
        Ok::<(), String>(())
    })?;
    let in_a_pool = watch.bill();

    let os = system()?;
    let mut watch = Watch::new(&os);
    let mut mappings = Mappings::new(&os);
    let (mut nodes, mut largest) = (0, 0);
    for text in &texts {
        let mut region = Region::new(&mut mappings);
        let tree = in_a_region::parse(&mut tokens(text), &mut region).map_err(no_memory)?;
        watch.look();
        let count = in_a_region::count(tree);
        nodes += count;
        largest = largest.max(count);
    }
    drop(mappings);
    let in_a_region = watch.bill();

    let glibc = of_glibc(probe, "parser", &parser_ops(&texts))?;
    let bills = [in_blocks, in_a_pool, in_a_region];
    let mut text = format!(
        "{TEXTS} texts, {nodes} nodes of {NODE} bytes; the largest tree has {largest} nodes: {} bytes\n\n",
        largest * NODE
    );
    let heads = ["lab 5's malloc", "pool", "region", "glibc"];
    text.push_str(&row("", &heads.map(str::to_owned)));
    let cells = |cell: fn(&Bill) -> usize, last: &str| {
        bills.iter().map(|bill| cell(bill).to_string()).chain([last.to_owned()]).collect::<Vec<_>>()
    };
    text.push_str(&row("bytes taken, at most", &cells(|bill| bill.taken, &glibc)));
    text.push_str(&row("calls of the system", &cells(|bill| bill.calls, "–")));
    text.push_str(&row("free chunks before a search", &[looked_at.to_string(), "–".into(), "–".into(), "–".into()]));
    Ok(text)
}

// ---- a server ----

const REQUESTS: usize = 2000;
/// The bytes of the largest buffer.
const LARGEST: usize = 4000;
/// The bytes of a session.
const SESSION: usize = 96;

/// What a server does.
#[derive(Clone, Copy)]
enum Event {
    /// Somebody comes,
    Opens(usize),
    /// and goes, much later.
    Closes(usize),
    /// A request begins,
    Begins,
    /// needs a buffer of so many bytes,
    Buffer(usize),
    /// and is answered.
    Answered,
}

/// Requests with their buffers, and sessions that begin in the middle of them and last.
fn events() -> Vec<Event> {
    let mut rng = Rng::new(8);
    let (mut events, mut open, mut count) = (Vec::new(), Vec::new(), 0);
    for _ in 0..REQUESTS {
        events.push(Event::Begins);
        for _ in 0..rng.within(&(3..=12)) {
            events.push(Event::Buffer([rng.within(&(16..=200)), rng.within(&(200..=LARGEST))][rng.below(2)]));
            if rng.below(4) == 0 {
                events.push(Event::Opens(count));
                open.push(count);
                count += 1;
            }
        }
        events.push(Event::Answered);
        while open.len() > 400 {
            events.push(Event::Closes(open.swap_remove(rng.below(open.len()))));
        }
    }
    // The evening: most people go home.
    while open.len() > 40 {
        events.push(Event::Closes(open.swap_remove(rng.below(open.len()))));
    }
    events
}

/// The same as operations on a malloc.
fn server_ops(events: &[Event]) -> Vec<Op> {
    let (mut ops, mut sessions, mut buffers) = (Vec::new(), BTreeMap::new(), Vec::new());
    for event in events {
        let id = ops.len();
        match *event {
            Event::Opens(session) => {
                sessions.insert(session, id);
                ops.push(Op::Malloc { id, size: SESSION });
            }
            Event::Closes(session) => ops.extend(sessions.remove(&session).map(|id| Op::Free { id })),
            Event::Begins => {}
            Event::Buffer(size) => {
                buffers.push(id);
                ops.push(Op::Malloc { id, size });
            }
            Event::Answered => ops.extend(buffers.drain(..).map(|id| Op::Free { id })),
        }
    }
    ops
}

fn server(probe: &Path) -> Result<String, String> {
    let events = events();
    let ops = server_ops(&events);
    let os = system()?;
    let mut watch = Watch::new(&os);
    let mut malloc = Malloc::new(&os);
    let mut blocks: BTreeMap<usize, NonNull<u8>> = BTreeMap::new();
    for op in &ops {
        match *op {
            Op::Malloc { id, size } => {
                watch.before(&malloc);
                blocks.insert(id, malloc.malloc(size).ok_or("the system has memory")?);
            }
            Op::Free { id } => {
                let block = blocks.remove(&id).ok_or("a block that is alive")?;
                // SAFETY: a live block of this malloc, which nobody uses any more.
                unsafe { malloc.free(block) };
            }
            _ => {}
        }
    }
    let holes: Vec<usize> = malloc.free_chunks().iter().map(|chunk| chunk.size()).collect();
    let malloc_free = (holes.iter().sum::<usize>(), holes.iter().max().copied().unwrap_or(0));
    let looked_at = watch.looked_at();
    let in_blocks = watch.bill();

    let os = system()?;
    let watch = pool_scope(&os, |brand| {
        let mut watch = Watch::new(&os);
        let mut pool = Pool::new(brand);
        let mut sessions: BTreeMap<usize, Handle<'_, [u8; SESSION]>> = BTreeMap::new();
        let mut mappings = Mappings::new(&os);
        let mut of_request = Region::new(&mut mappings);
        let mut requests = events.as_slice();
        while let Some((event, rest)) = requests.split_first() {
            requests = rest;
            // What a request needs ends with it.
            let mut region = of_request.nested();
            let mut event = *event;
            loop {
                match event {
                    Event::Opens(session) => {
                        let handle = pool.alloc([0; SESSION]).map_err(|_| "the system has memory")?;
                        sessions.insert(session, handle);
                    }
                    Event::Closes(session) => {
                        sessions.remove(&session).into_iter().for_each(|handle| pool.free(handle))
                    }
                    Event::Buffer(size) => {
                        region.alloc_slice_with(size, |_| 0_u8).ok_or("the system has memory")?;
                    }
                    Event::Begins => {}
                    Event::Answered => break,
                }
                let Some((next, rest)) = requests.split_first() else { break };
                (event, requests) = (*next, rest);
            }
            watch.look();
        }
        let slots = FreeSlots::of(&os, &mut pool)?;
        sessions.into_values().for_each(|handle| pool.free(handle));
        Ok::<_, &str>((watch, slots))
    });
    let (watch, slots) = watch?;
    let pool_and_region = watch.bill();

    let glibc = of_glibc(probe, "server", &ops)?;
    let sessions = events.iter().filter(|event| matches!(event, Event::Opens(_))).count();
    let buffers = events.iter().filter(|event| matches!(event, Event::Buffer(_))).count();
    let mut text = format!(
        "{REQUESTS} requests with {buffers} buffers, {sessions} sessions of {SESSION} bytes; in the end 40 sessions are open\n\n"
    );
    let three = |a: usize, b: usize, c: &str| [a.to_string(), b.to_string(), c.to_owned()];
    text.push_str(&row("", &["lab 5's malloc", "pool and region", "glibc"].map(str::to_owned)));
    text.push_str(&row("bytes taken, at most", &three(in_blocks.taken, pool_and_region.taken, &glibc)));
    text.push_str(&row("calls of the system", &three(in_blocks.calls, pool_and_region.calls, "–")));
    text.push_str(&row("free chunks before a search", &[looked_at.to_string(), "–".into(), "–".into()]));
    text.push_str(&row("in the end: free in holes", &three(malloc_free.0, slots.dead * SESSION, "–")));
    text.push_str(&row("... the largest hole", &three(malloc_free.1, SESSION, "–")));
    text.push_str(&row("... the largest request", &three(LARGEST, SESSION, "–")));
    let share = |part: usize, whole: usize| format!("{} %", part * 100 / whole.max(1));
    let needed = request_to_chunk_size(LARGEST).ok_or("a small request")?;
    let too_small: usize = holes.iter().filter(|&&hole| hole < needed).sum();
    let lost = [share(too_small, malloc_free.0), share(slots.dead - slots.used_again, slots.dead), "–".into()];
    text.push_str(&row("... in holes too small for it", &lost));
    Ok(text)
}

/// The dead slots of a pool, and how many of them serve again.
struct FreeSlots {
    dead: usize,
    used_again: usize,
}

impl FreeSlots {
    /// Looks along the pool's list, and then fills all of them.
    fn of<'id>(os: &System, pool: &mut Pool<'id, [u8; SESSION], &System>) -> Result<Self, &'static str> {
        let offset = |handle: &Handle<'id, [u8; SESSION]>| os.arena().offset_of(&raw const **handle);
        let probe = pool.alloc([0; SESSION]).map_err(|_| "the system has memory")?;
        let first = offset(&probe);
        pool.free(probe);
        let next =
            |at: &usize| Some(os.arena().word(*at)).filter(|word| *word != 0).map(|word| word - os.arena().base());
        let dead: BTreeSet<usize> = std::iter::successors(Some(first), next).collect();
        let mut again = Vec::new();
        for _ in 0..dead.len() {
            again.push(pool.alloc([0; SESSION]).map_err(|_| "the system has memory")?);
        }
        let used_again = again.iter().filter(|handle| dead.contains(&offset(handle))).count();
        again.into_iter().for_each(|handle| pool.free(handle));
        Ok(FreeSlots { dead: dead.len(), used_again })
    }
}
