//! What has no business in a learner's file: whatever reaches past the language to other files, other programs or the
//! machine. A file that has some of it is held for review, and graded all the same.
//!
//! A name counts wherever it stands, also in the body of a macro: what a macro makes of its tokens can't be known before
//! it is compiled. So the rules read tokens; only imports are read as what they are.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use syn::spanned::Spanned;
use syn::visit::Visit;

/// The largest source that is looked at. A lab's file has a few hundred lines.
pub const MAX_BYTES: usize = 1 << 20;
/// The most lines that are named.
const MAX_HELD: usize = 50;
/// Processor time for reading one source, in seconds, and its memory.
const READ_SECONDS: u64 = 5;
const READ_MEMORY: u64 = 2 << 30;

/// Why a submission is held for review.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// The line of the learner's file, from 1.
    pub line: usize,
    /// What stands there, and why it has no business in a lab.
    pub reason: String,
}

/// What the rules say of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// What has no business there.
    pub held: Vec<Held>,
    /// Why it could not be read as Rust. The compiler can't either, or else that is a reason to hold it.
    pub unreadable: Option<Held>,
}

/// What the labs' own crates offer to a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Whether the lab builds on `heapkit::os`.
    pub os: bool,
}

impl Allowed {
    /// Reads it off the lab's manifest.
    pub fn of(lab_dir: &Path) -> Self {
        let manifest = std::fs::read_to_string(lab_dir.join("Cargo.toml")).unwrap_or_default();
        let dependencies = manifest.split_once("\n[dependencies]").map_or("", |(_, after)| after);
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        Allowed { os: dependencies.lines().any(|line| line.starts_with("heapkit")) }
    }
}

/// Reads `text` in the process of the helper `program task`: a text can be nested so deeply that whoever parses it crashes.
///
/// # Errors
/// One line: the helper can't be started.
pub fn read_apart(helper: (&Path, &str), text: &str, allowed: Allowed) -> Result<Reading, String> {
    let held = |reason: &str| Held { line: 1, reason: reason.to_owned() };
    if text.len() > MAX_BYTES {
        return Ok(Reading { held: vec![held("the file is too large to be read")], unreadable: None });
    }
    let (program, task) = helper;
    let cannot = |e: std::io::Error| format!("the sandbox's helper {}: {e}", program.display());
    let os = if allowed.os { "os" } else { "" };
    let mut child = Command::new(program)
        .args([task, os])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot)?;
    // It reads everything before it writes anything. If it is gone before, its silence says so.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(cannot)?;
    let reading = serde_json::from_slice(&output.stdout);
    Ok(reading.unwrap_or_else(|_| Reading {
        held: vec![held("the file is nested so deeply that it can't be read")],
        unreadable: None,
    }))
}

/// The helper's part: reads a source from its standard input, and writes what the rules say.
pub fn read_stdin(allowed: Option<OsString>) -> Result<(), String> {
    for (resource, limit) in [(Resource::Cpu, READ_SECONDS), (Resource::As, READ_MEMORY), (Resource::Core, 0)] {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        setrlimit(resource, limit).map_err(|e| e.to_string())?;
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| e.to_string())?;
    let reading = read(&text, Allowed { os: allowed.is_some_and(|word| word == "os") });
    println!("{}", serde_json::to_string(&reading).map_err(|e| e.to_string())?);
    Ok(())
}

/// Reads a source.
pub fn read(text: &str, allowed: Allowed) -> Reading {
    let mut rules = Rules { allowed, held: Vec::new() };
    let unreadable = rules.read(text).err().map(|e| {
        let line = e.span().start().line.max(1);
        Held { line, reason: format!("the file can't be read as Rust: {e}") }
    });
    let mut held = rules.held;
    held.sort();
    held.dedup();
    held.truncate(MAX_HELD);
    Reading { held, unreadable }
}

struct Rules {
    allowed: Allowed,
    held: Vec<Held>,
}

impl Rules {
    fn read(&mut self, text: &str) -> syn::Result<()> {
        let text = text.trim_start_matches('\u{feff}');
        let tokens: TokenStream = text.parse().map_err(syn::Error::from)?;
        self.tokens(tokens);
        let file = syn::parse_file(text)?;
        self.visit_file(&file);
        Ok(())
    }

    fn hold(&mut self, at: proc_macro2::Span, reason: impl Into<String>) {
        self.held.push(Held { line: at.start().line.max(1), reason: reason.into() });
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (i, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(ident) => {
                    if let Some(reason) = self.word(&plain(ident), &tokens[..i], &tokens[i + 1..]) {
                        self.hold(ident.span(), reason);
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == '#' => self.attribute(&tokens[i + 1..]),
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
        }
    }

    /// Why a word has no business where it stands.
    fn word(&self, word: &str, before: &[TokenTree], after: &[TokenTree]) -> Option<String> {
        let called = is(after.first(), '!') || matches!(after.first(), Some(TokenTree::Group(_)));
        let in_path = (is(before.last(), ':') && !is_single_colon(before)) || is_path(after);
        let reason = match word {
            "extern" => "`extern`: a lab is plain Rust and calls nothing outside of it",
            "asm" | "global_asm" | "naked_asm" if is(after.first(), '!') || in_path => {
                return Some(format!("`{word}!`: inline assembly can do what the language forbids"));
            }
            "no_mangle" | "export_name" | "link_section" | "link_name" | "link_ordinal" | "global_allocator"
            | "panic_handler" => {
                return Some(format!("`{word}`: what the linker does with a lab is not the lab's to say"));
            }
            "include" | "include_str" | "include_bytes" if is(after.first(), '!') || in_path || word != "include" => {
                return Some(format!("`{word}!`: a lab is one file and reads no other"));
            }
            "env" | "option_env" if is(after.first(), '!') || in_path => {
                return Some(format!("`{word}!`: what is compiled must not depend on the environment"));
            }
            "cfg" | "cfg_attr" | "cfg_select" | "cfg_match" if called => {
                return Some(format!("`{word}`: the code that is graded has to be the code that is read"));
            }
            "std" | "libc" | "proctor" | "insta" | "trybuild" if !is(before.last(), '.') => {
                return Some(format!("`{word}`: a lab is built on `core` and the labs before it"));
            }
            "alloc" if is_path(after) && !is(before.last(), '.') => "`alloc`: a lab is the allocator",
            "intrinsics" | "arch" if in_path => return Some(format!("`core::{word}` is beyond the language")),
            "LinuxOs" => "`LinuxOs`: the system is handed to a lab; it doesn't take it",
            "heapkit" if !self.may_follow(after) => {
                "`heapkit`: only `heapkit::os`, and only where the lab starts with it"
            }
            "mod" if is_in_another_file(after) => "`mod …;`: a lab is one file",
            _ => return None,
        };
        Some(reason.to_owned())
    }

    fn may_follow(&self, after: &[TokenTree]) -> bool {
        let os = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Ident(ident)) if plain(ident) == "os");
        let next = after.iter().find(|token| !is(Some(token), ':'));
        self.allowed.os
            && match next {
                // `heapkit::{os::Os, os::PAGE}`
                Some(TokenTree::Group(group)) => {
                    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
                    tokens.split(|token| is(Some(token), ',')).all(|part| part.is_empty() || os(part.first()))
                }
                next => os(next),
            }
    }

    fn attribute(&mut self, after: &[TokenTree]) {
        let inner = is(after.first(), '!');
        let Some(TokenTree::Group(group)) = after.get(usize::from(inner)) else { return };
        if group.delimiter() != Delimiter::Bracket {
            return;
        }
        let name = group.stream().into_iter().next().map(|token| token.to_string()).unwrap_or_default();
        let harmless = ["doc", "allow", "warn", "deny", "forbid", "expect"];
        if inner && !harmless.contains(&name.as_str()) {
            self.hold(group.span(), format!("`#![{name}…]`: a lab doesn't say how its crate is compiled"));
        }
        self.in_attribute(group);
    }

    fn in_attribute(&mut self, group: &Group) {
        for token in group.stream() {
            match token {
                TokenTree::Ident(ident) if ["link", "used", "naked", "path"].contains(&plain(&ident).as_str()) => {
                    let name = plain(&ident);
                    self.hold(ident.span(), format!("`#[{name}]`: a lab is one file of plain Rust"));
                }
                TokenTree::Punct(punct) if punct.as_char() == '$' => {
                    self.hold(punct.span(), "an attribute that a macro makes can't be read before it is compiled");
                }
                TokenTree::Group(group) => self.in_attribute(&group),
                _ => {}
            }
        }
    }

    /// Looks at one import, `path` and the end of `tree`.
    fn import(&mut self, path: &mut Vec<String>, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(part) => {
                path.push(plain(&part.ident));
                self.import(path, &part.tree);
                path.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.import(path, item)),
            syn::UseTree::Name(name) => self.imported(path, &plain(&name.ident), name.span()),
            syn::UseTree::Rename(rename) => self.imported(path, &plain(&rename.ident), rename.span()),
            syn::UseTree::Glob(glob) => self.imported(path, "*", glob.span()),
        }
    }

    fn imported(&mut self, path: &[String], last: &str, at: proc_macro2::Span) {
        let mut parts = path.iter().map(String::as_str).chain([last]);
        let root = parts.next().unwrap_or_default();
        let second = parts.next().unwrap_or_default();
        if root == "core" && ["arch", "intrinsics", "*", "self", ""].contains(&second) {
            self.hold(at, format!("`core::{second}` is beyond the language"));
        }
        for name in [last].into_iter().chain(path.iter().map(String::as_str)) {
            let macros = ["include", "include_str", "include_bytes", "env", "option_env", "cfg", "asm", "global_asm"];
            if macros.contains(&name) {
                self.hold(at, format!("`{name}!`: not in a lab, nor under another name"));
            }
        }
    }
}

impl Visit<'_> for Rules {
    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.import(&mut Vec::new(), &item.tree);
    }
}

/// A word, also when it is written `r#word`.
fn plain(ident: &proc_macro2::Ident) -> String {
    let word = ident.to_string();
    word.strip_prefix("r#").map_or_else(|| word.clone(), str::to_owned)
}

fn is(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// Whether `::` comes first.
fn is_path(after: &[TokenTree]) -> bool {
    matches!(after.first(), Some(TokenTree::Punct(punct)) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint)
        && is(after.get(1), ':')
}

/// Whether the colon at the end stands alone: `name: Type`, not `path::name`.
fn is_single_colon(before: &[TokenTree]) -> bool {
    !matches!(before.len().checked_sub(2).and_then(|i| before.get(i)), Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

/// Behind `mod`: a name and then `;`. A name that a macro makes has a `$` in front of it.
fn is_in_another_file(after: &[TokenTree]) -> bool {
    let end = after.iter().find(|token| !matches!(token, TokenTree::Ident(_)) && !is(Some(token), '$'));
    is(end, ';')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(text: &str) -> Vec<Held> {
        read(text, Allowed { os: false }).held
    }

    #[test]
    fn what_has_no_business_in_a_lab_is_named_with_its_line() {
        for line in [
            "extern crate std;",
            "unsafe extern \"C\" { fn fork() -> i32; }",
            "pub extern \"C\" fn malloc() {}",
            "fn f() { unsafe { core::arch::asm!(\"nop\") } }",
            "use core::arch;",
            "use core::arch as a;",
            "use core::{arch::asm as nothing};",
            "use core::*;",
            "use core::{self as c};",
            "use core::include_str as read;",
            "use core::env as look;",
            "core::arch::global_asm!(\"\");",
            "#[unsafe(no_mangle)] pub fn memcmp() {}",
            "#[unsafe(r#no_mangle)] pub fn memcmp() {}",
            "#[unsafe(export_name = \"_exit\")] pub fn f() {}",
            "#[cfg_attr(all(), unsafe(link_section = \".init_array\"))] static A: u8 = 0;",
            "#[used] static A: u8 = 0;",
            "#[link(name = \"c\")] unsafe extern {}",
            "#[path = \"../solution/free_list.rs\"] mod x {}",
            "mod reference;",
            "macro_rules! m { ($x:ident) => { mod $x; } }",
            "const A: &str = include_str!(\"../Cargo.toml\");",
            "const A: &[u8] = include_bytes !(\"../Cargo.toml\");",
            "include!(\"x.rs\");",
            "const A: &str = env!(\"HOME\");",
            "const A: Option<&str> = core::option_env!(\"HOME\");",
            "fn f() { std::process::exit(0) }",
            "use std as s;",
            "fn f() { ::libc::abort() }",
            "use heapkit::memory::Heap;",
            "use heapkit::os::Os;",
            "#[cfg(test)] mod tests {}",
            "const A: bool = cfg!(feature = \"solution\");",
            "#[cfg(feature = \"given\")] fn f() {}",
            "#![feature(naked_functions)]",
            "#![no_main]",
            "fn f() { core::intrinsics::abort() }",
            "macro_rules! m { () => { unsafe { core::arch::asm!(\"syscall\") } } }",
            "macro_rules! m { ($(#[$a:meta])* $i:item) => { $(#[$a])* $i } }",
            "macro_rules! m { ($m:ident) => { core::$m!(\"x\") } } m!(include_str);",
        ] {
            let held = reasons(&format!("//! A lab.\n\n{line}\n"));
            assert!(held.iter().all(|held| held.line == 3), "{line}: {held:?}");
            assert!(!held.is_empty(), "{line}");
        }
    }

    #[test]
    fn ordinary_code_is_not_held() {
        let text = r#"//! Says `std::process` and asm! in prose.
            #![allow(dead_code)]
            use core::{fmt, ptr::{self, NonNull}};
            use lab02::Chunk;
            /// `extern "C"` and `include_str!`.
            #[derive(Clone)] #[must_use] #[repr(C)]
            pub struct Arch { used: usize, link: *mut u8, path: u8, env: u8 }
            mod inside { pub fn alloc() {} }
            macro_rules! double { ($x:expr) => { $x * 2 } }
            fn f(arch: &Arch) -> usize { inside::alloc(); let include = "std::fs"; double!(arch.used) + include.len() }
        "#;
        assert_eq!(read(text, Allowed { os: false }), Reading::default());
        assert_eq!(reasons("use heapkit::os::{Os, PAGE};").len(), 1);
        let os = Allowed { os: true };
        assert_eq!(read("use heapkit::os::{Os, PAGE};", os), Reading::default());
        assert_eq!(read("use heapkit::{os::Os, memory::Heap};", os).held.len(), 1);
        assert_eq!(read("fn f() { heapkit::os::LinuxOs; }", os).held.len(), 1);
    }

    #[test]
    fn what_is_no_rust_is_for_the_compiler_to_say_but_its_words_are_read() {
        let reading = read("fn f( { std::process::abort }", Allowed { os: false });
        assert!(reading.unreadable.is_some());
        let reading = read("fn f() -> { std::process::abort() }", Allowed { os: false });
        assert!(reading.unreadable.is_some());
        assert_eq!(reading.held.len(), 1);
    }
}
