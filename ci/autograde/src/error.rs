//! Why the grader can't do what it is asked for. What is wrong with a submission is another matter: [`crate::Unreadable`].

use crate::{decisions, export};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with the machine, the course or a folder of results. Shown, it is one line.
#[derive(Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "a field's name says it")]
pub enum Error {
    /// A file or folder can't be read or written.
    File { path: PathBuf, error: io::Error },
    /// A file of the course, or a report that its exam has written, isn't what it should be.
    Course(proctor::Error),
    /// No folder at or above the current one is a course.
    NoCourse,
    /// There is no lab of this name.
    NoLab { name: String, known: Vec<String> },
    /// A program can't be started.
    NotStarted { program: String, error: io::Error },
    /// Cargo or rustc has failed, and says why.
    Failed { said: String },
    /// The helper that confines other programs is missing.
    NoHelper { beside: PathBuf },
    /// The helper can't confine anything here.
    NoSandbox { said: String },
    /// The course's own code doesn't compile.
    NotCompiled { lab: String, said: String },
    /// The build of the course's own code was not finished in time.
    BuildTooLong { minutes: u64 },
    /// The programs that must not compile can't be checked.
    NoTypes { lab: String },
    /// Not even the starter can be compiled in the sandbox.
    StarterNotCompiled { lab: String, said: String },
    /// The compiler was killed, by nothing that the sandbox does.
    CompilerKilled,
    /// The exam ended before it had run this case.
    NotRun { case: String, ended: String },
    /// The folder of submissions is empty.
    NoSubmission { folder: PathBuf },
    /// The results would go into the folder of submissions.
    ResultsAmongSubmissions { out: PathBuf },
    /// A file of results has another format than this program reads.
    Format { path: PathBuf, format: String, wanted: &'static str },
    /// A batch names a folder of results that can't be one.
    NoKey { path: PathBuf, key: String },
    /// A file of results is another entry's.
    OtherEntry { path: PathBuf, key: String },
    /// A result was graded with another lab, course, compiler or seed.
    OtherGrading { path: PathBuf, what: &'static str },
    /// A file of decisions isn't one.
    Decisions { path: PathBuf, fault: decisions::Fault },
    /// A roster can't be used.
    Roster { path: PathBuf, fault: export::Fault },
    /// A student edition, or a collection, needs a new folder.
    NotEmpty { dir: PathBuf },
    /// Who is who would be told to those who are to see pseudonyms.
    NamesAmongResults { path: PathBuf },
    /// Git doesn't say what it tracks.
    Untracked { said: String },
}

impl Error {
    /// What the system or a format's writer says about `path`.
    pub(crate) fn at<E: Into<io::Error>>(path: &Path) -> impl Fn(E) -> Self {
        move |error| Error::File { path: path.to_path_buf(), error: error.into() }
    }

    /// What stands in the way of writing to the folder `dir`, if something is in it already.
    pub(crate) fn unless_new(dir: &Path) -> Result<(), Self> {
        let has_something = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
        if has_something { Err(Error::NotEmpty { dir: dir.to_path_buf() }) } else { Ok(()) }
    }
}

impl From<proctor::Error> for Error {
    fn from(error: proctor::Error) -> Self {
        Error::Course(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::entry::{in_one_line, printable};
        match self {
            Error::File { path, error } => write!(f, "{}: {error}", in_one_line(path.as_os_str())),
            Error::Course(error) => error.fmt(f),
            Error::NoCourse => f.write_str("there is no course here: start it from a checkout of the course"),
            Error::NoLab { name, known } => write!(f, "there is no lab `{name}` (there are: {})", known.join(", ")),
            Error::NotStarted { program, error } => write!(f, "{program} can't be started: {error}"),
            Error::Failed { said } => f.write_str(said),
            Error::NoHelper { beside } => {
                write!(f, "the sandbox's helper is missing beside {}", beside.display())
            }
            Error::NoSandbox { said } => write!(f, "the sandbox can't be set up: {said}"),
            Error::NotCompiled { lab, said } => write!(f, "the course's own {lab} does not compile: {said}"),
            Error::BuildTooLong { minutes } => write!(f, "the build was not finished after {minutes} minutes"),
            Error::NoTypes { lab } => write!(f, "the programs of {lab} that must not compile can't be checked here"),
            Error::StarterNotCompiled { lab, said } => write!(f, "{lab} can't be compiled here: {said}"),
            Error::CompilerKilled => {
                f.write_str("the compiler was stopped from outside: is the machine out of memory?")
            }
            Error::NotRun { case, ended } => write!(f, "the case {case} was not run: {ended}"),
            Error::NoSubmission { folder } => {
                write!(f, "{}: there is no submission in it", in_one_line(folder.as_os_str()))
            }
            Error::ResultsAmongSubmissions { out } => {
                write!(f, "{}: the results can't go into the folder of submissions", out.display())
            }
            Error::Format { path, format, wanted } => {
                write!(f, "{}: the format is `{format}`, not `{wanted}`", path.display())
            }
            Error::NoKey { path, key } => {
                write!(f, "{}: `{}` is no name of a folder of results", path.display(), printable(key))
            }
            Error::OtherEntry { path, key } => write!(f, "{}: this is not the result of {key}", path.display()),
            Error::OtherGrading { path, what } => {
                write!(f, "{}: it was graded with another {what}", path.display())
            }
            Error::Decisions { path, fault } => write!(f, "{}: {fault}", in_one_line(path.as_os_str())),
            Error::Roster { path, fault } => write!(f, "{}: {fault}", in_one_line(path.as_os_str())),
            Error::NotEmpty { dir } => {
                write!(f, "{}: this folder isn't empty: name a new one", dir.display())
            }
            Error::NamesAmongResults { path } => {
                write!(f, "{}: the table of who is who can't go where others see pseudonyms", path.display())
            }
            Error::Untracked { said } => write!(f, "a student edition is made of what git tracks: {said}"),
        }
    }
}

impl std::error::Error for Error {}

/// Programs that end with one line on the screen need no more.
impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}
