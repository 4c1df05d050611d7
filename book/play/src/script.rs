//! What a reader types: one call a line.

use std::fmt;

/// No story has more calls: each has a picture of its own.
pub const MOST_CALLS: usize = 400;

/// No block can be aligned to more: the simulated memory itself isn't.
pub const LARGEST_ALIGNMENT: usize = 1 << 20;

/// A call, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line in the reader's text, from 1.
    pub number: usize,
    /// What is called.
    pub call: Call,
}

/// One call. The names are the reader's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `a = malloc(40)`
    Malloc {
        /// The block's name.
        name: String,
        /// How many bytes.
        request: usize,
    },
    /// `a = calloc(10, 8)`
    Calloc {
        /// The block's name.
        name: String,
        /// How many elements.
        count: usize,
        /// The bytes of each.
        size: usize,
    },
    /// `a = aligned(64, 100)`
    Aligned {
        /// The block's name.
        name: String,
        /// What the address is to be a multiple of.
        align: usize,
        /// How many bytes.
        request: usize,
    },
    /// `a = realloc(a, 100)`
    Realloc {
        /// What the block is called afterwards.
        name: String,
        /// What it is called before; `None` for `NULL`.
        old: Option<String>,
        /// How many bytes.
        request: usize,
    },
    /// `free(a)`
    Free {
        /// The block's name; `None` for `NULL`.
        name: Option<String>,
    },
    /// Other code of the process moves the break.
    Foreign {
        /// How far.
        delta: isize,
    },
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let null = |name: &Option<String>| name.clone().unwrap_or_else(|| "NULL".into());
        match self {
            Call::Malloc { name, request } => write!(f, "{name} = malloc({request})"),
            Call::Calloc { name, count, size } => write!(f, "{name} = calloc({count}, {size})"),
            Call::Aligned { name, align, request } => write!(f, "{name} = aligned({align}, {request})"),
            Call::Realloc { name, old, request } => write!(f, "{name} = realloc({}, {request})", null(old)),
            Call::Free { name } => write!(f, "free({})", null(name)),
            Call::Foreign { delta } => write!(f, "other code moves the break by {delta:+}"),
        }
    }
}

/// What can't be played, and why: one sentence for the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line in the reader's text, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// Reads a text: the calls up to the first line that makes no sense, and what is wrong with that one.
pub fn parse(text: &str) -> (Vec<Line>, Option<Mistake>) {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or_default().split('#').next().unwrap_or_default();
        for statement in code.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let call = if lines.len() < MOST_CALLS {
                call(statement)
            } else {
                Err(format!("The playground plays at most {MOST_CALLS} calls at once."))
            };
            match call {
                Ok(call) => lines.push(Line { number, call }),
                Err(what) => return (lines, Some(Mistake { line: number, what })),
            }
        }
    }
    (lines, None)
}

const CALLS: &str = "Write `a = malloc(40)`, `b = calloc(10, 8)`, `a = realloc(a, 100)` or `free(a)`.";

fn call(statement: &str) -> Result<Call, String> {
    if let Some(delta) = statement.strip_prefix("other code moves the break by ") {
        let delta =
            delta.trim().parse().map_err(|_| format!("`{}` is no number of bytes, such as +4096.", shown(delta)))?;
        return Ok(Call::Foreign { delta });
    }
    let unknown = || format!("The playground doesn't know the call `{}`. {CALLS}", shown(statement));
    let (left, right) = match statement.split_once('=') {
        Some((left, right)) => (Some(left), right.trim()),
        None => (None, statement),
    };
    let (function, arguments) = right.split_once('(').ok_or_else(unknown)?;
    let arguments = arguments.trim_end().strip_suffix(')').ok_or_else(|| {
        format!("`{}` has an opening bracket, but it doesn't end with a closing one.", shown(statement))
    })?;
    let function = function.trim();
    let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
    if function == "free" {
        let [block] = arguments[..] else {
            return Err("`free` takes the name of one block, as in `free(a)`.".into());
        };
        if left.is_some() {
            return Err("`free` returns nothing: write `free(a)`, without a name and `=` before it.".into());
        }
        return Ok(Call::Free { name: old_block(block)? });
    }
    let form = match function {
        "malloc" => "malloc(40)",
        "calloc" => "calloc(10, 8)",
        "realloc" => "realloc(a, 100)",
        "aligned" | "aligned_alloc" => "aligned(64, 100)",
        _ => return Err(unknown()),
    };
    let left = left.ok_or_else(|| format!("Give the block a name, or nobody can free it: `a = {form}`."))?;
    // `char *a` and `let a` declare a name as well.
    let name = name(left.rsplit([' ', '\t', '*']).find(|word| !word.is_empty()).unwrap_or(left))?;
    match (function, &arguments[..]) {
        ("malloc", [request]) => Ok(Call::Malloc { name, request: number(request)? }),
        ("calloc", [count, size]) => Ok(Call::Calloc { name, count: number(count)?, size: number(size)? }),
        ("realloc", [old, request]) => Ok(Call::Realloc { name, old: old_block(old)?, request: number(request)? }),
        ("aligned" | "aligned_alloc", [align, request]) => {
            let align = number(align)?;
            if align > LARGEST_ALIGNMENT {
                return Err(format!("The playground aligns blocks to at most {LARGEST_ALIGNMENT} bytes."));
            }
            Ok(Call::Aligned { name, align, request: number(request)? })
        }
        _ => {
            let count = if function == "malloc" { "one number" } else { "two arguments" };
            Err(format!("`{function}` takes {count}, as in `a = {form}`."))
        }
    }
}

/// The name of a block that should exist, or `None` for a null pointer.
fn old_block(word: &str) -> Result<Option<String>, String> {
    if matches!(word, "NULL" | "null" | "nullptr") { Ok(None) } else { name(word).map(Some) }
}

fn name(word: &str) -> Result<String, String> {
    let word = word.trim();
    let is_name = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!("`{}` is no name for a block, such as `a` or `buffer_2`.", shown(word)));
    }
    if word.len() > 12 {
        return Err(format!("`{}` is too long a name for the picture: 12 letters have room.", shown(word)));
    }
    Ok(word.to_owned())
}

/// `40`, `0x40`, `4_096`, `64 GiB`, `usize::MAX - 7`: what the screens of the labs write, too.
fn number(word: &str) -> Result<usize, String> {
    let no_number = || format!("`{}` is no number of bytes, such as 40.", shown(word));
    let (first, then) = match word.rfind([' ', '+', '-', '*']) {
        Some(at) if word[..at].trim_end().ends_with(['+', '-', '*']) => {
            let operator = word[..at].trim_end();
            (&operator[..operator.len() - 1], Some((operator.chars().last(), &word[at + 1..])))
        }
        Some(at) if word[at..].starts_with(['+', '-', '*']) && at > 0 => {
            (&word[..at], Some((word[at..].chars().next(), &word[at + 1..])))
        }
        _ => (word, None),
    };
    let first = term(first.trim()).ok_or_else(no_number)?;
    let Some((operator, second)) = then else { return Ok(first) };
    let second = term(second.trim()).ok_or_else(no_number)?;
    let result = match operator {
        Some('+') => first.checked_add(second),
        Some('*') => first.checked_mul(second),
        _ => first.checked_sub(second),
    };
    result.ok_or_else(|| format!("`{}` is no number that 64 bits can hold.", shown(word)))
}

fn term(word: &str) -> Option<usize> {
    match word {
        "usize::MAX" | "SIZE_MAX" => return Some(usize::MAX),
        "isize::MAX" | "PTRDIFF_MAX" => return Some(isize::MAX as usize),
        _ => {}
    }
    for (unit, bytes) in [("KiB", 1_usize << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)] {
        if let Some(count) = word.strip_suffix(unit) {
            return term(count.trim())?.checked_mul(bytes);
        }
    }
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = word.replace('_', "");
    match digits.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// The reader's own words, short enough for a sentence.
fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let text = text.trim();
    let start: String = text.chars().take(MOST).collect();
    if text.chars().nth(MOST).is_some() { start + "…" } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(text: &str) -> Vec<String> {
        let (lines, mistake) = parse(text);
        assert_eq!(mistake, None);
        lines.iter().map(|line| line.call.to_string()).collect()
    }

    fn mistake(text: &str) -> String {
        let mistake = parse(text).1.unwrap_or_else(|| panic!("{text} is in order"));
        format!("{}: {}", mistake.line, mistake.what)
    }

    #[test]
    fn calls_are_separated_by_lines_or_semicolons() {
        let text = "a = malloc(40); b=calloc( 10,8 )\n\n free(a) ; // no more\n# over\nb = realloc(b, 0x64)";
        assert_eq!(calls(text), ["a = malloc(40)", "b = calloc(10, 8)", "free(a)", "b = realloc(b, 100)"]);
        let numbers: Vec<usize> = parse(text).0.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [1, 1, 3, 5]);
    }

    #[test]
    fn c_and_the_screens_of_the_labs_are_understood() {
        let text = "char *p = malloc(1 KiB);\nvoid* q = aligned_alloc(64, 100);\nfree(NULL)\n\
                    r = malloc(usize::MAX - 7); s = malloc(64 GiB); t = malloc(10 * 8); other code moves the break by +4096";
        let expected = [
            "p = malloc(1024)",
            "q = aligned(64, 100)",
            "free(NULL)",
            "r = malloc(18446744073709551608)",
            "s = malloc(68719476736)",
            "t = malloc(80)",
            "other code moves the break by +4096",
        ];
        assert_eq!(calls(text), expected);
    }

    #[test]
    fn bad_input_gets_one_sentence_with_its_line() {
        let expected = [
            ("a = malloc(40)\nfre(a)", "2: The playground doesn't know the call `fre(a)`. Write `a = malloc(40)`"),
            ("malloc(40)", "1: Give the block a name, or nobody can free it: `a = malloc(40)`."),
            ("a = malloc(forty)", "1: `forty` is no number of bytes, such as 40."),
            ("a = malloc(-1)", "1: `-1` is no number of bytes"),
            ("a = malloc(40, 2)", "1: `malloc` takes one number, as in `a = malloc(40)`."),
            ("a = calloc(40)", "1: `calloc` takes two arguments, as in `a = calloc(10, 8)`."),
            ("a = free(b)", "1: `free` returns nothing"),
            ("free(a, b)", "1: `free` takes the name of one block"),
            ("1a = malloc(40)", "1: `1a` is no name for a block"),
            ("a = malloc(40", "1: `a = malloc(40` has an opening bracket"),
            ("a", "1: The playground doesn't know the call `a`."),
            ("a = malloc(99999999999999999999)", "1: `99999999999999999999` is no number"),
            ("a = malloc(1 - 2)", "1: `1 - 2` is no number that 64 bits can hold."),
            ("a = aligned(2097152, 1)", "1: The playground aligns blocks to at most 1048576 bytes."),
            ("한글 = malloc(1)", "1: `한글` is no name for a block"),
        ];
        for (text, says) in expected {
            assert!(mistake(text).starts_with(says), "{text}: {}", mistake(text));
        }
        let many = "a = malloc(1); free(a)\n".repeat(MOST_CALLS);
        assert_eq!(mistake(&many), "201: The playground plays at most 400 calls at once.");
    }

    #[test]
    fn what_comes_before_the_mistake_is_played() {
        assert_eq!(parse("a = malloc(1)\nb = malloc(2)\n?").0.len(), 2);
    }
}
