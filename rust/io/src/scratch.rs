//! Memory for one computation: taken by moving a pointer, given back all at once.
//!
//! A schema becomes a grammar by way of hundreds of short-lived values, and the system's allocator
//! is a third of the time that takes. [`Allocator`] gives a thread inside of [`scoped`] memory from
//! a slot of its own, and everything else the system's.
//!
//! What makes it sound whatever a computation leaves behind: a slot is used again only where its
//! thread has given back all that it took from it. Any other slot is never written to again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Threads that can have a slot at once; more of them are served by the system.
const SLOTS: usize = 4;
/// Bytes of a slot. What a computation needs beyond is the system's; of a hundred schemas found in
/// the wild 99 need less.
const SLOT_BYTES: usize = 6 << 20;
/// Bytes of the largest value that is begun in a slot, or moved within it. Larger ones are few, and
/// leave much behind as they grow.
const VALUE_BYTES_MAX: usize = 32 << 10;

/// Zeros, so that a page costs nothing before its first use.
static MEMORY: Memory = Memory(UnsafeCell::new([0; SLOTS * SLOT_BYTES]));
/// Slots in use, and those that something is left in.
static TAKEN: [AtomicBool; SLOTS] = [const { AtomicBool::new(false) }; SLOTS];
/// Threads inside of [`scoped`]: while there are none, the others do not look at their own state.
static SCOPES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CURRENT: Current = const { Current::without_slot() };
}

#[repr(align(4096))]
struct Memory(UnsafeCell<[u8; SLOTS * SLOT_BYTES]>);

// SAFETY: a slot is used by the thread alone that holds its flag in `TAKEN`, and nothing refers to
// the bytes but the pointers that the allocator gave out.
unsafe impl Sync for Memory {}

impl Memory {
    /// The first byte of a slot.
    fn slot(&self, slot: usize) -> *mut u8 {
        self.0.get().cast::<u8>().wrapping_add(slot * SLOT_BYTES)
    }

    /// Whether a pointer leads into a slot.
    fn holds(&self, place: *mut u8) -> bool {
        place.addr().wrapping_sub(self.0.get().addr()) < SLOTS * SLOT_BYTES
    }
}

/// The slot of a thread.
struct Current {
    /// The first byte; null while the thread has no slot.
    start: Cell<*mut u8>,
    /// Where the next value goes.
    next: Cell<*mut u8>,
    /// Where the slot ends; its start while nothing is to be taken.
    end: Cell<*mut u8>,
    /// Values that were taken and not given back.
    live: Cell<usize>,
}

impl Current {
    const fn without_slot() -> Self {
        Self {
            start: Cell::new(ptr::null_mut()),
            next: Cell::new(ptr::null_mut()),
            end: Cell::new(ptr::null_mut()),
            live: Cell::new(0),
        }
    }

    /// From here on nothing more is taken.
    fn close(&self) {
        self.end.set(self.start.get());
    }

    /// Room for a value; null where there is none.
    fn take(&self, layout: Layout) -> *mut u8 {
        let mask = layout.align() - 1;
        let place = self.next.get().map_addr(|at| (at + mask) & !mask);
        if layout.size() > VALUE_BYTES_MAX || place.addr() + layout.size() > self.end.get().addr() {
            return ptr::null_mut();
        }
        self.next.set(place.wrapping_add(layout.size()));
        self.live.set(self.live.get() + 1);
        place
    }

    /// A value is no longer needed; of another thread's slot nothing is ever used again.
    fn give_back(&self, place: *mut u8, size: usize) {
        if self.holds(place) {
            self.live.set(self.live.get() - 1);
            if self.is_last(place, size) {
                self.next.set(place);
            }
        }
    }

    /// Makes a value larger or smaller where it lies; false where it has to move.
    fn resize(&self, place: *mut u8, size: usize, wanted: usize) -> bool {
        if !self.holds(place) || !self.is_last(place, size) {
            return wanted <= size;
        }
        let fits = place.addr() + wanted <= self.end.get().addr();
        if fits {
            self.next.set(place.wrapping_add(wanted));
        }
        fits || wanted <= size
    }

    fn holds(&self, place: *mut u8) -> bool {
        place.addr().wrapping_sub(self.start.get().addr()) < SLOT_BYTES
    }

    fn is_last(&self, place: *mut u8, size: usize) -> bool {
        place.wrapping_add(size) == self.next.get()
    }
}

/// The allocator of a process that uses [`scoped`].
///
/// Outside of it, the system's with a load and a comparison before.
pub struct Allocator;

// SAFETY: what is given out is either the system's or a place of the thread's own slot that nobody
// else has: `next` only goes back over the last value, when that is given back.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let place = taken(layout);
        if place.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        }
        place
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let place = taken(layout);
        if place.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: `place` is room of this layout, which is used again and may not be zeros.
        unsafe { place.write_bytes(0, layout.size()) };
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if MEMORY.holds(place) {
            given_back(place, layout.size());
        } else {
            // SAFETY: the caller's promise, and `place` is not ours.
            unsafe { System.dealloc(place, layout) };
        }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !MEMORY.holds(place) {
            // SAFETY: the caller's promise, and `place` is not ours.
            return unsafe { System.realloc(place, layout, size) };
        }
        if CURRENT.with(|current| current.resize(place, layout.size(), size)) {
            return place;
        }
        // SAFETY: the caller promises that `size` is right for this alignment and not 0; old and
        // new room do not overlap and are as long as the shorter of the two.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(place, layout.size().min(size));
                self.dealloc(place, layout);
            }
            moved
        }
    }
}

/// Room in the thread's slot; null where it has none, or none left.
fn taken(layout: Layout) -> *mut u8 {
    if SCOPES.load(Ordering::Relaxed) == 0 {
        return ptr::null_mut();
    }
    taken_here(layout)
}

/// The same on a thread that may have a slot. Not inlined, like the next: there are thousands of
/// places that allocate, and a thread's own state is not found in few instructions from a shared
/// library.
#[inline(never)]
fn taken_here(layout: Layout) -> *mut u8 {
    CURRENT.with(|current| current.take(layout))
}

#[inline(never)]
fn given_back(place: *mut u8, size: usize) {
    CURRENT.with(|current| current.give_back(place, size));
}

/// What `keep` makes of what `work` gives. Only `work` has scratch memory: `keep` copies what is to
/// stay.
///
/// Where all slots are in use, or inside of another `scoped`, it is a plain call of both.
pub fn scoped<T, K>(work: impl FnOnce() -> T, keep: impl FnOnce(&T) -> K) -> K {
    let Some(scope) = Scope::open() else {
        return keep(&work());
    };
    let made = work();
    CURRENT.with(Current::close);
    let kept = keep(&made);
    // What was made goes before the slot does.
    drop(made);
    drop(scope);
    kept
}

/// A thread's hold on a slot; it stays on its thread.
struct Scope {
    slot: usize,
    on_this_thread: PhantomData<*const ()>,
}

impl Scope {
    fn open() -> Option<Self> {
        CURRENT.with(|current| {
            if !current.start.get().is_null() {
                return None;
            }
            let is_free = |slot: &AtomicBool| !slot.swap(true, Ordering::Acquire);
            let slot = TAKEN.iter().position(is_free)?;
            let start = MEMORY.slot(slot);
            current.start.set(start);
            current.next.set(start);
            current.end.set(start.wrapping_add(SLOT_BYTES));
            current.live.set(0);
            SCOPES.fetch_add(1, Ordering::Relaxed);
            Some(Self {
                slot,
                on_this_thread: PhantomData,
            })
        })
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.with(|current| {
            SCOPES.fetch_sub(1, Ordering::Relaxed);
            for pointer in [&current.start, &current.next, &current.end] {
                pointer.set(ptr::null_mut());
            }
            if current.live.get() == 0 {
                TAKEN[self.slot].store(false, Ordering::Release);
            }
        });
    }
}

#[cfg(test)]
#[path = "scratch_tests.rs"]
mod tests;
