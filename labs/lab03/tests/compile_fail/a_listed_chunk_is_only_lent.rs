// A chunk that is in a list can be looked at, but not kept while the list changes, and not taken along.
use lab02::Chunk;
use lab03::{Fit, FreeList};

fn keep_what_was_found(list: &mut FreeList) -> Option<usize> {
    let found = list.find(Fit::First, 32)?;
    list.pop();
    Some(found.size())
}

fn keep_what_was_seen(list: &mut FreeList) -> Option<usize> {
    let seen = list.iter().next()?;
    list.pop();
    Some(seen.size())
}

fn take_it_along(list: &FreeList) -> Option<Chunk> {
    list.find(Fit::First, 32).map(|listed| *listed)
}

fn main() {}
