//! What has no business in a learner's file: whatever reaches past the language to other files, other programs or the
//! machine. A file that has some of it is held for review, and graded all the same.

mod imports;
mod words;

use crate::entry::printable;
use proc_macro2::{Ident, Span, TokenStream};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use toml_edit::DocumentMut;

/// The largest source that is looked at. A lab's file has a few hundred lines.
pub const MAX_BYTES: usize = 1 << 20;
/// The most lines that are named.
const MAX_HELD: usize = 50;
/// The most characters of a reason.
const MAX_REASON: usize = 200;
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
        let manifest: DocumentMut = manifest.parse().unwrap_or_default();
        Allowed { os: manifest.get("dependencies").and_then(|all| all.get("heapkit")).is_some() }
    }
}

/// Reads `text` in the process of the sandbox's helper, which `reader` starts: a text can be nested so deeply that whoever
/// parses it crashes.
///
/// # Errors
/// One line: the helper can't be started.
pub fn read_apart(mut reader: Command, text: &str, allowed: Allowed) -> Result<Reading, String> {
    let held = |reason: &str| Held { line: 1, reason: reason.to_owned() };
    if text.len() > MAX_BYTES {
        return Ok(Reading { held: vec![held("the file is too large to be read")], unreadable: None });
    }
    let cannot = |e: std::io::Error| format!("the sandbox's helper: {e}");
    let mut child = reader
        .arg(if allowed.os { "os" } else { "" })
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Ctrl-C is for the run: what has begun is finished.
        .process_group(0)
        .spawn()
        .map_err(cannot)?;
    // It reads everything before it writes anything. If it is gone before, its silence says so.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(cannot)?;
    if output.status.signal() == Some(Signal::KILL.as_raw()) {
        return Err("the source was not read to its end: is the machine out of memory?".to_owned());
    }
    let reading = serde_json::from_slice(&output.stdout);
    Ok(reading.unwrap_or_else(|_| Reading {
        held: vec![held("the file is nested so deeply that it can't be read")],
        unreadable: None,
    }))
}

/// The helper's part: reads a source from its standard input, and writes what the rules say.
pub fn read_stdin(allowed: Option<OsString>) -> Result<(), String> {
    for (resource, limit) in [(Resource::Cpu, READ_SECONDS), (Resource::As, READ_MEMORY), (Resource::Core, 0)] {
        // At the first limit of time there is another signal than that of a machine without memory.
        let limit = Rlimit { current: Some(limit), maximum: Some(limit + 2) };
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
    let mut found = Found::default();
    let unreadable = look(text, allowed, &mut found).err().map(|e| {
        let line = e.span().start().line.max(1);
        Held { line, reason: printable(&format!("the file can't be read as Rust: {e}")) }
    });
    let mut held = found.0;
    held.sort();
    held.dedup();
    held.truncate(MAX_HELD);
    Reading { held, unreadable }
}

/// Crates that a lab isn't built on.
const FOREIGN: [&str; 5] = ["std", "libc", "proctor", "insta", "trybuild"];

fn foreign_reason(krate: &str) -> String {
    format!("`{krate}`: a lab is built on `core` and the labs before it")
}

/// What has been found so far.
#[derive(Default)]
struct Found(Vec<Held>);

impl Found {
    fn hold(&mut self, at: Span, reason: impl AsRef<str>) {
        let reason: String = printable(reason.as_ref()).chars().take(MAX_REASON).collect();
        self.0.push(Held { line: at.start().line.max(1), reason });
    }
}

fn look(text: &str, allowed: Allowed, found: &mut Found) -> syn::Result<()> {
    let text = text.trim_start_matches('\u{feff}');
    let tokens: TokenStream = text.parse().map_err(syn::Error::from)?;
    words::read(tokens, allowed, found);
    let file = syn::parse_file(text)?;
    imports::read(&file, allowed, found);
    Ok(())
}

/// A word, also when it is written `r#word`.
fn plain(ident: &Ident) -> String {
    let word = ident.to_string();
    word.strip_prefix("r#").map_or_else(|| word.clone(), str::to_owned)
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
            "macro_rules! m { ($m:ident) => { $m!(\"x\") } } m!(env);",
            "macro_rules! call { ($a:ident $b:ident $($t:tt)*) => { core::$a::$b!($($t)*) } } call!(arch asm \"syscall\");",
            "macro_rules! m { ($a:ident $b:ident) => { $a::$b::exit(0) } } fn f() { m!(std process) }",
            "macro_rules! m { ($h:tt $p:ident $m:tt) => { $h[$p] $m } } m!(# used static);",
            "macro_rules! m { ($h:tt $g:tt $m:tt) => { $h $g $m } } m!(# [used] static);",
            "macro_rules! assert { ($($t:tt)*) => { 1 } }",
            "fn f() { let _ = ..libc::abort(); }",
            "fn f() { for _ in 0..std::process::id() {} }",
            "use libc as l;",
            "fn f(p: *const u8) { let g: fn() = unsafe { core::mem::transmute(p) }; g() }",
            "fn f() { assert!({ use core::{arch::{asm as nothing}}; true }) }",
            "use {::{core::{arch::{asm as nothing}}}};",
            "use {::{libc as l}};",
            "macro_rules! same { ($($t:tt)*) => { $($t)* } } use same as write;",
            "union U { a: usize, b: [u8; 8] }",
            "fn f(os: &heapkit::os::SimOs) {}",
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
            mod alloc { pub fn take() {} }
            fn g(std: usize, x: impl Fn(usize) -> usize) -> usize { alloc::take(); debug_assert!(std > 0); x(std) }
            fn size(n: usize) -> usize { n }
            impl Arch { fn used(&self) -> usize { self.used } }
            fn j(a: Option<&Arch>) -> usize { let used = a.map(Arch::used).map(size); let k = |n: usize| n; k(used.unwrap_or(size(1))) }
            fn l(n: usize) -> usize { let size = size(n); if let Some(l) = Some(size) { l } else { size } }
            fn h(layout: core::alloc::Layout) -> usize { layout.size() }
            fn env(include: bool, better: fn(usize, usize) -> bool) -> usize { if include { 1 } else { better(1, 2).into() } }
            fn include(env: u8) -> u8 { match env { 0 => 1, _ => include(env - 1) } }
            #[inline] fn i(a: &[usize], i: usize) -> usize { assert!(a[i] > 0, "{}", a[i]); a[i] }
        "#;
        assert_eq!(read(text, Allowed { os: false }), Reading::default());
        assert_eq!(reasons("use heapkit::os::{Os, PAGE};").len(), 1);
        let os = Allowed { os: true };
        assert_eq!(read("use heapkit::os::{Os, PAGE};", os), Reading::default());
        assert_eq!(read("use heapkit::{os::Os, os::PAGE as P};", os), Reading::default());
        assert_eq!(read("fn f() -> usize { heapkit::os::PAGE }", os), Reading::default());
        for more in
            ["use heapkit::os;", "use heapkit::os::*;", "use heapkit::os::{self, Os};", "use heapkit::os::Refusal;"]
        {
            assert_eq!(read(more, os).held.len(), 1, "{more}");
        }
        assert_eq!(read("use heapkit::{os::Os, memory::Heap};", os).held.len(), 1);
        assert_eq!(read("fn f() { heapkit::os::LinuxOs; }", os).held.len(), 2, "the crate, and the name");
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
