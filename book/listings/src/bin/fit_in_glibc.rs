//! Which chunk does glibc choose from the chapter's list?

use listings::block::{free, malloc};

const LIST: [usize; 4] = [100, 50, 200, 80];

/// The block that serves `60 * factor` bytes, when those of `LIST`, times `factor`, are free; `None`: none of them.
fn chosen(factor: usize) -> Option<usize> {
    let blocks = LIST.map(|size| {
        let block = malloc(size * factor);
        malloc(24); // stays in use, so that no two free blocks are neighbours
        block
    });
    // The chapter's list reads 100, 50, 200, 80: 80 is freed first.
    for &block in blocks.iter().rev() {
        // SAFETY: a live block, freed once.
        unsafe { free(block) }
    }
    let new = malloc(60 * factor);
    let at = LIST.iter().zip(blocks).find(|(size, block)| (block.addr()..block.addr() + **size * factor).contains(&new.addr()));
    at.map(|(size, _)| size * factor)
}

fn main() {
    let answers = [1, 10, 100].map(|factor| (factor, chosen(factor)));
    for (factor, answer) in answers {
        let list = LIST.map(|size| format!("[{}]", size * factor)).join(" → ");
        let answer = answer.map_or("none of them".into(), |size| format!("the block of {size}"));
        println!("{list}, ask for {}: {answer}", 60 * factor);
    }
}
