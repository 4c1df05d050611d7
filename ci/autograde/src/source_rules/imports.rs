//! What a file imports, read as what it is.

use super::words::TAKE_EXPRESSIONS;
use super::{Allowed, FOREIGN, Found, foreign_reason, plain};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Looks at every import of a file.
pub fn read(file: &syn::File, allowed: Allowed, found: &mut Found) {
    Imports { allowed, found }.visit_file(file);
}

struct Imports<'a> {
    allowed: Allowed,
    found: &'a mut Found,
}

impl Visit<'_> for Imports<'_> {
    fn visit_item(&mut self, item: &syn::Item) {
        if let syn::Item::Verbatim(tokens) = item {
            self.found.hold(tokens.span(), "what stands here can't be read");
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.import(&mut Vec::new(), &item.tree);
    }
}

impl Imports<'_> {
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
            syn::UseTree::Rename(rename) => {
                self.imported(path, &plain(&rename.ident), rename.span());
                if TAKE_EXPRESSIONS.contains(&&*plain(&rename.rename)) {
                    self.found.hold(rename.span(), "an import with the name of one of the language's own macros");
                }
            }
            syn::UseTree::Glob(glob) => self.imported(path, "*", glob.span()),
        }
    }

    fn imported(&mut self, path: &[String], last: &str, at: Span) {
        let mut parts = path.iter().map(String::as_str).chain([last]);
        let root = parts.next().unwrap_or_default();
        let second = parts.next().unwrap_or_default();
        if root == "core" && ["arch", "intrinsics", "*", "self", ""].contains(&second) {
            self.found.hold(at, format!("`core::{second}` is beyond the language"));
        }
        if FOREIGN.contains(&root) {
            self.found.hold(at, foreign_reason(root));
        }
        if root == "heapkit" && !(self.allowed.os && path == ["heapkit", "os"] && ["Os", "PAGE"].contains(&last)) {
            self.found
                .hold(at, "`heapkit`: a lab imports `Os` and `PAGE`, and no more, and only if it starts with them");
        }
        for name in [last].into_iter().chain(path.iter().map(String::as_str)) {
            let macros = ["include", "include_str", "include_bytes", "env", "option_env", "cfg", "asm", "global_asm"];
            if macros.contains(&name) {
                self.found.hold(at, format!("`{name}!`: not in a lab, nor under another name"));
            }
        }
    }
}
