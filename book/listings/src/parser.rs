//! A parser, whose nodes come from a pool, from a region, or from a malloc: the same tree of the same text each time.

use heapkit::os::Os;
use heapkit::workload::Rng;
use lab05::Malloc;
use lab07::{Handle, Pool, Region};
use std::iter::Peekable;
use std::ptr::NonNull;
use std::str::SplitWhitespace;

/// `list ( head ( fd bk ) tail )`: each name may have others below it.
pub type Tokens<'t> = Peekable<SplitWhitespace<'t>>;

/// The tokens of a text.
pub fn tokens(text: &str) -> Tokens<'_> {
    text.split_whitespace().peekable()
}

/// The next name of a list; `None` at its end.
fn name<'t>(tokens: &mut Tokens<'t>) -> Option<&'t str> {
    tokens.next().filter(|token| *token != ")")
}

/// Whether there are names below the one that was just read.
fn has_children(tokens: &mut Tokens<'_>) -> bool {
    tokens.next_if_eq(&"(").is_some()
}

/// The system had no memory for a node.
#[derive(Debug)]
pub struct NoMemory;

/// Nodes in a pool: each one owns the next ones.
pub mod in_a_pool {
    use super::{Handle, NoMemory, Os, Pool, Tokens, has_children, name};

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
        let next = parse(tokens, pool)?;
        pool.alloc(Node { name, first, next }).map(Some).map_err(|_| NoMemory)
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
}

/// Nodes in a region: each one borrows the next ones.
pub mod in_a_region {
    use super::{NoMemory, Os, Region, Tokens, has_children, name};

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
}

/// Nodes in blocks of a malloc, as in C.
pub mod in_blocks {
    use super::{Malloc, NoMemory, NonNull, Os, Tokens, has_children, name};

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
}

/// Texts of a few names, and of a few thousand.
pub fn texts(count: usize) -> Vec<String> {
    let mut rng = Rng::new(7);
    let mut text = |names: usize| {
        let (mut text, mut depth) = (String::new(), 0);
        for _ in 0..names {
            text.push_str(["chunk", "list", "head", "top", "bin"][rng.below(5)]);
            match rng.below(5) {
                0 if depth < 20 => {
                    text.push_str(" ( ");
                    depth += 1;
                }
                1 | 2 if depth > 0 => {
                    text.push_str(" ) ");
                    depth -= 1;
                }
                _ => text.push(' '),
            }
        }
        text
    };
    let mut sizes = Rng::new(9);
    (0..count).map(|_| text(sizes.within(&(20..=4000)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapkit::os::LinuxOs;
    use lab07::{Mappings, pool_scope};

    #[test]
    fn both_trees_have_all_nodes() {
        let text = "list ( head ( fd bk ) tail ) top";
        let in_pool = pool_scope(LinuxOs, |brand| {
            let mut pool = Pool::new(brand);
            let tree = in_a_pool::parse(&mut tokens(text), &mut pool).unwrap();
            let count = in_a_pool::count(&tree);
            in_a_pool::free(tree, &mut pool);
            count
        });
        let mut mappings = Mappings::new(LinuxOs);
        let tree = in_a_region::parse(&mut tokens(text), &mut Region::new(&mut mappings)).unwrap();
        assert_eq!((in_pool, in_a_region::count(tree)), (6, 6));
    }
}
