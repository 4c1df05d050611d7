//! Nodes in a pool: each one owns the next ones.

use super::{NoMemory, Tokens, has_children, name};
use heapkit::os::Os;
use lab07::{Handle, Pool};

// ANCHOR: pool
/// A node owns the first of its children, and the next of its siblings.
pub struct Node<'id, 't> {
    /// What it is called.
    pub name: &'t str,
    first: Tree<'id, 't>,
    next: Tree<'id, 't>,
}

/// A node and all that it owns, or nothing.
pub type Tree<'id, 't> = Option<Handle<'id, Node<'id, 't>>>;

/// Reads a list of names.
pub fn parse<'id, 't, O: Os>(
    tokens: &mut Tokens<'t>,
    pool: &mut Pool<'id, Node<'id, 't>, O>,
) -> Result<Tree<'id, 't>, NoMemory> {
    let Some(name) = name(tokens) else { return Ok(None) };
    let first = if has_children(tokens) { parse(tokens, pool)? } else { None };
    let next = match parse(tokens, pool) {
        Ok(next) => next,
        Err(refused) => {
            free(first, pool);
            return Err(refused);
        }
    };
    pool.alloc(Node { name, first, next }).map(Some).map_err(|Node { first, next, .. }| {
        // There was no slot, so the node came back, with all that it owns.
        free(first, pool);
        free(next, pool);
        NoMemory
    })
}

/// Frees a tree, node by node.
pub fn free<'id, 't, O: Os>(mut tree: Tree<'id, 't>, pool: &mut Pool<'id, Node<'id, 't>, O>) {
    while let Some(node) = tree {
        let Node { first, next, .. } = pool.take(node);
        free(first, pool);
        tree = next;
    }
}
// ANCHOR_END: pool

/// How many nodes a tree has.
pub fn count(tree: &Tree<'_, '_>) -> usize {
    tree.as_ref().map_or(0, |node| 1 + count(&node.first) + count(&node.next))
}
