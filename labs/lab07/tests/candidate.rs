//! Runs lab 7 and answers questions. It knows no expectation.

mod questions;

use candidate::{Answer, AskedOs, Candidate, Memory};
use lab07::{Handle, Mappings, Pool, Region, pool_scope};
use questions::{KINDS, NOTING, NOTING_NOTHING, Question, byte};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

candidate::main!(Lab07);

struct Lab07 {
    memory: Memory,
}

impl Candidate for Lab07 {
    type Question = Question;

    fn new(memory: Memory) -> Self {
        NOTES.set(Some(memory));
        Lab07 { memory }
    }

    fn answer(&mut self, question: Question) -> Answer {
        opens(self.memory, question)
    }
}

/// What opens something, and is answered when that ends.
fn opens(memory: Memory, question: Question) -> Answer {
    match question {
        Question::Pool { kind } => pool_of(memory, kind),
        Question::Mappings => {
            in_mappings(memory, Mappings::new(AskedOs::new(memory)));
            Answer::done()
        }
        _ => Answer::done(),
    }
}

// ---- values ----

/// A value that can be made from a number.
trait Value: Sized + 'static {
    fn make(fill: u64) -> Self;
    fn bytes(&self) -> Vec<u64>;
}

macro_rules! values {
    ($($number:literal $name:ident [$size:literal] align $align:literal)*) => {
        $(
            #[derive(Clone, Copy)]
            #[repr(C, align($align))]
            struct $name([u8; $size]);

            const _: () = assert!(KINDS[$number].size == size_of::<$name>() && KINDS[$number].align == align_of::<$name>());

            impl Value for $name {
                fn make(fill: u64) -> Self {
                    $name(std::array::from_fn(|index| byte(fill, index)))
                }

                fn bytes(&self) -> Vec<u64> {
                    self.0.iter().copied().map(u64::from).collect()
                }
            }
        )*

        fn pool_of(memory: Memory, kind: usize) -> Answer {
            match kind {
                $($number => pool::<$name>(memory),)*
                NOTING => pool::<Noting>(memory),
                NOTING_NOTHING => pool::<NotingNothing>(memory),
                _ => Answer::done(),
            }
        }

        /// The values that regions take.
        fn fill_region(memory: Memory, region: &mut Region<'_, AskedOs>, question: Question) -> Answer {
            match question {
                $(
                    Question::Value { kind: $number, .. }
                    | Question::Slice { kind: $number, .. }
                    | Question::SliceWith { kind: $number, .. } => fill_with::<$name>(memory, region, question),
                )*
                _ => Answer::done(),
            }
        }
    };
}

values! {
    0 Nothing[0] align 1
    1 Byte[1] align 1
    2 Word[8] align 8
    3 ThreeWords[24] align 8
    4 Wide[48] align 16
    5 Hundred[100] align 4
    6 LoosePage[4096] align 1
    7 Page[4096] align 4096
    8 Colour[3] align 1
    9 Line[64] align 64
    10 AlignedNothing[0] align 4096
    11 Sector[512] align 512
    12 Long[70_000] align 8
    13 ManyPages[204_800] align 4096
    14 Point[12] align 4
    15 Record[2000] align 16
    16 Exact[65_520] align 8
    17 OneMore[65_528] align 8
}

thread_local! {
    /// Whose first words the notes are in.
    static NOTES: Cell<Option<Memory>> = const { Cell::new(None) };
}

/// Writes a note: first how many there are, and then each.
fn note(what: u64) {
    let Some(memory) = NOTES.get() else { return };
    let notes = memory.at(0).cast::<u64>();
    // SAFETY: the examiner has opened the first pages of the heap before it asks for a value that notes, and counts the notes.
    unsafe {
        let count = notes.read() + 1;
        notes.add(count as usize).write(what);
        notes.write(count);
    }
}

struct Noting(u64);

impl Value for Noting {
    fn make(fill: u64) -> Self {
        Noting(fill)
    }

    fn bytes(&self) -> Vec<u64> {
        vec![self.0]
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        note(self.0);
    }
}

struct NotingNothing;

impl Value for NotingNothing {
    fn make(_: u64) -> Self {
        NotingNothing
    }

    fn bytes(&self) -> Vec<u64> {
        Vec::new()
    }
}

impl Drop for NotingNothing {
    fn drop(&mut self) {
        note(0);
    }
}

// ---- pools ----

/// A pool, until it ends; what `pool_scope` then panics with.
fn pool<T: Value>(memory: Memory) -> Answer {
    let at_its_end = Cell::new(false);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        pool_scope(AskedOs::new(memory), |brand| {
            in_a_pool(memory, &mut Pool::<T, _>::new(brand));
            at_its_end.set(true);
        });
    }));
    match ended {
        Ok(()) => Answer::say(None::<String>),
        Err(panic) if at_its_end.get() => {
            let text = panic.downcast_ref::<String>().cloned();
            Answer::say(Some(text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()))
        }
        // Nothing that the pool has to say.
        Err(panic) => resume_unwind(panic),
    }
}

fn in_a_pool<'id, T: Value>(memory: Memory, pool: &mut Pool<'id, T, AskedOs>) {
    let mut handles: BTreeMap<usize, Handle<'id, T>> = BTreeMap::new();
    let mut answer = Answer::done();
    loop {
        answer = match candidate::go_on(memory, answer) {
            Question::Alloc { id, fill } => match pool.alloc(T::make(fill)) {
                Ok(handle) => {
                    let at = memory.offset_of(&raw const *handle);
                    handles.insert(id, handle);
                    Answer::say((Some(at), Vec::<u64>::new()))
                }
                Err(value) => {
                    let bytes = value.bytes();
                    // This one is no value of the story any more.
                    std::mem::forget(value);
                    Answer::say((None::<usize>, bytes))
                }
            },
            Question::Read { id } => Answer::say(handles.get(&id).map(|handle| handle.bytes())),
            Question::Write { id, fill } => {
                if let Some(handle) = handles.get_mut(&id) {
                    **handle = T::make(fill);
                }
                Answer::done()
            }
            Question::Free { id } => {
                if let Some(handle) = handles.remove(&id) {
                    pool.free(handle);
                }
                Answer::done()
            }
            Question::Take { id } => match handles.remove(&id) {
                Some(handle) => {
                    let value = pool.take(handle);
                    let bytes = value.bytes();
                    std::mem::forget(value);
                    Answer::say(Some(bytes))
                }
                None => Answer::say(None::<Vec<u64>>),
            },
            Question::Drop { id } => {
                drop(handles.remove(&id));
                Answer::done()
            }
            Question::Forget { id } => {
                std::mem::forget(handles.remove(&id));
                Answer::done()
            }
            Question::End => return,
            question => opens(memory, question),
        }
    }
}

// ---- regions ----

fn in_mappings(memory: Memory, mut mappings: Mappings<AskedOs>) {
    let mut answer = Answer::done();
    loop {
        answer = match candidate::go_on(memory, answer) {
            Question::Region => {
                in_a_region(memory, &mut Region::new(&mut mappings));
                Answer::done()
            }
            Question::End => return,
            question => opens(memory, question),
        }
    }
}

fn in_a_region(memory: Memory, region: &mut Region<'_, AskedOs>) {
    let mut answer = Answer::done();
    loop {
        answer = match candidate::go_on(memory, answer) {
            Question::Region => {
                in_a_region(memory, &mut region.nested());
                Answer::done()
            }
            Question::Text { text } => Answer::say(region.alloc_str(&text).map(|text| memory.offset_of(text.as_ptr()))),
            Question::End => return,
            question @ (Question::Pool { .. } | Question::Mappings) => opens(memory, question),
            question => fill_region(memory, region, question),
        }
    }
}

fn fill_with<T: Value + Copy>(memory: Memory, region: &mut Region<'_, AskedOs>, question: Question) -> Answer {
    // Each value of a slice is made from a number of its own.
    let of_slice = |fill: u64, index: usize| T::make(fill.wrapping_add((index * size_of::<T>()) as u64));
    match question {
        Question::Value { fill, .. } => {
            Answer::say(region.alloc(T::make(fill)).map(|value| memory.offset_of(&raw const *value)))
        }
        Question::Slice { len, fill, .. } => {
            let values: Vec<T> = (0..len).map(|index| of_slice(fill, index)).collect();
            Answer::say(region.alloc_slice(&values).map(|slice| (memory.offset_of(slice.as_ptr()), slice.len())))
        }
        Question::SliceWith { len, fill, panics_at, .. } => {
            let mut made: Vec<usize> = Vec::new();
            let mut done = false;
            let slice = catch_unwind(AssertUnwindSafe(|| {
                let slice = region.alloc_slice_with(len, |index| {
                    made.push(index);
                    if index == panics_at {
                        done = true;
                        // Without a word: nobody's mistake.
                        resume_unwind(Box::new(()));
                    }
                    of_slice(fill, index)
                });
                slice.map(|slice| (memory.offset_of(slice.as_ptr()), slice.len()))
            }));
            match slice {
                Ok(slice) => Answer::say((slice, made)),
                Err(_) if done => Answer::say((None::<(usize, usize)>, made)),
                Err(panic) => resume_unwind(panic),
            }
        }
        _ => Answer::done(),
    }
}
