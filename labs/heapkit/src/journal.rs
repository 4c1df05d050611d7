//! The steps of a story, kept in memory that another process can read.
//!
//! A step is written down before it is taken, and its result after: whatever happens in between, the reader
//! knows which step was under way.

use std::sync::atomic::{AtomicU64, Ordering};

/// One step: what was done, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `c = malloc(64)`
    pub action: String,
    /// `+0x0010`, or `None` while the step is under way.
    pub result: Option<String>,
}

/// What a journal held: the steps, and where the free list started before the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// First to last.
    pub steps: Vec<Step>,
    /// The word in which the free list's head was kept, if the story has a list.
    pub list_head: Option<usize>,
}

/// Writes a story into shared memory.
///
/// The memory starts with two words, the length of the text and the list's head; the text is one line a step, action
/// and result separated by a tab. When the memory is full, older steps are forgotten.
pub struct Journal {
    memory: *mut u8,
    len: usize,
}

/// The two words in front of the text.
const TEXT: usize = 16;
/// No list: no pointer to a chunk is odd.
const NO_LIST: u64 = 1;
/// A step is not begun where its result may not fit.
const RESULT: usize = 128;

impl Journal {
    /// An empty journal over `len` bytes at `memory`.
    ///
    /// # Safety
    /// The bytes are valid for reads and writes, aligned to 8, and written through this journal alone.
    pub unsafe fn over(memory: *mut u8, len: usize) -> Self {
        assert!(len > TEXT + 2 * RESULT, "{len} bytes hold no story");
        let journal = Journal { memory, len };
        journal.clear();
        journal
    }

    /// A step is about to be taken.
    pub fn begin(&self, action: &str) {
        let used = self.word(0).load(Ordering::Relaxed) as usize;
        if TEXT + used + action.len() + RESULT > self.len {
            self.word(0).store(0, Ordering::Release);
        }
        self.append(action);
    }

    /// The step has been taken.
    pub fn end(&self, result: &str) {
        self.append("\t");
        self.append(result);
        self.append("\n");
    }

    /// The free list starts with the chunk at this address (0: it is empty).
    pub fn list_starts_at(&self, address: usize) {
        self.word(1).store(address as u64, Ordering::Release);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.word(0).store(0, Ordering::Release);
        self.word(1).store(NO_LIST, Ordering::Release);
    }

    /// The story in `memory`, as a journal left it.
    pub fn read(memory: &[u8]) -> Story {
        let word = |at: usize| memory.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_ne_bytes);
        let (Some(used), Some(head)) = (word(0), word(8)) else {
            return Story::default();
        };
        let text = &memory[TEXT.min(memory.len())..];
        let text = String::from_utf8_lossy(&text[..text.len().min(used as usize)]);
        let steps = text
            .split_terminator('\n')
            .map(|line| match line.split_once('\t') {
                Some((action, result)) => Step { action: action.into(), result: Some(result.into()) },
                None => Step { action: line.into(), result: None },
            })
            .collect();
        Story { steps, list_head: (head != NO_LIST).then_some(head as usize) }
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        // SAFETY: `over` promises that these bytes are ours and aligned.
        unsafe { &*self.memory.cast::<AtomicU64>().add(index) }
    }

    fn append(&self, text: &str) {
        let used = self.word(0).load(Ordering::Relaxed) as usize;
        let text = &text.as_bytes()[..text.len().min(self.len - TEXT - used)];
        // SAFETY: `used + text.len()` bytes fit behind the two words, as just made sure.
        unsafe { self.memory.add(TEXT + used).copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        self.word(0).store((used + text.len()) as u64, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(tell: impl FnOnce(&Journal)) -> Story {
        const LEN: usize = 1024;
        let mut memory = [0u64; LEN / 8];
        let bytes = memory.as_mut_ptr().cast::<u8>();
        // SAFETY: LEN bytes, aligned to 8, used by nobody else.
        tell(&unsafe { Journal::over(bytes, LEN) });
        // SAFETY: the same bytes.
        Journal::read(unsafe { std::slice::from_raw_parts(bytes, LEN) })
    }

    #[test]
    fn the_step_under_way_has_no_result() {
        let story = story(|journal| {
            journal.begin("a = malloc(64)");
            journal.end("+0x0010");
            journal.begin("free(a)");
        });
        assert_eq!(story.steps[0], Step { action: "a = malloc(64)".into(), result: Some("+0x0010".into()) });
        assert_eq!(story.steps[1], Step { action: "free(a)".into(), result: None });
        assert_eq!(story.list_head, None);
    }

    #[test]
    fn a_full_journal_keeps_the_latest_steps_whole() {
        let story = story(|journal| {
            for i in 0..1000 {
                journal.begin(&format!("step {i}"));
                journal.end("done");
            }
        });
        assert!(story.steps.iter().all(|step| step.result.as_deref() == Some("done")));
        assert_eq!(story.steps.last().map(|step| step.action.as_str()), Some("step 999"));
    }

    #[test]
    fn an_empty_list_is_told_from_no_list() {
        assert_eq!(story(|journal| journal.list_starts_at(0)).list_head, Some(0));
        assert_eq!(story(|_| {}).list_head, None);
    }
}
