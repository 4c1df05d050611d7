//! What the traces of real programs cost the reference of lab 5, and the C library.

use super::looks::{self, Looks};
use super::programs;
use super::whole::Stage;
use heapkit::trace::{self, Trace};
use heapkit::workload::Op;
use lab05::Malloc;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// One program's trace, and what serving it took.
pub struct Bill {
    program: String,
    operations: usize,
    /// The most bytes alive at once, as requested.
    peak: usize,
    /// The most bytes that the reference took from the system.
    memory: usize,
    /// How many free chunks its search had before it, on average.
    looked_at: usize,
    /// How often it called the system.
    calls: usize,
    /// The most bytes that the C library took for the same, if it can tell.
    glibc: Option<usize>,
    /// What a search costs, with one list and with bins.
    pub looks: Looks,
}

impl Bill {
    /// Whether the reference takes no more from the system than the C library.
    pub fn is_no_worse(&self) -> bool {
        self.glibc.is_some_and(|glibc| self.memory <= glibc)
    }
}

/// One bill for each file in `labs/traces`.
pub fn bills() -> Result<Vec<Bill>, String> {
    const PROBE: &str = "glibc_on_a_trace";
    let probe = programs::build(&["--package", "listings", "--features", "reference", "--bin", PROBE])?.join(PROBE);
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../labs/traces");
    let entries = std::fs::read_dir(&traces).map_err(|e| format!("{}: {e}", traces.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rep.gz")?.to_owned()))
        .collect();
    names.sort();
    names.into_iter().map(|program| bill(program, &traces, &probe)).collect()
}

fn bill(program: String, traces: &Path, probe: &Path) -> Result<Bill, String> {
    let path = traces.join(format!("{program}.rep.gz"));
    let trace = trace::read(&path).map_err(|e| e.to_string())?;
    let (memory, looked_at, calls) = of_the_reference(&trace)?;
    let glibc = of_the_c_library(probe, &path)?;
    let looks = looks::count(&program, &trace)?;
    Ok(Bill { program, operations: trace.ops.len(), peak: trace.peak, memory, looked_at, calls, glibc, looks })
}

/// Plays the trace: the most bytes taken from the system, the chunks in the list before a search, on average, and the calls.
fn of_the_reference(trace: &Trace) -> Result<(usize, usize, usize), String> {
    let mut stage = Stage::of(Malloc::new, 16_384, trace.ids)?;
    let (mut memory, mut searches, mut looked_at) = (0, 0, 0);
    for &op in &trace.ops {
        if matches!(op, Op::Malloc { .. } | Op::Calloc { .. } | Op::Aligned { .. }) {
            searches += 1;
            looked_at += stage.malloc.free_chunks().iter().count();
        }
        stage.take(op);
        memory = memory.max(stage.memory());
    }
    Ok((memory, looked_at / searches.max(1), stage.os.call_count()))
}

fn of_the_c_library(probe: &Path, trace: &Path) -> Result<Option<usize>, String> {
    let output = Command::new(probe).env_clear().arg(trace).output();
    let output = output.map_err(|e| format!("{}: {e}", probe.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok())
}

/// One line for each. The C library's share is the last column.
pub fn table(bills: &[Bill]) -> String {
    let mut text = String::from(
        "                                  lab 5's reference                  glibc\n\
         trace    operations   most alive  used   chunks a search   calls      used\n",
    );
    for bill in bills {
        let Bill { program, operations, peak, looked_at, calls, .. } = bill;
        let used = |memory: usize| format!("{} %", peak * 100 / memory.max(1));
        let _ = writeln!(
            text,
            "{program:<8} {operations:>10}   {peak:>10}  {:>4}   {looked_at:>15}   {calls:>5}      {:>4}",
            used(bill.memory),
            bill.glibc.map_or("–".into(), used),
        );
    }
    text
}
