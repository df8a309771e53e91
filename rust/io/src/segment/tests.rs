//! The segment as a file and as memory that processes share.

use std::sync::Arc;

use tokenmill_core::fairness::BEHIND_NS_MAX;

use crate::clock;

use super::*;

const SIZES: Sizes = Sizes {
    keys_max: 100,
    workers_max: 3,
    engines_max: 5,
    accounts_max: 8,
    cells_max: 16,
};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn record(key_id: u64) -> KeyRecord {
    KeyRecord {
        key_id,
        account_id: 1,
        tier: 0,
        scopes: 1,
        expires_at_s: 0,
    }
}

fn secret(random: &str) -> Vec<u8> {
    let mut text = format!("{}{random:0>36}", keys::API_KEY_PREFIX).into_bytes();
    text.extend(keys::checksum(&text));
    text
}

#[test]
fn what_one_mapping_writes_another_reads() {
    let folder = folder();
    let path = folder.path().join("hot.segment");
    let ours = Segment::create(&path, SIZES).unwrap();
    let theirs = Segment::attach(&path).unwrap();
    let key = secret("abc");
    assert_eq!(theirs.find_key(&key, 0), Err(KeyRefusal::Unknown));
    ours.put_key(
        Digest::of(&key),
        &KeyRecord {
            expires_at_s: 50,
            ..record(7)
        },
    )
    .unwrap();
    assert_eq!(theirs.find_key(&key, 49).unwrap().key_id, 7);
    assert_eq!(theirs.find_key(&key, 50), Err(KeyRefusal::Expired));
    assert!(ours.revoke_key(Digest::of(&key)));
    assert_eq!(theirs.find_key(&key, 0), Err(KeyRefusal::Revoked));
    assert_eq!(
        theirs.find_key(b"pk_live_abc", 0),
        Err(KeyRefusal::Malformed)
    );
}

#[test]
fn create_attaches_to_what_fits_and_asks_for_the_keys_again() {
    let folder = folder();
    let path = folder.path().join("hot.segment");
    let first = Segment::create(&path, SIZES).unwrap();
    first.publish_fleet(9);
    first.set_keys_ready();
    let second = Segment::create(&path, SIZES).unwrap();
    assert_eq!(second.fleet_generation(), 9);
    assert!(!second.keys_ready());
}

#[test]
fn what_is_taken_over_goes_on_being_true_and_one_of_other_sizes_is_refused() {
    let folder = folder();
    let path = folder.path().join("hot.segment");
    let first = Segment::create(&path, SIZES).unwrap();
    first.publish_fleet(9);
    first.set_keys_ready();
    let second = Segment::take_over(&path, SIZES).unwrap();
    assert_eq!(second.fleet_generation(), 9);
    assert!(second.keys_ready());
    let larger = Sizes {
        keys_max: 200,
        ..SIZES
    };
    assert!(matches!(
        Segment::take_over(&path, larger),
        Err(SegmentError::OtherSizes)
    ));
    assert!(first.keys_ready());
}

#[test]
fn create_makes_a_new_file_for_other_sizes_and_leaves_the_old_mapping_alone() {
    let folder = folder();
    let path = folder.path().join("hot.segment");
    let old = Segment::create(&path, SIZES).unwrap();
    old.publish_fleet(9);
    let new = Segment::create(
        &path,
        Sizes {
            keys_max: 200,
            ..SIZES
        },
    )
    .unwrap();
    assert_eq!(new.fleet_generation(), 0);
    new.publish_fleet(10);
    assert_eq!(old.fleet_generation(), 9);
}

#[test]
fn create_sets_a_file_of_another_layout_aside_and_deletes_one_of_another_boot() {
    let folder = folder();
    let path = folder.path().join("hot.segment");
    let aside = folder.path().join("hot.segment.previous");
    for (byte, is_kept) in [(8, true), (16, false)] {
        Segment::create(&path, SIZES).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[byte] ^= 1; // of the layout's version, or of the boot's id
        std::fs::write(&path, &bytes).unwrap();
        assert!(Segment::attach(&path).is_err());
        assert!(Segment::create(&path, SIZES).is_ok());
        assert_eq!(std::fs::read(&aside).ok(), is_kept.then_some(bytes));
        let _ = std::fs::remove_file(&aside);
    }
}

#[test]
fn garbage_and_truncated_files_are_refused_by_name_and_replaced_by_create() {
    let folder = folder();
    let path = folder.path().join("hot.segment");
    let length = Segment::create(&path, SIZES)
        .unwrap()
        .layout()
        .total_bytes() as u64;
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(length - 4096).unwrap();
    let error = Segment::attach(&path).err();
    assert!(matches!(
        error,
        Some(SegmentError::Attach(AttachError::OtherLength { .. }))
    ));
    std::fs::write(&path, vec![b'x'; 9000]).unwrap();
    let error = Segment::attach(&path).err();
    assert!(matches!(
        error,
        Some(SegmentError::Attach(AttachError::OtherMagic))
    ));
    assert!(Segment::create(&path, SIZES).is_ok());
    assert!(Segment::attach(&path).is_ok());
}

#[test]
fn the_file_is_fully_allocated_and_private() {
    use std::os::unix::fs::MetadataExt;
    let folder = folder();
    let path = folder.path().join("hot.segment");
    let segment = Segment::create(&path, SIZES).unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.blocks() * 512 >= segment.layout().total_bytes() as u64);
    assert_eq!(metadata.mode() & 0o777, 0o600);
}

#[test]
fn in_flight_cells_add_up_by_engine_and_by_worker() {
    let folder = folder();
    let segment = Segment::create(&folder.path().join("hot.segment"), SIZES).unwrap();
    segment.engine_in_flight_add(0, 2, 3);
    segment.engine_in_flight_add(1, 2, 1);
    segment.engine_in_flight_add(1, 4, 2);
    assert_eq!(
        (segment.engine_in_flight(2), segment.worker_in_flight(1)),
        (4, 3)
    );
    segment.set_worker_state(1, WorkerState::Starting);
    assert_eq!(
        (segment.engine_in_flight(2), segment.worker_in_flight(1)),
        (3, 0)
    );
    // A worker that was declared dead counts down after its row was cleared.
    segment.engine_in_flight_add(1, 2, -1);
    assert_eq!(
        (segment.engine_in_flight(2), segment.worker_in_flight(1)),
        (3, 0)
    );
}

#[test]
fn a_new_worker_inherits_neither_heartbeat_nor_drain_but_the_counters() {
    let folder = folder();
    let segment = Segment::create(&folder.path().join("hot.segment"), SIZES).unwrap();
    segment.set_worker_state(2, WorkerState::Draining);
    segment.beat(2);
    segment.set_drain(2, 77);
    segment.count(2, Counter::STREAMS, 5);
    assert!(segment.heartbeat_ms(2) > 0);
    assert_eq!(
        (segment.worker_state(2), segment.drain_deadline_ms(2)),
        (WorkerState::Draining, 77)
    );
    segment.set_worker_state(2, WorkerState::Starting);
    assert_eq!(
        (segment.heartbeat_ms(2), segment.drain_deadline_ms(2)),
        (0, 0)
    );
    assert_eq!(segment.worker_state(2), WorkerState::Starting);
    assert_eq!(segment.totals()[Counter::STREAMS.index()], 5);
}

#[test]
fn controls_heartbeat_is_seen_by_others() {
    let folder = folder();
    let path = folder.path().join("hot.segment");
    let supervisor = Segment::create(&path, SIZES).unwrap();
    assert_eq!(supervisor.control_heartbeat_ms(), 0);
    Segment::attach(&path).unwrap().beat_control();
    assert!(supervisor.control_heartbeat_ms() > 0);
}

#[test]
fn threads_lose_no_count() {
    let folder = folder();
    let segment = Arc::new(Segment::create(&folder.path().join("hot.segment"), SIZES).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| segment.count(0, Counter::FRAMES, 1)));
        }
    });
    assert_eq!(segment.totals()[Counter::FRAMES.index()], 40_000);
}

#[test]
#[should_panic(expected = "there is no engine slot 5")]
fn a_slot_that_is_not_there_is_never_mistaken_for_another() {
    let folder = folder();
    let segment = Segment::create(&folder.path().join("hot.segment"), SIZES).unwrap();
    segment.engine_in_flight_add(0, 5, 1);
}

#[test]
fn threads_together_take_no_more_places_than_there_are() {
    let folder = folder();
    let segment = Segment::create(&folder.path().join("hot.segment"), SIZES).unwrap();
    let segment = Arc::new(segment);
    let most = Arc::new(AtomicU64::new(0));
    let taken = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..3)
        .map(|worker| {
            let (segment, most) = (Arc::clone(&segment), Arc::clone(&most));
            let taken = Arc::clone(&taken);
            std::thread::spawn(move || {
                for _ in 0..3_000 {
                    if !segment.take_place(worker, 1, 2) {
                        std::thread::yield_now();
                        continue;
                    }
                    most.fetch_max(taken.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    taken.fetch_sub(1, Ordering::SeqCst);
                    segment.engine_in_flight_add(worker, 1, -1);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
    assert_eq!(segment.engine_in_flight(1), 0);
}

#[test]
fn what_a_silent_worker_told_is_forgotten() {
    let folder = folder();
    let segment = Segment::create(&folder.path().join("hot.segment"), SIZES).unwrap();
    let now_ms = clock::monotonic_ms();
    segment.tell_least(1, 2, Some(30));
    segment.tell_least(2, 2, Some(20));
    segment.tell_waiting(1, 4, now_ms);
    segment.tell_waiting(2, 5, now_ms.saturating_sub(10_000));
    assert_eq!(segment.least_elsewhere(0, 2, now_ms), Some((30, 1)));
    assert_eq!(segment.least_elsewhere(1, 2, now_ms), None);
    assert_eq!((segment.waiting(), segment.worker_waiting(1)), (9, 4));
    segment.set_worker_state(1, WorkerState::Free);
    assert_eq!(segment.least_elsewhere(0, 2, now_ms), None);
    assert_eq!(segment.waiting(), 5);
}

#[test]
fn who_begins_to_wait_stands_not_far_behind_whoever_went_last() {
    let folder = folder();
    let segment = Segment::create(&folder.path().join("hot.segment"), SIZES).unwrap();
    segment.raise_floor(3, BEHIND_NS_MAX + 500);
    segment.raise_floor(3, BEHIND_NS_MAX + 400);
    segment.enter_line(2, [1, 3].into_iter());
    assert_eq!(segment.served(2), 500);
    segment.add_served(2, -900);
    assert_eq!(segment.served(2), 0);
    // A number without room stands for account 0, which nobody has.
    segment.add_served(1 << 40, 7);
    assert_eq!(segment.served(0), 7);
}
