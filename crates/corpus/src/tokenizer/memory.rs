//! A table of earlier results, bounded in size.

use std::collections::HashMap;

/// Number of entries at which a memory is emptied; the frequent ones are soon back.
const MOST_ENTRIES: usize = 1 << 18;

/// Longer texts, in bytes, hardly ever come again.
const LONGEST_KEY: usize = 64;

/// What is known of short texts. Whether something is remembered decides on speed, never on a
/// result.
#[derive(Debug)]
pub(super) struct Memory<V> {
    known: HashMap<Box<str>, V>,
    most_entries: usize,
}

impl<V> Default for Memory<V> {
    fn default() -> Self {
        Self { known: HashMap::new(), most_entries: MOST_ENTRIES }
    }
}

impl<V> Memory<V> {
    /// What is known of a text.
    pub(super) fn get(&self, text: &str) -> Option<&V> {
        self.known.get(text)
    }

    /// Keeps an answer, unless the text is too long to come again.
    pub(super) fn keep(&mut self, text: &str, answer: V) {
        if text.len() > LONGEST_KEY {
            return;
        }
        if self.known.len() >= self.most_entries {
            self.known.clear();
        }
        self.known.insert(text.into(), answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_keeps_short_texts_and_never_grows_beyond_its_bound() {
        let mut memory = Memory { most_entries: 2, ..Memory::default() };
        memory.keep("a", 1);
        memory.keep(&"long".repeat(LONGEST_KEY), 2);
        memory.keep("b", 3);
        assert_eq!((memory.get("a"), memory.get("b"), memory.known.len()), (Some(&1), Some(&3), 2));
        memory.keep("c", 4);
        assert_eq!((memory.get("a"), memory.get("c"), memory.known.len()), (None, Some(&4), 1));
    }
}
