//! Plays what the reader typed, and keeps the heap as it is after each call.

use crate::malloc::{Player, Settings};
use crate::memory::PlayOs;
use crate::script::{Call, Line, Mistake, parse};
use heapkit::draw::Strip;
use heapkit::format::{PAYLOAD, SIZE_WORD};
use heapkit::image::{Image, Links, Raw};
use heapkit::memory::{Arena, FRESH};
use heapkit::os::{self, Place};
use heapkit::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr::NonNull;

/// A story as it was played: the heap before the first call, and after each.
pub struct Story {
    /// What played it.
    pub settings: Settings,
    /// Before the first call, and after each.
    pub moments: Vec<Moment>,
    /// Why it ends here, if there is more that can't be played.
    pub mistake: Option<Mistake>,
    /// The pictures.
    pub strip: Strip,
}

/// A heap at one moment.
pub struct Moment {
    /// The line of the call that led here; 0 before the first one.
    pub line: usize,
    /// The call: `a = malloc(40)`.
    pub action: String,
    /// What it returned: `+0x0010`.
    pub result: String,
    /// What else there is to say about it.
    pub note: String,
    /// What the malloc asked of the system meanwhile.
    pub calls: Vec<String>,
    /// The decoded heap.
    pub image: Image,
    /// Names for chunks, by where they are.
    pub names: Vec<(usize, String)>,
    /// The mappings that there are.
    pub mappings: Vec<Mapped>,
    /// Memory of other code, below the break.
    pub foreign: Vec<Range<usize>>,
    base: usize,
    end: usize,
    /// The heap's bytes; those after the last one here are fresh.
    written: Vec<u8>,
}

/// A mapping, and the block in it.
pub struct Mapped {
    /// Its number, from 1.
    pub number: usize,
    /// Its length.
    pub len: usize,
    /// The block's name.
    pub block: String,
    /// The word with the chunk's size and flags.
    pub size_word: usize,
}

impl Moment {
    /// The bytes of the heap.
    pub fn bytes(&self) -> Snapshot {
        let mut bytes = self.written.clone();
        bytes.resize(self.end, FRESH);
        Snapshot::new(self.base, 0, bytes)
    }

    /// The name of the block in the chunk at `at`.
    pub fn name(&self, at: usize) -> Option<&str> {
        self.names.iter().find(|(named, _)| *named == at).map(|(_, name)| name.as_str())
    }
}

/// A block of the reader's.
enum Block {
    /// Where it is, how many bytes were asked for, and in which line.
    Alive { at: usize, request: usize, line: usize },
    /// The malloc had no memory for it.
    Null,
    /// It was freed in this line, and in this step, and had been there.
    Freed { line: usize, step: usize, at: usize },
}

impl Story {
    /// Plays a text with these settings.
    pub fn play(settings: Settings, text: &str) -> Self {
        let (lines, mistake) = parse(text);
        let os = Player::system(settings);
        let mut stage =
            Stage { os: &os, player: Player::new(settings, &os), blocks: BTreeMap::new(), moments: Vec::new() };
        stage.keep(0, String::new(), Done::default(), 0);
        let mistake = stage.play(&lines).err().or(mistake);
        let moments = stage.moments;
        let strip = moments.iter().fold(Strip::tied(), |strip, moment| {
            let names: Vec<(usize, &str)> = moment.names.iter().map(|(at, name)| (*at, name.as_str())).collect();
            strip.moment("", moment.image.clone(), &names)
        });
        Story { settings, moments, mistake, strip }
    }
}

/// What came of a call.
#[derive(Default)]
struct Done {
    result: String,
    note: String,
}

struct Stage<'os> {
    os: &'os PlayOs,
    player: Player<'os>,
    blocks: BTreeMap<String, Block>,
    moments: Vec<Moment>,
}

impl Stage<'_> {
    fn play(&mut self, lines: &[Line]) -> Result<(), Mistake> {
        for Line { number, call } in lines {
            let before = self.os.sim().call_count();
            let done = self.call(call, *number).map_err(|what| Mistake { line: *number, what })?;
            self.keep(*number, call.to_string(), done, before);
        }
        Ok(())
    }

    /// Makes one call, unless no program may make it: then the answer says why, as one sentence.
    fn call(&mut self, call: &Call, line: usize) -> Result<Done, String> {
        match call {
            Call::Malloc { name, request } => {
                self.is_new(name)?;
                let block = self.player.malloc(*request);
                Ok(self.made(name, block, *request, line, true))
            }
            Call::Calloc { name, count, size } => {
                self.is_new(name)?;
                let block = self.player.calloc(*count, *size);
                let mut done = self.made(name, block, count.saturating_mul(*size), line, false);
                if !self.player.is_whole() {
                    done.note =
                        "The mallocs of labs 3 and 4 have no calloc: this is malloc, and then the bytes are cleared."
                            .into();
                }
                Ok(done)
            }
            Call::Aligned { name, align, request } => {
                self.is_new(name)?;
                if !self.player.is_whole() {
                    return Err("The mallocs of labs 3 and 4 have no `aligned`: choose a heap from the system.".into());
                }
                let block = self.player.aligned(*align, *request);
                Ok(self.made(name, block, *request, line, true))
            }
            Call::Realloc { name, old, request } => {
                if old.as_ref() != Some(name) {
                    self.is_new(name)?;
                }
                let Some((old, at, had)) = self.alive(old.as_deref(), "realloc")? else {
                    let block = self.player.malloc(*request);
                    let mut done = self.made(name, block, *request, line, true);
                    done.note = "There is no old block, so this is the same as malloc.".into();
                    return Ok(done);
                };
                // SAFETY: `alive` names blocks that this malloc has given and nobody has freed, and the old place is forgotten.
                let block = unsafe { self.player.realloc(self.pointer(at), *request) };
                let Some(block) = block else {
                    let note = format!("There is no memory for that, so `{old}` stays as it is.");
                    return Ok(Done { result: "NULL".into(), note });
                };
                self.blocks.insert(old, Block::Freed { line, step: self.moments.len(), at });
                let new = self.os.arena().offset_of(block);
                let mut done = self.made(name, Some(block), *request, line, false);
                self.fill(name, new, had..*request);
                done.note =
                    if new == at { "It stays where it is.".into() } else { "It moves, and its bytes with it.".into() };
                if !self.player.is_whole() && new != at {
                    done.note = "The mallocs of labs 3 and 4 have no realloc: this is malloc, a copy, and free.".into();
                }
                Ok(done)
            }
            Call::Free { name } => {
                let Some((name, at, _)) = self.alive(name.as_deref(), "free")? else {
                    return Ok(Done {
                        note: "It is a null pointer, so there is nothing to do.".into(),
                        ..Done::default()
                    });
                };
                // SAFETY: `alive` names blocks that this malloc has given and nobody has freed; from now on it is freed.
                unsafe { self.player.free(self.pointer(at)) };
                self.blocks.insert(name, Block::Freed { line, step: self.moments.len(), at });
                Ok(Done::default())
            }
            Call::Foreign { delta } => {
                if !self.player.is_whole() {
                    return Err("On one page there is no break to move: choose a heap from the system.".into());
                }
                if !self.os.sim().can_move_foreign(*delta) {
                    return Err(format!("Other code can't move the break by {delta:+}: there is no such room."));
                }
                self.os.sim().foreign_sbrk(*delta);
                Ok(Done::default())
            }
        }
    }

    /// A name that a new block can have.
    fn is_new(&self, name: &str) -> Result<(), String> {
        match self.blocks.get(name) {
            Some(Block::Alive { line, .. }) => Err(format!(
                "`{name}` is the block from line {line}. Nobody could free that one any more: free it first, or choose another name."
            )),
            _ => Ok(()),
        }
    }

    /// The block with this name, where it is, and its bytes. `None` for a null pointer.
    fn alive(&self, name: Option<&str>, call: &str) -> Result<Option<(String, usize, usize)>, String> {
        let Some(name) = name else { return Ok(None) };
        match self.blocks.get(name) {
            Some(Block::Alive { at, request, .. }) => Ok(Some((name.to_owned(), *at, *request))),
            Some(Block::Null) => Ok(None),
            Some(Block::Freed { line, .. }) if call == "free" => Err(format!(
                "`{name}` is freed already, in line {line}. A second free is a double free, and breaks a heap."
            )),
            Some(Block::Freed { line, .. }) => {
                Err(format!("`{name}` was freed in line {line}: what comes now would be a use after free."))
            }
            None => Err(format!("There is no block `{name}` yet: `{name} = malloc(40)` makes one.")),
        }
    }

    /// Notes a new block, and has the program write its bytes.
    fn made(&mut self, name: &str, block: Option<NonNull<u8>>, request: usize, line: usize, fill: bool) -> Done {
        let Some(block) = block else {
            self.blocks.insert(name.to_owned(), Block::Null);
            return Done { result: "NULL".into(), note: "There is no memory for that.".into() };
        };
        let at = self.os.arena().offset_of(block);
        self.blocks.insert(name.to_owned(), Block::Alive { at, request, line });
        if fill {
            self.fill(name, at, 0..request);
        }
        // The rest of the last word, too: half an old address would be another one in each run. In a block of 0 bytes that is all of
        // the first word.
        let rest = request..request.max(1).next_multiple_of(size_of::<usize>());
        self.os.arena().write(at + rest.start, &vec![FRESH; rest.len()]);
        Done { result: self.place(at), note: String::new() }
    }

    /// The program uses its block: it writes the first letter of its name all over the new bytes.
    fn fill(&self, name: &str, at: usize, new: Range<usize>) {
        let letter = name.bytes().next().unwrap_or(b'?');
        self.os.arena().write(at + new.start, &vec![letter; new.len()]);
    }

    fn place(&self, at: usize) -> String {
        match self.os.sim().place(at) {
            Place::Heap(at) => format!("+{at:#06x}"),
            place => place.to_string(),
        }
    }

    fn pointer(&self, at: usize) -> NonNull<u8> {
        self.os.arena().pointer(at)
    }

    /// What the block in a chunk was called that was freed there last.
    fn last_name(&self, chunk: usize) -> Option<String> {
        let freed = self.blocks.iter().filter_map(|(name, block)| match block {
            Block::Freed { step, at, .. } if *at == chunk + PAYLOAD => Some((step, name)),
            _ => None,
        });
        freed.max().map(|(_, name)| name.clone())
    }

    /// Keeps the heap as it is now.
    fn keep(&mut self, line: usize, action: String, done: Done, calls_before: usize) {
        let (sim, arena) = (self.os.sim(), self.os.arena());
        let end = sim.end();
        let bytes = arena.snapshot(0..end);
        let layout = sim.layout();
        let image = Image::decode(&Raw { bytes: &bytes, foreign: &layout.foreign }, &self.player.lists());
        let mut written = bytes.bytes(0..end);
        written.truncate(written.iter().rposition(|byte| *byte != FRESH).map_or(0, |last| last + 1));
        let alive = || {
            self.blocks.iter().filter_map(|(name, block)| match block {
                Block::Alive { at, .. } => Some((*at, name)),
                _ => None,
            })
        };
        let is_own = |call: &os::Call| !matches!(call, os::Call::Foreign { .. });
        let in_heap = alive().filter(|(at, _)| *at < end).map(|(at, name)| (at - PAYLOAD, name.clone()));
        // In a cache and in a fast bin, blocks wait whole, so they keep their names.
        let one_way = image.lists.iter().filter(|list| list.links != Links::BothWays);
        let waiting = one_way.flat_map(|list| &list.chunks).filter_map(|&chunk| Some((chunk, self.last_name(chunk)?)));
        let names = in_heap.chain(waiting).collect();
        let mappings = sim.mappings().into_iter().map(|(number, mapping)| {
            let block = alive().find(|(at, _)| mapping.range().contains(at));
            let size_word = block.map_or(0, |(at, _)| arena.word(at - PAYLOAD + SIZE_WORD));
            Mapped { number, len: mapping.len, block: block.map_or(String::new(), |(_, name)| name.clone()), size_word }
        });
        let moment = Moment {
            line,
            action,
            result: done.result,
            note: done.note,
            calls: sim.calls_after(calls_before).iter().filter(|call| is_own(call)).map(ToString::to_string).collect(),
            image,
            names,
            mappings: mappings.collect(),
            foreign: layout.foreign,
            base: arena.base(),
            end,
            written,
        };
        self.moments.push(moment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapkit::draw;
    use heapkit::workload::{Op, random_of_all_kinds};

    fn play(settings: &str, text: &str) -> Story {
        let story = Story::play(settings.parse().unwrap(), text);
        for moment in &story.moments {
            let defects = [moment.image.defects.clone(), moment.image.list_defects()].concat();
            assert_eq!(defects, [], "{settings}: {} in {text}", moment.action);
        }
        story
    }

    fn results(settings: &str, text: &str) -> Vec<String> {
        let story = play(settings, text);
        assert_eq!(story.mistake, None);
        story.moments.iter().skip(1).map(|moment| moment.result.clone()).collect()
    }

    fn list(settings: &str, text: &str) -> String {
        draw::list(play(settings, text).moments.last().unwrap().image.list().unwrap())
    }

    #[test]
    fn the_switches_do_what_they_say() {
        let holes = "a = malloc(100); x = malloc(1); b = malloc(50); y = malloc(1); c = malloc(200); z = malloc(1)
                     free(a); free(b); free(c); d = malloc(40)";
        let last = |settings| results(settings, holes).pop().unwrap();
        assert_eq!([last("page first"), last("page best"), last("page worst")], ["+0x0100", "+0x00a0", "+0x0100"]);
        assert_eq!(last("page first split join"), "+0x0100");

        let two = "a = malloc(100); b = malloc(100); z = malloc(1); free(a); free(b)";
        assert_eq!(list("page first", two), "head → +0x0070 → +0x0000 → end");
        assert_eq!(list("page first join", two), "head → +0x0000 → end");
        assert_eq!(list("page first split", &format!("{two}; c = malloc(8)")), "head → +0x0090 → +0x0000 → end");
        assert_eq!(list("page first", &format!("{two}; c = malloc(8)")), "head → +0x0000 → end");
    }

    #[test]
    fn both_switches_together_are_lab_4_and_none_is_lab_3() {
        for seed in 0..40 {
            let story = random_of_all_kinds(seed, 30, 1..=200, 8);
            let story: Vec<String> = story
                .iter()
                .filter(|op| matches!(op, Op::Malloc { .. } | Op::Free { .. }))
                .map(|op| op.in_words())
                .collect();
            let text = story.join("\n");
            for (half, settings) in [("", "page best"), ("split join", "page best split join")] {
                let settings: Settings = settings.parse().unwrap();
                let reference = Story::play(settings, &text);
                let os = Player::system(settings);
                // SAFETY: a fresh page that nobody else uses.
                let player = Player::Half(unsafe { crate::malloc::Half::new(os.region(), settings) });
                let mut stage = Stage { os: &os, player, blocks: BTreeMap::new(), moments: Vec::new() };
                stage.keep(0, String::new(), Done::default(), 0);
                let _ = stage.play(&parse(&text).0);
                let images = |moments: &[Moment]| moments.iter().map(|m| draw::heap(&m.image, &[])).collect::<Vec<_>>();
                assert_eq!(images(&stage.moments), images(&reference.moments), "seed {seed}, `{half}`");
            }
        }
    }

    #[test]
    fn every_malloc_keeps_its_heap_in_order() {
        for settings in ["page worst split", "page first join", "system best", "system first", "bins", "fast", "cache"]
        {
            for seed in 0..20 {
                let words =
                    random_of_all_kinds(seed, 60, 1..=3000, 10).iter().map(|op| op.in_words()).collect::<Vec<_>>();
                let story = play(settings, &words.join("\n"));
                let needs_a_system = settings.starts_with("page") && words.iter().any(|word| word.contains("aligned"));
                assert!(story.mistake.is_none() || needs_a_system, "{settings}, seed {seed}: {:?}", story.mistake);
            }
        }
    }

    #[test]
    fn a_cache_fills_and_spills() {
        let blocks = 1..=17;
        let made: Vec<String> = blocks.clone().map(|block| format!("b{block} = malloc(24)")).collect();
        let freed: Vec<String> = blocks.map(|block| format!("free(b{block})")).collect();
        let text =
            [made.join("; "), "last = malloc(24)".into(), freed.join("; "), "again = malloc(24)".into()].join("; ");
        let story = play("cache", &text);
        let waiting = |moment: &Moment| -> Vec<(String, usize)> {
            let lists = moment.image.lists.iter().filter(|list| !list.chunks.is_empty());
            lists.map(|list| (list.name.clone(), list.chunks.len())).collect()
        };
        let [full, spilt, again] = [35, 36, 37].map(|step: usize| waiting(&story.moments[step - 1]));
        assert_eq!(full, [("cache 32".to_owned(), 16)]);
        assert_eq!(spilt, [("fast bin 32".to_owned(), 1), ("cache 32".to_owned(), 16)]);
        assert_eq!(again, [("fast bin 32".to_owned(), 1), ("cache 32".to_owned(), 15)]);
        assert_eq!(story.moments[34].name(0), Some("b1"), "a block that waits keeps its name");
        let result = |step: usize| &story.moments[step - 1].result;
        assert_eq!(result(37), result(17), "the last one that the cache took is the first one it gives");
    }

    /// The stories that the pages have below their sections: the settings and the text of each.
    fn stories_of_the_pages() -> Vec<(String, String)> {
        let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
        let pages = std::fs::read_dir(pages).unwrap().map(|page| page.unwrap().path());
        let mut stories = Vec::new();
        for page in pages.filter(|page| page.extension().is_some_and(|ending| ending == "md")) {
            let text = std::fs::read_to_string(&page).unwrap();
            for place in text.split("{{play ").skip(1) {
                let (argument, rest) = place.split_once("}}").unwrap();
                let (body, _) =
                    rest.split_once("{{/play}}").unwrap_or_else(|| panic!("{}: {argument}", page.display()));
                stories.push((argument.split('|').next().unwrap().to_owned(), body.to_owned()));
            }
        }
        stories
    }

    #[test]
    fn the_stories_of_the_pages_are_played_to_their_ends() {
        let stories = stories_of_the_pages();
        assert!(stories.len() >= 7, "only {} stories", stories.len());
        for (settings, text) in stories {
            let story = play(&settings, &text);
            assert_eq!(story.mistake, None, "{settings}: {text}");
        }
    }

    #[test]
    fn large_blocks_are_mappings_and_too_large_ones_are_refused() {
        let story =
            play("system best", "a = malloc(1000000); b = malloc(100 MiB); free(b); c = malloc(usize::MAX); free(a)");
        let moment = &story.moments[1];
        assert_eq!((moment.result.as_str(), moment.calls.join(", ").as_str()), ("M1+0x0010", "mmap(1003520) → M1"));
        assert_eq!((moment.mappings[0].block.as_str(), moment.mappings[0].size_word), ("a", 1_003_520 | 2));
        assert_eq!(story.moments[2].result, "NULL");
        assert_eq!(story.moments[2].calls.first().map(String::as_str), Some("mmap(104861696) refused"));
        assert_eq!(story.moments[5].calls, ["munmap(M1, 1003520)"]);
        assert!(story.moments[5].mappings.is_empty());
    }

    #[test]
    fn bytes_say_whose_they_are() {
        let story = play("system best", "a = malloc(20); b = calloc(2, 8); a = realloc(a, 90)");
        let bytes = |step: usize, range| story.moments[step].bytes().bytes(range);
        assert_eq!(bytes(1, 16..40), [&[b'a'; 20][..], &[FRESH; 4]].concat());
        assert_eq!(bytes(2, 48..64), [0; 16]);
        let moved = story.moments[3].names.iter().find(|(_, name)| name == "a").unwrap().0 + PAYLOAD;
        assert_eq!(bytes(3, moved..moved + 91), [&[b'a'; 90][..], &[FRESH]].concat());
    }

    #[test]
    fn what_no_program_may_do_is_not_played() {
        let expected = [
            ("free(a)", "1: There is no block `a` yet"),
            ("a = malloc(1)\nfree(a)\nfree(a)", "3: `a` is freed already, in line 2."),
            ("a = malloc(1)\nfree(a)\na = realloc(a, 2)", "3: `a` was freed in line 2"),
            ("a = malloc(1)\na = malloc(1)", "2: `a` is the block from line 1."),
            ("a = malloc(1); b = realloc(a, 9); free(a)", "1: `a` is freed already, in line 1."),
            ("a = aligned(64, 1)", "1: The mallocs of labs 3 and 4 have no `aligned`"),
            ("other code moves the break by 16", "1: On one page there is no break"),
        ];
        for (text, says) in expected {
            let mistake = play("page first", text).mistake.unwrap();
            assert!(format!("{}: {}", mistake.line, mistake.what).starts_with(says), "{text}: {}", mistake.what);
        }
        assert_eq!(results("page first", "a = malloc(5000); free(a); free(NULL); a = malloc(8)")[0], "NULL");
    }

    #[test]
    fn other_code_may_move_the_break() {
        let story = play("system best", "a = malloc(40); other code moves the break by +4096; b = malloc(140000)");
        assert_eq!(story.mistake, None);
        assert_eq!(story.moments[3].foreign.len(), 1);
        assert!(story.moments[2].calls.is_empty(), "the malloc has asked for nothing");
    }
}
