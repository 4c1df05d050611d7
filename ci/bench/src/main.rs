//! How fast the mallocs of labs 5, 6 and 8 are, beside those of other people, and how much memory each takes. Lab 8 plays on one thread.
//!
//! `ci/bench/run` plays the recorded traces and some drawn workloads. Each malloc plays each of them in a process of
//! its own, again and again; the fastest time counts. All figures of a table are of one run.

mod mallocs;
mod play;
mod workloads;

use candidate::Pieces;
use heapkit::workload::Op;
use mallocs::Kind;
use play::{Memory, in_a_child};
use std::process::ExitCode;
use workloads::Workload;

/// This program's own blocks are none of the C library's: they come from a mapping.
#[global_allocator]
static PIECES: Pieces = Pieces::new();

/// How often each pair of malloc and workload gets a process: the machine has slow moments.
const TURNS: usize = 5;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let only = args.next().unwrap_or_default();
    let mallocs: Vec<String> = args.collect();
    let is_wanted = |kind: &Kind| {
        *kind == Kind::Glibc
            || mallocs.is_empty()
            || mallocs.iter().any(|name| kind.name().to_bytes() == name.as_bytes())
    };
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(is_wanted).collect();
    match workloads::all() {
        Ok(mut workloads) => {
            workloads.retain(|workload| workload.name.contains(&only));
            let figures: Vec<Vec<Figures>> = workloads.iter().map(|workload| measure(&kinds, workload)).collect();
            println!(
                "How often it plays a workload while glibc plays it once. Last column: nanoseconds a call, glibc."
            );
            println!("\nWhere memory stays the malloc's own:");
            print_times(&kinds, &workloads, &figures, |figures| figures.in_memory);
            println!("\nWhere it comes from the system and goes back:");
            print_times(&kinds, &workloads, &figures, |figures| figures.with_system);
            println!(
                "\nUtilisation: the most bytes alive at once, in percent of the memory up to the last block's end."
            );
            print_use(&kinds, &workloads, &figures, |memory| memory.used);
            println!("\nThe same in percent of all memory that came from the system.");
            print_use(&kinds, &workloads, &figures, |memory| memory.taken);
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

/// What came of a workload on one malloc.
#[derive(Clone, Copy)]
struct Figures {
    /// For each call, in the fastest round, where memory stays the malloc's own.
    in_memory: f64,
    /// The same where it is the system's.
    with_system: f64,
    /// What memory it took, where somebody counts it.
    memory: Option<Memory>,
}

/// The best of each malloc's turns; these alternate, so that a slow moment hits all of them.
fn measure(kinds: &[Kind], workload: &Workload) -> Vec<Figures> {
    let ops = &workload.ops;
    let memory = |kind: Kind| {
        let none = [f64::NAN; 2];
        let counted = || mallocs::memory(kind, ops).map_or(none, |Memory { taken, used }| [taken as f64, used as f64]);
        let [taken, used] = in_a_child(c"memory", counted)?;
        taken.is_finite().then_some(Memory { taken: taken as usize, used: used as usize })
    };
    let new = |&kind| Figures { in_memory: f64::INFINITY, with_system: f64::INFINITY, memory: memory(kind) };
    let mut all: Vec<Figures> = kinds.iter().map(new).collect();
    for _ in 0..TURNS {
        for (&kind, best) in kinds.iter().zip(&mut all) {
            let time = |measure: fn(Kind, &[Op]) -> f64| {
                in_a_child(kind.name(), || [measure(kind, ops)]).map_or(f64::INFINITY, |[time]| time)
            };
            best.in_memory = best.in_memory.min(time(mallocs::nanoseconds_in_memory));
            best.with_system = best.with_system.min(time(mallocs::nanoseconds));
        }
    }
    all
}

fn print_times(kinds: &[Kind], workloads: &[Workload], figures: &[Vec<Figures>], time: fn(&Figures) -> f64) {
    print_head(kinds);
    let glibc = kinds.iter().position(|kind| *kind == Kind::Glibc).expect("glibc is one of them");
    let ratios =
        |row: &Vec<Figures>| -> Vec<f64> { row.iter().map(|figures| time(&row[glibc]) / time(figures)).collect() };
    for (workload, row) in workloads.iter().zip(figures) {
        let cells: String = ratios(row).iter().map(|ratio| format!("{ratio:9.2}")).collect();
        println!("{:<16}{cells}{:9.1}", workload.name, time(&row[glibc]));
    }
    for (name, recorded) in [("traces, mean", Some(true)), ("drawn, mean", Some(false)), ("all, mean", None)] {
        let rows =
            workloads.iter().zip(figures).filter(|(workload, _)| recorded.is_none_or(|is| workload.is_recorded == is));
        let rows: Vec<Vec<f64>> = rows.map(|(_, row)| ratios(row)).collect();
        let mean = |malloc: usize| (rows.iter().map(|row| row[malloc].ln()).sum::<f64>() / rows.len() as f64).exp();
        println!("{name:<16}{}", (0..kinds.len()).map(|malloc| format!("{:9.2}", mean(malloc))).collect::<String>());
    }
}

fn print_use(kinds: &[Kind], workloads: &[Workload], figures: &[Vec<Figures>], bytes: fn(Memory) -> usize) {
    print_head(kinds);
    let percent = |workload: &Workload, figures: &Figures| {
        figures.memory.map(|memory| 100.0 * workload.peak as f64 / bytes(memory) as f64)
    };
    let cell = |percent: Option<f64>| percent.map_or(format!("{:>9}", "-"), |percent| format!("{percent:9.1}"));
    for (workload, row) in workloads.iter().zip(figures) {
        println!(
            "{:<16}{}",
            workload.name,
            row.iter().map(|figures| cell(percent(workload, figures))).collect::<String>()
        );
    }
    for (name, recorded) in [("traces, mean", true), ("drawn, mean", false)] {
        let rows: Vec<_> =
            workloads.iter().zip(figures).filter(|(workload, _)| workload.is_recorded == recorded).collect();
        let mean = |malloc: usize| {
            let sum: Option<f64> = rows.iter().map(|(workload, row)| percent(workload, &row[malloc])).sum();
            sum.map(|sum| sum / rows.len() as f64)
        };
        println!("{name:<16}{}", (0..kinds.len()).map(|malloc| cell(mean(malloc))).collect::<String>());
    }
}

fn print_head(kinds: &[Kind]) {
    println!(
        "{:<16}{}",
        "",
        kinds.iter().map(|kind| format!("{:>9}", kind.name().to_string_lossy())).collect::<String>()
    );
}
