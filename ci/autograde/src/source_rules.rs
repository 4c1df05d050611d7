//! What has no business in a learner's file: whatever reaches past the language to other files, other programs or the
//! machine. A file that has some of it is held for review, and graded all the same.
//!
//! A name counts wherever it stands, also in the body of a macro: what a macro makes of its tokens can't be known before
//! it is compiled. So the rules read tokens; only imports are read as what they are.

use crate::entry::printable;
use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
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
    let mut rules = Rules { allowed, functions: Functions::default(), variables: Vec::new(), held: Vec::new() };
    let unreadable = rules.read(text).err().map(|e| {
        let line = e.span().start().line.max(1);
        Held { line, reason: printable(&format!("the file can't be read as Rust: {e}")) }
    });
    let mut held = rules.held;
    held.sort();
    held.dedup();
    held.truncate(MAX_HELD);
    Reading { held, unreadable }
}

struct Rules {
    allowed: Allowed,
    functions: Functions,
    /// The variables that are in scope, the innermost last.
    variables: Vec<String>,
    held: Vec<Held>,
}

impl Rules {
    fn read(&mut self, text: &str) -> syn::Result<()> {
        let text = text.trim_start_matches('\u{feff}');
        let tokens: TokenStream = text.parse().map_err(syn::Error::from)?;
        self.tokens(tokens, false);
        let file = syn::parse_file(text)?;
        self.functions.visit_file(&file);
        self.visit_file(&file);
        Ok(())
    }

    fn hold(&mut self, at: proc_macro2::Span, reason: impl AsRef<str>) {
        let reason: String = printable(reason.as_ref()).chars().take(MAX_REASON).collect();
        self.held.push(Held { line: at.start().line.max(1), reason });
    }

    /// Reads tokens; `in_macro` says whether a macro may make of them what it likes.
    fn tokens(&mut self, tokens: TokenStream, in_macro: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (i, token) in tokens.iter().enumerate() {
            let (before, after) = (&tokens[..i], &tokens[i + 1..]);
            match token {
                TokenTree::Ident(ident) => {
                    if let Some(reason) = self.word(&plain(ident), before, after, in_macro) {
                        self.hold(ident.span(), reason);
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == '#' => self.attribute(punct, after),
                TokenTree::Punct(punct) if punct.as_char() == '$' && puts_a_name_together(before, after) => {
                    self.hold(punct.span(), "a name that a macro makes can't be read before it is compiled");
                }
                TokenTree::Group(group) => self.tokens(group.stream(), in_macro || is_macros_input(before)),
                _ => {}
            }
        }
    }

    /// Why a word has no business where it stands.
    fn word(&self, word: &str, before: &[TokenTree], after: &[TokenTree], in_macro: bool) -> Option<String> {
        let is_field = is(before.last(), '.') && !is(before.len().checked_sub(2).and_then(|i| before.get(i)), '.');
        if is_field {
            return None;
        }
        let is_called = is(after.first(), '!') || matches!(after.first(), Some(TokenTree::Group(_)));
        let in_path = (is(before.last(), ':') && !is_single_colon(before)) || is_path(after);
        // In a macro the rest may stand anywhere.
        let (called, in_path) = (is_called || in_path || in_macro, in_path || in_macro);
        let reason = match word {
            "extern" => "`extern`: a lab is plain Rust and calls nothing outside of it",
            "asm" | "global_asm" | "naked_asm" if called => {
                return Some(format!("`{word}!`: inline assembly can do what the language forbids"));
            }
            "no_mangle" | "export_name" | "link_section" | "link_name" | "link_ordinal" | "global_allocator"
            | "panic_handler" => {
                return Some(format!("`{word}`: what the linker does with a lab is not the lab's to say"));
            }
            "include" | "include_str" | "include_bytes" if called || word != "include" => {
                return Some(format!("`{word}!`: a lab is one file and reads no other"));
            }
            "env" | "option_env" if called => {
                return Some(format!("`{word}!`: what is compiled must not depend on the environment"));
            }
            "cfg" | "cfg_attr" | "cfg_select" | "cfg_match" if is_called || in_macro => {
                return Some(format!("`{word}`: the code that is graded has to be the code that is read"));
            }
            "std" | "libc" | "proctor" | "insta" | "trybuild" if in_path => {
                return Some(format!("`{word}`: a lab is built on `core` and the labs before it"));
            }
            "intrinsics" | "arch" if is_in_core(before) => {
                return Some(format!("`core::{word}` is beyond the language"));
            }
            "LinuxOs" | "SimOs" => return Some(format!("`{word}`: the system is handed to a lab; it doesn't take it")),
            // Imports are read as what they are.
            "heapkit" if in_macro || !(is_in_use(before) || (self.allowed.os && names_the_system(after))) => {
                "`heapkit`: a lab imports `Os` and `PAGE`, and no more"
            }
            "transmute" | "transmute_copy" => {
                return Some(format!("`{word}`: makes anything of anything, a function too"));
            }
            "union" if matches!(after.first(), Some(TokenTree::Ident(_))) => {
                "`union`: makes anything of anything, a function too"
            }
            "dyn" => "`dyn`: calls a function that stands in memory; a lab's own stand in the code",
            "fn" if !matches!(after.first(), Some(TokenTree::Ident(_))) && !is(after.first(), '$') => {
                "a function pointer: calls a function that stands in memory; a lab's own stand in the code"
            }
            "macro_rules" if makes_a_macro_of_the_languages(after) => {
                "`macro_rules!`: a macro with the name of one of the language's own"
            }
            "mod" if is_in_another_file(after) => "`mod …;`: a lab is one file",
            _ => return None,
        };
        Some(reason.to_owned())
    }

    fn attribute(&mut self, sign: &proc_macro2::Punct, after: &[TokenTree]) {
        let inner = is(after.first(), '!');
        let group = match after.get(usize::from(inner)) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => group,
            _ => {
                return self
                    .hold(sign.span(), "`#`: an attribute that a macro makes can't be read before it is compiled");
            }
        };
        let name = group.stream().into_iter().next().map(|token| token.to_string()).unwrap_or_default();
        let harmless = ["doc", "allow", "warn", "deny", "forbid", "expect", "no_std"];
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

    /// Whether a path names a function of this file, and no variable.
    fn is_function(&self, path: &syn::Path) -> bool {
        let Some(last) = path.segments.last().map(|segment| plain(&segment.ident)) else { return false };
        match path.segments.len() {
            1 => self.functions.alone.contains(&last) && !self.variables.contains(&last),
            _ => self.functions.methods.contains(&last),
        }
    }

    /// Looks at something whose variables end with it.
    fn scope(&mut self, look: impl FnOnce(&mut Self)) {
        let outside = self.variables.len();
        look(self);
        self.variables.truncate(outside);
    }

    fn arguments(&mut self, arguments: &syn::punctuated::Punctuated<syn::Expr, syn::Token![,]>) {
        for argument in arguments.iter().filter(|argument| !matches!(argument, syn::Expr::Path(_))) {
            self.visit_expr(argument);
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
        if ["std", "libc", "proctor", "insta", "trybuild"].contains(&root) {
            self.hold(at, format!("`{root}`: a lab is built on `core` and the labs before it"));
        }
        if root == "heapkit" && !(self.allowed.os && path == ["heapkit", "os"] && ["Os", "PAGE"].contains(&last)) {
            self.hold(at, "`heapkit`: a lab imports `Os` and `PAGE`, and no more, and only if it starts with them");
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

    fn visit_pat_ident(&mut self, pattern: &syn::PatIdent) {
        self.variables.push(plain(&pattern.ident));
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_local(&mut self, local: &syn::Local) {
        // Its name means something only behind it.
        if let Some(init) = &local.init {
            self.visit_expr(&init.expr);
            init.diverge.iter().for_each(|(_, diverge)| self.visit_expr(diverge));
        }
        self.visit_pat(&local.pat);
    }

    fn visit_expr_let(&mut self, condition: &syn::ExprLet) {
        self.visit_expr(&condition.expr);
        self.visit_pat(&condition.pat);
    }

    fn visit_block(&mut self, block: &syn::Block) {
        self.scope(|rules| visit::visit_block(rules, block));
    }

    fn visit_item_fn(&mut self, function: &syn::ItemFn) {
        // It doesn't see the variables around it.
        let outside = std::mem::take(&mut self.variables);
        visit::visit_item_fn(self, function);
        self.variables = outside;
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        let outside = std::mem::take(&mut self.variables);
        visit::visit_impl_item_fn(self, function);
        self.variables = outside;
    }

    fn visit_expr_closure(&mut self, closure: &syn::ExprClosure) {
        self.scope(|rules| visit::visit_expr_closure(rules, closure));
    }

    fn visit_arm(&mut self, arm: &syn::Arm) {
        self.scope(|rules| visit::visit_arm(rules, arm));
    }

    fn visit_expr_for_loop(&mut self, each: &syn::ExprForLoop) {
        self.visit_expr(&each.expr);
        self.scope(|rules| {
            rules.visit_pat(&each.pat);
            rules.visit_block(&each.body);
        });
    }

    fn visit_expr_while(&mut self, repeat: &syn::ExprWhile) {
        self.scope(|rules| visit::visit_expr_while(rules, repeat));
    }

    /// A function may be called, and handed to what is called. Anywhere else (in an array, as what an `if` gives, in a cast) it
    /// becomes an address, which the program can write over.
    fn visit_expr(&mut self, expr: &syn::Expr) {
        match expr {
            syn::Expr::Path(path) if self.is_function(&path.path) => self.hold(path.span(), A_FUNCTION),
            syn::Expr::Array(array) if array.elems.iter().any(|element| matches!(element, syn::Expr::Closure(_))) => {
                self.hold(array.span(), A_FUNCTION);
            }
            syn::Expr::Call(call) => {
                if !matches!(&*call.func, syn::Expr::Path(_)) {
                    self.visit_expr(&call.func);
                }
                self.arguments(&call.args);
            }
            syn::Expr::MethodCall(call) => {
                self.visit_expr(&call.receiver);
                self.arguments(&call.args);
            }
            syn::Expr::If(choice) => {
                let branches = [Some(&choice.then_branch), else_block(choice)];
                if branches
                    .into_iter()
                    .flatten()
                    .any(|block| matches!(block.stmts.last(), Some(syn::Stmt::Expr(syn::Expr::Closure(_), None))))
                {
                    self.hold(choice.span(), A_FUNCTION);
                }
                self.scope(|rules| {
                    rules.visit_expr(&choice.cond);
                    rules.visit_block(&choice.then_branch);
                });
                choice.else_branch.iter().for_each(|(_, otherwise)| self.visit_expr(otherwise));
            }
            syn::Expr::Match(choice) if choice.arms.iter().any(|arm| matches!(&*arm.body, syn::Expr::Closure(_))) => {
                self.hold(choice.span(), A_FUNCTION);
            }
            _ => visit::visit_expr(self, expr),
        }
    }
}

const A_FUNCTION: &str = "a function as a value: it may be called, or handed to what is called, and nothing else";

fn else_block(choice: &syn::ExprIf) -> Option<&syn::Block> {
    match &*choice.else_branch.as_ref()?.1 {
        syn::Expr::Block(block) => Some(&block.block),
        _ => None,
    }
}

/// The names of a file's functions: those that stand alone, and the methods.
#[derive(Default)]
struct Functions {
    alone: BTreeSet<String>,
    methods: BTreeSet<String>,
}

impl Visit<'_> for Functions {
    fn visit_item_fn(&mut self, function: &syn::ItemFn) {
        self.alone.insert(plain(&function.sig.ident));
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        self.methods.insert(plain(&function.sig.ident));
        visit::visit_impl_item_fn(self, function);
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

/// Behind `core ::`.
fn is_in_core(before: &[TokenTree]) -> bool {
    let [.., TokenTree::Ident(root), first, second] = before else { return false };
    plain(root) == "core" && is(Some(first), ':') && is(Some(second), ':')
}

/// Behind `heapkit`: `:: os :: Os`.
fn names_the_system(after: &[TokenTree]) -> bool {
    let words = after.iter().filter(|token| !is(Some(token), ':')).take(2).map(|token| match token {
        TokenTree::Ident(ident) => plain(ident),
        _ => String::new(),
    });
    let words: Vec<String> = words.collect();
    matches!(&words[..], [module, name] if module == "os" && ["Os", "PAGE"].contains(&name.as_str()))
}

/// Whether the statement that ends here started with `use`.
fn is_in_use(before: &[TokenTree]) -> bool {
    let statement = before.rsplit(|token| is(Some(token), ';')).next().unwrap_or_default();
    statement.iter().any(|token| matches!(token, TokenTree::Ident(ident) if plain(ident) == "use"))
}

/// The language's own macros that take expressions for what they are.
const TAKE_EXPRESSIONS: [&str; 14] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "format_args",
    "matches",
    "panic",
    "todo",
    "unimplemented",
    "unreachable",
    "write",
    "writeln",
];

/// Behind `name !` or `macro_rules ! name`: a macro decides what becomes of it.
fn is_macros_input(before: &[TokenTree]) -> bool {
    match before {
        [.., TokenTree::Ident(word), mark] if is(Some(mark), '!') => !TAKE_EXPRESSIONS.contains(&&*plain(word)),
        [.., TokenTree::Ident(word), mark, TokenTree::Ident(_)] => is(Some(mark), '!') && plain(word) == "macro_rules",
        _ => false,
    }
}

/// Behind `macro_rules`: `! assert`.
fn makes_a_macro_of_the_languages(after: &[TokenTree]) -> bool {
    matches!(after.get(1), Some(TokenTree::Ident(name)) if TAKE_EXPRESSIONS.contains(&&*plain(name)))
}

/// Whether a macro's `$name`, of which the `$` stands here, becomes a part of a path, the name of a macro, or what stands in
/// front of an attribute's brackets.
fn puts_a_name_together(before: &[TokenTree], after: &[TokenTree]) -> bool {
    let [TokenTree::Ident(_), after @ ..] = after else { return false };
    let brackets = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket);
    is(after.first(), '!')
        || brackets(after.first())
        || is_path(after)
        || (is(before.last(), ':') && !is_single_colon(before))
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
            "struct A(fn(usize) -> isize);",
            "union U { a: usize, b: [u8; 8] }",
            "fn f(g: &dyn Fn()) { g() }",
            "macro_rules! m { ($f:tt $a:tt) => { type F = $f $a; } } m!(fn ());",
            "fn f(os: &heapkit::os::SimOs) {}",
            "fn a() {} fn b() {} fn f() { let g = [a, b]; g[0]() }",
            "fn a() {} fn f() -> usize { a as usize }",
            "fn a() {} fn b() {} fn f() { { let a = 1; } if let b = 1 {} let g = [a, b]; g[0]() }",
            "struct S; impl S { fn a() {} fn b() {} fn f(c: bool) { let g = if c { S::a } else { S::b }; g() } }",
            "fn f() { let g = [|x: u8| x, |x: u8| x + 1]; g[0](1); }",
            "fn f(c: bool) { let g = if c { |x: u8| x } else { |x: u8| x + 1 }; g(1); }",
            "fn f(c: u8) { let g = match c { 0 => |x: u8| x, _ => |x: u8| x + 1 }; g(1); }",
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
