//! Writes everything in `captured/` anew; with `--check`, only compares.

use listings::captures;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = match arguments.as_slice() {
        [] => false,
        [only] if only == "--check" => true,
        _ => return fail("capture takes no argument but --check"),
    };
    let captured = Path::new(env!("CARGO_MANIFEST_DIR")).join("captured");
    let all = match captures::all() {
        Ok(all) => all,
        Err(e) => return fail(&e),
    };
    if !check {
        return match captures::write(&all, &captured) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => fail(&e),
        };
    }
    for notice in captures::notices(&all, &captured) {
        eprintln!("{notice}");
    }
    let differences = captures::differences(&all, &captured);
    if differences.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprint!("{differences}");
    fail("read what changed, then refresh with: cargo run -p listings --features reference --bin capture")
}

fn fail(line: &str) -> ExitCode {
    eprintln!("error: {line}");
    ExitCode::FAILURE
}
