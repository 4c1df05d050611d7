//! A parser, whose nodes come from a pool, from a region, or from a malloc: the same tree of the same text each time.

pub mod in_a_pool;
pub mod in_a_region;
pub mod in_blocks;

use heapkit::workload::Rng;
use std::iter::Peekable;
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
    use heapkit::memory::PrivateArena;
    use heapkit::os::{LinuxOs, Refusal, SimOs};
    use lab07::{Mappings, Pool, Region, pool_scope};

    /// A pool panics if it is left with a slot taken.
    #[test]
    fn a_tree_that_gets_no_memory_is_freed() {
        let text = "list ( head tail ) ".repeat(1000);
        for before in 0..2 {
            let os = SimOs::new(PrivateArena::reserve().unwrap(), 0);
            os.refuse(Refusal::From(before));
            let is_refused = pool_scope(&os, |brand| {
                let mut pool = Pool::new(brand);
                let tree = in_a_pool::parse(&mut tokens(&text), &mut pool);
                tree.map(|tree| in_a_pool::free(tree, &mut pool)).is_err()
            });
            assert!(is_refused, "{before} mappings are not enough for 3000 nodes");
        }
    }

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
