// Nothing in a chunk's type says that it has neighbours, or that nobody uses its payload.
use lab02::Chunk;

fn misuse(mut chunk: Chunk) {
    let _ = chunk.next();
    let _ = chunk.prev();
    let _ = chunk.is_in_use();
    chunk.mark_free();
    chunk.mark_in_use();
}

fn main() {}
