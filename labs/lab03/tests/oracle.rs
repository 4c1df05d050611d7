//! What the right answers are, by other means than the lab's own.

use heapkit::referee::Fit;

/// Which of these sizes, in list order, serves `need`: the first of equals.
pub fn choose(fit: Fit, sizes: &[usize], need: usize) -> Option<usize> {
    let mut fitting: Vec<usize> = (0..sizes.len()).filter(|index| sizes[*index] >= need).collect();
    match fit {
        Fit::First => {}
        // Sorting is stable: of equals, the first stays first.
        Fit::Best => fitting.sort_by_key(|index| sizes[*index]),
        Fit::Worst => fitting.sort_by_key(|index| std::cmp::Reverse(sizes[*index])),
    }
    fitting.first().copied()
}
