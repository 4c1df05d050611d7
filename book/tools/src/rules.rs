//! `{{rules LAB}}`: what a lab promises to check, as a table. Lab and rules are named in the page for [`crate::grades`].

use proctor::lab::Lab;
use std::fmt::Write;
use std::path::Path;

/// Markdown for the table of rules of the lab called `name`, on a page that is `to_root` (such as `../`) away from the book's
/// first page.
///
/// # Errors
/// There is no such lab, or its `lab.toml` can't be read.
pub fn table(course: &Path, name: &str, to_root: &str) -> Result<String, String> {
    let labs = course.join("labs");
    let dir = labs.join(name);
    if name.is_empty() || !dir.join("lab.toml").is_file() {
        return Err(format!("labs/{name}/lab.toml isn't there: name a lab, as in {{{{rules lab03}}}}"));
    }
    // The message names the file by its full path; the page's reader knows it by its path in the course.
    let lab = Lab::load(&dir).map_err(|e| e.to_string().replace(&format!("{}/", course.display()), ""))?;
    Ok(layout(&lab, to_root))
}

fn layout(lab: &Lab, to_root: &str) -> String {
    let mut table = format!(
        "<div class=\"rules\" data-lab=\"{}\">\n\n\
         | Points | Rule, and the cases that check it |\n\
         |---:|:---|\n",
        lab.name,
    );
    for rule in &lab.rules {
        let sentence = rule.en.replace('|', "\\|");
        let _ = write!(
            table,
            "| {} | <span data-rule=\"{}\">[{sentence}]({to_root}{})</span>",
            rule.points, rule.id, rule.page
        );
        for case in &rule.cases {
            let _ = write!(table, "<br>`{case}`");
        }
        table.push_str(" |\n");
    }
    let total: u32 = lab.rules.iter().map(|rule| rule.points).sum();
    let _ = writeln!(table, "| **{total}** | **in all** |\n\n</div>");
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAB: &str = r#"
        title = "Free lists"
        file  = "src/free_list.rs"
        page  = "free-lists.html"

        [[rule]]
        id     = "lifo"
        points = 60
        page   = "free-lists.html#lifo"
        en     = "The last one freed is used first, in `pop` | `malloc`."
        cases  = ["freed_last_is_reused_first", "a_list_is_a_stack"]
        hints.en = ["Which end?"]

        [[rule]]
        id     = "unlink"
        points = 40
        page   = "free-lists.html#unlink"
        en     = "Unlinking joins the two neighbours."
        cases  = ["unlink_from_the_middle"]
        hints.en = ["Which words change?"]
    "#;

    fn course(lab_toml: &str) -> tempfile::TempDir {
        let course = tempfile::tempdir().unwrap();
        let dir = course.path().join("labs/lab03");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("lab.toml"), lab_toml).unwrap();
        course
    }

    #[test]
    fn each_rule_has_its_points_its_sentence_linked_and_its_cases() {
        let table = table(course(LAB).path(), "lab03", "").unwrap();
        assert!(
            table.contains(
                "| 60 | <span data-rule=\"lifo\">[The last one freed is used first, in `pop` \\| `malloc`.](free-lists.html#lifo)</span>\
                 <br>`freed_last_is_reused_first`<br>`a_list_is_a_stack` |\n"
            ),
            "{table}"
        );
    }

    #[test]
    fn the_last_line_is_the_total() {
        let table = table(course(LAB).path(), "lab03", "").unwrap();
        assert!(table.contains("| **100** | **in all** |\n"), "{table}");
    }

    #[test]
    fn the_links_of_a_page_in_a_folder_start_at_the_books_root() {
        let table = table(course(LAB).path(), "lab03", "../").unwrap();
        assert!(table.contains("](../free-lists.html#unlink)"), "{table}");
    }

    #[test]
    fn an_unknown_lab_is_an_error_that_names_the_file() {
        let error = table(course(LAB).path(), "lab30", "").unwrap_err();
        assert!(error.starts_with("labs/lab30/lab.toml isn't there"), "{error}");
    }

    #[test]
    fn a_broken_lab_is_an_error_that_names_its_line() {
        let error = table(course("title = \"Free lists\"\nfile =").path(), "lab03", "").unwrap_err();
        assert!(error.starts_with("labs/lab03/lab.toml:2: "), "{error}");
    }
}
