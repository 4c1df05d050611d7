//! What a source file declares: its items with their docs and signatures, without their bodies.

use quote::ToTokens;
use std::collections::BTreeSet;
use syn::{Block, ImplItem, Item};

/// Every item of `source` as text, the bodies of its functions left out. What it imports is its own business.
///
/// # Errors
/// One line, if it isn't Rust.
pub fn of(source: &str) -> Result<BTreeSet<String>, String> {
    let file = syn::parse_file(source).map_err(|e| e.to_string())?;
    let mut outline: BTreeSet<String> = file.attrs.iter().map(text).collect();
    for item in file.items {
        match item {
            Item::Use(_) => {}
            Item::Fn(mut function) => {
                *function.block = no_body();
                outline.insert(text(&function));
            }
            Item::Impl(mut block) => {
                for item in std::mem::take(&mut block.items) {
                    // Each with the head of the block it stands in.
                    let mut one = block.clone();
                    one.items = vec![without_body(item)];
                    outline.insert(text(&one));
                }
            }
            other => {
                outline.insert(text(&other));
            }
        }
    }
    Ok(outline)
}

fn without_body(item: ImplItem) -> ImplItem {
    match item {
        ImplItem::Fn(mut function) => {
            function.block = no_body();
            ImplItem::Fn(function)
        }
        other => other,
    }
}

fn no_body() -> Block {
    Block { brace_token: syn::token::Brace::default(), stmts: Vec::new() }
}

fn text(item: &impl ToTokens) -> String {
    item.to_token_stream().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTER: &str = "//! A lab.\n/// Adds.\npub fn add(a: u8, b: u8) -> u8 { todo!() }\n";

    #[test]
    fn a_body_makes_no_difference_and_all_else_does() {
        let starter = of(STARTER).unwrap();
        assert_eq!(of(&STARTER.replace("todo!()", "a + b")), Ok(starter.clone()));
        for (old, new) in [("A lab", "Lab 2"), ("Adds", "Sums up"), ("b: u8", "b: u16"), ("pub ", "")] {
            assert_ne!(of(&STARTER.replace(old, new)), Ok(starter.clone()), "{new}");
        }
    }

    #[test]
    fn an_item_more_shows() {
        let starter = of(STARTER).unwrap();
        let more = of(&format!("{STARTER}\nimpl A {{ fn helper() {{}} }}")).unwrap();
        assert!(more.is_superset(&starter));
        assert_eq!(more.len(), starter.len() + 1);
    }
}
