//! What lab 6's candidate can be asked.

use candidate::words;
use heapkit::image::Offset;
use heapkit::referee::Call;
use std::fmt;

words! {
    /// One function of the lab, with its arguments. Chunks are named by where they start, blocks by where their payload does.
    ///
    /// Where bins are asked, the answer ends with those that hold something: pairs of numbers, as `bin_rules::bins` reads them.
    pub enum Question {
        /// `bin_of` for each of these sizes.
        BinsOf { sizes: Vec<usize> },
        /// `sizes_of` for each of these bins.
        SizesOf { bins: Vec<usize> },
        /// A new `BinMap`, in which bins are set, or cleared; then `first_from` for each of `from`.
        FirstFrom { orders: Vec<(bool, usize)>, from: Vec<usize> },
        /// `Bins::new`
        NewBins,
        /// `Bins::sort` for each of these chunks.
        SortAll { chunks: Vec<usize> },
        /// `Bins::put` for each of these chunks.
        PutAll { chunks: Vec<usize> },
        /// `Bins::sort`
        Sort { at: usize },
        /// `Bins::put`
        Put { at: usize },
        /// `Bins::take_sorted`
        TakeSorted { size: usize },
        /// `Bins::take_unsorted`
        TakeUnsorted { size: usize },
        /// `Bins::take`
        Take { size: usize },
        /// `Bins::remove`
        Remove { at: usize },
        /// `FastBin::new`
        NewFastBin,
        /// `FastBin::push`
        FastPush { at: usize },
        /// `FastBin::pop`
        FastPop,
        /// `Gate::new`
        NewGate,
        /// `Gate::shut`, or `Gate::open`
        SetGate { shut: bool },
        /// `Os::program_break` of the gate.
        Break,
        /// `Os::sbrk` of the gate.
        Sbrk { delta: isize },
        /// `Os::mmap` of the gate.
        Mmap { len: usize },
        /// `Os::munmap` of the gate.
        Munmap { start: usize, len: usize },
        /// `Os::mremap` of the gate.
        Mremap { start: usize, len: usize, new_len: usize },
        /// Lab 5's malloc with bins, on the examiner's system.
        NewMalloc,
        /// `FastMalloc::new`, on the examiner's system.
        NewFastMalloc,
        /// One call of either.
        Call { call: Call },
        /// `FastMalloc::consolidate`
        Consolidate,
        /// Another `FastMalloc`, on Linux, and so many operations of every kind on it, drawn from the seed; the answer is what a
        /// program notices, and at which operation.
        Linux { seed: u64, steps: usize, most: usize },
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::BinsOf { sizes } => write!(f, "bin_of for {} sizes", sizes.len()),
            Question::SizesOf { bins } => write!(f, "sizes_of for {} bins", bins.len()),
            Question::FirstFrom { orders, from } => {
                f.write_str("BinMap::new")?;
                match orders.len() {
                    0..=4 => orders.iter().try_for_each(|(is_set, bin)| {
                        write!(f, ", {}({bin})", if *is_set { "set" } else { "clear" })
                    })?,
                    count => write!(f, ", {count} calls of set and clear")?,
                }
                write!(f, ", first_from for 0 to {}", from.len() - 1)
            }
            Question::NewBins => f.write_str("Bins::new"),
            Question::SortAll { chunks } => write!(f, "sort, for {} chunks", chunks.len()),
            Question::PutAll { chunks } => write!(f, "put, for {} chunks", chunks.len()),
            Question::Sort { at } => write!(f, "sort({})", Offset(*at)),
            Question::Put { at } => write!(f, "put({})", Offset(*at)),
            Question::TakeSorted { size } => write!(f, "take_sorted({size})"),
            Question::TakeUnsorted { size } => write!(f, "take_unsorted({size})"),
            Question::Take { size } => write!(f, "take({size})"),
            Question::Remove { at } => write!(f, "remove({})", Offset(*at)),
            Question::NewFastBin => f.write_str("FastBin::new"),
            Question::FastPush { at } => write!(f, "push({})", Offset(*at)),
            Question::FastPop => f.write_str("pop()"),
            Question::NewGate => f.write_str("Gate::new"),
            Question::SetGate { shut } => f.write_str(if *shut { "shut()" } else { "open()" }),
            Question::Break => f.write_str("program_break()"),
            Question::Sbrk { delta } => write!(f, "sbrk({delta:+})"),
            Question::Mmap { len } => write!(f, "mmap({len})"),
            Question::Munmap { start, len } => write!(f, "munmap({start:#x}, {len})"),
            Question::Mremap { start, len, new_len } => write!(f, "mremap({start:#x}, {len}, {new_len})"),
            Question::NewMalloc => f.write_str("Malloc::with(Bins::new())"),
            Question::NewFastMalloc => f.write_str("FastMalloc::new"),
            Question::Call { call } => write!(f, "{call}"),
            Question::Consolidate => f.write_str("consolidate()"),
            Question::Linux { steps, most, .. } => write!(f, "{steps} operations of up to {most} bytes, on Linux"),
        }
    }
}
