//! Runs lab 1 and answers questions. It knows no expectation.
//!
//! `no_main`: Rust's runtime uses the C library's `malloc` before it calls a program's `main`, and here the first call has to be
//! the observed one.
#![no_main]

mod questions;

use candidate::{Answer, AskedOs, Candidate, Memory, Pieces};
use heapkit::os::{LinuxOs, Os};
use heapkit::referee::Call;
use lab01::{Bump, Journey, Observer, mapped_flag};
use questions::{Block, Question, Request, Source};
use std::ffi::c_int;
use std::panic::resume_unwind;
use std::process::ExitCode;
use std::ptr::{self, NonNull};

#[global_allocator]
static PIECES: Pieces = Pieces::new();

#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    c_int::from(candidate::run::<Lab01>() != ExitCode::SUCCESS)
}

struct Lab01 {
    memory: Memory,
    far_away: Box<FarAway>,
    observer: Option<Observer<AskedOs>>,
    bump: Option<Bump<AskedOs>>,
}

impl Lab01 {
    /// Where the block is.
    fn alloc(&mut self, request: usize) -> Option<usize> {
        let bump = self.bump.as_mut()?;
        self.memory.carry_out(Call::Malloc { request }, |_, _| bump.alloc(request))
    }
}

/// Memory of this process that is not in the arena. The block starts at the third word.
#[repr(align(16))]
struct FarAway([usize; 4]);

impl FarAway {
    fn block(&mut self) -> *mut u8 {
        (&raw mut self.0[2]).cast()
    }
}

impl Candidate for Lab01 {
    type Question = Question;

    fn new(memory: Memory) -> Self {
        Lab01 { memory, far_away: Box::new(FarAway([0; 4])), observer: None, bump: None }
    }

    fn answer(&mut self, question: Question) -> Answer {
        let memory = self.memory;
        match question {
            Question::NewObserver => {
                self.observer = Some(Observer::new(AskedOs::new(memory)));
                Answer::say(self.far_away.block().addr())
            }
            Question::Watch { moves, block, word } => {
                let Some(observer) = &self.observer else { return Answer::done() };
                let payload = match block {
                    Block::Null => ptr::null_mut(),
                    Block::Heap { at } | Block::Mapping { at } => memory.at(at).as_ptr(),
                    Block::FarAway => self.far_away.block(),
                };
                let malloc = || {
                    for delta in moves {
                        // SAFETY: no block of an earlier question is used any more.
                        unsafe { AskedOs::new(memory).sbrk(delta) };
                    }
                    if !payload.is_null() {
                        // SAFETY: the examiner names blocks whose size word lies in open memory after these moves.
                        unsafe { payload.cast::<usize>().sub(1).write(word) };
                    }
                    payload
                };
                // SAFETY: the closure has put a size word in front of the block.
                let Journey { payload, moved, inside, mapped } = unsafe { observer.watch(malloc) };
                Answer::say((payload.addr(), (moved, inside, mapped)))
            }
            // SAFETY: the examiner has written the word in front of the block.
            Question::MappedFlag { at } => Answer::say(unsafe { mapped_flag(memory.at(at).as_ptr()) }),
            Question::Source { payload, moved, inside, mapped } => {
                let payload = ptr::without_provenance_mut(payload);
                Answer::say(own(Journey { payload, moved, inside, mapped }.source()))
            }
            Question::NewBump => {
                self.bump = Some(Bump::new(AskedOs::new(memory)));
                Answer::done()
            }
            Question::Alloc { request } => Answer::say(self.alloc(request)),
            Question::AllocAll { requests } => {
                Answer::say(requests.into_iter().map(|request| self.alloc(request)).collect::<Vec<Option<usize>>>())
            }
            Question::WatchGlibc { requests } => Answer::say(watch_glibc(&requests)),
            Question::WatchThread { requests } => {
                // The heap goes to the first thread that asks: that is this one.
                malloc(1);
                match std::thread::spawn(move || watch_glibc(&requests)).join() {
                    Ok(seen) => Answer::say(seen),
                    Err(panic) => resume_unwind(panic),
                }
            }
            Question::BumpOnLinux { requests } => Answer::say(bump_on_linux(&requests)),
        }
    }
}

/// The exam's word for it.
fn own(source: lab01::Source) -> Source {
    match source {
        lab01::Source::Refused => Source::Refused,
        lab01::Source::Break => Source::Break,
        lab01::Source::Heap => Source::Heap,
        lab01::Source::Mapping => Source::Mapping,
        lab01::Source::Elsewhere => Source::Elsewhere,
    }
}

/// The C library's. Nothing else in this process uses it.
fn malloc(request: usize) -> *mut u8 {
    // SAFETY: malloc may be called with any size.
    unsafe { libc::malloc(request).cast() }
}

fn watch_glibc(requests: &[usize]) -> Vec<(isize, Source)> {
    let observer = Observer::new(LinuxOs);
    let watch = |&request: &usize| {
        // SAFETY: glibc's malloc returns null or a block with a size word in front of it.
        let journey = unsafe { observer.watch(|| malloc(request)) };
        (journey.moved, own(journey.source()))
    };
    requests.iter().map(watch).collect()
}

fn bump_on_linux(requests: &[Request]) -> Vec<(Option<usize>, bool, bool)> {
    let mut bump = Bump::new(LinuxOs);
    let mut blocks: Vec<(Option<NonNull<u8>>, usize, bool)> = Vec::new();
    for (count, request) in requests.iter().enumerate() {
        let (block, bytes) = match *request {
            Request::Bump { bytes } => (bump.alloc(bytes), bytes),
            Request::Malloc { bytes } => (NonNull::new(malloc(bytes)), bytes),
        };
        if let Some(block) = block {
            // SAFETY: `bytes` bytes that an allocator has just handed out.
            unsafe { block.write_bytes(count as u8, bytes) };
        }
        let end = LinuxOs.program_break();
        let is_below = block.is_some_and(|block| end.addr().get().saturating_sub(block.addr().get()) >= bytes);
        blocks.push((block, bytes, is_below));
    }
    let look = |(count, (block, bytes, is_below)): (usize, (Option<NonNull<u8>>, usize, bool))| {
        let holds = |block: NonNull<u8>| {
            // SAFETY: filled above, and nobody frees it.
            unsafe { NonNull::slice_from_raw_parts(block, bytes).as_ref() }.iter().all(|&byte| byte == count as u8)
        };
        (block.map(|block| block.addr().get()), is_below, block.is_some_and(holds))
    };
    blocks.into_iter().enumerate().map(look).collect()
}
