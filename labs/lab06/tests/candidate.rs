//! Runs lab 6 and answers questions. It knows no expectation.

mod questions;

use candidate::{Answer, AskedOs, Candidate, Memory, play_on_linux};
use heapkit::image::ListHead;
use heapkit::os::{LinuxOs, Os};
use heapkit::referee::{Allocator, Call, NoSuchOperation};
use lab02::{Chunk, Header};
use lab04::FreeChunks;
use lab05::Malloc;
use lab06::{BinMap, Bins, FastBin, FastMalloc, Gate, bin_of, sizes_of};
use questions::Question;
use std::ptr::{self, NonNull};

candidate::main!(Lab06);

struct Lab06 {
    memory: Memory,
    bins: Bins,
    fast_bin: FastBin,
    gate: Option<Gate<AskedOs>>,
    whole: Whole<AskedOs>,
}

/// A whole malloc, if one was made.
#[expect(clippy::large_enum_variant, reason = "there is one")]
enum Whole<O> {
    None,
    Plain(Malloc<O, Bins>),
    Fast(FastMalloc<O>),
}

impl Lab06 {
    /// The chunk whose header the examiner wrote at `at`.
    fn chunk(&self, at: usize) -> Chunk {
        // SAFETY: the examiner has written a header there, in a heap that stays.
        unsafe { Chunk::from_header(self.memory.at(at).cast::<Header>()) }
    }

    fn place(&self, chunk: Option<Chunk>) -> Option<usize> {
        chunk.map(|chunk| self.memory.offset_of(chunk.header().as_ptr()))
    }

    /// A chunk that came out of bins, and where these start now.
    fn out_of_bins(&self, chunk: Option<Chunk>) -> Answer {
        Answer::say((self.place(chunk), heads(&self.bins)))
    }
}

/// The lists that hold something: the number of each, and the word that leads to its first chunk. Number 0 is the unsorted bin.
fn named(heads: impl Iterator<Item = *mut Header>) -> Vec<usize> {
    heads
        .map(|head| head.addr())
        .enumerate()
        .filter(|(_, head)| *head != 0)
        .flat_map(|(list, head)| [list, head])
        .collect()
}

/// The unsorted bin, and the others.
fn lists(bins: &Bins) -> impl Iterator<Item = *mut Header> {
    [bins.unsorted()].into_iter().chain(bins.sorted()).map(|list| list.head())
}

fn heads(bins: &Bins) -> Vec<usize> {
    named(lists(bins))
}

impl Candidate for Lab06 {
    type Question = Question;

    fn new(memory: Memory) -> Self {
        Lab06 { memory, bins: Bins::new(), fast_bin: FastBin::new(), gate: None, whole: Whole::None }
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::BinsOf { sizes } => Answer::say(sizes.into_iter().map(bin_of).collect::<Vec<usize>>()),
            Question::SizesOf { bins } => {
                let ends = |bin| {
                    let sizes = sizes_of(bin);
                    (sizes.start, sizes.end)
                };
                Answer::say(bins.into_iter().map(ends).collect::<Vec<(usize, usize)>>())
            }
            Question::FirstFrom { orders, from } => {
                let mut map = BinMap::new();
                for (set, bin) in orders {
                    if set { map.set(bin) } else { map.clear(bin) }
                }
                Answer::say(from.into_iter().map(|from| map.first_from(from)).collect::<Vec<Option<usize>>>())
            }
            Question::NewBins => {
                self.bins = Bins::new();
                Answer::done()
            }
            Question::SortAll { chunks } => {
                for at in chunks {
                    let chunk = self.chunk(at);
                    // SAFETY: the examiner names free chunks that are in no list, and leaves their links alone.
                    unsafe { self.bins.sort(chunk) };
                }
                Answer::say(heads(&self.bins))
            }
            Question::PutAll { chunks } => {
                for at in chunks {
                    let chunk = self.chunk(at);
                    // SAFETY: the same for each of them.
                    unsafe { self.bins.put(chunk) };
                }
                Answer::say(heads(&self.bins))
            }
            Question::Sort { at } => {
                let chunk = self.chunk(at);
                // SAFETY: a free chunk that is in no list.
                unsafe { self.bins.sort(chunk) };
                Answer::say(heads(&self.bins))
            }
            Question::Put { at } => {
                let chunk = self.chunk(at);
                // SAFETY: a free chunk that is in no list.
                unsafe { self.bins.put(chunk) };
                Answer::say(heads(&self.bins))
            }
            Question::TakeSorted { size } => {
                let taken = self.bins.take_sorted(size);
                self.out_of_bins(taken)
            }
            Question::TakeUnsorted { size } => {
                let taken = self.bins.take_unsorted(size);
                self.out_of_bins(taken)
            }
            Question::Take { size } => {
                let taken = self.bins.take(size);
                self.out_of_bins(taken)
            }
            Question::Remove { at } => {
                let chunk = self.chunk(at);
                // SAFETY: the chunk is in these bins, and every link that the examiner writes can be read as a header.
                let removed = unsafe { self.bins.remove(&chunk) }.is_ok();
                Answer::say((removed, heads(&self.bins)))
            }
            Question::NewFastBin => {
                self.fast_bin = FastBin::new();
                Answer::done()
            }
            Question::FastPush { at } => {
                let chunk = self.chunk(at);
                // SAFETY: the examiner names chunks that are in no list, and whose payloads it doesn't use.
                unsafe { self.fast_bin.push(chunk) };
                Answer::say(self.fast_bin.head().addr())
            }
            Question::FastPop => {
                let popped = self.fast_bin.pop();
                Answer::say((self.place(popped), self.fast_bin.head().addr()))
            }
            Question::NewGate => {
                self.gate = Some(Gate::new(AskedOs::new(self.memory)));
                Answer::done()
            }
            Question::SetGate { shut } => {
                if let Some(gate) = &self.gate {
                    if shut { gate.shut() } else { gate.open() }
                }
                Answer::done()
            }
            Question::Break
            | Question::Sbrk { .. }
            | Question::Mmap { .. }
            | Question::Munmap { .. }
            | Question::Mremap { .. } => {
                let at = self.gate.as_ref().and_then(|gate| through(gate, self.memory, &question));
                Answer::say(at.map(|at| self.memory.offset_of(at.as_ptr())))
            }
            Question::NewMalloc => {
                // SAFETY: new bins hold no chunk.
                self.whole = Whole::Plain(unsafe { Malloc::with(AskedOs::new(self.memory), Bins::new()) });
                Answer::done()
            }
            Question::NewFastMalloc => {
                self.whole = Whole::Fast(FastMalloc::new(AskedOs::new(self.memory)));
                Answer::done()
            }
            Question::Call { call } => {
                let whole = &mut self.whole;
                // SAFETY: the examiner names blocks that it was given and has not freed, and uses them no more.
                let payload = self.memory.carry_out(call, |call, old| unsafe { whole.make(call, old) });
                Answer::say((payload, self.whole.heads()))
            }
            Question::Consolidate => {
                if let Whole::Fast(malloc) = &mut self.whole {
                    malloc.consolidate();
                }
                Answer::say(self.whole.heads())
            }
            Question::Linux { seed, steps, most } => {
                Answer::say(play_on_linux(&mut OnLinux(Whole::Fast(FastMalloc::new(LinuxOs))), seed, steps, most))
            }
        }
    }
}

/// One call of a gate; where the memory is that it is about, if there is some.
fn through(gate: &Gate<AskedOs>, memory: Memory, question: &Question) -> Option<NonNull<u8>> {
    match *question {
        Question::Break => Some(gate.program_break()),
        // SAFETY: the examiner gives back what nobody uses.
        Question::Sbrk { delta } => unsafe { gate.sbrk(delta) },
        Question::Mmap { len } => gate.mmap(len),
        Question::Munmap { start, len } => {
            // SAFETY: a mapping of the examiner's, which nobody uses.
            unsafe { gate.munmap(memory.at(start), len) };
            None
        }
        // SAFETY: the same.
        Question::Mremap { start, len, new_len } => unsafe { gate.mremap(memory.at(start), len, new_len) },
        _ => None,
    }
}

impl<O: Os> Whole<O> {
    /// Makes one call; `old` is the block that it names, if it names one.
    ///
    /// # Safety
    /// `old` is a block of this malloc that has not been freed, and nobody uses its old place afterwards.
    unsafe fn make(&mut self, call: Call, old: Option<NonNull<u8>>) -> Option<NonNull<u8>> {
        macro_rules! of {
            ($malloc:expr) => {
                match (call, old) {
                    (Call::Malloc { request }, _) => $malloc.malloc(request),
                    (Call::Calloc { count, size }, _) => $malloc.calloc(count, size),
                    (Call::Aligned { align, request }, _) => $malloc.aligned(align, request),
                    // SAFETY: a block that has not been freed, as this function's own rule says.
                    (Call::Realloc { request, .. }, Some(old)) => unsafe { $malloc.realloc(old, request) },
                    (Call::Free { .. }, Some(old)) => {
                        // SAFETY: the same.
                        unsafe { $malloc.free(old) };
                        None
                    }
                    (Call::Realloc { .. } | Call::Free { .. }, None) => None,
                }
            };
        }
        match self {
            Whole::None => None,
            Whole::Plain(malloc) => of!(malloc),
            Whole::Fast(malloc) => of!(malloc),
        }
    }

    fn heads(&self) -> Vec<usize> {
        match self {
            Whole::None => Vec::new(),
            Whole::Plain(malloc) => heads(malloc.free_chunks()),
            Whole::Fast(malloc) => named(lists(malloc.bins()).chain(malloc.fast_bins().iter().map(|bin| bin.head()))),
        }
    }
}

/// A malloc on Linux, whose blocks are known by their addresses.
struct OnLinux(Whole<LinuxOs>);

impl Allocator for OnLinux {
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation> {
        let old = match call {
            Call::Realloc { payload, .. } | Call::Free { payload } => {
                NonNull::new(ptr::with_exposed_provenance_mut(payload))
            }
            Call::Malloc { .. } | Call::Calloc { .. } | Call::Aligned { .. } => None,
        };
        // SAFETY: `Payloads` names the blocks that it was given and has not freed.
        let payload = unsafe { self.0.make(call, old) };
        Ok(payload.map(|payload| payload.as_ptr().expose_provenance()))
    }

    fn lists(&mut self) -> Vec<ListHead> {
        Vec::new()
    }
}
