//! Tells how far a batch is: a bar on a terminal, a line for each entry elsewhere.

use crate::record::{Outcome, Record};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

pub struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    done: usize,
    failing: usize,
    troubled: usize,
}

impl Progress {
    /// For `total` entries, of which `to_grade` take time.
    pub fn start(total: usize, to_grade: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(to_grade as u64);
            let style = ProgressStyle::with_template("{bar:30} {msg} · {eta} left");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(std::time::Duration::from_millis(500));
            bar
        });
        let progress = Progress { bar, total, done: 0, failing: 0, troubled: 0 };
        progress.show();
        progress
    }

    /// The result was known before the run began.
    pub fn known(&mut self, record: &Record) {
        self.count(record, matches!(record.outcome, Outcome::Unreadable(_)));
        self.show();
    }

    /// The result has just been found.
    pub fn graded(&mut self, record: &Record) {
        self.count(record, true);
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        self.show();
    }

    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}", self.counts());
    }

    fn count(&mut self, record: &Record, tell: bool) {
        self.done += 1;
        let (line, trouble) = match &record.outcome {
            Outcome::Graded(grade) => {
                let points = if grade.is_waiting() { grade.report.score } else { grade.score() };
                self.failing += usize::from(points < grade.report.max_score);
                (format!("{points} of {} points", grade.report.max_score), false)
            }
            Outcome::Unreadable(line) => (format!("unreadable: {line}"), true),
            Outcome::NotGraded(line) => (format!("not graded: {line}"), true),
        };
        self.troubled += usize::from(trouble);
        let name = &record.name;
        match &self.bar {
            // Every trouble gets its line; the points are in the summary.
            Some(bar) if trouble && tell => bar.suspend(|| eprintln!("autograde: {name}: {line}")),
            None if trouble && tell => eprintln!("autograde: {name}: {line}"),
            None if tell => eprintln!("[{}/{}] {name}: {line}", self.done, self.total),
            _ => {}
        }
    }

    fn show(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.counts());
        }
    }

    fn counts(&self) -> String {
        let Progress { total, done, failing, troubled, .. } = self;
        format!("{done} of {total} done · {failing} without full marks · {troubled} without a grade")
    }
}
