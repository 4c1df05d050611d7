//! The recorded traces are what their table says.

use heapkit::trace::{self, Trace};
use std::fs;
use std::path::Path;

#[test]
fn the_table_has_a_row_for_each_trace_with_its_numbers() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces");
    let mut names: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".rep.gz"))
        .collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");

    let table = fs::read_to_string(dir.join("README.md")).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), names.len(), "a row for each trace, and no other");
    for (row, name) in rows.into_iter().zip(names) {
        let Trace { ops, peak, largest, .. } = trace::read(dir.join(&name)).unwrap_or_else(|line| panic!("{line}"));
        let (start, end) = (format!("| `{name}` |"), format!("| {} | {peak} | {largest} |", ops.len()));
        assert!(row.starts_with(&start) && row.ends_with(&end), "{row}\nshould start with {start} and end with {end}");
        assert!((3000..=12_000).contains(&ops.len()), "{name}: long enough to tell something, short enough for a test");
    }
}

#[test]
fn the_traces_take_little_room() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces");
    let bytes: u64 = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 400 << 10, "{bytes} bytes");
}
