//! How fast lab 6's malloc is, beside lab 5's and those of other people, and how much memory each takes.
//!
//! `cargo bench-mallocs` plays the recorded traces and some drawn workloads. Each malloc plays each of them in a process of
//! its own, again and again; the fastest time counts. All figures of a table are of one run.

mod mallocs;
mod play;
mod workloads;

use candidate::Pieces;
use mallocs::Kind;
use play::in_a_child;
use std::process::ExitCode;
use workloads::Workload;

/// This program's own blocks are none of the C library's: they come from a mapping.
#[global_allocator]
static PIECES: Pieces = Pieces::new();

/// How often each pair of malloc and workload gets a process: the machine has slow moments.
const TURNS: usize = 5;

fn main() -> ExitCode {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    match workloads::all() {
        Ok(mut workloads) => {
            workloads.retain(|workload| workload.name.contains(&only));
            let figures: Vec<Vec<Figures>> = workloads.iter().map(measure).collect();
            print_times(&workloads, &figures);
            print_use(&workloads, &figures);
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
    /// For each call, in the fastest round.
    nanoseconds: f64,
    /// The most memory it took at once.
    memory: Option<usize>,
}

/// The best of each malloc's turns; these alternate, so that a slow moment hits all of them.
fn measure(workload: &Workload) -> Vec<Figures> {
    let ops = &workload.ops;
    let memory = |kind| in_a_child(|| mallocs::memory(kind, ops).map_or(f64::NAN, |bytes| bytes as f64));
    let memory = |kind| memory(kind).filter(|bytes| bytes.is_finite()).map(|bytes| bytes as usize);
    let mut all = Kind::ALL.map(|kind| Figures { nanoseconds: f64::INFINITY, memory: memory(kind) });
    for _ in 0..TURNS {
        for (kind, best) in Kind::ALL.into_iter().zip(&mut all) {
            let seen = in_a_child(|| mallocs::nanoseconds(kind, ops)).unwrap_or(f64::INFINITY);
            best.nanoseconds = best.nanoseconds.min(seen);
        }
    }
    all.to_vec()
}

fn print_times(workloads: &[Workload], figures: &[Vec<Figures>]) {
    println!("Speed: how often it plays a workload while glibc plays it once. Last column: nanoseconds a call, glibc.");
    print_head();
    let glibc = Kind::ALL.iter().position(|kind| *kind == Kind::Glibc).expect("glibc is one of them");
    let ratios = |row: &Vec<Figures>| -> Vec<f64> {
        row.iter().map(|figures| row[glibc].nanoseconds / figures.nanoseconds).collect()
    };
    for (workload, row) in workloads.iter().zip(figures) {
        let cells: String = ratios(row).iter().map(|ratio| format!("{ratio:9.2}")).collect();
        println!("{:<16}{cells}{:9.1}", workload.name, row[glibc].nanoseconds);
    }
    for (name, recorded) in [("traces, mean", Some(true)), ("drawn, mean", Some(false)), ("all, mean", None)] {
        let rows = workloads.iter().zip(figures).filter(|(workload, _)| recorded.is_none_or(|is| workload.is_recorded == is));
        let rows: Vec<Vec<f64>> = rows.map(|(_, row)| ratios(row)).collect();
        let mean = |malloc: usize| (rows.iter().map(|row| row[malloc].ln()).sum::<f64>() / rows.len() as f64).exp();
        println!("{name:<16}{}", (0..Kind::ALL.len()).map(|malloc| format!("{:9.2}", mean(malloc))).collect::<String>());
    }
}

fn print_use(workloads: &[Workload], figures: &[Vec<Figures>]) {
    println!("\nUtilisation: the most bytes alive at once, in percent of the most memory below the last block's end.");
    print_head();
    let percent = |workload: &Workload, figures: &Figures| figures.memory.map(|memory| 100.0 * workload.peak as f64 / memory as f64);
    let cell = |percent: Option<f64>| percent.map_or(format!("{:>9}", "-"), |percent| format!("{percent:9.1}"));
    for (workload, row) in workloads.iter().zip(figures) {
        println!("{:<16}{}", workload.name, row.iter().map(|figures| cell(percent(workload, figures))).collect::<String>());
    }
    for (name, recorded) in [("traces, mean", true), ("drawn, mean", false)] {
        let rows: Vec<_> = workloads.iter().zip(figures).filter(|(workload, _)| workload.is_recorded == recorded).collect();
        let mean = |malloc: usize| {
            let sum: Option<f64> = rows.iter().map(|(workload, row)| percent(workload, &row[malloc])).sum();
            sum.map(|sum| sum / rows.len() as f64)
        };
        println!("{name:<16}{}", (0..Kind::ALL.len()).map(|malloc| cell(mean(malloc))).collect::<String>());
    }
}

fn print_head() {
    println!("{:<16}{}", "", Kind::ALL.iter().map(|kind| format!("{:>9}", kind.name())).collect::<String>());
}
