//! The student edition: the course without its answers.
//!
//! It holds what git tracks, so nothing that only lies around in the instructor's checkout gets out, but for the book's playground: its
//! program is made of the references, and whoever has none can't make it. The exams, the starters and the workbench are the very
//! files that the instructor grades with.

use crate::{Course, Error};
use proctor::playground;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path};
use std::process::Command;
use toml_edit::{Array, DocumentMut, Item, TomlError};

/// Writes the student edition of `course` to the new folder `dir`.
///
/// # Errors
/// One line: what could not be read or written, or what stands in the way.
pub fn write(course: &Course, dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::at(dir))?;
    if fs::read_dir(dir).map_err(Error::at(dir))?.next().is_some() {
        return Err(Error::NotEmpty { dir: dir.to_path_buf() });
    }
    let files = tracked_files(course.root())?;
    let playground = Some(playground::PROGRAM).filter(|program| course.root().join(program).is_file());
    let files = files.iter().map(String::as_str).chain(playground);
    files.map(Path::new).filter(|file| !is_answer(file)).try_for_each(|file| copy(course.root(), dir, file))?;
    forget_removed_crates(dir)
}

fn tracked_files(root: &Path) -> Result<Vec<String>, Error> {
    let git = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output();
    let git = git.map_err(|error| Error::NotStarted { program: "git".to_owned(), error })?;
    if !git.status.success() {
        return Err(Error::Untracked { said: String::from_utf8_lossy(&git.stderr).trim().to_owned() });
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

fn copy(root: &Path, dir: &Path, file: &Path) -> Result<(), Error> {
    let (from, to) = (root.join(file), dir.join(file));
    let copy = || -> io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(dir))?;
        // With its permissions.
        fs::copy(&from, &to)?;
        let Some(edit) = edit_of(file) else { return Ok(()) };
        fs::write(&to, edit(&fs::read_to_string(&from)?)?)
    };
    copy().map_err(Error::at(&from))
}

type Edit = fn(&str) -> io::Result<String>;

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
fn without_ci(text: &str) -> io::Result<String> {
    let mut manifest = toml(text)?;
    let workspace = manifest.get_mut("workspace").and_then(Item::as_table_mut);
    let workspace = workspace.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "there is no [workspace]"))?;
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

fn toml(text: &str) -> io::Result<DocumentMut> {
    text.parse().map_err(|e: TomlError| io::Error::new(ErrorKind::InvalidData, e))
}

fn retain(members: &mut Array) {
    members.retain(|member| !member.as_str().is_some_and(is_in_ci));
}

fn without_autograde(text: &str) -> io::Result<String> {
    let mut config = toml(text)?;
    if let Some(alias) = config.get_mut("alias").and_then(Item::as_table_mut) {
        alias.remove("autograde");
    }
    Ok(config.to_string())
}

/// The README without the sections for those who teach and those who change the course.
fn without_teaching(text: &str) -> io::Result<String> {
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
const NO_REFERENCES: &str =
    "A student edition has no references: write the earlier labs first, and leave out `--features`.";

/// The door of a lab that leads to the learner's file alone.
fn without_the_switch(text: &str) -> String {
    let switch = "#[cfg_attr(feature = \"solution\", path = ";
    let error = format!("#[cfg(feature = \"solution\")]\ncompile_error!(\"{NO_REFERENCES}\");\n\n");
    let lines = text.split_inclusive('\n').map(|line| if line.starts_with(switch) { &error } else { line });
    // The compiler says this one thing, and nothing about unused arguments.
    lines.collect::<String>().replace("#[cfg_attr(not(feature = \"solution\"), allow(unused))]", "#[allow(unused)]")
}

/// Without the lines that speak of references as a floor to stand on: there are none.
fn without_references(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.contains("--features given")).collect()
}

/// Brings `Cargo.lock` in line with the crates that are left. No version changes.
fn forget_removed_crates(dir: &Path) -> Result<(), Error> {
    let mut cargo = crate::process::clean_command("cargo");
    let output = cargo.args(["update", "--workspace", "--offline"]).current_dir(dir).output();
    let output = output.map_err(|error| Error::NotStarted { program: "cargo".to_owned(), error })?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().find(|line| line.starts_with("error")).unwrap_or("error: cargo says no more");
            Err(Error::Failed { said: format!("{}: {first}", dir.display()) })
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
            "labs/lab03/solution/explain.md",
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
        assert_eq!(without_ci(text).unwrap(), left);
    }

    #[test]
    fn a_lab_says_that_there_are_no_references() {
        let text = "//! Lab.\n\n#[cfg_attr(feature = \"solution\", path = \"../solution/list.rs\")]\n\
                    #[cfg_attr(not(feature = \"solution\"), allow(unused))]\nmod list;\n";
        let error = format!("compile_error!(\"{NO_REFERENCES}\");");
        let left = format!("//! Lab.\n\n#[cfg(feature = \"solution\")]\n{error}\n\n#[allow(unused)]\nmod list;\n");
        assert_eq!(without_the_switch(text), left);
        assert_eq!(without_the_switch("mod list;\n"), "mod list;\n");
    }

    #[test]
    fn the_readme_keeps_its_licences() {
        let text = "# Course\n\n## Learn\nread\n\n## Teach\ngrade\n\n## Change it\nedit\n\nCode: MIT.\n";
        assert_eq!(without_teaching(text).unwrap(), "# Course\n\n## Learn\nread\n\nCode: MIT.\n");
    }
}
