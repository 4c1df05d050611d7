//! What the right answers are, by other means than the lab's own.

use crate::questions::Found;

/// The chunk for a request, in numbers that can't overflow.
pub fn chunk_size(request: usize) -> Option<usize> {
    let steps = (request as u128 + 8).div_ceil(16).max(2);
    isize::try_from(16 * steps).ok().map(isize::cast_unsigned)
}

/// The first defect of a heap of `len` bytes. `word` reads the one at an offset.
pub fn first_defect(len: usize, word: impl Fn(usize) -> usize) -> Option<Found> {
    let mut before = None;
    let mut left = len;
    while left > 0 {
        let at = len - left;
        let (prev_size, last_digit) = (word(at), word(at + 8) % 8);
        let size = word(at + 8) - last_digit;
        if size < 32 {
            return Some(Found::SizeTooSmall { at, size });
        }
        if !size.is_multiple_of(16) {
            return Some(Found::SizeNotAligned { at, size });
        }
        let Some(rest) = left.checked_sub(size) else { return Some(Found::PastTheEnd { at, size }) };
        match before {
            _ if last_digit % 2 == 1 => {}
            None => return Some(Found::NothingBefore),
            Some(tag) if tag == prev_size => {}
            Some(size) => return Some(Found::WrongBoundaryTag { at, prev_size, size }),
        }
        (before, left) = (Some(size), rest);
    }
    None
}
