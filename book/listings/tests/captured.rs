//! What the pages show is what the code gives now.

use std::path::Path;
use std::process::Command;

#[test]
fn every_capture_is_what_the_code_gives() {
    let course = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // A folder of its own: the references are switched on here, and nowhere else.
    let target = course.join("target/captures");
    let output = Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--package",
            "listings",
            "--features",
            "reference",
            "--bin",
            "capture",
            "--",
            "--check",
        ])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(course)
        .output()
        .expect("cargo runs this test, so cargo can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "\n{said}");
    print!("{said}");
}
