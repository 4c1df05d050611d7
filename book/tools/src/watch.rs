//! Waits for a change in what the book is made from.

use anyhow::{Context, Result};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// An editor saves in several steps: after this much silence it has finished.
const SILENCE: Duration = Duration::from_millis(60);

/// Watches the sources of a book.
pub struct Sources {
    changes: Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Sources {
    /// Watches the sources of the book in the folder `book`, of the course in the folder `course`.
    ///
    /// # Errors
    /// The system can't watch one of the folders.
    pub fn watch(book: &Path, course: &Path) -> Result<Self> {
        let (sender, changes) = channel();
        let made_of = MadeOf { book: book.to_path_buf(), labs: course.join("labs") };
        let mut watcher = notify::recommended_watcher({
            let made_of = made_of.clone();
            move |event: notify::Result<Event>| {
                if event.is_ok_and(|event| made_of.changed_by(&event)) {
                    // The receiver goes only when the program does.
                    let _ = sender.send(());
                }
            }
        })?;
        for (folder, mode) in made_of.folders() {
            watcher.watch(&folder, mode).with_context(|| format!("can't watch {}", folder.display()))?;
        }
        Ok(Self { changes, _watcher: watcher })
    }

    /// Returns after the next change, when the sources are quiet again.
    pub fn wait_for_change(&self) {
        // The sender lives in the watcher, as long as `self`.
        let _ = self.changes.recv();
        while self.changes.recv_timeout(SILENCE).is_ok() {}
    }
}

/// What a book is made of.
#[derive(Clone)]
struct MadeOf {
    book: PathBuf,
    labs: PathBuf,
}

impl MadeOf {
    /// The folders to watch: more than the book is made of, so [`MadeOf::changed_by`] chooses. A file is watched through its
    /// folder, because many editors save by putting a new file in the place of the old one.
    fn folders(&self) -> Vec<(PathBuf, RecursiveMode)> {
        let labs = std::fs::read_dir(&self.labs).into_iter().flatten().flatten().map(|entry| entry.path());
        let flat = labs.chain([self.book.clone()]).map(|folder| (folder, RecursiveMode::NonRecursive));
        let deep = self.book_folders().map(|folder| (folder, RecursiveMode::Recursive));
        flat.chain(deep).filter(|(folder, _)| folder.is_dir()).collect()
    }

    /// The listings are watched whole: pages show their source too.
    fn book_folders(&self) -> impl Iterator<Item = PathBuf> {
        ["src", "theme", "listings"].into_iter().map(|name| self.book.join(name))
    }

    fn changed_by(&self, event: &Event) -> bool {
        // To build the book is to read its sources: that isn't a change.
        let change = !matches!(event.kind, EventKind::Access(_));
        change && event.paths.iter().any(|path| self.includes(path))
    }

    fn includes(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let editors_own = name.starts_with('.') || name.ends_with('~');
        let is_source = self.book_folders().any(|folder| path.starts_with(folder))
            || path == self.book.join("book.toml")
            || path.starts_with(&self.labs) && name == "lab.toml";
        is_source && !editors_own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_of() -> MadeOf {
        MadeOf { book: "/course/book".into(), labs: "/course/labs".into() }
    }

    #[test]
    fn pages_theme_configuration_listings_and_rules_are_sources() {
        for path in [
            "book/src/chunks.md",
            "book/theme/heap.css",
            "book/book.toml",
            "book/listings/captured/facts.toml",
            "labs/lab03/lab.toml",
        ] {
            assert!(made_of().includes(&Path::new("/course").join(path)), "{path}");
        }
    }

    #[test]
    fn what_the_build_writes_and_what_an_editor_leaves_are_not_sources() {
        for path in
            ["book/book/index.html", "book/src/.chunks.md.swp", "book/src/chunks.md~", "labs/lab03/src/free_list.rs"]
        {
            assert!(!made_of().includes(&Path::new("/course").join(path)), "{path}");
        }
    }
}
