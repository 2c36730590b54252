//! The calls that a mount makes most often allocate no memory once they have been made a few times, recorded or not.
#![allow(unsafe_code, reason = "an allocator that counts")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use lisafs::trace::{Facts, Recorder, RecorderOptions};
use lisafs::wire::FdId;

use support::{ROOT, Setup, both, connected};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_frequent_calls_allocate_nothing() {
    let traces = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(&traces.path().join("trace"), &Facts::new(), RecorderOptions::default()).unwrap();
    let recorded = both().map(|setup| Setup { trace: Some(recorder.clone()), ..setup });
    for setup in both().into_iter().chain(recorded) {
        let (channels, is_recorded) = (setup.channels, setup.trace.is_some());
        let (client, _server) = connected(setup, |_| None);
        let data = [7; 1 << 16];
        let mut room = vec![0; 1 << 16];
        let mut call_all = || {
            client.fstat(ROOT).unwrap();
            client.lookup(ROOT, b"a").unwrap();
            assert_eq!(client.pwrite(ROOT, 0, &data), Ok(data.len()));
            assert_eq!(client.pread(FdId(3), 0, data.len(), |data| data.get(0, &mut room)), Ok(()));
        };
        (0..3).for_each(|_| call_all());
        assert!(ALLOCATIONS.get() > 0, "the allocator counts");
        // The first wait for a lock that somebody else holds just then makes what later ones use.
        let hundred = |_| {
            let before = ALLOCATIONS.get();
            (0..100).for_each(|_| call_all());
            ALLOCATIONS.get() - before
        };
        let fewest = (0..5).map(hundred).min();
        assert_eq!(fewest, Some(0), "over {channels} channels, recorded: {is_recorded}");
    }
}
