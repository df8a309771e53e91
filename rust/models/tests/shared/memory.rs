//! Memory of the model checker: each word and each pair is one of its atomics, changed with the
//! orderings that the wallet asks for.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::{Mutex, Once};

use loom::sync::atomic::AtomicU64;
use std::sync::Arc;
use tokenmill_core::wallet::{Words, ordering};

/// The words that processes share.
pub struct Memory {
    /// A pair stands at its first index: as the place of its value in `pairs`, for there is no
    /// 128-bit atomic here.
    words: Vec<AtomicU64>,
    pairs: Mutex<Vec<u128>>,
}

impl Memory {
    /// Zeros.
    pub fn new(count: usize) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            words: std::iter::repeat_with(zero).take(count).collect(),
            pairs: Mutex::new(vec![0]),
        }
    }

    fn place_of(&self, pair: u128) -> u64 {
        let mut pairs = self.pairs.lock().unwrap();
        let place = pairs.iter().position(|known| *known == pair);
        let place = place.unwrap_or_else(|| {
            pairs.push(pair);
            pairs.len() - 1
        });
        place as u64
    }

    fn pair_at(&self, place: u64) -> u128 {
        self.pairs.lock().unwrap()[usize::try_from(place).unwrap()]
    }
}

struct Killed;

/// A process: it may die before any of its writes.
pub struct Process {
    memory: Arc<Memory>,
    writes_left: Cell<Option<u32>>,
}

impl Process {
    /// One that lives.
    pub fn new(memory: &Arc<Memory>) -> Self {
        Self {
            memory: Arc::clone(memory),
            writes_left: Cell::new(None),
        }
    }

    /// Runs `deed` until it is done or `writes` were made; whether it was done.
    pub fn outlives(&self, writes: u32, deed: impl FnOnce()) -> bool {
        silence_deaths();
        self.writes_left.set(Some(writes));
        let ended = catch_unwind(AssertUnwindSafe(deed));
        self.writes_left.set(None);
        match ended {
            Ok(()) => true,
            Err(reason) if reason.is::<Killed>() => false,
            Err(reason) => resume_unwind(reason),
        }
    }

    fn before_write(&self) {
        match self.writes_left.get() {
            None => {}
            Some(0) => panic_any(Killed),
            Some(left) => self.writes_left.set(Some(left - 1)),
        }
    }
}

/// Deaths are meant; their messages would hide the one panic that is not.
fn silence_deaths() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Killed>() {
                shown(info);
            }
        }));
    });
}

impl Words for Process {
    fn load(&self, at: usize) -> u64 {
        self.memory.words[at].load(ordering::LOAD)
    }

    fn store(&self, at: usize, value: u64) {
        self.before_write();
        self.memory.words[at].store(value, ordering::STORE);
    }

    fn swap(&self, at: usize, old: u64, new: u64) -> bool {
        self.before_write();
        let word = &self.memory.words[at];
        word.compare_exchange(old, new, ordering::CHANGE, ordering::LOAD)
            .is_ok()
    }

    fn raise(&self, at: usize, value: u64) {
        self.before_write();
        self.memory.words[at].fetch_max(value, ordering::CHANGE);
    }

    fn load_pair(&self, at: usize) -> u128 {
        let place = self.memory.words[at].load(ordering::LOAD);
        self.memory.pair_at(place)
    }

    fn store_pair(&self, at: usize, value: u128) {
        self.before_write();
        let place = self.memory.place_of(value);
        self.memory.words[at].store(place, ordering::STORE);
    }

    fn swap_pair(&self, at: usize, old: u128, new: u128) -> Result<(), u128> {
        self.before_write();
        let (old, new) = (self.memory.place_of(old), self.memory.place_of(new));
        self.memory.words[at]
            .compare_exchange(old, new, ordering::CHANGE, ordering::LOAD)
            .map(|_| ())
            .map_err(|found| self.memory.pair_at(found))
    }
}
