use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use proptest::prelude::*;
use tokenmill_core::grammar::limits::Options;
use tokenmill_core::grammar::{compile, prepare};

use super::{Allocator, MEMORY, SLOT_BYTES, SLOTS, TAKEN, VALUE_BYTES_MAX, scoped};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Tests that count slots, one at a time. Three of them leave something in one, and a slot is
/// enough for the others.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn slots_free() -> usize {
    let is_free = |slot: &&AtomicBool| !slot.load(Ordering::SeqCst);
    TAKEN.iter().filter(is_free).count()
}

fn is_scratch<T>(value: &[T]) -> bool {
    MEMORY.holds(value.as_ptr().cast_mut().cast())
}

fn fresh() -> Vec<u8> {
    Vec::from(*b"fresh")
}

#[test]
fn only_the_work_has_scratch_memory() {
    let _turn = alone();
    let free = slots_free();
    let mut was_scratch = false;
    let kept = scoped(
        || {
            let made: Vec<String> = (0..100).map(|n| format!("text {n}")).collect();
            was_scratch = is_scratch(&made) && is_scratch(made[99].as_bytes());
            made
        },
        Clone::clone,
    );
    assert!(was_scratch);
    assert!(!is_scratch(&kept) && !is_scratch(kept[99].as_bytes()));
    assert_eq!(kept[99], "text 99");
    assert!(!is_scratch(&fresh()));
    assert_eq!(slots_free(), free);
}

#[test]
fn a_slot_is_used_from_its_start_each_time() {
    let _turn = alone();
    let place = || scoped(|| vec![7_u64; 1_000], |made| made.as_ptr().addr());
    let first = place();
    assert!((0..1_000).all(|_| place() == first));
}

#[test]
fn what_a_slot_does_not_hold_is_the_systems() {
    let _turn = alone();
    let free = slots_free();
    let values = |size: usize, count: usize| -> Vec<Vec<u8>> {
        scoped(
            || {
                let all: Vec<Vec<u8>> = (0..count).map(|_| vec![7; size]).collect();
                let inside = all.iter().filter(|one| is_scratch(one)).count();
                assert!(inside * size <= SLOT_BYTES);
                (all, inside)
            },
            |(all, inside)| vec![vec![0; *inside], all.concat()],
        )
    };
    let many = values(10_000, 2 * SLOT_BYTES / 10_000);
    assert!(many[0].len() > SLOT_BYTES / 10_000 - 10);
    assert_eq!(many[1], vec![7; many[1].len()]);
    let large = values(VALUE_BYTES_MAX + 1, 3);
    assert!(large[0].is_empty() && large[1] == vec![7; 3 * (VALUE_BYTES_MAX + 1)]);
    assert_eq!(slots_free(), free);
}

#[test]
fn what_is_left_in_a_slot_is_never_written_over() {
    let _turn = alone();
    let free = slots_free();
    let mut left: Option<Vec<u64>> = None;
    scoped(|| left = Some(vec![42; 1_000]), |()| ());
    assert_eq!(slots_free(), free - 1);
    for _ in 0..50 {
        scoped(|| vec![7_u64; 2_000], |_| ());
    }
    let mut left = left.unwrap();
    assert!(is_scratch(&left) && left.iter().all(|&one| one == 42));
    left.resize(5_000, 43);
    assert!(!is_scratch(&left) && left[999] == 42 && left[4_999] == 43);
    assert_eq!(slots_free(), free - 1);
}

#[test]
fn a_value_may_end_on_another_thread() {
    let _turn = alone();
    let free = slots_free();
    scoped(
        || {
            let sent = vec![5_u8; 100];
            assert!(is_scratch(&sent));
            thread::scope(|scope| {
                let ended =
                    scope.spawn(move || sent.iter().map(|&one| u32::from(one)).sum::<u32>());
                assert_eq!(ended.join().unwrap(), 500);
            });
        },
        |()| (),
    );
    assert_eq!(slots_free(), free - 1);
}

#[test]
fn a_panic_ends_the_scope() {
    let _turn = alone();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        scoped(
            || {
                let made = "text".repeat(25);
                assert!(made.is_empty(), "a payload of {} bytes", made.len());
            },
            |()| (),
        );
    }));
    let message = panicked.unwrap_err();
    assert!(
        message
            .downcast_ref::<String>()
            .unwrap()
            .contains("100 bytes")
    );
    assert!(!is_scratch(&fresh()));
    drop(message);
    assert!(scoped(fresh, |made| is_scratch(made)));
}

#[test]
fn a_scope_in_a_scope_and_more_threads_than_slots_are_served() {
    let _turn = alone();
    let free = slots_free();
    let sum = || {
        scoped(
            || (0..1_000_u64).collect::<Vec<_>>(),
            |all| all.iter().sum::<u64>(),
        )
    };
    assert_eq!(scoped(|| vec![sum(); 3], Clone::clone), [499_500; 3]);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4 * SLOTS)
            .map(|_| scope.spawn(|| (0..200).all(|_| sum() == 499_500)))
            .collect();
        for one in threads {
            assert!(one.join().unwrap());
        }
    });
    assert_eq!(slots_free(), free);
}

#[test]
fn a_compilation_leaves_nothing_behind() {
    let _turn = alone();
    let free = slots_free();
    prepare();
    let schemas = [
        r#"{"type": "object", "properties": {"a": {"format": "date-time"}, "b": {"format": "regex"},
            "c": {"type": "string", "pattern": "^[a-f\n]{2,5}$"}}, "required": ["a"]}"#,
        r#"{"enum": ["\u0001", "é", 1.50, null]}"#,
        r#"{"allOf": [{"minLength": 2}, {"format": "email"}], "not": {"const": "a@b.c"}}"#,
        r#"{"type": "array", "uniqueItems": true}"#,
        r#"{"$ref": "nowhere"}"#,
        "{",
    ];
    for schema in schemas {
        let compile = || compile(schema.as_bytes(), &Options::default());
        let plain = compile();
        let kept = scoped(compile, Clone::clone);
        assert_eq!(kept, plain);
        assert_eq!(slots_free(), free, "{schema}");
    }
}

proptest! {
    #[test]
    fn values_of_any_size_keep_their_bytes(
        deeds in prop::collection::vec((0_usize..8, 0_usize..5, 1_usize..5_000), 1..200)
    ) {
        let _turn = alone();
        let free = slots_free();
        let is_right = scoped(
            || {
                let mut values: BTreeMap<usize, (u8, Vec<u8>)> = BTreeMap::new();
                let mut is_right = true;
                for (place, deed, size) in deeds {
                    let byte = u8::try_from(size % 251).unwrap_or(0);
                    match (deed, values.get_mut(&place)) {
                        (0, _) => drop(values.remove(&place)),
                        (1, Some((byte, bytes))) => bytes.resize(size, *byte),
                        (2, Some((_, bytes))) => {
                            bytes.truncate(size);
                            bytes.shrink_to_fit();
                        }
                        _ => {
                            values.insert(place, (byte, vec![byte; size]));
                        }
                    }
                    is_right &= values
                        .values()
                        .all(|(byte, bytes)| bytes.iter().all(|one| one == byte));
                }
                is_right
            },
            |&is_right| is_right,
        );
        prop_assert!(is_right);
        prop_assert_eq!(slots_free(), free);
    }

    #[test]
    fn places_are_aligned_and_zeroed_where_asked(
        layouts in prop::collection::vec((1_usize..300, 0_u32..13), 1..50)
    ) {
        let _turn = alone();
        let is_right = scoped(
            || {
                drop([(); 64].map(|()| vec![0xff_u8; 16 << 10]));
                layouts.iter().all(|&(size, bits)| {
                    let layout = Layout::from_size_align(size, 1 << bits).unwrap();
                    // SAFETY: the layout is not empty; the place is given back with the same one.
                    unsafe {
                        let place = alloc_zeroed(layout);
                        let is_zero = (0..size).all(|at| place.add(at).read() == 0);
                        let is_right = is_zero && place.addr().is_multiple_of(layout.align());
                        place.write_bytes(0xff, size);
                        dealloc(place, layout);
                        is_right && MEMORY.holds(place)
                    }
                })
            },
            |&is_right| is_right,
        );
        prop_assert!(is_right);
    }
}
