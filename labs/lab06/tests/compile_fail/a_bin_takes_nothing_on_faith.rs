// Nothing in a chunk's type says that it is free, that it is in no list, or that it is in these bins.
use lab02::Chunk;
use lab03::CorruptedLink;
use lab04::FreeChunks;
use lab06::{Bins, FastBin};

fn main() {
    let _: fn(&mut Bins, Chunk) = Bins::sort;
    let _: fn(&mut Bins, Chunk) = Bins::put;
    let _: fn(&mut Bins, &Chunk) -> Result<(), CorruptedLink> = Bins::remove;
    let _: fn(&mut FastBin, Chunk) = FastBin::push;
}
