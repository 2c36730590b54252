use super::*;
use crate::fs::ahead::Fetchers;

const SIZE: usize = 1 << 16;
const CONTENT: Content = Content { version: 1, size: 1 << 24 };

fn slowly(ahead: &Ahead, reads: u64) {
    for number in 0..reads {
        assert!(ahead.take(number * SIZE as u64, SIZE, CONTENT, Instant::now()).is_empty());
        ahead.answered(SLOW);
    }
}

/// Fetches `plan`, asked for at `asked`; each byte is the number of its chunk.
fn fetch(ahead: &Ahead, plan: &Plan, asked: Instant) {
    let fetchers = Fetchers::default();
    for number in 0..plan.count {
        let offset = plan.offset + (number * plan.length) as u64;
        let ticket = ahead.expect(asked, offset, plan.length, plan.version, fetchers.admit().unwrap());
        ahead.arrived(ticket, Some(vec![u8::try_from(number).unwrap(); plan.length]), SLOW);
    }
}

/// A window in which two chunks have arrived, asked for at `asked`.
fn filled(asked: Instant) -> Ahead {
    let ahead = Ahead::default();
    slowly(&ahead, 2);
    let plan = ahead.plan(SIZE, CONTENT, 1 << 20).unwrap();
    assert_eq!(plan, Plan { offset: 2 * SIZE as u64, count: 2, length: CHUNK, end: CONTENT.size, version: 1 });
    fetch(&ahead, &plan, asked);
    ahead
}

fn taken(ahead: &Ahead, offset: u64, content: Content, asked: Instant) -> Vec<Vec<u8>> {
    ahead.take(offset, SIZE, content, asked).iter().map(|part| part.bytes().to_vec()).collect()
}

#[test]
fn only_slow_reads_in_a_row_are_gone_before() {
    let ahead = Ahead::default();
    slowly(&ahead, 1);
    assert_eq!(ahead.plan(SIZE, CONTENT, 1 << 20), None);
    ahead.answered(SLOW / 2);
    ahead.answered(SLOW);
    assert_eq!(ahead.plan(SIZE, CONTENT, 1 << 20), None, "one of them was quick");
    ahead.answered(SLOW);
    assert!(ahead.plan(SIZE, CONTENT, 1 << 20).is_some());
    ahead.take(0, SIZE, CONTENT, Instant::now());
    assert_eq!(ahead.plan(SIZE, CONTENT, 1 << 20), None, "it went elsewhere");
}

#[test]
fn who_reads_quickly_or_elsewhere_needs_no_more_than_a_look() {
    let ahead = Ahead::default();
    assert!(!ahead.is_of_use(0, SIZE));
    ahead.answered(SLOW);
    assert!(!ahead.is_of_use(SIZE as u64, SIZE));
    ahead.answered(SLOW);
    assert!(ahead.is_of_use(2 * SIZE as u64, SIZE), "two slow reads, one behind the other");
    assert!(!ahead.is_of_use(0, SIZE), "it went elsewhere");
    assert!(!ahead.is_of_use(SIZE as u64, SIZE), "and begins anew");
    let ahead = filled(Instant::now());
    ahead.answered(Duration::ZERO);
    assert!(ahead.is_of_use(2 * SIZE as u64, SIZE), "something is there");
    assert!(!ahead.is_of_use(0, SIZE));
    assert!(!ahead.is_of_use(SIZE as u64, SIZE), "nothing is there any more");
}

#[test]
fn what_comes_next_is_there() {
    let (now, start, in_chunk) = (Instant::now(), 2 * SIZE as u64, (CHUNK / SIZE) as u64);
    let ahead = filled(now);
    for number in 0..2 * in_chunk {
        let expected = vec![u8::try_from(number / in_chunk).unwrap(); SIZE];
        assert_eq!(taken(&ahead, start + number * SIZE as u64, CONTENT, now), [expected]);
    }
    assert!(taken(&ahead, start + 2 * CHUNK as u64, CONTENT, now).is_empty());
}

#[test]
fn a_read_over_the_border_has_two_parts() {
    let now = Instant::now();
    let ahead = filled(now);
    ahead.take(2 * SIZE as u64, CHUNK - 10, CONTENT, now);
    let parts = taken(&ahead, (2 * SIZE + CHUNK - 10) as u64, CONTENT, now);
    assert_eq!(parts, [vec![0; 10], vec![1; SIZE - 10]]);
}

#[test]
fn what_is_changed_or_too_old_or_elsewhere_is_not_used() {
    let (now, start) = (Instant::now(), 2 * SIZE as u64);
    assert!(taken(&filled(now), start, Content { version: 2, ..CONTENT }, now).is_empty());
    assert!(taken(&filled(now), start, CONTENT, now + FRESH + Duration::from_millis(1)).is_empty());
    let ahead = filled(now);
    assert!(taken(&ahead, 0, CONTENT, now).is_empty());
    assert!(taken(&ahead, SIZE as u64, CONTENT, now).is_empty());
    assert!(taken(&ahead, start, CONTENT, now).is_empty(), "the window was dropped");
}

#[test]
fn nothing_is_read_ahead_behind_the_end() {
    let ahead = Ahead::default();
    slowly(&ahead, 2);
    let content = Content { size: 2 * SIZE as u64, ..CONTENT };
    assert_eq!(ahead.plan(SIZE, content, 1 << 20), None);
}

#[test]
fn who_waits_gets_what_arrives_or_asks_himself() {
    let ahead = Ahead::default();
    slowly(&ahead, 2);
    let fetchers = Fetchers::default();
    let now = Instant::now();
    let expect = |offset| ahead.expect(now, offset, SIZE, 1, fetchers.admit().unwrap());
    let (first, second) = (expect(2 * SIZE as u64), expect(3 * SIZE as u64));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let good = taken(&ahead, 2 * SIZE as u64, CONTENT, now);
            (good, taken(&ahead, 3 * SIZE as u64, CONTENT, now))
        });
        ahead.arrived(first, Some(vec![7; SIZE]), SLOW);
        ahead.arrived(second, None, SLOW);
        assert_eq!(reader.join().unwrap(), (vec![vec![7; SIZE]], vec![]));
    });
    assert!(!ahead.is_expected(second));
}
