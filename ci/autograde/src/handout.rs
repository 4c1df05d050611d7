//! The student edition: the course without its answers.
//!
//! It holds what git tracks, so nothing that only lies around in the instructor's checkout gets out. The exams, the starters and
//! the workbench are the very files that the instructor grades with.

use crate::Course;
use std::fs;
use std::path::{Component, Path};
use std::process::Command;
use toml_edit::{Array, DocumentMut, Item};

/// Writes the student edition of `course` to the new folder `dir`.
///
/// # Errors
/// One line: what could not be read or written, or what stands in the way.
pub fn write(course: &Course, dir: &Path) -> Result<(), String> {
    let cannot = |e: std::io::Error| format!("{}: {e}", dir.display());
    fs::create_dir_all(dir).map_err(cannot)?;
    if fs::read_dir(dir).map_err(cannot)?.next().is_some() {
        return Err(format!("{}: this folder isn't empty; a student edition gets a new one", dir.display()));
    }
    let files = tracked_files(course.root())?;
    files.iter().map(Path::new).filter(|file| !is_answer(file)).try_for_each(|file| copy(course.root(), dir, file))?;
    forget_removed_crates(dir)
}

fn tracked_files(root: &Path) -> Result<Vec<String>, String> {
    let git = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output();
    let git = git.map_err(|e| format!("git can't be started: {e}"))?;
    if !git.status.success() {
        let why = String::from_utf8_lossy(&git.stderr);
        return Err(format!("a student edition is made of what git tracks: {}", why.trim()));
    }
    Ok(String::from_utf8_lossy(&git.stdout).split_terminator('\0').map(str::to_owned).collect())
}

/// Whether it is for instructors alone.
fn is_answer(file: &Path) -> bool {
    let parts: Vec<&str> = file.components().filter_map(|part| part.as_os_str().to_str()).collect();
    // The last one compares the book's captures with what the references give.
    matches!(
        parts.as_slice(),
        ["ci" | ".ci", ..] | ["labs", _, "solution" | "zoo" | "mutants.toml", ..] | ["book", "listings", "tests", ..]
    )
}

fn copy(root: &Path, dir: &Path, file: &Path) -> Result<(), String> {
    let (from, to) = (root.join(file), dir.join(file));
    let io = || -> Result<(), String> {
        fs::create_dir_all(to.parent().unwrap_or(dir)).map_err(|e| e.to_string())?;
        // With its permissions.
        fs::copy(&from, &to).map_err(|e| e.to_string())?;
        let Some(edit) = edit_of(file) else { return Ok(()) };
        let text = fs::read_to_string(&from).map_err(|e| e.to_string())?;
        fs::write(&to, edit(&text)?).map_err(|e| e.to_string())
    };
    io().map_err(|e| format!("{}: {e}", from.display()))
}

type Edit = fn(&str) -> Result<String, String>;

/// What has to change in a file, if anything has.
fn edit_of(file: &Path) -> Option<Edit> {
    let is_page = file.starts_with("book/src") && file.extension().is_some_and(|extension| extension == "md");
    match file.to_str()? {
        "Cargo.toml" => Some(without_ci),
        ".cargo/config.toml" => Some(without_autograde),
        "README.md" => Some(without_teaching),
        path if path.starts_with("labs/") && path.ends_with("/src/lib.rs") => Some(|text| Ok(without_the_switch(text))),
        _ if is_page => Some(|text| Ok(without_references(text))),
        _ => None,
    }
}

fn is_in_ci(path: &str) -> bool {
    Path::new(path).components().next() == Some(Component::Normal("ci".as_ref()))
}

/// The workspace without the crates in `ci/`.
fn without_ci(text: &str) -> Result<String, String> {
    let mut manifest: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.to_string())?;
    let workspace = manifest["workspace"].as_table_mut().ok_or("there is no [workspace]")?;
    for list in ["members", "default-members"] {
        if let Some(members) = workspace.get_mut(list).and_then(Item::as_array_mut) {
            retain(members);
        }
    }
    if let Some(dependencies) = workspace.get_mut("dependencies").and_then(Item::as_table_mut) {
        dependencies.retain(|_, dependency| !dependency.get("path").and_then(Item::as_str).is_some_and(is_in_ci));
    }
    Ok(manifest.to_string())
}

fn retain(members: &mut Array) {
    members.retain(|member| !member.as_str().is_some_and(is_in_ci));
}

fn without_autograde(text: &str) -> Result<String, String> {
    let mut config: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.to_string())?;
    if let Some(alias) = config.get_mut("alias").and_then(Item::as_table_mut) {
        alias.remove("autograde");
    }
    Ok(config.to_string())
}

/// The README without the sections for those who teach and those who change the course.
fn without_teaching(text: &str) -> Result<String, String> {
    let mut sections = text.split("\n## ").map(str::to_owned);
    let mut kept = sections.next().unwrap_or_default();
    let mut licences = None;
    for section in sections {
        // The licences stand in the last line.
        licences = section.trim_end().rsplit_once('\n').map(|(_, last)| last.to_owned());
        if !["Teach\n", "Change it\n"].iter().any(|title| section.starts_with(title)) {
            kept.push_str("\n## ");
            kept.push_str(&section);
        }
    }
    let licences = licences.map(|line| format!("\n{line}\n")).unwrap_or_default();
    Ok(without_references(&format!("{}\n{licences}", kept.trim_end())))
}

/// What somebody reads who asks for a reference all the same.
const NO_REFERENCES: &str = "compile_error!(\"A student edition has no references: the features `given` and `solution` do nothing here. \
    Write the earlier labs first, then leave out --features.\");";

/// The door of a lab that leads to the learner's file alone.
fn without_the_switch(text: &str) -> String {
    let is_switch = |line: &str| line.trim_start().starts_with("#[cfg_attr(feature = \"solution\", path = ");
    let lines = text.lines().map(|line| match is_switch(line) {
        true => format!("#[cfg(feature = \"solution\")]\n{NO_REFERENCES}\n\n"),
        false => format!("{line}\n"),
    });
    lines.collect()
}

/// Without the lines that speak of references as a floor to stand on: there are none.
fn without_references(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.contains("--features given")).collect()
}

/// Brings `Cargo.lock` in line with the crates that are left. No version changes.
fn forget_removed_crates(dir: &Path) -> Result<(), String> {
    let mut cargo = crate::process::clean_command("cargo");
    let output = cargo.args(["update", "--workspace", "--offline"]).current_dir(dir).output();
    let output = output.map_err(|e| format!("cargo can't be started: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().find(|line| line.starts_with("error")).unwrap_or("error: cargo says no more");
            Err(format!("{}: {first}", dir.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_the_zoo_stay_at_home() {
        for answer in [
            "labs/lab03/solution/free_list.rs",
            "labs/lab03/zoo/wrong/a.patch",
            "labs/lab03/mutants.toml",
            "ci/budgets",
            ".ci/run",
        ] {
            assert!(is_answer(Path::new(answer)), "{answer}");
        }
        for file in ["labs/lab03/src/free_list.rs", "labs/lab03/tests/exam.rs", "book/src/solution.md", "Cargo.toml"] {
            assert!(!is_answer(Path::new(file)), "{file}");
        }
    }

    #[test]
    fn the_workspace_forgets_what_is_not_there() {
        let text = "[workspace]\nmembers = [\"labs/*\", \"ci/autograde\"]\n\n[workspace.dependencies]\nautograde = { path = \"ci/autograde\" }\nheapkit = { path = \"labs/heapkit\" }\n";
        let left =
            "[workspace]\nmembers = [\"labs/*\"]\n\n[workspace.dependencies]\nheapkit = { path = \"labs/heapkit\" }\n";
        assert_eq!(without_ci(text).as_deref(), Ok(left));
    }

    #[test]
    fn a_lab_says_that_there_are_no_references() {
        let text = "//! Lab.\n\n#[cfg_attr(feature = \"solution\", path = \"../solution/list.rs\")]\nmod list;\n";
        let left = without_the_switch(text);
        assert_eq!(left, format!("//! Lab.\n\n#[cfg(feature = \"solution\")]\n{NO_REFERENCES}\n\nmod list;\n"));
        assert_eq!(without_the_switch("mod list;\n"), "mod list;\n");
    }

    #[test]
    fn the_readme_keeps_its_licences() {
        let text = "# Course\n\n## Learn\nread\n\n## Teach\ngrade\n\n## Change it\nedit\n\nCode: MIT.\n";
        assert_eq!(without_teaching(text).as_deref(), Ok("# Course\n\n## Learn\nread\n\nCode: MIT.\n"));
    }
}
