// The chunk behind is now part of the one in front: nobody can use it on its own.
use lab02::Chunk;

fn misuse(mut front: Chunk, behind: Chunk) {
    unsafe { lab04::join(&mut front, behind) };
    let _ = behind.size();
}

fn main() {}
