//! What acts while a file is *compiled*: it can read other files, or ask who compiles it, where no case sees it. The build's sandbox
//! keeps it away from everything that matters; still, somebody has to read such a file before its points count.
//!
//! What only *runs* is not looked at: it runs in a process that can do nothing but answer, and no answer is taken on trust.
//!
//! No macro of stable Rust makes a word out of parts, so each word that is looked for is in the file for all to see. Where a macro
//! could put it to use, it counts whatever is around it.

use crate::entry::printable;
use proc_macro2::{Delimiter, Ident, LexError, Span, TokenStream, TokenTree};
use serde::{Deserialize, Serialize};

/// The largest source that is looked at and compiled. A lab's file has a few hundred lines.
pub const MAX_BYTES: usize = 1 << 20;
/// The most lines that are named.
const MAX_HELD: usize = 50;
/// The most characters of a reason, and of a line that is quoted.
const MAX_REASON: usize = 200;
/// How many lines before and after it are quoted.
const EXCERPT: usize = 2;

/// Why a submission is held for review.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// The line of the learner's file, from 1.
    pub line: usize,
    /// What is there, and what it does.
    pub reason: String,
    /// The line and its neighbours, for whoever decides.
    #[serde(default)]
    pub excerpt: String,
}

impl Held {
    fn at(span: Span, reason: &str) -> Self {
        let reason = printable(reason).chars().take(MAX_REASON).collect();
        Held { line: span.start().line.max(1), reason, excerpt: String::new() }
    }

    /// Adds what is at the line in `text`, the file.
    #[must_use]
    pub fn quoting(mut self, text: &str) -> Self {
        let first = self.line.saturating_sub(EXCERPT + 1);
        let lines = text.lines().enumerate().skip(first).take(self.line + EXCERPT - first);
        let quoted = lines.map(|(i, line)| {
            let mark = if i + 1 == self.line { '►' } else { ' ' };
            format!("{mark}{:>5}  {}\n", i + 1, printable(line).chars().take(MAX_REASON).collect::<String>())
        });
        self.excerpt = quoted.collect();
        self
    }
}

/// Reads a source: what acts while it is compiled, line by line.
///
/// # Errors
/// The place where it is no Rust. If the compiler knows better, that is a reason to hold it.
pub fn read(text: &str) -> Result<Vec<Held>, Held> {
    let tokens: Result<TokenStream, LexError> = text.trim_start_matches('\u{feff}').parse();
    let tokens = tokens.map_err(|e| Held::at(e.span(), "what is here can't be read as Rust"))?;
    let mut held = Vec::new();
    // A list and no recursion: a file can be nested deeper than any stack.
    let mut groups = vec![(tokens, Place::default())];
    while let Some((tokens, place)) = groups.pop() {
        read_group(&tokens.into_iter().collect::<Vec<_>>(), place, &mut groups, &mut held);
    }
    held.sort();
    held.dedup();
    held.truncate(MAX_HELD);
    // Of every text that is read, the library keeps a copy to know its lines by.
    proc_macro2::extra::invalidate_current_thread_spans();
    Ok(held)
}

/// What is around some tokens.
#[derive(Clone, Copy, Default)]
struct Place {
    /// A macro may make of them what it likes.
    in_macro: bool,
    /// They are imported, perhaps under another name.
    in_use: bool,
    in_attribute: bool,
}

/// Reads the tokens between two brackets, and leaves the groups among them for later.
fn read_group(tokens: &[TokenTree], mut place: Place, groups: &mut Vec<(TokenStream, Place)>, held: &mut Vec<Held>) {
    for (i, token) in tokens.iter().enumerate() {
        let (before, after) = (&tokens[..i], &tokens[i + 1..]);
        let reason = match token {
            TokenTree::Ident(ident) => {
                let word = plain(ident);
                place.in_use |= word == "use";
                reason(&word, place, after)
            }
            TokenTree::Punct(mark) => match mark.as_char() {
                '#' => attribute(after),
                '$' if place.in_attribute => Some("a macro makes an attribute here".to_owned()),
                ';' => {
                    place.in_use = false;
                    None
                }
                _ => None,
            },
            TokenTree::Group(group) => {
                let in_macro = place.in_macro || is_macros_input(before);
                let in_attribute = place.in_attribute || is_attribute(before);
                groups.push((group.stream(), Place { in_macro, in_attribute, ..place }));
                place.in_use &= group.delimiter() != Delimiter::Brace;
                None
            }
            TokenTree::Literal(_) => None,
        };
        held.extend(reason.map(|reason| Held::at(token.span(), &reason)));
    }
}

/// What the word does, if it acts while the file is compiled.
fn reason(word: &str, place: Place, after: &[TokenTree]) -> Option<String> {
    match word {
        "include_str" | "include_bytes" => Some(format!("`{word}!` reads another file")),
        "option_env" => Some("`option_env!` asks who compiles this".to_owned()),
        "asm" | "global_asm" | "naked_asm" => Some(format!("`{word}!` can read another file while it is assembled")),
        // These two may be names of the learner's own.
        "include" | "env" if place.in_macro || place.in_use || is(after.first(), '!') => Some(
            if word == "env" { "`env!` asks who compiles this" } else { "`include!` reads another file" }.to_owned(),
        ),
        "mod" if place.in_macro || !is_module(after) => Some("`mod …;` reads another file".to_owned()),
        "path" | "link" | "debugger_visualizer" if place.in_attribute => {
            Some(format!("`#[{word}]` names another file"))
        }
        _ => None,
    }
}

/// After `#`: what an attribute does that can't be read, or is not about the item after it.
fn attribute(after: &[TokenTree]) -> Option<String> {
    let inner = is(after.first(), '!');
    let Some(TokenTree::Group(group)) = after.get(usize::from(inner)) else {
        return Some("a macro makes an attribute here".to_owned());
    };
    let name = group.stream().into_iter().next().map(|token| token.to_string()).unwrap_or_default();
    let harmless = ["doc", "allow", "warn", "deny", "forbid", "expect", "no_std"];
    (inner && !harmless.contains(&name.as_str())).then(|| format!("`#![{name}…]` says how the crate is compiled"))
}

fn is(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// After `mod`: a name and `{ … }`.
fn is_module(after: &[TokenTree]) -> bool {
    matches!(after, [TokenTree::Ident(_), TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace)
}

/// After `name !` or `macro_rules ! name`.
fn is_macros_input(before: &[TokenTree]) -> bool {
    match before {
        [.., TokenTree::Ident(_), mark] if is(Some(mark), '!') => true,
        [.., TokenTree::Ident(_), mark, TokenTree::Ident(_)] => is(Some(mark), '!'),
        _ => false,
    }
}

/// After `#` or `# !`.
fn is_attribute(before: &[TokenTree]) -> bool {
    is(before.last(), '#')
        || (is(before.last(), '!') && is(before.len().checked_sub(2).and_then(|i| before.get(i)), '#'))
}

/// A word, also when it is written `r#word`.
fn plain(ident: &Ident) -> String {
    let word = ident.to_string();
    word.strip_prefix("r#").map_or_else(|| word.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_while_a_file_is_compiled_is_named_with_its_line() {
        for line in [
            "const A: &str = include_str!(\"../Cargo.toml\");",
            "const A: &[u8] = r#include_bytes !(\"../Cargo.toml\");",
            "include!(\"x.rs\");",
            "const A: &str = env!(\"HOME\");",
            "const A: Option<&str> = core::option_env!(\"HOME\");",
            "#[doc = include_str!(\"../Cargo.toml\")] fn f() {}",
            "use core::include_str as read;",
            "use core::env as look;",
            "use {::{core::{{include as nothing}}}};",
            "mod reference;",
            "#[path = \"../solution/free_list.rs\"] mod x {}",
            "#[cfg_attr(all(), path = \"../solution/free_list.rs\")] mod x {}",
            "#[link(name = \"/tmp/x.rlib\", kind = \"static\")] unsafe extern \"C\" {}",
            "#[debugger_visualizer(gdb_script_file = \"../tests/exam.rs\")] mod x {}",
            "fn f() { unsafe { core::arch::asm!(\".incbin \\\"x\\\"\") } }",
            "use core::{arch::asm as nothing};",
            "core::arch::global_asm!(\"\");",
            "#![feature(naked_functions)]",
            "#![no_main]",
            "mod x { #![no_implicit_prelude] }",
            "#!/usr/bin/env",
            // What a macro makes of words.
            "macro_rules! m { ($m:ident) => { core::$m!(\"x\") } } m!(env);",
            "macro_rules! m { ($a:ident $b:ident $($t:tt)*) => { core::$a::$b!($($t)*) } } m!(arch asm \"nop\");",
            "macro_rules! m { ($x:ident) => { mod $x; } }",
            "macro_rules! m { ($m:tt $x:ident $b:tt) => { $m $x; } } m!(mod x {});",
            "macro_rules! m { ($(#[$a:meta])* $i:item) => { $(#[$a])* $i } }",
            "macro_rules! m { ($h:tt $p:ident $m:tt) => { $h[$p] $m } } m!(# used static);",
            "macro_rules! m { ($g:tt) => { #$g unsafe extern {} } } m!([link(name = \"x\")]);",
            "macro_rules! m { (#[$a:ident($b:ident)]) => { $b!(\"x\") } } m!(#[x(include)]);",
            "fn f() { assert!({ mod x; true }) }",
        ] {
            let held = read(&format!("//! A lab.\n\n{line}\n")).unwrap();
            assert!(held.iter().all(|held| held.line == 3), "{line}: {held:?}");
            assert!(!held.is_empty(), "{line}");
        }
    }

    #[test]
    fn what_only_runs_is_not_held() {
        let text = r##"//! Says `include_str!` and asm! in prose.
            #![allow(dead_code)]
            extern crate std;
            use core::{fmt, intrinsics, ptr::{self, NonNull}};
            use heapkit::{memory::Arena, os::LinuxOs};
            unsafe extern "C" { fn fork() -> i32; }
            #[unsafe(no_mangle)] pub extern "C" fn memcmp() {}
            #[used] #[unsafe(link_section = ".init_array")] static FIRST: extern "C" fn() = memcmp;
            #[cfg(feature = "given")] fn f() { std::process::exit(0) }
            #[cfg(test)] mod tests { use super::*; #[test] fn works() { assert_eq!(1, 1, "{}", "include!") } }
            union U { a: usize, b: [u8; 8] }
            fn g(p: *const u8) { let g: fn() = unsafe { core::mem::transmute(p) }; g() }
            macro_rules! double { ($x:expr) => { $x * 2 } }
            /// `mod x;`
            #[derive(Clone)] #[must_use] #[repr(C)]
            pub struct Link { used: usize, link: *mut u8, path: u8, env: u8 }
            fn h(link: &Link) -> usize { let include = "std::fs"; double!(link.used) + include.len() }
            fn iter<'a>(path: &'a [u8]) -> impl Iterator<Item = &'a u8> + use<'a> { path.iter() }
            mod inside { pub fn env(include: bool) -> bool { !include } }
        "##;
        assert_eq!(read(text), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_rust_is_for_the_compiler_to_say() {
        assert_eq!(read("fn f() {\n  {\n").unwrap_err().line, 2);
        assert_eq!(read("fn f( ; ; -> ) { mod }").unwrap().len(), 1);
    }

    #[test]
    fn no_nesting_is_too_deep_and_no_file_takes_long() {
        let half = MAX_BYTES / 2;
        assert_eq!(read(&format!("{}{}", "(".repeat(half), ")".repeat(half))), Ok(Vec::new()));
        assert!(read(&"(".repeat(MAX_BYTES)).is_err());
        assert_eq!(read(&"use ".repeat(MAX_BYTES / 4)), Ok(Vec::new()));
        assert_eq!(read(&"#[link]".repeat(MAX_BYTES / 7)).unwrap().len(), MAX_HELD.min(1));
    }
}
