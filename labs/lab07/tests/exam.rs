//! The graded cases of lab 7. They ask the lab's candidate (`tests/candidate.rs`), another process; `lab.toml` says what each
//! rule is worth.
//!
//! The candidate has one pool, or one memory for regions, at a time, and others inside. After each question the examiner looks whether
//! every value that is alive still has its bytes, in memory that the system has granted.

mod oracle;
mod questions;

use heapkit::memory::{Arena, PAGE};
use heapkit::os::{Call, Place, Refusal};
use heapkit::workload::Rng;
use oracle::{HEADER, POOL_GROWTH, Plan, PoolModel, RegionModel, Slots};
use proctor::{Desk, Exam, Finding, ROOM, System};
use questions::{KINDS, Kind, NOTES, NOTING, NOTING_NOTHING, Question, byte};
use std::collections::BTreeMap;
use std::rc::Rc;

const EXAM: Exam = Exam::new("lab07", cfg!(feature = "solution"));

/// Kinds of values without bytes.
const EMPTY: [usize; 2] = [0, 10];
/// Kinds of which a pool's mapping holds many.
const SMALL: [usize; 6] = [1, 2, 3, 4, 5, 8];
/// 24 bytes.
const THREE_WORDS: usize = 3;
/// 8 bytes.
const ONE_WORD: usize = 2;
/// A page, aligned to one.
const ALIGNED_PAGE: usize = 7;

/// A fresh system, which refuses what `refusal` says.
fn fresh_system(desk: &Desk, refusal: Refusal) -> Rc<System> {
    let system = desk.os(ROOM);
    desk.draws_no_heap();
    system.refuse(refusal);
    system
}

fn places(system: &System, slots: &[usize]) -> Vec<Place> {
    slots.iter().map(|&at| system.place(at)).collect()
}

fn bytes(fill: u64, len: usize) -> Vec<u8> {
    (0..len).map(|index| byte(fill, index)).collect()
}

/// Bytes as the candidate says them.
fn as_bytes(words: &[u64]) -> Vec<u8> {
    words.iter().map(|&word| u8::try_from(word).unwrap_or(0)).collect()
}

/// The values that are alive: where, and what they hold.
#[derive(Clone, Debug, Default)]
struct Living(BTreeMap<usize, Vec<u8>>);

/// So many values are looked at after each question, and where there are more, the newest few.
const LOOKED_AT: usize = 64;
const NEWEST: usize = 4;

impl Living {
    /// A new value: it has to be in granted memory, aligned, and on nobody's bytes. It has been asked for, and `content` is in it.
    fn add(&mut self, desk: &Desk, system: &System, at: usize, align: usize, content: Vec<u8>) {
        let len = content.len();
        let place = system.place(at);
        let whole = |(_, mapping): (usize, heapkit::os::Mapping)| at + len <= mapping.range().end;
        if !system.mapping_of(at).is_some_and(whole) {
            let seen = format!("{len} bytes at {place}");
            desk.fail(
                Finding::new("The value isn't in memory that the system has granted.").expected("in a mapping", seen),
            );
        }
        if let Place::Mapping { at, .. } = place
            && at < HEADER
        {
            let what = "The value lies on the header that its mapping starts with.";
            desk.fail(
                Finding::new(what).expected(format!("{HEADER} bytes after its start, or more"), place.to_string()),
            );
        }
        let address = system.arena().base() + at;
        if !address.is_multiple_of(align) {
            let what = format!("The value isn't aligned to {align}.");
            desk.fail(Finding::new(what).expected(format!("a multiple of {align}"), format!("{address:#x}")));
        }
        let before = self.0.range(..at + len).next_back().filter(|(other, content)| *other + content.len() > at);
        if let Some((&other, content)) = before {
            let what = "Two values that are alive share bytes.";
            let other = format!("outside the {} bytes at {}", content.len(), system.place(other));
            desk.fail(Finding::new(what).expected(other, format!("{len} bytes at {place}")));
        }
        // Only then the bytes: a value that another one lies on has changed, too.
        self.0.insert(at, content);
        self.expect_one(desk, system, at);
        self.expect(desk, system);
    }

    fn remove(&mut self, at: usize) {
        self.0.remove(&at);
    }

    fn expect_one(&self, desk: &Desk, system: &System, at: usize) {
        let content = &self.0[&at];
        let mut seen = vec![0; content.len()];
        system.arena().read(at, &mut seen);
        if *content != seen {
            let index = content.iter().zip(&seen).take_while(|(content, seen)| content == seen).count();
            let what = format!("The value of {} bytes at {} has changed.", content.len(), system.place(at));
            desk.fail(Finding::new(what).expected(
                format!("byte {index} is {:#04x}", content[index]),
                format!("byte {index} is {:#04x}", seen[index]),
            ));
        }
    }

    /// Every value has its bytes; of very many, the newest.
    fn expect(&self, desk: &Desk, system: &System) {
        let count = if self.0.len() <= LOOKED_AT { LOOKED_AT } else { NEWEST };
        for &at in self.0.keys().rev().take(count) {
            self.expect_one(desk, system, at);
        }
        expect_no_misuse(desk, system);
    }

    fn expect_all(&self, desk: &Desk, system: &System) {
        for &at in self.0.keys() {
            self.expect_one(desk, system, at);
        }
    }
}

fn expect_no_misuse(desk: &Desk, system: &System) {
    if let Some(misuse) = system.misuse() {
        desk.fail(Finding::new(misuse));
    }
}

/// What came of a request has to be what was planned. `calls` is how many calls there had been before.
fn expect_as_planned(desk: &Desk, system: &System, plan: &Plan, calls: usize, at: Option<usize>) {
    let new_calls = system.calls_after(calls);
    let show = |calls: &[Call]| match calls {
        [] => "the system is asked for nothing".to_owned(),
        _ => calls.iter().map(Call::to_string).collect::<Vec<_>>().join(", "),
    };
    match plan {
        Plan::At(expected) => {
            if !new_calls.is_empty() {
                let what = "The system is asked for memory, although there is a place for the value.";
                let place = format!("{}, and the system is asked for nothing", system.place(*expected));
                desk.fail(Finding::new(what).expected(place, show(&new_calls)));
            }
            let at = at.map(|at| system.place(at));
            desk.expect("The value is at another place than the rule says.", Some(system.place(*expected)), at);
        }
        Plan::Grow { lengths, first } => {
            let length = |call: &Call| if let Call::Mmap { len, .. } = call { *len } else { 0 };
            let mut asked: Vec<usize> = new_calls.iter().map(length).collect();
            // Asking for the same once more is nobody's mistake.
            asked.dedup();
            let granted = new_calls.iter().find(|call| matches!(call, Call::Mmap { mapping: Some(_), .. })).map(length);
            let last = lengths.iter().position(|&len| Some(len) == granted);
            let expected: Vec<usize> = lengths.iter().copied().take(last.map_or(lengths.len(), |n| n + 1)).collect();
            if asked != expected {
                let expected: Vec<String> = expected.iter().map(|len| format!("mmap({len})")).collect();
                let what = "The system is asked for something else than the rule says.";
                desk.fail(Finding::new(what).expected(expected.join(", "), show(&new_calls)));
            }
            let start = new_calls.iter().find_map(|call| match call {
                Call::Mmap { mapping: Some(number), .. } => Some(system.mapping(*number).start),
                _ => None,
            });
            desk.expect(
                "The value is at another place than the rule says.",
                start.map(|start| system.place(start + first)),
                at.map(|at| system.place(at)),
            );
        }
    }
}

// ---- a pool, and what the examiner knows of it ----

/// A value in a pool.
#[derive(Clone, Copy, Debug)]
struct Held {
    at: usize,
    fill: u64,
}

struct Pool<'a> {
    desk: &'a Desk,
    system: Rc<System>,
    number: usize,
    kind: Kind,
    rng: Rng,
    next: usize,
    held: BTreeMap<usize, Held>,
    living: Living,
    model: PoolModel,
    /// Whether every value has to be exactly where the page says.
    is_strict: bool,
    /// How many mappings there were before.
    others: usize,
    /// How many slots nobody can free any more.
    lost: usize,
}

/// What an answer to `alloc` says: where the value is, or what came back.
type Alloced = (Option<usize>, Vec<u64>);

impl<'a> Pool<'a> {
    /// A pool of values of this kind, in what is open.
    fn open(desk: &'a Desk, system: &Rc<System>, number: usize) -> Self {
        let others = system.mappings().len();
        let kind = KINDS.get(number).copied();
        let kind = kind.unwrap_or(Kind { size: if number == NOTING { 8 } else { 0 }, align: 1 });
        let () = desk.order(&Question::Pool { kind: number });
        Pool {
            desk,
            system: system.clone(),
            number,
            kind,
            rng: desk.rng(),
            next: 0,
            held: BTreeMap::new(),
            living: Living::default(),
            model: PoolModel::new(kind),
            is_strict: false,
            others,
            lost: 0,
        }
    }

    fn strict(desk: &'a Desk, system: &Rc<System>, number: usize) -> Self {
        Pool { is_strict: true, ..Pool::open(desk, system, number) }
    }

    fn content(&self, fill: u64) -> Vec<u8> {
        if self.number == NOTING { fill.to_ne_bytes().to_vec() } else { bytes(fill, self.kind.size) }
    }

    /// Puts a value into the pool, which the system has memory for. Its number.
    fn alloc(&mut self) -> usize {
        self.try_alloc().unwrap_or_else(|| {
            let what = "The value came back, although the system has refused nothing.";
            self.desk.fail(Finding::new(what).expected("a handle", "Err"))
        })
    }

    /// The same; `None` if the value came back.
    fn try_alloc(&mut self) -> Option<usize> {
        let (id, fill) = (self.next, self.rng.bits());
        self.next += 1;
        let (plan, calls) = (self.model.plan(), self.system.call_count());
        let system = self.system.clone();
        let show = |(at, _): &Alloced| match at {
            Some(at) => system.place(*at).to_string(),
            None => "the value comes back".to_owned(),
        };
        let (at, back): Alloced = self.desk.ask_and_show(&Question::Alloc { id, fill }, show);
        if self.kind.size == 0 {
            let at = at?;
            if !(system.arena().base().wrapping_add(at)).is_multiple_of(self.kind.align) {
                let what = format!("The handle's address isn't aligned to {}.", self.kind.align);
                self.desk.fail(Finding::new(what));
            }
            self.desk.expect("A value without bytes: calls of the system.", calls, system.call_count());
            self.held.insert(id, Held { at, fill });
            return Some(id);
        }
        if self.is_strict {
            expect_as_planned(self.desk, &system, &plan, calls, at);
        }
        let Some(at) = at else {
            self.living.expect(self.desk, &system);
            let expected = self.content(fill);
            let seen = if self.number == NOTING {
                back.iter().flat_map(|word| word.to_ne_bytes()).collect()
            } else {
                as_bytes(&back)
            };
            if expected != seen {
                self.desk.fail(Finding::new("The value that came back isn't the one that was handed in."));
            }
            return None;
        };
        if let Some(Call::Mmap { mapping: Some(number), .. }) = system.calls_after(calls).last() {
            self.model.grown(system.mapping(*number).start);
        }
        self.model.taken(at);
        let content = self.content(fill);
        self.living.add(self.desk, &system, at, self.kind.align, content);
        self.held.insert(id, Held { at, fill });
        Some(id)
    }

    /// The value goes, in one way or another.
    fn goes(&mut self, id: usize) -> Held {
        let held = self.held.remove(&id).expect("the cases name values that are alive");
        self.living.remove(held.at);
        held
    }

    /// What is alive is untouched, and the slot is dead.
    fn slot_is_dead(&mut self, held: Held) {
        self.living.expect(self.desk, &self.system);
        if self.kind.size > 0 {
            self.model.freed(held.at);
        }
    }

    fn free(&mut self, id: usize) {
        let held = self.goes(id);
        let () = self.desk.order(&Question::Free { id });
        self.slot_is_dead(held);
    }

    fn take(&mut self, id: usize) {
        let held = self.goes(id);
        let taken: Option<Vec<u64>> = self.desk.order(&Question::Take { id });
        self.expect_bytes("pool.take returns another value.", held, taken);
        self.slot_is_dead(held);
    }

    fn read(&mut self, id: usize) {
        let held = self.held[&id];
        let read: Option<Vec<u64>> = self.desk.order(&Question::Read { id });
        self.expect_bytes("What the handle shows isn't its value.", held, read);
    }

    fn expect_bytes(&self, what: &str, held: Held, words: Option<Vec<u64>>) {
        let words = words.unwrap_or_default();
        let seen = if self.number == NOTING {
            words.iter().flat_map(|word| word.to_ne_bytes()).collect()
        } else {
            as_bytes(&words)
        };
        if self.content(held.fill) != seen {
            self.desk.fail(Finding::new(what));
        }
    }

    fn write(&mut self, id: usize) {
        let fill = self.rng.bits();
        let () = self.desk.order(&Question::Write { id, fill });
        let content = self.content(fill);
        if let Some(held) = self.held.get_mut(&id) {
            held.fill = fill;
            self.living.0.insert(held.at, content);
        }
        self.living.expect(self.desk, &self.system);
    }

    fn drop_handle(&mut self, id: usize) {
        self.goes(id);
        self.lost += 1;
        let () = self.desk.order(&Question::Drop { id });
        self.living.expect(self.desk, &self.system);
    }

    fn forget(&mut self, id: usize) {
        self.goes(id);
        self.lost += 1;
        let () = self.desk.order(&Question::Forget { id });
        self.living.expect(self.desk, &self.system);
    }

    /// The pool ends, and what it says then.
    fn close(&self) -> Option<String> {
        self.living.expect_all(self.desk, &self.system);
        let said = self.desk.ask_and_show(&Question::End, |said: &Option<String>| match said {
            Some(said) => format!("panics: {said}"),
            None => String::new(),
        });
        expect_no_misuse(self.desk, &self.system);
        said
    }

    /// The pool ends. It says so if slots are still taken, and gives all its pages back.
    fn end(self) {
        let taken = self.held.len() + self.lost;
        let said = self.close();
        let numbers = |text: &str| -> Vec<usize> {
            text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
        };
        let is_right = match &said {
            None => taken == 0,
            Some(said) => taken > 0 && numbers(said).contains(&taken),
        };
        if !is_right {
            let expected = match taken {
                0 => "pool_scope returns".to_owned(),
                _ => format!("pool_scope panics, and its message has the number {taken}"),
            };
            let seen = said.map_or("it returns".into(), |said| format!("it panics: {said}"));
            let what = format!("The pool has ended, with {taken} slots taken.");
            self.desk.fail(Finding::new(what).expected(expected, seen));
        }
        self.desk.expect("Mappings that are left after the pool.", self.others, self.system.mappings().len());
    }

    fn free_all(&mut self) {
        for id in self.held.keys().copied().collect::<Vec<_>>() {
            self.free(id);
        }
    }

    /// Frees what is alive, and ends. What becomes of the pages is another rule's matter.
    fn free_all_and_close(mut self) {
        self.free_all();
        if let Some(said) = self.close() {
            let what = "Every value was freed, and yet the pool says that slots are taken.";
            self.desk.fail(Finding::new(what).expected("pool_scope returns", format!("it panics: {said}")));
        }
    }

    /// One of those that are alive.
    fn any(&mut self) -> Option<usize> {
        let count = self.held.len();
        if count == 0 {
            return None;
        }
        let nth = self.rng.below(count);
        self.held.keys().copied().nth(nth)
    }

    /// So many drawn operations.
    fn churn(&mut self, steps: usize, most: usize) {
        for _ in 0..steps {
            let is_full = self.held.len() >= most;
            match (self.rng.below(10), self.any()) {
                (0..=5, _) | (_, None) if !is_full => {
                    self.try_alloc();
                }
                (6, Some(id)) => self.take(id),
                (7, Some(id)) => self.write(id),
                (8, Some(id)) => self.read(id),
                (_, Some(id)) => self.free(id),
                (_, None) => {}
            }
        }
    }
}

// ---- pools: slots and growth ----

#[test]
fn slots_lie_side_by_side() {
    EXAM.case("slots", |desk| {
        for kind in [THREE_WORDS, 1, 5, 8, 4, ONE_WORD, 9, 11, 6, ALIGNED_PAGE, 14] {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut pool = Pool::strict(desk, &system, kind);
            for _ in 0..6 {
                pool.alloc();
            }
            let Slots { size, first, .. } = Slots::of(KINDS[kind]);
            let start = system.mappings().first().map_or(0, |(_, mapping)| mapping.start);
            let expected: Vec<usize> = (0..6).map(|n| start + first + n * size).collect();
            let seen: Vec<usize> = pool.held.values().map(|held| held.at).collect();
            desk.expect("The first six slots.", places(&system, &expected), places(&system, &seen));
        }
    });
}

#[test]
fn a_handle_leads_to_its_value() {
    EXAM.case("slots", |desk| {
        for kind in (0..KINDS.len()).filter(|kind| !EMPTY.contains(kind)) {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut pool = Pool::open(desk, &system, kind);
            let ids: Vec<usize> = (0..4).map(|_| pool.alloc()).collect();
            for &id in ids.iter().rev() {
                pool.read(id);
                pool.write(id);
            }
            ids.iter().for_each(|&id| pool.read(id));
        }
    });
}

#[test]
fn a_full_pool_asks_for_sixteen_pages() {
    EXAM.case("growth", |desk| {
        for kind in [ALIGNED_PAGE, 6, 15, 11, 16, THREE_WORDS] {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut pool = Pool::strict(desk, &system, kind);
            desk.expect("Calls before the first value.", 0, system.call_count());
            let count = Slots::of(KINDS[kind]).count();
            for _ in 0..2 * count + 1 {
                pool.alloc();
            }
            desk.expect(
                format!("Mappings for {} values, {count} in each.", 2 * count + 1),
                vec![POOL_GROWTH; 3],
                system.mappings().iter().map(|(_, mapping)| mapping.len).collect(),
            );
        }
    });
}

#[test]
fn a_slot_may_be_longer_than_that() {
    EXAM.case("growth", |desk| {
        for kind in [12, 13, 17] {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut pool = Pool::strict(desk, &system, kind);
            for _ in 0..5 {
                pool.alloc();
            }
        }
    });
}

#[test]
fn fresh_slots_are_not_touched() {
    EXAM.case("growth", |desk| {
        for kind in [ONE_WORD, THREE_WORDS, 6] {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut pool = Pool::open(desk, &system, kind);
            pool.alloc();
            let Slots { size, first, .. } = Slots::of(KINDS[kind]);
            let most = (first + size).div_ceil(PAGE);
            let touched = system.mappings().first().map_or(0, |(number, _)| system.touched_pages(*number));
            if touched > most {
                let what = "There is one value, but your code has written to pages that only later values need.";
                desk.fail(Finding::new(what).expected(format!("{most} at most"), format!("{touched} pages")));
            }
        }
    });
}

#[test]
fn there_may_be_ten_thousand_values() {
    EXAM.case("growth", |desk| {
        for kind in [SMALL[desk.rng().below(SMALL.len())], 15] {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut pool = Pool::open(desk, &system, kind);
            let slots = Slots::of(KINDS[kind]);
            for _ in 0..MANY {
                pool.alloc();
                desk.new_story();
            }
            pool.living.expect_all(desk, &system);
            desk.expect(
                format!("Mappings for {MANY} values of {} bytes.", KINDS[kind].size),
                MANY.div_ceil(slots.count()),
                system.mappings().len(),
            );
        }
    });
}

/// So many values are alive at once.
const MANY: usize = 10_050;

// ---- pools: dead slots ----

#[test]
fn the_slot_that_died_last_is_used_first() {
    EXAM.case("reuse", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut pool = Pool::strict(desk, &system, THREE_WORDS);
        let [a, b, c, _d] = [(); 4].map(|()| pool.alloc());
        for id in [a, c, b] {
            pool.free(id);
        }
        for _ in 0..5 {
            pool.alloc();
        }
        pool.free_all_and_close();
        for kind in [1, 5, 6, ALIGNED_PAGE, 12, NOTING] {
            let system = noting_system(desk);
            let mut pool = Pool::strict(desk, &system, kind);
            let ids: Vec<usize> = (0..12).map(|_| pool.alloc()).collect();
            for id in ids.iter().step_by(2).chain(ids.iter().skip(1).step_by(4)) {
                pool.free(*id);
            }
            for _ in 0..12 {
                pool.alloc();
            }
        }
    });
}

#[test]
fn dead_slots_lead_to_one_another() {
    EXAM.case("reuse", |desk| {
        for kind in [THREE_WORDS, 1, 4, 6] {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut pool = Pool::open(desk, &system, kind);
            let mut ids: Vec<usize> = (0..40).map(|_| pool.alloc()).collect();
            let expect_links = |pool: &Pool<'_>| {
                let mut before = 0;
                for &slot in pool.model.dead() {
                    let what = format!("The first word of the dead slot at {}.", system.place(slot));
                    let show = |word: usize| match word {
                        0 => "0: no slot died before".to_owned(),
                        _ => system.place(word.wrapping_sub(system.arena().base())).to_string(),
                    };
                    let seen = system.arena().word(slot);
                    if seen != before {
                        desk.fail(Finding::new(what).expected(show(before), show(seen)));
                    }
                    before = system.arena().base() + slot;
                }
            };
            for part in [7, 20] {
                for _ in 0..part {
                    let nth = pool.rng.below(ids.len());
                    pool.free(ids.swap_remove(nth));
                    expect_links(&pool);
                }
                for _ in 0..part / 2 {
                    ids.push(pool.alloc());
                    expect_links(&pool);
                }
            }
        }
    });
}

#[test]
fn every_value_survives_long_workloads() {
    EXAM.case("reuse", |desk| {
        for (kind, steps, most) in
            [(THREE_WORDS, 300, 20), (1, 300, 60), (6, 300, 40), (ALIGNED_PAGE, 200, 40), (12, 60, 8)]
        {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut pool = Pool::strict(desk, &system, kind);
            pool.churn(steps, most);
            let peak = system.mappings().len();
            let slots = Slots::of(KINDS[kind]).count();
            if peak > most.div_ceil(slots) {
                let what = format!("No more than {most} values were alive at once, {slots} to a mapping.");
                desk.fail(
                    Finding::new(what)
                        .expected(format!("{} mappings at most", most.div_ceil(slots)), format!("{peak} mappings")),
                );
            }
            pool.free_all_and_close();
        }
    });
}

#[test]
fn thousands_of_dead_slots_are_used_again() {
    EXAM.case("reuse", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut pool = Pool::open(desk, &system, 4);
        let ids: Vec<usize> = (0..MANY).map(|_| pool.alloc()).collect();
        let calls = system.call_count();
        for &id in ids.iter().filter(|id| *id % 3 != 0) {
            pool.free(id);
            desk.new_story();
        }
        for _ in ids.iter().filter(|id| *id % 3 != 0) {
            pool.alloc();
            desk.new_story();
        }
        pool.living.expect_all(desk, &system);
        desk.expect("Calls of the system while dead slots are used.", calls, system.call_count());
    });
}

// ---- pools: values ----

/// A system whose heap has a few pages, for the notes of values that are dropped.
fn noting_system(desk: &Desk) -> Rc<System> {
    let system = fresh_system(desk, Refusal::Nothing);
    system.sbrk((16 * PAGE).cast_signed());
    system.arena().set_word(NOTES, 0);
    system
}

/// What values have noted when they were dropped.
fn notes(system: &System) -> Vec<u64> {
    let count = system.arena().word(NOTES).min(2 * PAGE);
    (1..=count).map(|n| system.arena().word(NOTES + 8 * n) as u64).collect()
}

fn expect_notes(desk: &Desk, system: &System, expected: &[u64]) {
    let show = |notes: &[u64]| format!("{} values dropped: {notes:x?}", notes.len());
    let seen = notes(system);
    if seen != expected {
        let what = "A value is dropped exactly once, and whole.";
        desk.fail(Finding::new(what).expected(show(expected), show(&seen)));
    }
}

#[test]
fn free_drops_the_value_once() {
    EXAM.case("values", |desk| {
        let system = noting_system(desk);
        let mut pool = Pool::open(desk, &system, NOTING);
        let mut ids: Vec<usize> = (0..30).map(|_| pool.alloc()).collect();
        let mut expected = Vec::new();
        expect_notes(desk, &system, &expected);
        while !ids.is_empty() {
            let nth = pool.rng.below(ids.len());
            let id = ids.swap_remove(nth);
            expected.push(pool.held[&id].fill);
            pool.free(id);
            expect_notes(desk, &system, &expected);
        }
        pool.free_all_and_close();
        expect_notes(desk, &system, &expected);
    });
}

#[test]
fn take_moves_the_value_out() {
    EXAM.case("values", |desk| {
        for kind in [THREE_WORDS, 1, 5, 6, ALIGNED_PAGE, 12, NOTING] {
            let system = noting_system(desk);
            let mut pool = Pool::open(desk, &system, kind);
            let ids: Vec<usize> = (0..10).map(|_| pool.alloc()).collect();
            for id in ids.into_iter().rev() {
                pool.take(id);
            }
            pool.free_all_and_close();
            expect_notes(desk, &system, &[]);
        }
    });
}

#[test]
fn a_handle_that_is_dropped_drops_its_value() {
    EXAM.case("values", |desk| {
        let system = noting_system(desk);
        let mut pool = Pool::open(desk, &system, NOTING);
        let ids: Vec<usize> = (0..9).map(|_| pool.alloc()).collect();
        let (mut expected, mut lost) = (Vec::new(), Vec::new());
        for &id in &ids[..5] {
            expected.push(pool.held[&id].fill);
            lost.push(pool.held[&id].at);
            pool.drop_handle(id);
            expect_notes(desk, &system, &expected);
        }
        // The slot stays taken: nobody gets it again.
        for _ in 0..8 {
            let id = pool.alloc();
            let at = pool.held[&id].at;
            if lost.contains(&at) {
                let what = "A handle was dropped. Its slot stays taken, since the pool knows nothing of it.";
                desk.fail(Finding::new(what).expected("another slot", system.place(at).to_string()));
            }
        }
        // One that is written over is dropped, as any value is.
        let old = pool.held[&ids[6]].fill;
        pool.write(ids[6]);
        expected.push(old);
        expect_notes(desk, &system, &expected);
        pool.forget(ids[7]);
        expect_notes(desk, &system, &expected);
    });
}

#[test]
fn values_without_bytes_need_no_memory() {
    EXAM.case("empty", |desk| {
        for kind in EMPTY.into_iter().chain([NOTING_NOTHING]) {
            let system = noting_system(desk);
            system.refuse(Refusal::AllMemory);
            let mut pool = Pool::open(desk, &system, kind);
            let ids: Vec<usize> = (0..40).map(|_| pool.alloc()).collect();
            for (n, &id) in ids.iter().enumerate() {
                match n % 3 {
                    0 => pool.free(id),
                    1 => pool.take(id),
                    _ => pool.read(id),
                }
            }
            for &id in ids.iter().skip(2).step_by(3) {
                pool.free(id);
            }
            let freed = ids.len() - ids.iter().skip(1).step_by(3).count();
            expect_notes(desk, &system, if kind == NOTING_NOTHING { &[0; 27][..freed] } else { &[] });
            pool.free_all_and_close();
        }
    });
}

// ---- pools: refusals and the end ----

#[test]
fn a_refused_value_comes_back() {
    EXAM.case("refusal", |desk| {
        for kind in [THREE_WORDS, 1, ALIGNED_PAGE, 12, NOTING] {
            let system = noting_system(desk);
            system.refuse(Refusal::AllMemory);
            let mut pool = Pool::strict(desk, &system, kind);
            for _ in 0..3 {
                desk.expect("The number of a value that can't be anywhere.", None, pool.try_alloc());
            }
            desk.expect("Values that were dropped.", 0, notes(&system).len());
            system.refuse(Refusal::Nothing);
            pool.alloc();
            pool.free_all_and_close();
        }
    });
}

/// Plays a story again and again: each call of the system is refused once, alone, and once with all that follow. `play` says how
/// many calls there were that could have been refused.
fn refusing_each(desk: &Desk, play: impl Fn(Refusal)) {
    play(Refusal::Nothing);
    let calls = desk.calls().iter().filter(|call| matches!(call, Call::Mmap { .. })).count();
    for before in 0..calls {
        play(Refusal::Once(before));
        play(Refusal::From(before));
    }
}

#[test]
fn nothing_is_lost_when_the_system_refuses() {
    EXAM.case("refusal", |desk| {
        for kind in [ALIGNED_PAGE, 15, 12] {
            refusing_each(desk, |refusal| {
                let system = fresh_system(desk, refusal);
                let mut pool = Pool::strict(desk, &system, kind);
                let slots = Slots::of(KINDS[kind]).count();
                for _ in 0..2 * slots + 2 {
                    pool.try_alloc();
                }
                pool.churn(30, 3 * slots);
                pool.free_all_and_close();
            });
        }
    });
}

#[test]
fn all_pages_go_back_at_the_end() {
    EXAM.case("end", |desk| {
        for kind in [THREE_WORDS, ALIGNED_PAGE, 12, 13] {
            let system = fresh_system(desk, Refusal::Nothing);
            let pool = Pool::open(desk, &system, kind);
            pool.end();
            desk.expect("Calls of a pool that held nothing.", 0, system.call_count());
            for values in [1, 40] {
                let mut pool = Pool::open(desk, &system, kind);
                for _ in 0..values {
                    pool.alloc();
                }
                let ids: Vec<usize> = pool.held.keys().copied().collect();
                let before = system.mappings().len();
                ids.into_iter().for_each(|id| pool.free(id));
                desk.expect("Mappings while the pool is there.", before, system.mappings().len());
                pool.end();
            }
        }
    });
}

#[test]
fn slots_that_are_still_taken_are_counted() {
    EXAM.case("end", |desk| {
        let mut rng = desk.rng();
        for kind in [THREE_WORDS, NOTING, NOTING_NOTHING, 0] {
            for lost in [1, 2 + rng.below(70), 256 + rng.below(100)] {
                let system = noting_system(desk);
                let mut pool = Pool::open(desk, &system, kind);
                let ids: Vec<usize> = (0..lost + 8).map(|_| pool.alloc()).collect();
                for &id in &ids[..8] {
                    if rng.below(2) == 0 { pool.free(id) } else { pool.take(id) }
                }
                // Some are dropped, some forgotten, and some are in the candidate's hands until the end.
                for &id in &ids[8..] {
                    match rng.below(3) {
                        0 => pool.drop_handle(id),
                        1 => pool.forget(id),
                        _ => {}
                    }
                }
                pool.end();
            }
        }
    });
}

#[test]
fn a_pool_inside_a_pool_has_its_own_slots() {
    EXAM.case("end", |desk| {
        for kind in [THREE_WORDS, 6] {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut outer = Pool::strict(desk, &system, kind);
            let ids: Vec<usize> = (0..10).map(|_| outer.alloc()).collect();
            ids[..6].iter().for_each(|&id| outer.free(id));
            for other in [kind, ONE_WORD] {
                let mut inner = Pool::strict(desk, &system, other);
                inner.churn(40, 20);
                outer.living.expect_all(desk, &system);
                inner.free_all();
                inner.end();
                outer.living.expect_all(desk, &system);
            }
            outer.churn(40, 20);
            outer.free_all();
            outer.end();
        }
    });
}

// ---- regions, and what the examiner knows of them ----

struct Regions<'a> {
    desk: &'a Desk,
    system: Rc<System>,
    rng: Rng,
    /// The values of each region that is open, the outermost first.
    levels: Vec<Vec<usize>>,
    living: Living,
    model: RegionModel,
    is_strict: bool,
    others: usize,
}

impl<'a> Regions<'a> {
    /// Empty memory, and a region in it.
    fn open(desk: &'a Desk, system: &Rc<System>) -> Self {
        let mut regions = Regions::memory(desk, system);
        regions.enter();
        regions
    }

    fn strict(desk: &'a Desk, system: &Rc<System>) -> Self {
        Regions { is_strict: true, ..Regions::open(desk, system) }
    }

    /// Empty memory.
    fn memory(desk: &'a Desk, system: &Rc<System>) -> Self {
        let others = system.mappings().len();
        let () = desk.order(&Question::Mappings);
        Regions {
            desk,
            system: system.clone(),
            rng: desk.rng(),
            levels: Vec::new(),
            living: Living::default(),
            model: RegionModel::new(),
            is_strict: false,
            others,
        }
    }

    /// Opens a region.
    fn enter(&mut self) {
        let calls = self.system.call_count();
        let () = self.desk.order(&Question::Region);
        self.levels.push(Vec::new());
        self.model.opened();
        self.expect_no_calls("Calls of a region that begins.", calls);
    }

    /// The innermost region ends.
    fn leave(&mut self) {
        let calls = self.system.call_count();
        let () = self.desk.order(&Question::End);
        for at in self.levels.pop().unwrap_or_default() {
            self.living.remove(at);
        }
        self.model.closed();
        self.expect_no_calls("Calls of a region that ends.", calls);
        self.living.expect(self.desk, &self.system);
    }

    fn expect_no_calls(&self, what: &str, calls: usize) {
        self.desk.expect(what, Vec::new(), self.system.calls_after(calls));
    }

    /// All regions end, and their memory goes back.
    fn end(mut self) {
        self.living.expect_all(self.desk, &self.system);
        while !self.levels.is_empty() {
            self.leave();
        }
        let () = self.desk.order(&Question::End);
        expect_no_misuse(self.desk, &self.system);
        self.desk.expect("Mappings that are left after the region.", self.others, self.system.mappings().len());
    }

    /// A request that the system has memory for. Where it is, and nothing for no bytes.
    fn must(&self, at: Option<usize>) -> usize {
        at.unwrap_or_else(|| {
            let what = "The answer is None, although the system has refused nothing.";
            self.desk.fail(Finding::new(what).expected("a reference", "None"))
        })
    }

    /// Asks for `content`, aligned; `ask` does it, and says where it is and how many values there are.
    fn request(
        &mut self,
        content: Vec<u8>,
        align: usize,
        ask: impl FnOnce(&Desk, &dyn Fn(Option<usize>) -> String) -> Option<usize>,
    ) -> Option<usize> {
        let size = content.len();
        let calls = self.system.call_count();
        let plan = (size > 0).then(|| self.model.plan(size, align));
        let system = self.system.clone();
        let show = |at: Option<usize>| match at {
            Some(_) if size == 0 => "anywhere".to_owned(),
            Some(at) => system.place(at).to_string(),
            None => "None".to_owned(),
        };
        let at = ask(self.desk, &show);
        if at.is_none() || size == 0 {
            self.living.expect(self.desk, &system);
        }
        let Some(plan) = plan else {
            self.expect_no_calls("A value without bytes: calls of the system.", calls);
            let address = system.arena().base().wrapping_add(self.must(at));
            if !address.is_multiple_of(align) {
                self.desk.fail(Finding::new(format!("The reference isn't aligned to {align}.")));
            }
            return at;
        };
        if self.is_strict {
            expect_as_planned(self.desk, &system, &plan, calls, at);
        }
        let at = at?;
        for call in system.calls_after(calls) {
            if let Call::Mmap { len, mapping: Some(number) } = call {
                self.model.grown(system.mapping(number).start, len);
            }
        }
        self.model.taken(at, size);
        self.living.add(self.desk, &system, at, align, content);
        if let Some(level) = self.levels.last_mut() {
            level.push(at);
        }
        Some(at)
    }

    fn try_value(&mut self, kind: usize) -> Option<usize> {
        let fill = self.rng.bits();
        let Kind { size, align } = KINDS[kind];
        self.request(bytes(fill, size), align, |desk, show| {
            desk.ask_and_show(&Question::Value { kind, fill }, |at: &Option<usize>| show(*at))
        })
    }

    fn value(&mut self, kind: usize) -> usize {
        let at = self.try_value(kind);
        self.must(at)
    }

    fn try_slice(&mut self, kind: usize, len: usize) -> Option<usize> {
        let fill = self.rng.bits();
        let Kind { size, align } = KINDS[kind];
        self.request(bytes(fill, size * len), align, |desk, show| {
            let question = Question::Slice { kind, len, fill };
            let slice: Option<(usize, usize)> =
                desk.ask_and_show(&question, |slice: &Option<(usize, usize)>| show(slice.map(|(at, _)| at)));
            let (at, seen) = slice?;
            desk.expect("How many values the slice has.", len, seen);
            Some(at)
        })
    }

    fn slice(&mut self, kind: usize, len: usize) -> usize {
        let at = self.try_slice(kind, len);
        self.must(at)
    }

    /// The same, made by a function.
    fn slice_with(&mut self, kind: usize, len: usize) -> usize {
        let fill = self.rng.bits();
        let Kind { size, align } = KINDS[kind];
        let at = self.request(bytes(fill, size * len), align, |desk, show| {
            let question = Question::SliceWith { kind, len, fill, panics_at: usize::MAX };
            let (slice, made): Made = desk.ask_and_show(&question, |(slice, _): &Made| show(slice.map(|(at, _)| at)));
            let (at, seen) = slice?;
            desk.expect("How many values the slice has.", len, seen);
            if made != (0..len).collect::<Vec<_>>() {
                let what = "The values are made one after the other, each once.";
                desk.fail(Finding::new(what).expected(format!("value(0) to value({len} - 1)"), format!("{made:?}")));
            }
            Some(at)
        });
        self.must(at)
    }

    fn try_text(&mut self, len: usize) -> Option<usize> {
        let text: String = (0..len).map(|_| char::from(b'a' + self.rng.below(26) as u8)).collect();
        self.request(text.clone().into_bytes(), 1, |desk, show| {
            desk.ask_and_show(&Question::Text { text }, |at: &Option<usize>| show(*at))
        })
    }

    /// A drawn request.
    fn any(&mut self, most: usize) -> Option<usize> {
        match self.rng.below(4) {
            0 => {
                let len = self.rng.below(most);
                self.try_text(len)
            }
            1 => {
                let kind = SMALL[self.rng.below(SMALL.len())];
                let len = self.rng.below(most / KINDS[kind].size + 2);
                self.try_slice(kind, len)
            }
            _ => {
                let kinds = [1, 2, 3, 4, 5, 8, 9, 14, 0, 11];
                let kind = kinds[self.rng.below(kinds.len())];
                self.try_value(kind)
            }
        }
    }

    /// Drawn requests, and regions that begin and end, no more than `depth` at once.
    fn churn(&mut self, steps: usize, most: usize, depth: usize) {
        for _ in 0..steps {
            match self.rng.below(8) {
                0 if self.levels.len() < depth => self.enter(),
                1 if self.levels.len() > 1 => self.leave(),
                _ => {
                    self.any(most);
                }
            }
        }
    }
}

/// What `alloc_slice_with` did: where the slice is and how long, and for which numbers values were made.
type Made = (Option<(usize, usize)>, Vec<usize>);

#[test]
fn values_follow_one_another() {
    EXAM.case("bump", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::strict(desk, &system);
        desk.expect("Calls before the first value.", 0, system.call_count());
        // A byte, a word, a byte, 100 bytes, three words.
        let seen: Vec<usize> = [1, 2, 1, 5, 3].map(|kind| regions.value(kind)).to_vec();
        let start = system.mappings().first().map_or(0, |(_, mapping)| mapping.start);
        let expected: Vec<usize> = [16, 24, 32, 36, 136].iter().map(|at| start + at).collect();
        desk.expect("Where the five values are.", places(&system, &expected), places(&system, &seen));
        for _ in 0..3 {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut regions = Regions::strict(desk, &system);
            for _ in 0..20 {
                let kind = [1, 2, 3, 4, 5, 8, 14, 9][regions.rng.below(8)];
                regions.value(kind);
            }
        }
    });
}

#[test]
fn any_type_is_aligned() {
    EXAM.case("bump", |desk| {
        let mut rng = desk.rng();
        for kind in 0..KINDS.len() {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut regions = Regions::open(desk, &system);
            for _ in 0..4 {
                regions.value(kind);
                // Something odd in between.
                regions.value(if rng.below(2) == 0 { 1 } else { 8 });
            }
        }
    });
}

#[test]
fn slices_and_texts_are_copied() {
    EXAM.case("slices", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::open(desk, &system);
        let mut rng = desk.rng();
        for kind in [1, 2, 3, 5, 8, 14, 4] {
            regions.slice(kind, rng.below(60));
            regions.slice_with(kind, 1 + rng.below(60));
            let len = rng.below(100);
            let text = regions.try_text(len);
            regions.must(text);
        }
        // Without bytes.
        regions.slice(2, 0);
        regions.slice(9, 0);
        regions.slice(0, 5);
        regions.slice_with(10, 7);
        // Long ones.
        regions.slice(2, 40_000);
        regions.slice_with(3, 20_000);
        regions.value(1);
    });
}

#[test]
fn a_panic_on_the_way_leaves_the_region_whole() {
    EXAM.case("slices", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::open(desk, &system);
        for (kind, len) in [(2, 10), (3, 30), (1, 5000), (5, 100)] {
            regions.value(kind);
            let (fill, panics_at) = (regions.rng.bits(), regions.rng.below(len));
            let question = Question::SliceWith { kind, len, fill, panics_at };
            let (_, made): Made = desk.ask_and_show(&question, |_: &Made| "a value can't be made, and panics".into());
            desk.expect("How many values are asked for up to that.", panics_at + 1, made.len());
            regions.living.expect(desk, &system);
            regions.slice_with(kind, len);
            regions.value(1);
        }
    });
}

#[test]
fn each_mapping_is_as_long_as_all_before() {
    EXAM.case("doubling", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::strict(desk, &system);
        for _ in 0..1400 {
            regions.value(5);
            desk.new_story();
        }
        let lengths: Vec<usize> = system.mappings().iter().map(|(_, mapping)| mapping.len / PAGE).collect();
        desk.expect("The mappings for 1400 values of 100 bytes, in pages.", vec![1, 1, 2, 4, 8, 16, 32], lengths);
        for most in [600, 5000] {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut regions = Regions::strict(desk, &system);
            regions.churn(60, most, 1);
        }
    });
}

#[test]
fn a_large_value_gets_what_it_needs() {
    EXAM.case("doubling", |desk| {
        let mut rng = desk.rng();
        // Just enough for a mapping of so many pages, and a byte more.
        for pages in [1, 2, 40 + rng.below(300)] {
            for more in [0, 1] {
                let system = fresh_system(desk, Refusal::Nothing);
                let mut regions = Regions::strict(desk, &system);
                regions.slice(1, pages * PAGE - HEADER + more);
                regions.value(1);
                regions.value(ALIGNED_PAGE);
            }
        }
        for kind in [12, 13, 6, ALIGNED_PAGE] {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut regions = Regions::strict(desk, &system);
            for _ in 0..3 {
                regions.value(ONE_WORD);
                regions.value(kind);
            }
        }
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::strict(desk, &system);
        regions.value(1);
        regions.slice(6, (17 << 20) / KINDS[6].size + rng.below(200));
        regions.value(1);
    });
}

#[test]
fn all_mappings_go_back_at_the_end() {
    EXAM.case("doubling", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        Regions::memory(desk, &system).end();
        Regions::open(desk, &system).end();
        desk.expect("Calls of a region that held nothing.", 0, system.call_count());
        for steps in [1, 30, 120] {
            let mut regions = Regions::open(desk, &system);
            regions.churn(steps, 3000, 1);
            regions.end();
        }
    });
}

#[test]
fn an_inner_region_ends_where_it_began() {
    EXAM.case("nested", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::strict(desk, &system);
        let a = regions.value(THREE_WORDS);
        regions.enter();
        let b = regions.value(THREE_WORDS);
        regions.leave();
        let c = regions.value(THREE_WORDS);
        desk.expect("The place of the inner value is used again.", (system.place(a + 24), b), (system.place(c), c));
        // Two levels, and the outer ones go on.
        let rounds = 3 + regions.rng.below(4);
        for _ in 0..rounds {
            regions.enter();
            regions.value(5);
            regions.enter();
            regions.slice(ONE_WORD, 20);
            regions.leave();
            regions.value(1);
            regions.leave();
            regions.value(8);
        }
    });
}

#[test]
fn the_outer_values_stay() {
    EXAM.case("nested", |desk| {
        for most in [60, 600, 6000] {
            let system = fresh_system(desk, Refusal::Nothing);
            let mut regions = Regions::strict(desk, &system);
            regions.churn(150, most, 5);
            regions.end();
        }
    });
}

#[test]
fn mappings_are_used_again() {
    EXAM.case("nested", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::strict(desk, &system);
        regions.value(ONE_WORD);
        let mut calls = 0;
        for request in 0..6 {
            regions.enter();
            for _ in 0..60 {
                regions.value(11);
            }
            regions.leave();
            match request {
                0 => calls = system.call_count(),
                _ => desk.expect("Calls of the system after the first request.", calls, system.call_count()),
            }
        }
        // The outer region goes on into what the inner ones have left.
        for _ in 0..60 {
            regions.value(11);
        }
        desk.expect("Calls of the system for the outer region.", calls, system.call_count());
        // What is too large for the mapping that comes next, gets one before it, whatever comes after that.
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::strict(desk, &system);
        regions.value(1);
        regions.enter();
        regions.slice(1, 5000);
        regions.slice(1, 30_000);
        regions.leave();
        regions.slice(1, 20_000);
        regions.end();
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::strict(desk, &system);
        regions.value(1);
        regions.enter();
        regions.slice(1, 5000);
        regions.leave();
        regions.slice(1, 30_000);
        regions.enter();
        regions.slice(1, 5000);
        regions.slice(1, 40_000);
        regions.leave();
        regions.slice(1, 7000);
        regions.slice(1, 4000);
    });
}

#[test]
fn a_later_region_starts_over() {
    EXAM.case("nested", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::open(desk, &system);
        regions.is_strict = true;
        for _ in 0..4 {
            regions.churn(40, 2000, 3);
            while !regions.levels.is_empty() {
                regions.leave();
            }
            regions.enter();
        }
        regions.end();
    });
}

#[test]
fn a_region_loses_nothing_to_a_refusal() {
    EXAM.case("region-refusal", |desk| {
        for (most, depth) in [(900, 1), (4000, 3)] {
            let mut rng = desk.rng();
            let story = rng.bits();
            refusing_each(desk, |refusal| {
                let system = fresh_system(desk, refusal);
                let mut regions = Regions::strict(desk, &system);
                regions.rng = Rng::new(story);
                regions.churn(60, most, depth);
                regions.end();
            });
        }
    });
}

#[test]
fn no_length_wraps_around() {
    EXAM.case("region-refusal", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut regions = Regions::strict(desk, &system);
        regions.value(5);
        for (kind, len) in [
            (1, usize::MAX),
            (1, usize::MAX - 15),
            (1, isize::MAX as usize),
            (1, isize::MAX as usize - 16),
            (2, usize::MAX / 8),
            (2, usize::MAX / 8 + 1),
            (2, (usize::MAX / 8 + 1) + 1),
            (3, usize::MAX / 24 + 2),
            (6, usize::MAX / 4096 + 2),
            (ALIGNED_PAGE, usize::MAX / 4096 - 1),
            (4, (1 << 60) + 1),
        ] {
            let question = Question::SliceWith { kind, len, fill: 0, panics_at: usize::MAX };
            let (slice, made): Made = desk.ask_and_show(&question, |(slice, _): &Made| format!("{slice:?}"));
            desk.expect("A slice that no memory can hold.", (None, 0), (slice, made.len()));
            regions.living.expect(desk, &system);
            regions.value(1);
        }
        regions.end();
    });
}

// ---- what the types forbid ----

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| {
        let system = fresh_system(desk, Refusal::Nothing);
        let mut pool = Pool::open(desk, &system, THREE_WORDS);
        let [a, b] = [(); 2].map(|()| pool.alloc());
        pool.free(a);
        pool.read(b);
        pool.free_all_and_close();
        let mut regions = Regions::open(desk, &system);
        regions.value(5);
        regions.enter();
        regions.value(5);
        regions.end();
    });
}
