//! What a program keeps in its blocks, and where it looks whether that is still there.
//!
//! A block may be many GiB long, so not every byte of a long one is used: its ends are, and places in between.

use std::ops::Range;

/// So many bytes at both ends of a block are all looked at.
const ENDS: usize = 2048;

/// Between them, one byte in so many: a prime, so that no page is looked at in the same place as the one before.
const BETWEEN: usize = 1021;

/// A block that is longer is not written to everywhere, but at [`PLACES`] between its ends.
const LONG: usize = 64 << 10;

/// About how many places are used between the ends of a long block.
const PLACES: usize = 16;

/// Of a block that should be zero, no more than this is looked at everywhere.
const ZERO_EVERYWHERE: usize = 16 << 20;

/// As much is read at once.
const WINDOW: usize = 64 << 10;

/// The byte that the program keeps at index `i` of the block `id`. A byte and the one 256 further on differ, too: a page in
/// the place of another is noticed.
pub fn byte(id: usize, i: usize) -> u8 {
    (id.wrapping_mul(31) ^ i.wrapping_mul(7) ^ (i >> 8).wrapping_mul(29) ^ 0x5a) as u8
}

/// Writes the pattern of the block `id`, which has `request` bytes; `write` is told where in the block.
pub fn fill(id: usize, request: usize, mut write: impl FnMut(usize, &[u8])) {
    let everywhere = [Stretch { range: 0..request, step: 1 }];
    let parts = if request <= LONG { everywhere.to_vec() } else { stretches(request).to_vec() };
    for stretch in parts {
        if stretch.step == 1 {
            let bytes: Vec<u8> = stretch.range.clone().map(|i| byte(id, i)).collect();
            write(stretch.range.start, &bytes);
        } else {
            stretch.range.step_by(stretch.step).for_each(|i| write(i, &[byte(id, i)]));
        }
    }
}

/// The first byte of the block `id` that was used when it had `request` bytes, is one of its first `kept` bytes, and isn't what
/// the program wrote: its index, and what it is now. `read` is told where in the block.
pub fn first_changed(
    id: usize,
    request: usize,
    kept: usize,
    mut read: impl FnMut(usize, &mut [u8]),
) -> Option<(usize, u8)> {
    stretches(request).into_iter().find_map(|stretch| {
        let range = stretch.range.start.min(kept)..stretch.range.end.min(kept);
        Stretch { range, ..stretch }.first_other(&mut read, |i| byte(id, i))
    })
}

/// The same, but only the bytes at both ends are looked at.
pub fn first_changed_at_the_ends(
    id: usize,
    request: usize,
    mut read: impl FnMut(usize, &mut [u8]),
) -> Option<(usize, u8)> {
    let [head, _, tail] = stretches(request);
    [head, tail].into_iter().find_map(|stretch| stretch.first_other(&mut read, |i| byte(id, i)))
}

/// The first byte that isn't zero, of a block's `request` bytes, or of those of a long block that a program uses.
pub fn first_not_zero(request: usize, mut read: impl FnMut(usize, &mut [u8])) -> Option<(usize, u8)> {
    let whole = [Stretch { range: 0..request.min(ZERO_EVERYWHERE), step: 1 }];
    let parts = if request <= ZERO_EVERYWHERE { whole.to_vec() } else { stretches(request).to_vec() };
    parts.into_iter().find_map(|stretch| stretch.first_other(&mut read, |_| 0))
}

/// A part of a block, of which one byte in `step` is used.
#[derive(Clone)]
struct Stretch {
    range: Range<usize>,
    step: usize,
}

/// The bytes at which a block of `request` bytes is used and looked at.
fn stretches(request: usize) -> [Stretch; 3] {
    let head = request.min(ENDS);
    let tail = request.saturating_sub(ENDS).max(head);
    let step = if request <= LONG { BETWEEN } else { ((tail - head) / PLACES) | 1 };
    [(0..head, 1), (head..tail, step), (tail..request, 1)].map(|(range, step)| Stretch { range, step })
}

impl Stretch {
    fn first_other(self, read: &mut impl FnMut(usize, &mut [u8]), wanted: impl Fn(usize) -> u8) -> Option<(usize, u8)> {
        // Places that are far apart are read one by one.
        let at_once = (WINDOW / self.step).max(1);
        self.range.clone().step_by(at_once * self.step).find_map(|start| {
            let end = self.range.end.min(start.saturating_add((at_once - 1) * self.step + 1));
            let mut bytes = vec![0; end - start];
            read(start, &mut bytes);
            let mut used = bytes.iter().enumerate().step_by(self.step);
            used.find(|(i, seen)| **seen != wanted(start + i)).map(|(i, seen)| (start + i, *seen))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The bytes that are written for a block of `request` bytes.
    fn filled(request: usize) -> BTreeMap<usize, u8> {
        let mut bytes = BTreeMap::new();
        fill(3, request, |at, run| bytes.extend((at..).zip(run.iter().copied())));
        bytes
    }

    #[test]
    fn what_was_filled_is_found_unchanged_and_one_other_byte_is_found() {
        for request in [0, 1, 2047, 2048, 2049, 4096, 4097, 100_000, 1_000_000, LONG + 1, 5 << 30] {
            let mut bytes = filled(request);
            let read = |bytes: &BTreeMap<usize, u8>, at: usize, into: &mut [u8]| {
                bytes.range(at..at + into.len()).for_each(|(used, byte)| into[used - at] = *byte);
            };
            assert_eq!(first_changed(3, request, request, |at, into| read(&bytes, at, into)), None);
            let looked_at: Vec<usize> =
                stretches(request).into_iter().flat_map(|stretch| stretch.range.step_by(stretch.step)).collect();
            for used in looked_at.iter().copied().step_by(looked_at.len() / 4 + 1) {
                *bytes.get_mut(&used).unwrap() ^= 1;
                let changed = first_changed(3, request, request, |at, into| read(&bytes, at, into));
                assert_eq!(changed.map(|(at, _)| at), Some(used));
                assert_eq!(first_changed(3, request, used, |at, into| read(&bytes, at, into)), None);
                *bytes.get_mut(&used).unwrap() ^= 1;
            }
        }
    }

    #[test]
    fn a_long_block_is_used_at_both_ends_and_at_a_few_places() {
        let used = filled(64 << 30);
        assert_eq!(used.len(), 2 * ENDS + PLACES);
        assert_eq!((used.keys().next(), used.keys().next_back()), (Some(&0), Some(&((64 << 30) - 1))));
        assert_eq!(filled(4096).len(), 4096);
    }

    #[test]
    fn each_byte_of_a_block_that_should_be_zero_is_looked_at() {
        for wrong in [0, 4095, WINDOW - 1, WINDOW, 999_999] {
            let read = |at: usize, into: &mut [u8]| {
                into.fill(0);
                wrong.checked_sub(at).and_then(|i| into.get_mut(i)).into_iter().for_each(|byte| *byte = 7);
            };
            assert_eq!(first_not_zero(1_000_000, read), Some((wrong, 7)));
        }
        assert_eq!(first_not_zero(usize::MAX, |_, into| into.fill(0)), None);
    }
}
