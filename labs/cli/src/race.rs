//! `cargo lab race`: the learner's malloc beside glibc's and the others at hand, in one run.

use crate::Failure;
use crate::library::{Library, Source, cargo, file_of};
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// How often each malloc has its turn with each workload. The best one counts, since the machine has slow moments.
const TURNS: usize = 3;

/// What to do besides the race.
#[derive(Default)]
pub struct Options {
    /// Where to write the ratios.
    pub keep: Option<PathBuf>,
    /// Ratios of an earlier race.
    pub against: Option<PathBuf>,
}

/// A malloc, and the library that has it. glibc's needs none.
struct Runner {
    name: String,
    library: Option<OsString>,
}

/// Something to do, which says how long it took.
struct Workload {
    name: String,
    run: Run,
}

enum Run {
    /// `replay` prints nanoseconds.
    Replay(Vec<OsString>),
    /// A program, by the clock.
    Program(&'static str, &'static [&'static str]),
}

/// Runs the race, and says how it went.
pub fn race(root: &Path, source: Source, options: &Options) -> Result<String, Failure> {
    let before = options.against.as_deref().map(read).transpose()?;
    let library = Library::build(root, source)?;
    let replay = build_replay(root)?;
    let runners = runners(&library);
    let workloads = workloads(root)?;
    eprintln!(
        "{} workloads on {} mallocs, {TURNS} times each: let the machine do nothing else meanwhile.",
        workloads.len(),
        runners.len()
    );
    let mut ratios: Vec<Vec<f64>> = Vec::new();
    let mut text = format!("\nHow often it does the work while glibc does it once.\n\n{:<12}{:>8}", "", "");
    let _ = writeln!(
        text,
        "{:<30}{}",
        "yours",
        runners[2..].iter().map(|runner| format!("{:>10}", runner.name)).collect::<String>()
    );
    for workload in &workloads {
        let mut best = vec![f64::INFINITY; runners.len()];
        for _ in 0..TURNS {
            for (runner, best) in runners.iter().zip(&mut best) {
                *best = best.min(workload.time(&replay, runner)?);
            }
        }
        let row: Vec<f64> = best.iter().map(|time| best[0] / time).collect();
        let _ = write!(text, "{}", line(&workload.name, &row, before.as_ref()));
        eprint!(".");
        ratios.push(row);
    }
    eprintln!();
    let mean =
        |runner: usize| (ratios.iter().map(|row| row[runner].ln()).sum::<f64>() / ratios.len().max(1) as f64).exp();
    let means: Vec<f64> = (0..runners.len()).map(mean).collect();
    let _ = write!(text, "\n{}", line("all, mean", &means, before.as_ref()));
    if let Some(file) = &options.keep {
        let names = workloads.iter().map(|workload| workload.name.clone()).chain(["all, mean".into()]);
        let kept: Map<String, Value> =
            names.zip(ratios.iter().chain([&means])).map(|(name, row)| (name, row[1].into())).collect();
        let json = serde_json::to_string_pretty(&kept).unwrap_or_default();
        fs::write(file, json + "\n").map_err(|e| Failure::Other(format!("{}: {e}", file.display())))?;
        let _ = writeln!(text, "\nKept in {}. Later: cargo lab race --against {0}", file.display());
    }
    Ok(text)
}

/// A bar for the learner's ratio, a mark where glibc is, and the others' ratios as numbers.
fn line(name: &str, row: &[f64], before: Option<&Map<String, Value>>) -> String {
    /// So many signs for each multiple of glibc, and at most so many in all.
    const PER_ONE: f64 = 8.0;
    const WIDEST: usize = 28;
    let filled = ((row[1] * PER_ONE).round() as usize).min(WIDEST);
    let bar: String = (0..WIDEST)
        .map(|at| match (at < filled, at + 1 == PER_ONE as usize) {
            (true, _) => '█',
            (false, true) => '│',
            (false, false) => ' ',
        })
        .collect();
    let others: String = row[2..].iter().map(|ratio| format!("{ratio:>10.2}")).collect();
    let was =
        before.and_then(|before| before.get(name)?.as_f64()).map_or(String::new(), |was| format!("   was {was:.2}"));
    format!("{name:<12}{:>6.2}  {bar}  {others}{was}\n", row[1])
}

impl Workload {
    /// How long it took on a malloc. The unit is the workload's own.
    fn time(&self, replay: &Path, runner: &Runner) -> Result<f64, Failure> {
        let mut command = match &self.run {
            Run::Replay(arguments) => {
                let mut command = Command::new(replay);
                command.args(arguments);
                command
            }
            Run::Program(program, arguments) => {
                let mut command = Command::new(program);
                command.args(*arguments);
                command
            }
        };
        match &runner.library {
            Some(library) => command.env("LD_PRELOAD", library),
            None => command.env_remove("LD_PRELOAD"),
        };
        let start = Instant::now();
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let took = start.elapsed().as_secs_f64();
        let broke = |why: String| Failure::Other(format!("{} on {}: {why}", self.name, runner.name));
        let output = output.map_err(|e| broke(e.to_string()))?;
        if !output.status.success() {
            return Err(broke(format!("{}. cargo lab run says more.", output.status)));
        }
        match self.run {
            Run::Program(..) => Ok(took),
            Run::Replay(_) => {
                let printed = String::from_utf8_lossy(&output.stdout);
                printed.trim().parse().map_err(|_| broke(format!("it printed {printed:?}")))
            }
        }
    }
}

fn workloads(root: &Path) -> Result<Vec<Workload>, Failure> {
    let folder = root.join("labs/traces");
    let entries = fs::read_dir(&folder).map_err(|e| Failure::Other(format!("{}: {e}", folder.display())))?;
    let mut traces: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    traces.retain(|path| path.to_string_lossy().ends_with(".rep.gz"));
    traces.sort();
    let recorded = traces.into_iter().map(|path| Workload {
        name: path.file_name().unwrap_or_default().to_string_lossy().replace(".rep.gz", ""),
        run: Run::Replay(vec![path.into()]),
    });
    let threads = [1, 2, 4].map(|threads: usize| Workload {
        name: format!("{threads} thread{}", if threads == 1 { "" } else { "s" }),
        run: Run::Replay(vec!["--threads".into(), threads.to_string().into()]),
    });
    let programs = [
        (
            "run perl",
            Run::Program(
                "perl",
                &[
                    "-e",
                    "for (1..200000) { $n{$_ % 5000} .= 'ab'; push @all, [$_, 'x' x ($_ % 40)] } print scalar @all",
                ],
            ),
        ),
        (
            "run python3",
            Run::Program(
                "python3",
                &[
                    "-c",
                    "import json; print(len(json.dumps(json.loads(json.dumps([{'n': i, 't': 'x' * (i % 50)} for i in range(40000)])))))",
                ],
            ),
        ),
        (
            "run awk",
            Run::Program(
                "awk",
                &[
                    "BEGIN { for (i = 0; i < 300000; i++) n[i % 7000] = n[i % 7000] i; for (k in n) s += length(n[k]); print s }",
                ],
            ),
        ),
    ];
    let is_here = |run: &Run| match run {
        Run::Replay(_) => true,
        Run::Program(program, _) => std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file())),
    };
    let programs = programs.into_iter().filter(|(_, run)| is_here(run));
    Ok(recorded.chain(threads).chain(programs.map(|(name, run)| Workload { name: name.into(), run })).collect())
}

/// glibc's, the learner's, and those for which the system has a package.
fn runners(library: &Library) -> Vec<Runner> {
    let mut runners = vec![
        Runner { name: "glibc".into(), library: None },
        Runner { name: "yours".into(), library: Some(library.path().into()) },
    ];
    let folder = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    for (name, file) in
        [("jemalloc", "libjemalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4"), ("mimalloc", "libmimalloc.so.2")]
    {
        let path = Path::new(&folder).join(file);
        if path.is_file() {
            runners.push(Runner { name: name.into(), library: Some(path.into()) });
        }
    }
    runners
}

/// The program that plays traces, in the profile in which the library is.
fn build_replay(root: &Path) -> Result<PathBuf, Failure> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--profile", "ship", "--package", "recorder", "--bin", "replay"]);
    command.arg("--message-format=json-render-diagnostics");
    let output = command.current_dir(root).stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| Failure::Other(format!("cargo can't be started: {e}")))?;
    let built = String::from_utf8_lossy(&output.stdout).lines().rev().find_map(|message| file_of(message, "replay"));
    built.ok_or_else(|| Failure::Other("cargo has built no program that plays traces".into()))
}

fn read(file: &Path) -> Result<Map<String, Value>, Failure> {
    let wrong = |why: String| Failure::Other(format!("{}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|e| wrong(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| wrong(format!("this is no kept race: {e}")))
}
