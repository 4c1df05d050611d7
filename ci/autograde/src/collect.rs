//! The learners' files in the form that similarity checkers take: a folder for each, named by its key or a pseudonym, and the starter
//! apart, so that what everybody was given counts for nobody.
//!
//! JPlag takes `--base-code` as a folder among the submissions or beside them; MOSS takes the starter with `-b` and, with `-d`, a
//! folder for each learner. A name that stands for another file, or a file that can't be read, is named and left out.

use crate::Error;
use crate::entry::Listing;
use crate::pseudonyms::Pseudonyms;
use crate::{Submission, Unreadable};
use proctor::lab::Lab;
use proctor::report::replace;
use std::path::Path;

/// The folder with a folder for each learner.
pub const SUBMISSIONS: &str = "submissions";
/// The folder with the starter.
pub const STARTER: &str = "starter";

/// What was collected.
#[derive(Debug)]
pub struct Collected {
    /// How many files.
    pub files: usize,
    /// What isn't there, and why, a line for each.
    pub left_out: Vec<String>,
}

/// Writes the learners' files of `lab` that are in `folder` to the new folder `out`, under pseudonyms if there are `names`.
///
/// # Errors
/// One line: a folder or file can't be read or written, or `out` has something in it.
pub fn run(lab: &Lab, folder: &Path, out: &Path, mut names: Option<Pseudonyms>) -> Result<Collected, Error> {
    let listing = Listing::of(folder)?;
    // What an earlier collection left there would be compared with its own author's new file.
    Error::unless_new(out)?;
    let name = Path::new(lab.file.file_name().unwrap_or_default());
    let mut collected = Collected { files: 0, left_out: Vec::new() };
    for name in &listing.skipped {
        collected.left_out.push(format!("{name}: skipped, it is no submission"));
    }
    for entry in &listing.entries {
        let submission =
            if entry.path.is_symlink() { Err(Unreadable::Link) } else { Submission::read(&entry.path, lab) };
        match submission {
            Ok(submission) => {
                let key = match &mut names {
                    Some(names) => names.of(&entry.key, &entry.name)?,
                    None => entry.key.clone(),
                };
                let path = out.join(SUBMISSIONS).join(key).join(name);
                replace(&path, &submission.text).map_err(Error::at(&path))?;
                collected.files += 1;
            }
            Err(what) => collected.left_out.push(format!("{}: {what}", entry.name)),
        }
    }
    names.map_or(Ok(()), |names| names.save())?;
    let (starter, to) = (lab.learner_file(), out.join(STARTER).join(name));
    let text = std::fs::read_to_string(&starter).map_err(Error::at(&starter))?;
    replace(&to, &text).map_err(Error::at(&to))?;
    Ok(collected)
}
