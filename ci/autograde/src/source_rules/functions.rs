//! Functions as values. A function may be called, and handed to what is called. Anywhere else (in an array, as what an `if`
//! gives, in a cast) it becomes an address, which the program can write over: then any function of the process is called.

use super::{Found, plain};
use std::collections::BTreeSet;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

const REASON: &str = "a function as a value: it may be called, or handed to what is called, and nothing else";

/// Looks at every function of a file.
pub fn read(file: &syn::File, found: &mut Found) {
    let mut names = Names::default();
    names.visit_file(file);
    Values { names, variables: Vec::new(), found }.visit_file(file);
}

/// The names of a file's functions: those that stand alone, and the methods.
#[derive(Default)]
struct Names {
    alone: BTreeSet<String>,
    methods: BTreeSet<String>,
}

impl Visit<'_> for Names {
    fn visit_item_fn(&mut self, function: &syn::ItemFn) {
        self.alone.insert(plain(&function.sig.ident));
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        self.methods.insert(plain(&function.sig.ident));
        visit::visit_impl_item_fn(self, function);
    }
}

struct Values<'a> {
    names: Names,
    /// The variables that are in scope, the innermost last.
    variables: Vec<String>,
    found: &'a mut Found,
}

impl Values<'_> {
    /// Whether a path names a function of this file, and no variable.
    fn is_function(&self, path: &syn::Path) -> bool {
        let Some(last) = path.segments.last().map(|segment| plain(&segment.ident)) else { return false };
        match path.segments.len() {
            1 => self.names.alone.contains(&last) && !self.variables.contains(&last),
            _ => self.names.methods.contains(&last),
        }
    }

    /// Looks at something whose variables end with it.
    fn scope(&mut self, look: impl FnOnce(&mut Self)) {
        let outside = self.variables.len();
        look(self);
        self.variables.truncate(outside);
    }

    fn arguments(&mut self, arguments: &Punctuated<syn::Expr, syn::Token![,]>) {
        for argument in arguments.iter().filter(|argument| !matches!(argument, syn::Expr::Path(_))) {
            self.visit_expr(argument);
        }
    }
}

impl Visit<'_> for Values<'_> {
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
        self.scope(|values| visit::visit_block(values, block));
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
        self.scope(|values| visit::visit_expr_closure(values, closure));
    }

    fn visit_arm(&mut self, arm: &syn::Arm) {
        self.scope(|values| visit::visit_arm(values, arm));
    }

    fn visit_expr_for_loop(&mut self, each: &syn::ExprForLoop) {
        self.visit_expr(&each.expr);
        self.scope(|values| {
            values.visit_pat(&each.pat);
            values.visit_block(&each.body);
        });
    }

    fn visit_expr_while(&mut self, repeat: &syn::ExprWhile) {
        self.scope(|values| visit::visit_expr_while(values, repeat));
    }

    fn visit_expr(&mut self, expr: &syn::Expr) {
        match expr {
            syn::Expr::Path(path) if self.is_function(&path.path) => self.found.hold(path.span(), REASON),
            syn::Expr::Array(array) if array.elems.iter().any(|element| matches!(element, syn::Expr::Closure(_))) => {
                self.found.hold(array.span(), REASON);
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
                    self.found.hold(choice.span(), REASON);
                }
                self.scope(|values| {
                    values.visit_expr(&choice.cond);
                    values.visit_block(&choice.then_branch);
                });
                choice.else_branch.iter().for_each(|(_, otherwise)| self.visit_expr(otherwise));
            }
            syn::Expr::Match(choice) if choice.arms.iter().any(|arm| matches!(&*arm.body, syn::Expr::Closure(_))) => {
                self.found.hold(choice.span(), REASON);
            }
            _ => visit::visit_expr(self, expr),
        }
    }
}

fn else_block(choice: &syn::ExprIf) -> Option<&syn::Block> {
    match &*choice.else_branch.as_ref()?.1 {
        syn::Expr::Block(block) => Some(&block.block),
        _ => None,
    }
}
