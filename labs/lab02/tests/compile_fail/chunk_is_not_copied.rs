// A chunk can't be copied: two owners of one header would free it twice.
fn needs_copy<T: Copy>() {}
fn needs_clone<T: Clone>() {}

fn main() {
    needs_copy::<lab02::Chunk>();
    needs_clone::<lab02::Chunk>();
}
