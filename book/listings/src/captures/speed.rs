//! What `ci/speed` has measured and kept: nothing here measures.

use std::path::Path;

/// The file, in `captured`.
pub const FILE: &str = "speed.txt";

/// The row with the means over the recorded programs.
const MEAN: &str = "traces, mean";

/// Facts, each with its place: the table, the row, and the malloc.
const FACTS: [(&str, usize, &str, &str); 8] = [
    ("speed_of_lab5_on_gs", 0, "gs ", "lab05"),
    ("speed_of_lab5", 0, MEAN, "lab05"),
    ("speed_of_lab6", 0, MEAN, "lab06"),
    ("speed_of_dlmalloc", 0, MEAN, "dlmalloc"),
    ("speed_of_mimalloc", 0, MEAN, "mimalloc"),
    ("use_of_lab5", 2, MEAN, "lab05"),
    ("use_of_lab6", 2, MEAN, "lab06"),
    ("use_of_glibc", 2, MEAN, "glibc"),
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
    FACTS
        .iter()
        .map(|&(name, table, row, malloc)| {
            let value = value(table, row, malloc);
            Ok((name, value.ok_or_else(|| format!("{} has no {name}: run ci/speed", path.display()))?))
        })
        .collect()
}
