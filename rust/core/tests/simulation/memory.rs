//! Memory for the simulator: before every write a process may be killed, or another one may run.

use std::cell::{Cell, RefCell};

use tokenmill_core::wallet::Words;

/// What a killed process unwinds with.
pub struct Killed;

/// Words that one process after the other works on. `before_write` stands before every write.
pub struct Memory {
    words: RefCell<Vec<u64>>,
    pub before_write: RefCell<Option<Box<dyn FnMut()>>>,
    pub writes: Cell<u64>,
}

impl Memory {
    pub fn new(count: usize) -> Self {
        Self {
            words: RefCell::new(vec![0; count]),
            before_write: RefCell::new(None),
            writes: Cell::new(0),
        }
    }

    fn note_write(&self) {
        self.writes.set(self.writes.get() + 1);
        // Taken out while it runs: what it runs writes too, and is not interrupted again.
        let hook = self.before_write.borrow_mut().take();
        if let Some(mut hook) = hook {
            hook();
            let mut place = self.before_write.borrow_mut();
            if place.is_none() {
                *place = Some(hook);
            }
        }
    }
}

impl Words for Memory {
    fn load(&self, at: usize) -> u64 {
        self.words.borrow()[at]
    }

    fn store(&self, at: usize, value: u64) {
        self.note_write();
        self.words.borrow_mut()[at] = value;
    }

    fn swap(&self, at: usize, old: u64, new: u64) -> bool {
        self.note_write();
        let word = &mut self.words.borrow_mut()[at];
        let is_old = *word == old;
        if is_old {
            *word = new;
        }
        is_old
    }

    fn raise(&self, at: usize, value: u64) {
        self.note_write();
        let word = &mut self.words.borrow_mut()[at];
        *word = value.max(*word);
    }

    fn load_pair(&self, at: usize) -> u128 {
        assert!(at.is_multiple_of(2), "a pair begins at an even index");
        let words = self.words.borrow();
        u128::from(words[at]) | u128::from(words[at + 1]) << 64
    }

    fn store_pair(&self, at: usize, value: u128) {
        self.note_write();
        let mut words = self.words.borrow_mut();
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let halves = [value as u64, (value >> 64) as u64];
        words[at..at + 2].copy_from_slice(&halves);
    }

    fn swap_pair(&self, at: usize, old: u128, new: u128) -> Result<(), u128> {
        let is_swapped = {
            self.note_write();
            let found = self.load_pair(at);
            if found == old { None } else { Some(found) }
        };
        if let Some(found) = is_swapped {
            return Err(found);
        }
        let mut words = self.words.borrow_mut();
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let halves = [new as u64, (new >> 64) as u64];
        words[at..at + 2].copy_from_slice(&halves);
        Ok(())
    }
}
