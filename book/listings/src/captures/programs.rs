//! Runs the listings, each in a process of its own.

use super::{Capture, Content};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// The listings, the arguments they are run with, and settings of glibc's malloc.
const RUNS: [(&str, &[Run]); 37] = [
    ("five_things", &[Run::PLAIN]),
    ("chunk_structure", &[Run::PLAIN]),
    ("payload_end", &[Run::PLAIN]),
    ("padding", &[Run::PLAIN]),
    ("flags", &[Run::PLAIN]),
    ("freed_words", &[Run::PLAIN]),
    ("freed_words_without_tcache", &[Run { tunables: NO_TCACHE, ..Run::PLAIN }]),
    ("heap_walk", &[Run::PLAIN]),
    ("free_list_visualization", &[Run::PLAIN]),
    ("reuse_order", &[Run::PLAIN]),
    ("reuse_order_without_caches", &[Run { tunables: NO_CACHES, ..Run::PLAIN }]),
    (
        "fit_in_glibc",
        &[
            Run { argument: "1", ..Run::PLAIN },
            Run { argument: "10", ..Run::PLAIN },
            Run { argument: "100", ..Run::PLAIN },
        ],
    ),
    (
        "fit_in_glibc_without_caches",
        &[
            Run { argument: "1", tunables: NO_CACHES },
            Run { argument: "10", tunables: NO_CACHES },
            Run { argument: "100", tunables: NO_CACHES },
        ],
    ),
    ("fragmentation_demo", &[Run::PLAIN]),
    ("fragmentation_demo_without_caches", &[Run { tunables: NO_CACHES, ..Run::PLAIN }]),
    ("double_free", &[Run::PLAIN]),
    ("corrupted_link", &[Run::PLAIN]),
    ("printf_first", &[Run::PLAIN]),
    ("first_malloc", &[Run::PLAIN]),
    (
        "first_malloc_with_top_pad",
        &[
            Run { tunables: "glibc.malloc.top_pad=0", ..Run::PLAIN },
            Run { tunables: "glibc.malloc.top_pad=131072", ..Run::PLAIN },
            Run { tunables: "glibc.malloc.top_pad=1048576", ..Run::PLAIN },
        ],
    ),
    ("malloc_journey", &[Run::PLAIN]),
    ("where_things_are", &[Run::PLAIN]),
    ("thread_arena", &[Run::PLAIN]),
    ("mmap_threshold", &[Run::PLAIN]),
    ("dynamic_threshold", &[Run::PLAIN]),
    ("trim", &[Run::PLAIN]),
    ("resident", &[Run::PLAIN]),
    (
        "size_limits",
        &[Run::PLAIN, Run { tunables: NO_TCACHE, ..Run::PLAIN }, Run { tunables: NO_CACHES, ..Run::PLAIN }],
    ),
    ("size_based_strategy", &[Run::PLAIN]),
    ("size_based_strategy_without_tcache", &[Run { tunables: NO_TCACHE, ..Run::PLAIN }]),
    ("glibcs_bins", &[Run::PLAIN]),
    ("same_size", &[Run::PLAIN]),
    ("resize", &[Run::PLAIN]),
    ("zeroed", &[Run::PLAIN]),
    ("leak", &[Run::PLAIN]),
    ("use_after_free", &[Run::PLAIN]),
    ("bad_free", &[Run::PLAIN]),
];

/// A capture whose name ends in one of these is of a listing, run with other settings.
const SETTINGS: [&str; 3] = ["_without_caches", "_without_tcache", "_with_top_pad"];

/// No thread cache; fast bins are left on.
const NO_TCACHE: &str = "glibc.malloc.tcache_count=0";
const NO_CACHES: &str = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0";

struct Run {
    argument: &'static str,
    tunables: &'static str,
}

impl Run {
    const PLAIN: Run = Run { argument: "", tunables: "" };
}

pub fn run_all() -> Result<Vec<Capture>, String> {
    let folder = build(&["--package", "listings", "--examples"])?.join("examples");
    RUNS.iter()
        .map(|(name, runs)| {
            let listing = SETTINGS.iter().find_map(|setting| name.strip_suffix(setting)).unwrap_or(name);
            let program = folder.join(listing);
            let outputs: Result<String, String> = runs.iter().map(|run| output(&program, run)).collect();
            Ok(Capture::new(format!("{name}.txt"), Content::Glibc(outputs?)))
        })
        .collect()
}

/// Builds programs of the course, and says in which folder they are.
pub fn build(which: &[&str]) -> Result<std::path::PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet"])
        .args(which)
        .status()
        .map_err(|e| format!("cargo can't be started: {e}"))?;
    if !status.success() {
        return Err(format!("this doesn't build: cargo build {}", which.join(" ")));
    }
    let own = std::env::current_exe().map_err(|e| format!("this program's own path: {e}"))?;
    Ok(own.parent().unwrap_or(Path::new(".")).to_owned())
}

/// What the program prints on both streams, and how it ended if it didn't end well.
fn output(program: &Path, run: &Run) -> Result<String, String> {
    let mut command = Command::new(program);
    // Nothing of this process's environment: it may set up the C library's malloc.
    command.env_clear().current_dir(std::env::temp_dir());
    if !run.argument.is_empty() {
        command.arg(run.argument);
    }
    if !run.tunables.is_empty() {
        command.env("GLIBC_TUNABLES", run.tunables);
    }
    let output = command.output().map_err(|e| format!("{}: {e}", program.display()))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text.push_str(&ending(output.status));
    Ok(text)
}

pub fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(libc::SIGABRT) => "(the program ended itself: SIGABRT)\n".into(),
        Some(signal) => format!("(killed by signal {signal})\n"),
        None if status.success() => String::new(),
        None => format!("(exit status {})\n", status.code().unwrap_or(-1)),
    }
}
