//! What `ci/speed` has measured and kept: nothing here measures.

use std::path::Path;

/// The file, in `captured`.
pub const FILE: &str = "speed.txt";

/// The facts of its means over the recorded programs: the fact's name, the table, and the malloc.
const MEANS: [(&str, usize, &str); 7] = [
    ("speed_of_lab5", 0, "lab05"),
    ("speed_of_lab6", 0, "lab06"),
    ("speed_of_dlmalloc", 0, "dlmalloc"),
    ("speed_of_mimalloc", 0, "mimalloc"),
    ("use_of_lab5", 2, "lab05"),
    ("use_of_lab6", 2, "lab06"),
    ("use_of_glibc", 2, "glibc"),
];

/// Each mean with its fact's name.
pub fn means() -> Result<Vec<(&'static str, String)>, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("captured").join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}: run ci/speed", path.display()))?;
    let tables: Vec<&str> = text.split("\n\n").collect();
    let mean = |table: usize, malloc: &str| {
        let mut lines = tables.get(table)?.lines().skip(1);
        let column = lines.next()?.split_whitespace().position(|name| name == malloc)?;
        let means = lines.find_map(|line| line.strip_prefix("traces, mean"))?;
        means.split_whitespace().nth(column).map(str::to_owned)
    };
    MEANS
        .iter()
        .map(|&(name, table, malloc)| {
            let mean = mean(table, malloc).ok_or_else(|| format!("{} has no {name}: run ci/speed", path.display()))?;
            Ok((name, mean))
        })
        .collect()
}
