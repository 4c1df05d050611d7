//! Nodes in a region: each one borrows the next ones.

use super::{NoMemory, Tokens, has_children, name};
use heapkit::os::Os;
use lab07::Region;

// ANCHOR: region
/// A node refers to the first of its children, and to the next of its siblings.
#[derive(Clone, Copy)]
pub struct Node<'r> {
    /// What it is called.
    pub name: &'r str,
    first: Tree<'r>,
    next: Tree<'r>,
}

/// A node and all that it refers to, or nothing.
pub type Tree<'r> = Option<&'r Node<'r>>;

/// Reads a list of names.
pub fn parse<'r, O: Os>(tokens: &mut Tokens<'r>, region: &mut Region<'r, O>) -> Result<Tree<'r>, NoMemory> {
    let Some(name) = name(tokens) else { return Ok(None) };
    let first = if has_children(tokens) { parse(tokens, region)? } else { None };
    let next = parse(tokens, region)?;
    let node = region.alloc(Node { name, first, next }).ok_or(NoMemory)?;
    Ok(Some(node))
}
// ANCHOR_END: region

/// How many nodes a tree has.
pub fn count(tree: Tree<'_>) -> usize {
    tree.map_or(0, |node| 1 + count(node.first) + count(node.next))
}
