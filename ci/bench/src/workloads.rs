//! What is played: the recorded traces, and drawn operations.

use heapkit::trace::{self, Trace};
use heapkit::workload::{self, Op, Rng};
use std::path::Path;

/// Operations that every malloc plays.
pub struct Workload {
    pub name: String,
    pub ops: Vec<Op>,
    /// The most bytes alive at once.
    pub peak: usize,
    /// Whether a real program asked for this.
    pub is_recorded: bool,
}

/// All of them.
///
/// # Errors
/// A trace that can't be read.
pub fn all() -> Result<Vec<Workload>, String> {
    let mut workloads = recorded()?;
    let drawn: [(&str, Vec<Op>); 6] = [
        ("small", workload::random(1, 40_000, 1..=128, 2_000)),
        ("medium", workload::random(2, 40_000, 1..=2_000, 4_000)),
        ("large", workload::random(3, 40_000, 1..=30_000, 2_000)),
        ("every size", of_every_size(4, 40_000, 3_000)),
        ("every kind", workload::random_of_all_kinds(5, 40_000, 1..=4_000, 1_000)),
        ("requests", requests(6, 400)),
    ];
    for (name, ops) in drawn {
        let Trace { peak, ops, .. } = Trace::new(&ops)?;
        workloads.push(Workload { name: name.into(), ops, peak, is_recorded: false });
    }
    Ok(workloads)
}

fn recorded() -> Result<Vec<Workload>, String> {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../labs/traces"));
    let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rep.gz")?.into()))
        .collect();
    names.sort();
    let read = |name: String| {
        let trace = trace::read(dir.join(format!("{name}.rep.gz"))).map_err(|e| e.to_string())?;
        Ok(Workload { name, ops: trace.ops, peak: trace.peak, is_recorded: true })
    };
    names.into_iter().map(read).collect()
}

/// Each doubling from 16 bytes to 64 KiB is as likely as every other one.
fn of_every_size(seed: u64, steps: usize, live: usize) -> Vec<Op> {
    let mut rng = Rng::new(seed);
    let mut ops = workload::random(seed, steps, 1..=1, live);
    for op in &mut ops {
        if let Op::Malloc { size, .. } = op {
            *size = (16 << rng.below(12)) + rng.below(16 << 4) % 4096;
        }
    }
    ops
}

/// A server: each request takes a buffer that grows, and some small blocks; at its end all go, but for what is kept a while.
fn requests(seed: u64, count: usize) -> Vec<Op> {
    let mut rng = Rng::new(seed);
    let (mut ops, mut kept, mut next) = (Vec::new(), Vec::new(), 0);
    for _ in 0..count {
        let buffer = next;
        ops.push(Op::Malloc { id: buffer, size: 1024 });
        let small: Vec<usize> = (buffer + 1..buffer + 1 + rng.within(&(10..=60))).collect();
        next = buffer + 1 + small.len();
        ops.extend(small.iter().map(|&id| Op::Malloc { id, size: rng.within(&(16..=200)) }));
        ops.extend((1..=rng.below(6)).map(|power| Op::Realloc { id: buffer, size: 1024 << power }));
        for id in small {
            if rng.below(20) == 0 {
                kept.push(id);
            } else {
                ops.push(Op::Free { id });
            }
        }
        ops.push(Op::Free { id: buffer });
        while kept.len() > 300 {
            ops.push(Op::Free { id: kept.swap_remove(rng.below(kept.len())) });
        }
    }
    ops
}
