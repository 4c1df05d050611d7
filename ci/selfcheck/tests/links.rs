//! Every link of the book leads somewhere, nothing on a page is loaded from the network, and what the pages name is there.

use html5gum::{Token, Tokenizer};
use proctor::lab::Lab;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The book, built once for all the tests of this file.
static BOOK: LazyLock<Book> = LazyLock::new(Book::build);

#[test]
fn every_link_and_image_resolves() {
    let mut broken = Vec::new();
    for (path, page) in &BOOK.pages {
        for reference in page.references.iter().filter(|reference| !is_external(&reference.target)) {
            if let Err(why) = BOOK.resolve(path, &reference.target) {
                broken.push(format!("{path}: <{} … \"{}\">: {why}", reference.tag, reference.target));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn nothing_is_loaded_from_the_network() {
    let mut loaded = Vec::new();
    for (path, page) in &BOOK.pages {
        for reference in page.references.iter().filter(|reference| is_external(&reference.target)) {
            if reference.tag == "a" {
                println!("{path} links to {}", reference.target);
            } else {
                loaded.push(format!("{path}: <{} … \"{}\">", reference.tag, reference.target));
            }
        }
        // mdBook's script asks the public playground for its crates when a page has such a block.
        if page.classes.contains("playground") {
            loaded.push(format!("{path}: a code block with a run button"));
        }
    }
    for (path, style) in &BOOK.styles {
        for url in style.split("url(").skip(1).filter(|url| is_external(url.trim_start_matches(['"', '\'']))) {
            loaded.push(format!("{path}: url({}", url.split(')').next().unwrap_or(url)));
        }
    }
    assert!(loaded.is_empty(), "{}", loaded.join("\n"));
}

#[test]
fn no_id_stands_twice_on_a_page() {
    let twice: Vec<String> = BOOK
        .pages
        .iter()
        .flat_map(|(path, page)| page.ids_seen_twice.iter().map(move |id| format!("{path}#{id}")))
        .collect();
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}

/// mdBook only warns of an include that it can't do, and shows the directive instead.
#[test]
fn no_include_is_left_over() {
    let left: Vec<&String> = BOOK.pages.iter().filter(|(_, page)| page.has_include).map(|(path, _)| path).collect();
    assert!(left.is_empty(), "`{{{{#include …}}}}` of a file or an anchor that isn't there, on {left:?}");
}

#[test]
fn every_rule_names_a_place_on_a_page() {
    let labs = labs();
    let rules = labs.iter().flat_map(|lab| &lab.rules);
    let broken: Vec<String> = rules
        .clone()
        .filter_map(|rule| {
            let why = BOOK.resolve("index.html", &rule.page).err();
            let why = why.or_else(|| (!rule.page.contains('#')).then(|| "names no anchor".to_owned()))?;
            Some(format!("rule `{}`: page = \"{}\": {why}", rule.id, rule.page))
        })
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(labs.is_empty() || rules.count() > 0, "there are labs, but no rules to check");
}

#[test]
fn every_picture_says_what_it_shows() {
    let silent: Vec<_> = BOOK.pages.iter().filter(|(_, page)| !page.undescribed.is_empty()).collect();
    let silent: Vec<String> = silent.iter().map(|(path, page)| format!("{path}: {:?}", page.undescribed)).collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn korean_words_are_said_to_be_korean() {
    let unmarked: Vec<String> = BOOK
        .pages
        .iter()
        .flat_map(|(path, page)| page.unmarked_korean.iter().map(move |words| format!("{path}: {words}")))
        .collect();
    assert!(unmarked.is_empty(), "put these into <span lang=\"ko\">…</span>:\n{}", unmarked.join("\n"));
    let glossary = read("book/src/glossary.md");
    assert!(glossary.matches("<span lang=\"ko\">").count() > 50, "the glossary has Korean words");
}

/// A fact that no page shows is a number that somebody still types.
#[test]
fn every_fact_stands_on_a_page() {
    let facts = read(book_tools::facts::FILE);
    let pages: String = files("book/src", "md").map(|page| read(&page)).collect();
    let unused: Vec<&str> = facts
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.0))
        .filter(|name| {
            let shown = [
                format!("{{{{fact {name}}}}}"),
                format!("{{{{predict {name}}}}}"),
                format!("{{{{predict {name} choose}}}}"),
            ];
            !shown.iter().any(|directive| pages.contains(directive))
        })
        .collect();
    assert!(unused.is_empty(), "no page shows these facts of {}: {unused:?}", book_tools::facts::FILE);
}

/// A Predict box compares with a fact: `book_tools::predict` takes no other answer. So no box may be written by hand, and the
/// browser remembers each under a key of its own.
#[test]
fn every_predict_box_has_a_fact_for_its_answer() {
    let by_hand: Vec<String> =
        files("book/src", "md").filter(|page| read(page).contains("class=\"predict\"")).collect();
    assert!(by_hand.is_empty(), "write {{{{predict FACT}}}} … {{{{/predict}}}} on {by_hand:?}");
    let pages = BOOK.pages.iter().filter(|(path, _)| !["index.html", "print.html"].contains(&path.as_str()));
    let keys: Vec<&String> = pages.flat_map(|(_, page)| &page.predict_keys).collect();
    let each: BTreeSet<&&String> = keys.iter().collect();
    assert_eq!(keys.len(), each.len(), "two boxes of a page have the same fact: {keys:?}");
    assert!(keys.len() >= 25, "the book asks at least 25 questions that it can check: {keys:?}");
}

/// The last column of the table "Row by row" names programs and cases.
#[test]
fn every_program_and_case_of_the_appendix_exists() {
    let page = read("book/src/machine.md");
    let (_, section) = page.split_once("\n## Row by row\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once(" | "));
    let names: Vec<&str> = cells.flat_map(|(_, cell)| cell.split('`').skip(1).step_by(2)).collect();
    let exams: String = labs().iter().map(|lab| read(&format!("labs/{}/tests/exam.rs", lab.name))).collect();
    let listings = course().join("book/listings");
    let is_program = |name: &str| {
        ["examples", "src/bin"].iter().any(|folder| listings.join(folder).join(format!("{name}.rs")).is_file())
    };
    let is_case = |name: &str| exams.contains(&format!("\nfn {name}() {{"));
    let missing: Vec<&&str> = names.iter().filter(|name| !is_program(name) && !is_case(name)).collect();
    assert!(missing.is_empty(), "neither programs nor cases: {missing:?}");
    assert!(names.len() > 50, "the table has rows: {names:?}");
}

/// A file of the course.
fn read(path: &str) -> String {
    std::fs::read_to_string(course().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The files in a folder of the course whose names end so.
fn files(folder: &str, ending: &str) -> impl Iterator<Item = String> {
    let entries = course().join(folder).read_dir().unwrap_or_else(|e| panic!("{folder}: {e}"));
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(move |name| name.ends_with(&format!(".{ending}"))).map(move |name| format!("{folder}/{name}"))
}

fn labs() -> Vec<Lab> {
    Lab::load_all(&course().join("labs")).unwrap_or_else(|line| panic!("{line}"))
}

fn course() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("ci/selfcheck is two folders below the course")
        .to_path_buf()
}

/// Whether a browser would have to leave this machine for `target`.
fn is_external(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    target.starts_with("//")
        || scheme.is_some_and(|scheme| scheme != "data" && scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// The built book, as far as links go.
struct Book {
    pages: BTreeMap<String, Page>,
    styles: BTreeMap<String, String>,
    files: BTreeSet<String>,
}

#[derive(Default)]
struct Page {
    references: BTreeSet<Reference>,
    ids: BTreeSet<String>,
    ids_seen_twice: BTreeSet<String>,
    classes: BTreeSet<String>,
    predict_keys: Vec<String>,
    has_include: bool,
    /// Korean words that are not said to be Korean: a screen reader would spell them out.
    unmarked_korean: Vec<String>,
    /// Pictures that say nothing to those who can't see them.
    undescribed: Vec<String>,
}

/// What a tag points to: a link to follow, or a file to load.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    tag: String,
    target: String,
}

impl Book {
    fn build() -> Self {
        let dest = tempfile::tempdir().expect("a temporary folder");
        if let Err(e) = book_tools::build(&course().join("book"), dest.path()) {
            panic!("{e:#}");
        }
        let mut book = Self { pages: BTreeMap::new(), styles: BTreeMap::new(), files: BTreeSet::new() };
        book.read(dest.path(), "");
        assert!(book.pages.contains_key("index.html"), "the book has no first page");
        book
    }

    fn read(&mut self, folder: &Path, prefix: &str) {
        for entry in folder.read_dir().expect("a folder of the built book").flatten() {
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                self.read(&entry.path(), &format!("{path}/"));
                continue;
            }
            let text = || std::fs::read_to_string(entry.path()).expect("UTF-8");
            if path.ends_with(".html") {
                self.pages.insert(path.clone(), Page::parse(&text()));
            } else if path.ends_with(".css") {
                self.styles.insert(path.clone(), text());
            }
            self.files.insert(path);
        }
    }

    /// Follows `target` from the page `from`.
    fn resolve(&self, from: &str, target: &str) -> Result<(), String> {
        let (path, fragment) = target.split_once('#').map_or((target, None), |(path, id)| (path, Some(id)));
        let path = path.split('?').next().unwrap_or_default();
        let path = if path.is_empty() { from.to_owned() } else { join(from, path)? };
        if !self.files.contains(&path) {
            return Err(format!("the book has no {path}"));
        }
        match fragment {
            None | Some("") => Ok(()),
            Some(id) => {
                let page = self.pages.get(&path).ok_or_else(|| format!("{path} is no page"))?;
                page.ids.contains(id).then_some(()).ok_or_else(|| format!("{path} has no id `{id}`"))
            }
        }
    }
}

fn is_hangul(c: char) -> bool {
    ('\u{ac00}'..='\u{d7a3}').contains(&c)
}

/// The path, from the book's root, of `relative` as the page `from` means it.
fn join(from: &str, relative: &str) -> Result<String, String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if relative.starts_with('/') {
        parts.clear();
    }
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or("leaves the book")?;
            }
            name => parts.push(name),
        }
    }
    if relative.ends_with('/') {
        parts.push("index.html");
    }
    Ok(parts.join("/"))
}

impl Page {
    fn parse(html: &str) -> Self {
        let mut page = Self::default();
        let mut korean_until = None;
        for Ok(token) in Tokenizer::new(html) {
            match token {
                Token::StartTag(tag) => {
                    let name = String::from_utf8_lossy(&tag.name).into_owned();
                    let has = |attribute: &[u8], value: &[u8]| {
                        tag.attributes.get(attribute).is_some_and(|is| is.as_slice() == value)
                    };
                    if has(b"lang", b"ko") {
                        korean_until = Some(tag.name.clone());
                    }
                    let label = if name == "img" { "alt" } else { "aria-label" };
                    let is_described = tag.attributes.get(label.as_bytes()).is_some_and(|words| !words.is_empty());
                    let is_picture = name == "img" || name == "svg" && has(b"role", b"img");
                    if is_picture && !is_described {
                        page.undescribed.push(format!("<{name}> after {} ids", page.ids.len()));
                    }
                    for (attribute, value) in &tag.attributes {
                        let value = String::from_utf8_lossy(value).into_owned();
                        page.take_in(&name, &String::from_utf8_lossy(attribute), value);
                    }
                }
                Token::EndTag(tag) if korean_until.as_ref() == Some(&tag.name) => korean_until = None,
                Token::String(text) => {
                    let text = String::from_utf8_lossy(&text);
                    page.has_include |= text.contains("{{#");
                    if korean_until.is_none() && text.contains(is_hangul) {
                        page.unmarked_korean.push(text.trim().to_owned());
                    }
                }
                _ => {}
            }
        }
        page
    }

    fn take_in(&mut self, tag: &str, attribute: &str, value: String) {
        match attribute {
            "href" | "src" | "srcset" | "data" | "poster" if tag != "base" && !value.starts_with("data:") => {
                self.references.insert(Reference { tag: tag.to_owned(), target: value });
            }
            "id" if !self.ids.insert(value.clone()) => {
                self.ids_seen_twice.insert(value);
            }
            "data-key" => self.predict_keys.push(value),
            "class" => self.classes.extend(value.split_whitespace().map(str::to_owned)),
            _ => {}
        }
    }
}
