//! Words that have no business in a lab. A name counts wherever it stands, also in the body of a macro: what a macro makes of
//! its tokens can't be known before it is compiled. So this reads tokens.

use super::{Allowed, FOREIGN, Found, foreign_reason, plain};
use proc_macro2::{Delimiter, Group, Punct, Spacing, TokenStream, TokenTree};

/// Reads the tokens of a file.
pub fn read(tokens: TokenStream, allowed: Allowed, found: &mut Found) {
    Words { allowed, found }.tokens(tokens, false);
}

struct Words<'a> {
    allowed: Allowed,
    found: &'a mut Found,
}

impl Words<'_> {
    /// Reads tokens; `in_macro` says whether a macro may make of them what it likes.
    fn tokens(&mut self, tokens: TokenStream, in_macro: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (i, token) in tokens.iter().enumerate() {
            let (before, after) = (&tokens[..i], &tokens[i + 1..]);
            match token {
                TokenTree::Ident(ident) => {
                    if let Some(reason) = self.word(&plain(ident), before, after, in_macro) {
                        self.found.hold(ident.span(), reason);
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == '#' => self.attribute(punct, after),
                TokenTree::Punct(punct) if punct.as_char() == '$' && puts_a_name_together(before, after) => {
                    self.found.hold(punct.span(), "a name that a macro makes can't be read before it is compiled");
                }
                // An import's braces, too: syn doesn't read every one of them, and none within the input of a macro.
                TokenTree::Group(group) => {
                    self.tokens(group.stream(), in_macro || is_macros_input(before) || is_in_use(before));
                }
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
        let is_macro = is(after.first(), '!');
        let in_path = (is(before.last(), ':') && !is_single_colon(before)) || is_path(after);
        // In a macro the rest may stand anywhere.
        let (called, in_path) = (is_macro || in_path || in_macro, in_path || in_macro);
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
            "cfg" | "cfg_attr" | "cfg_select" | "cfg_match"
                if called || matches!(after.first(), Some(TokenTree::Group(_))) =>
            {
                return Some(format!("`{word}`: the code that is graded has to be the code that is read"));
            }
            _ if in_path && FOREIGN.contains(&word) => return Some(foreign_reason(word)),
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
            "macro_rules" if makes_a_macro_of_the_languages(after) => {
                "`macro_rules!`: a macro with the name of one of the language's own"
            }
            "mod" if is_in_another_file(after) => "`mod …;`: a lab is one file",
            _ => return None,
        };
        Some(reason.to_owned())
    }

    fn attribute(&mut self, sign: &Punct, after: &[TokenTree]) {
        let inner = is(after.first(), '!');
        let group = match after.get(usize::from(inner)) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => group,
            _ => {
                return self
                    .found
                    .hold(sign.span(), "`#`: an attribute that a macro makes can't be read before it is compiled");
            }
        };
        let name = group.stream().into_iter().next().map(|token| token.to_string()).unwrap_or_default();
        let harmless = ["doc", "allow", "warn", "deny", "forbid", "expect", "no_std"];
        if inner && !harmless.contains(&name.as_str()) {
            self.found.hold(group.span(), format!("`#![{name}…]`: a lab doesn't say how its crate is compiled"));
        }
        self.in_attribute(group);
    }

    fn in_attribute(&mut self, group: &Group) {
        for token in group.stream() {
            match token {
                TokenTree::Ident(ident) if ["link", "used", "naked", "path"].contains(&plain(&ident).as_str()) => {
                    let name = plain(&ident);
                    self.found.hold(ident.span(), format!("`#[{name}]`: a lab is one file of plain Rust"));
                }
                TokenTree::Punct(punct) if punct.as_char() == '$' => {
                    self.found
                        .hold(punct.span(), "an attribute that a macro makes can't be read before it is compiled");
                }
                TokenTree::Group(group) => self.in_attribute(&group),
                _ => {}
            }
        }
    }
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
pub const TAKE_EXPRESSIONS: [&str; 14] = [
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

/// Behind `mod`: a name and then `;`. A name that a macro makes has a `$` in front of it.
fn is_in_another_file(after: &[TokenTree]) -> bool {
    let end = after.iter().find(|token| !matches!(token, TokenTree::Ident(_)) && !is(Some(token), '$'));
    is(end, ';')
}
