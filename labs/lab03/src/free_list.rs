pub struct Chunk(*mut u8);
pub struct List { pub head: *mut u8 }
pub unsafe fn danger() {}
