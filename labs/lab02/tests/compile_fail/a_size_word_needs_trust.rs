// No type says that the new size leads to a header: to write a size word is unsafe.
use lab02::{Chunk, SizeWord};

fn misuse(mut chunk: Chunk) {
    chunk.set_size_word(SizeWord::new(4096, SizeWord::PREV_INUSE));
}

fn main() {}
