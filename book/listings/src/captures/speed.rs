//! What `ci/speed` has measured and kept: nothing here measures.

use std::path::Path;

/// The file, in `captured`.
pub const FILE: &str = "speed.txt";

/// The row with the means over the recorded programs.
const MEAN: &str = "traces, mean";

/// The row with the means over the real programs.
const ALL: &str = "all, mean";

/// Facts, each with its place: the table, the row, and the malloc.
const FACTS: [(&str, usize, &str, &str); 16] = [
    ("speed_of_lab5_on_gs", 0, "gs ", "lab05"),
    ("speed_of_lab5", 0, MEAN, "lab05"),
    ("speed_of_lab6", 0, MEAN, "lab06"),
    ("speed_of_lab8", 0, MEAN, "lab08"),
    ("speed_of_dlmalloc", 0, MEAN, "dlmalloc"),
    ("speed_of_mimalloc", 0, MEAN, "mimalloc"),
    ("use_of_lab5", 2, MEAN, "lab05"),
    ("use_of_lab6", 2, MEAN, "lab06"),
    ("use_of_lab8", 2, MEAN, "lab08"),
    ("use_of_glibc", 2, MEAN, "glibc"),
    ("time_of_awk", 3, "awk ", "lab08"),
    ("time_of_programs", 3, ALL, "lab08"),
    ("time_on_jemalloc", 3, ALL, "jemalloc"),
    ("time_on_mimalloc", 3, ALL, "mimalloc"),
    ("memory_of_programs", 4, ALL, "lab08"),
    ("memory_on_jemalloc", 4, ALL, "jemalloc"),
];

/// Each fact with its value.
pub fn facts() -> Result<Vec<(&'static str, String)>, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("captured").join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}: run ci/speed", path.display()))?;
    let tables: Vec<&str> = text.split("\n\n").collect();
    let value = |table: usize, row: &str, malloc: &str| {
        let mut lines = tables.get(table)?.lines().skip(1);
        let column = lines.next()?.split_whitespace().position(|name| name == malloc)?;
        let values = lines.find_map(|line| line.strip_prefix(row))?;
        values.split_whitespace().nth(column).map(str::to_owned)
    };
    let found = FACTS.iter().map(|&(name, table, row, malloc)| (name, value(table, row, malloc)));
    let without_awk = ("time_without_awk", tables.get(3).and_then(|table| mean_without("awk ", table)));
    let or_why = |(name, value): (&'static str, Option<String>)| {
        Ok((name, value.ok_or_else(|| format!("{} has no {name}: run ci/speed", path.display()))?))
    };
    found.chain([without_awk]).map(or_why).collect()
}

/// The geometric mean of lab 8's column, which is the first one, over all rows but one and the row of means.
fn mean_without(row: &str, table: &str) -> Option<String> {
    let mallocs = table.lines().nth(1)?.split_whitespace().count();
    let rows = table.lines().skip(2).filter(|line| !line.starts_with(row) && !line.starts_with(ALL));
    let logs = rows.map(|line| Some(line.split_whitespace().rev().nth(mallocs - 1)?.parse::<f64>().ok()?.ln()));
    let logs = logs.collect::<Option<Vec<f64>>>()?;
    Some(format!("{:.2}", (logs.iter().sum::<f64>() / logs.len() as f64).exp()))
}
