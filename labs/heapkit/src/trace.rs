//! Traces: what real programs asked of their `malloc`, kept in files.
//!
//! The format is the `.rep` text that malloc courses have used for twenty years, so that their traces can be played here
//! and ours there. Four numbers, a line each, then one operation a line:
//!
//! ```text
//! 20000      the suggested heap size, or the weight of the trace in a grade
//! 3          how many ids there are: 0, 1 and 2
//! 7          how many operations follow
//! 1          the weight, or the largest number of bytes alive at once
//! a 0 512    block 0 = malloc(512)
//! r 0 640    block 0 = realloc(block 0, 640); for an id not used before, realloc(NULL, 640)
//! c 1 80     block 1 = calloc(1, 80)                  (only here: other readers don't know this line)
//! m 2 64 100 block 2 = aligned_alloc(64, 100)         (only here)
//! f 0        free(block 0)
//! f -1       free(NULL)
//! f 2
//! ```
//!
//! Courses agree on the second and third number only. The classic header says heap size and weight, the later one weight
//! and bytes; as small numbers can mean either, and no allocator needs to know, [`read`] wants numbers there and leaves it
//! at that. [`write()`] writes the later header.
//!
//! A block that is never freed is alive when the program ends. An id may name a new block after its `f`. Files may be
//! compressed with gzip; whether one is, its first two bytes tell.

use crate::workload::Op;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::collections::HashMap;
use std::fmt;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::num::IntErrorKind;
use std::path::{Path, PathBuf};

/// The block of `free(NULL)`: there is none.
pub const NULL: usize = usize::MAX;

/// The header, line by line.
const HEADER: [&str; 4] =
    ["the heap size or weight", "the number of ids", "the number of operations", "the weight or number of bytes"];

/// What a line that isn't in the header starts with.
const LETTERS: [char; 5] = ['a', 'c', 'm', 'r', 'f'];

/// The first two bytes of every gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a program asked for, first to last, and what that comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The operations. Each is about a block that is alive or, where it makes one, about a block that isn't.
    pub ops: Vec<Op>,
    /// Every id is below this.
    pub ids: usize,
    /// The largest number of bytes alive at once, as requested.
    pub peak: usize,
    /// The largest request.
    pub largest: usize,
}

impl Trace {
    /// The trace of these operations.
    ///
    /// # Errors
    /// The first operation that no program can mean, such as a second `free` of a block, in words.
    pub fn new(ops: &[Op]) -> Result<Self, String> {
        let mut ledger = Ledger::default();
        for (i, &op) in ops.iter().enumerate() {
            ledger.enter(op).map_err(|what| format!("operation {}, {op}: {what}", i + 1))?;
        }
        Ok(ledger.trace)
    }

    /// The text of a `.rep` file.
    fn text(&self) -> String {
        let Trace { ops, ids, peak, .. } = self;
        // Weight 1: the trace counts, for speed and for space.
        let mut text = format!("1\n{ids}\n{}\n{peak}\n", ops.len());
        for &op in ops {
            let line = match op {
                Op::Malloc { id, size } => format!("a {id} {size}"),
                Op::Calloc { id, size } => format!("c {id} {size}"),
                Op::Aligned { id, align, size } => format!("m {id} {align} {size}"),
                Op::Realloc { id, size } => format!("r {id} {size}"),
                Op::Free { id: NULL } => "f -1".to_owned(),
                Op::Free { id } => format!("f {id}"),
                Op::Foreign { .. } => unreachable!("no trace holds it: see Ledger::enter"),
            };
            writeln!(text, "{line}").expect("a String takes every line");
        }
        text
    }
}

/// Why a trace can't be read or written. Shown, it is one line: `sort.rep:7: block 3 is freed twice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1, if it is about one.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}

impl std::error::Error for Error {}

/// Reads the trace in the file `path`, plain or compressed.
///
/// # Errors
/// The file can't be read, or the first line that makes no sense.
pub fn read(path: impl AsRef<Path>) -> Result<Trace, Error> {
    let path = path.as_ref();
    let error = |line, what| Error { path: path.to_owned(), line, what };
    let mut bytes = fs::read(path).map_err(|e| error(None, e.to_string()))?;
    if bytes.starts_with(&GZIP) {
        let mut unpacked = Vec::new();
        let done = MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked);
        done.map_err(|e| error(None, format!("the gzip data is damaged: {e}")))?;
        bytes = unpacked;
    }
    let text = str::from_utf8(&bytes).map_err(|e| {
        let line = 1 + bytes[..e.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        error(Some(line), "this is no text".to_owned())
    })?;
    parse(text).map_err(|(line, what)| error(Some(line), what))
}

/// Writes a trace of these operations to the file `path`, compressed if its name ends in `.gz`.
///
/// # Errors
/// An operation that no trace can hold, or what the system said. What stood in `path` is then still there.
pub fn write(path: impl AsRef<Path>, ops: &[Op]) -> Result<Trace, Error> {
    let path = path.as_ref();
    let error = |what| Error { path: path.to_owned(), line: None, what };
    let trace = Trace::new(ops).map_err(error)?;
    replace(path, trace.text().as_bytes()).map_err(|e| error(e.to_string()))?;
    Ok(trace)
}

/// Writes beside the file, then renames: whatever happens, a reader finds the old trace or the new one.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let bytes = if path.extension().is_some_and(|extension| extension == "gz") {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(text)?;
        packed.finish()?
    } else {
        text.to_owned()
    };
    // What is no file of its own, such as /dev/null or the link /dev/stdout, is written to and keeps its place.
    if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        return fs::write(path, bytes);
    }
    let beside = path.with_added_extension("tmp");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&beside)))
}

/// Reads the text of a `.rep` file.
///
/// # Errors
/// The first line that makes no sense, and why.
pub fn parse(text: &str) -> Result<Trace, (usize, String)> {
    // Some editors put it before every text that they save.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..).zip(text.lines());
    let mut numbers = [0; HEADER.len()];
    for (i, number) in numbers.iter_mut().enumerate() {
        let missing = |at, ends| (at, format!("{ends} {} of its {} lines: {} missing", i, HEADER.len(), and_so_on(i)));
        let (at, line) = lines.next().ok_or_else(|| missing(text.lines().count() + 1, "the file ends after"))?;
        let line = line.trim();
        if line.split_whitespace().count() > 1 && line.starts_with(LETTERS) {
            return Err(missing(at, "the header ends after"));
        }
        let no_number = |what| (at, format!("this is to be {}, and `{}` is {what}", HEADER[i], shown(line)));
        *number = number_in(line).map_err(no_number)?;
    }
    let [_, ids, promised, _] = numbers;

    let mut ledger = Ledger::default();
    for (at, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        operation(line, ids).and_then(|op| ledger.enter(op)).map_err(|what| (at, what))?;
    }
    let found = ledger.trace.ops.len();
    if found != promised {
        return Err((3, format!("the header promises {promised} operations, and the file has {found}")));
    }
    Ok(ledger.trace)
}

/// The names of the header's lines that are missing from the one with this index on.
fn and_so_on(from: usize) -> String {
    let (last, others) = HEADER[from..].split_last().expect("a line is missing");
    match others {
        [] => format!("{last} is"),
        others => format!("{} and {last} are", others.join(", ")),
    }
}

/// Reads a number, or says why it is none.
fn number_in(word: &str) -> Result<usize, &'static str> {
    word.parse::<usize>().map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow => "larger than any number of 64 bits",
        _ if word
            .strip_prefix('-')
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())) =>
        {
            "below zero"
        }
        _ => "no number",
    })
}

/// What a file says, so that it can be seen: marks that a terminal obeys or leaves out are written in letters, and of a long text
/// there is the start.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown = String::new();
    for c in text.chars().take(MOST) {
        match c {
            '\'' | '"' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// Reads a line such as `a 0 512`; there are `ids` ids.
fn operation(line: &str, ids: usize) -> Result<Op, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let line = shown(line.trim());
    let number = |word: &str, what: &str| {
        number_in(word).map_err(|why| format!("`{line}`: `{}` is {why}, so it is no {what}", shown(word)))
    };
    let id = |word: &str| match number(word, "id")? {
        id if id < ids => Ok(id),
        id => Err(format!("`{line}`: the header promises {ids} ids, counted from 0, and {id} is none of them")),
    };
    match words[..] {
        ["a", block, size] => Ok(Op::Malloc { id: id(block)?, size: number(size, "size")? }),
        ["c", block, size] => Ok(Op::Calloc { id: id(block)?, size: number(size, "size")? }),
        ["r", block, size] => Ok(Op::Realloc { id: id(block)?, size: number(size, "size")? }),
        ["m", block, align, size] => {
            Ok(Op::Aligned { id: id(block)?, align: number(align, "alignment")?, size: number(size, "size")? })
        }
        ["f", "-1"] => Ok(Op::Free { id: NULL }),
        ["f", block] => Ok(Op::Free { id: id(block)? }),
        ["a" | "c" | "r", ..] => Err(format!("`{line}`: after the letter come an id and a size, and no more")),
        ["m", ..] => Err(format!("`{line}`: after the letter come an id, an alignment and a size, and no more")),
        ["f", ..] => Err(format!("`{line}`: after the letter comes an id, and no more")),
        _ => Err(format!("`{line}`: a line starts with a, c, m, r or f")),
    }
}

/// Who is alive, while a trace grows by one operation after the other.
#[derive(Default)]
struct Ledger {
    trace: Trace,
    /// The request of each block that is alive, and `None` for one that was and isn't.
    blocks: HashMap<usize, Option<usize>>,
    alive: usize,
}

impl Ledger {
    fn enter(&mut self, op: Op) -> Result<(), String> {
        let id = op.id().ok_or("a trace is about blocks alone")?;
        let before = self.blocks.get(&id).copied();
        let (was, is) = match (op, before) {
            (Op::Free { id: NULL }, _) => (0, None),
            (_, _) if id == NULL => return Err("there is no such id".to_owned()),
            (Op::Free { .. }, Some(Some(size))) => (size, None),
            (Op::Free { .. }, Some(None)) => return Err(format!("block {id} is freed twice")),
            (Op::Free { .. }, None) => return Err(format!("block {id} is freed, but nothing has asked for it")),
            (Op::Realloc { .. }, Some(None)) => {
                return Err(format!("block {id} is reallocated, but it has been freed"));
            }
            (Op::Realloc { size, .. }, _) => (before.flatten().unwrap_or(0), Some(size)),
            (_, Some(Some(_))) => return Err(format!("block {id} is asked for, but it is alive already")),
            (Op::Aligned { align, .. }, _) if !align.is_power_of_two() => {
                return Err(format!("the alignment {align} is no power of two"));
            }
            (Op::Malloc { size, .. } | Op::Calloc { size, .. } | Op::Aligned { size, .. }, _) => (0, Some(size)),
            (Op::Foreign { .. }, _) => unreachable!("it has no id"),
        };
        let alive = (self.alive - was).checked_add(is.unwrap_or(0));
        self.alive = alive.ok_or("so many bytes can't be alive at once")?;
        if id != NULL {
            self.blocks.insert(id, is);
            self.trace.ids = self.trace.ids.max(id + 1);
        }
        self.trace.peak = self.trace.peak.max(self.alive);
        self.trace.largest = self.trace.largest.max(is.unwrap_or(0));
        self.trace.ops.push(op);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload;

    /// Reads the example that courses print, with these lines after the header.
    fn error(lines: &str) -> String {
        let text = format!("20000\n3\n{}\n1\n{lines}\n", lines.lines().count());
        let (line, what) = parse(&text).expect_err("this is no trace");
        format!("{line}: {what}")
    }

    /// A file of this test's own.
    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("heapkit-{}-{name}", std::process::id()))
    }

    #[test]
    fn the_classic_header_and_the_later_one_are_read_alike() {
        let ops = "a 0 512\na 1 128\nr 0 640\na 2 128\nf 1\nr 0 768\nf 0\nf 2\n";
        let classic = parse(&format!("20000\n3\n8\n1\n{ops}")).unwrap();
        let later = parse(&format!("1\n3\n8\n896\n{ops}")).unwrap();
        assert_eq!(classic, later);
        assert_eq!(classic.ops[2], Op::Realloc { id: 0, size: 640 });
        assert_eq!((classic.ids, classic.peak, classic.largest), (3, 896, 768));
    }

    #[test]
    fn every_line_of_the_module_documentation_is_understood() {
        let ops = "a 0 512\nr 0 640\nc 1 80\nm 2 64 100\nf 0\nf -1\nf 2\n";
        let trace = parse(&format!("20000\n3\n7\n1\n{ops}")).unwrap();
        assert_eq!(workload::format(&trace.ops), format!("m0:512 r0:640 c1:80 a2:64:100 f0 f{NULL} f2"));
        assert!(trace.text().ends_with(ops));
    }

    #[test]
    fn windows_line_ends_and_empty_lines_do_not_matter() {
        let trace = parse("1\r\n1\r\n2\r\n8\r\na 0 8\r\n\r\nf 0\r\n\r\n").unwrap();
        assert_eq!(trace.ops, [Op::Malloc { id: 0, size: 8 }, Op::Free { id: 0 }]);
    }

    #[test]
    fn an_id_that_was_not_used_before_may_be_reallocated_and_a_freed_one_used_again() {
        let trace = Trace::new(&workload::parse("r0:10 f0 m0:20").unwrap()).unwrap();
        assert_eq!((trace.ids, trace.peak), (1, 20));
    }

    #[test]
    fn what_is_written_is_read_again_plain_and_compressed() {
        let ops = workload::random_of_all_kinds(3, 2000, 0..=5000, 40);
        for (name, packed) in [("trip.rep", false), ("trip.rep.gz", true)] {
            let path = file(name);
            let written = write(&path, &ops).unwrap();
            assert_eq!(fs::read(&path).unwrap().starts_with(&GZIP), packed);
            assert_eq!(read(&path).unwrap(), written);
            assert_eq!(written.ops, ops);
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn the_magic_tells_what_is_compressed_not_the_name() {
        let path = file("plain.gz");
        fs::write(&path, "1\n1\n1\n8\na 0 8\n").unwrap();
        assert_eq!(read(&path).unwrap().ops.len(), 1);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn an_error_names_the_file_and_the_line() {
        let path = file("twice.rep");
        fs::write(&path, "1\n1\n3\n8\na 0 8\nf 0\nf 0\n").unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), format!("{}:7: block 0 is freed twice", path.display()));
        fs::remove_file(&path).unwrap();
        let missing = read(&path).unwrap_err().to_string();
        assert!(missing.starts_with(&format!("{}: No such file", path.display())), "{missing}");
    }

    #[test]
    fn damaged_files_are_errors() {
        let path = file("damaged.rep.gz");
        let ops = workload::random(1, 500, 1..=100, 8);
        write(&path, &ops).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(read(&path).unwrap_err().what.starts_with("the gzip data is damaged: "));
        fs::write(&path, b"1\n1\n\xff\n").unwrap();
        assert_eq!(
            (read(&path).unwrap_err().line, read(&path).unwrap_err().what.as_str()),
            (Some(3), "this is no text")
        );
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_header_has_four_numbers() {
        let what = |text| parse(text).unwrap_err();
        let missing = "the number of operations and the weight or number of bytes are missing";
        assert!(
            what("")
                .1
                .starts_with("the file ends after 0 of its 4 lines: the heap size or weight, the number of ids, ")
        );
        assert_eq!(what("1\n2\n"), (3, format!("the file ends after 2 of its 4 lines: {missing}")));
        assert_eq!(what("1\n2\na 0 8\n"), (3, format!("the header ends after 2 of its 4 lines: {missing}")));
        let last = "the header ends after 3 of its 4 lines: the weight or number of bytes is missing";
        assert_eq!(what("1\n2\n1\nf 0\n"), (4, last.to_owned()));
        assert_eq!(what("1\nmany\n"), (2, "this is to be the number of ids, and `many` is no number".into()));
        assert_eq!(what("1\n-2\n"), (2, "this is to be the number of ids, and `-2` is below zero".into()));
        let large = "this is to be the number of ids, and `18446744073709551616` is larger than any number of 64 bits";
        assert_eq!(what("1\n18446744073709551616\n"), (2, large.into()));
    }

    #[test]
    fn what_can_not_be_seen_is_written_in_letters() {
        let trace = parse("\u{feff}1\n1\n1\n8\na 0 8\n").expect("a byte order mark is no part of a text");
        assert_eq!(trace.ops.len(), 1);
        for (line, seen) in [
            ("a 0 8\u{1a}", "`a 0 8\\u{1a}`: `8\\u{1a}` is no number, so it is no size"),
            ("a 0\0 8", "`a 0\\0 8`: `0\\0` is no number, so it is no id"),
            ("a 0 \u{feff}8", "`a 0 \\u{feff}8`: `\\u{feff}8` is no number, so it is no size"),
            ("\u{1b}[31ma 0 8", "`\\u{1b}[31ma 0 8`: a line starts with a, c, m, r or f"),
            ("a 0\r8 9", "`a 0\\r8 9`: after the letter"),
        ] {
            let error = error(line);
            assert!(error.starts_with(&format!("5: {seen}")), "{error}");
        }
        assert!(error(&"x".repeat(1 << 20)).len() < 200, "a line may be a megabyte long");
        let large = "5: `a 0 18446744073709551616`: `18446744073709551616` is larger than any number of 64 bits, so it is no size";
        assert_eq!(error("a 0 18446744073709551616"), large);
    }

    #[test]
    fn the_header_tells_the_number_of_operations() {
        assert_eq!(
            parse("1\n1\n2\n8\na 0 8\n").unwrap_err(),
            (3, "the header promises 2 operations, and the file has 1".into())
        );
        assert_eq!(
            parse("1\n1\n0\n8\na 0 8\n").unwrap_err(),
            (3, "the header promises 0 operations, and the file has 1".into())
        );
    }

    #[test]
    fn a_line_is_a_letter_and_its_numbers() {
        assert_eq!(error("a 0 8\nx 1"), "6: `x 1`: a line starts with a, c, m, r or f");
        assert_eq!(error("a 0"), "5: `a 0`: after the letter come an id and a size, and no more");
        assert_eq!(error("m 0 64"), "5: `m 0 64`: after the letter come an id, an alignment and a size, and no more");
        assert_eq!(error("f 0 8"), "5: `f 0 8`: after the letter comes an id, and no more");
        assert_eq!(error("a 0 big"), "5: `a 0 big`: `big` is no number, so it is no size");
        assert_eq!(error("a 0 -8"), "5: `a 0 -8`: `-8` is below zero, so it is no size");
        assert_eq!(error("m 0 x 8"), "5: `m 0 x 8`: `x` is no number, so it is no alignment");
        assert_eq!(error("f one"), "5: `f one`: `one` is no number, so it is no id");
        assert_eq!(error("a -1 8"), "5: `a -1 8`: `-1` is below zero, so it is no id");
        assert_eq!(error("a 3 8"), "5: `a 3 8`: the header promises 3 ids, counted from 0, and 3 is none of them");
        assert_eq!(error("m 0 48 8"), "5: the alignment 48 is no power of two");
    }

    #[test]
    fn a_block_is_asked_for_then_freed_once() {
        assert_eq!(error("f 0"), "5: block 0 is freed, but nothing has asked for it");
        assert_eq!(error("a 0 8\nf 0\nf 0"), "7: block 0 is freed twice");
        assert_eq!(error("a 0 8\na 0 8"), "6: block 0 is asked for, but it is alive already");
        assert_eq!(error("a 0 8\nf 0\nr 0 9"), "7: block 0 is reallocated, but it has been freed");
        assert_eq!(error(&format!("a 0 {0}\na 1 {0}", usize::MAX)), "6: so many bytes can't be alive at once");
    }

    #[test]
    fn what_no_trace_can_hold_is_not_written() {
        let path = file("never.rep");
        let refused = |ops| write(&path, &workload::parse(ops).unwrap()).unwrap_err().what;
        assert_eq!(refused("m0:8 b:4096"), "operation 2, b:4096: a trace is about blocks alone");
        assert_eq!(refused("m0:8 f0 f0"), "operation 3, f0: block 0 is freed twice");
        assert_eq!(refused(&format!("m{NULL}:8")), format!("operation 1, m{NULL}:8: there is no such id"));
        assert!(!path.exists());
    }

    #[test]
    fn a_trace_does_not_take_the_place_of_a_device_a_link_or_a_folder() {
        let ops = workload::parse("m0:8").unwrap();
        assert_eq!(write("/dev/null", &ops).unwrap().ops, ops);
        assert!(!Path::new("/dev/null").is_file());
        let (link, target) = (file("link.rep"), file("target.rep"));
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, &ops).unwrap();
        assert!(link.is_symlink() && read(&target).unwrap().ops == ops);
        fs::remove_file(link).and(fs::remove_file(target)).unwrap();
        let folder = std::env::temp_dir();
        assert_eq!(
            write(&folder, &ops).unwrap_err().to_string(),
            format!("{}: Is a directory (os error 21)", folder.display())
        );
    }
}
