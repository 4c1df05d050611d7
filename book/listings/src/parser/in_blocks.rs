//! Nodes in blocks of a malloc, as in C.

use super::{NoMemory, Tokens, has_children, name};
use heapkit::os::Os;
use lab05::Malloc;
use std::ptr::NonNull;

/// A malloc, whichever it is.
pub trait Blocks {
    /// A block of so many bytes.
    fn malloc(&mut self, request: usize) -> Option<NonNull<u8>>;

    /// Takes a block back.
    ///
    /// # Safety
    /// A block of this malloc that has not been freed, and nobody uses it any more.
    unsafe fn free(&mut self, block: NonNull<u8>);
}

impl<O: Os> Blocks for Malloc<O> {
    fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        self.malloc(request)
    }

    unsafe fn free(&mut self, block: NonNull<u8>) {
        // SAFETY: the contract is the same one.
        unsafe { self.free(block) }
    }
}

/// A node leads to the first of its children, and to the next of its siblings.
pub struct Node<'t> {
    /// What it is called.
    pub name: &'t str,
    first: Tree<'t>,
    next: Tree<'t>,
}

/// A node and all that it leads to, or nothing.
pub type Tree<'t> = Option<NonNull<Node<'t>>>;

/// Reads a list of names.
pub fn parse<'t>(tokens: &mut Tokens<'t>, blocks: &mut impl Blocks) -> Result<Tree<'t>, NoMemory> {
    let Some(name) = name(tokens) else { return Ok(None) };
    let first = if has_children(tokens) { parse(tokens, blocks)? } else { None };
    let next = parse(tokens, blocks)?;
    let node = blocks.malloc(size_of::<Node<'_>>()).ok_or(NoMemory)?.cast::<Node<'t>>();
    // SAFETY: a block of that size, which is nobody else's.
    unsafe { node.write(Node { name, first, next }) };
    Ok(Some(node))
}

/// Frees a tree, node by node.
///
/// # Safety
/// The tree was parsed with this malloc, has not been freed, and nobody uses it any more.
pub unsafe fn free(mut tree: Tree<'_>, blocks: &mut impl Blocks) {
    while let Some(node) = tree {
        // SAFETY: each node is a live block of this malloc, and freed once.
        unsafe {
            let Node { first, next, .. } = node.read();
            blocks.free(node.cast());
            free(first, blocks);
            tree = next;
        }
    }
}
