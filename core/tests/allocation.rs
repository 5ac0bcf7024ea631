//! The hot path allocates nothing. One test, because the counter sees every thread of the process.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use callsheet::{Client, Instance, Policy, block_on};
use common::registry;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_pick_and_its_report_allocate_nothing() {
    let (url, memory) = registry();
    for port in 1..=100 {
        memory.put(Instance::new("billing", "10.0.0.1", port)).unwrap();
    }
    let client = Client::connect(&url).unwrap();
    for &policy in Policy::ALL {
        let picker = block_on(client.picker("billing", policy)).unwrap();
        // The first pick of a thread makes its thread-local values.
        picker.pick().unwrap().done(true);
        // An idle client may do its own housekeeping, so the best of several rounds counts.
        let fewest = (0..10).map(|_| {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            (0..1000u32).for_each(|n| picker.pick_key(n.to_le_bytes()).unwrap().done(n % 3 != 0));
            ALLOCATIONS.load(Ordering::Relaxed) - before
        });
        assert_eq!(fewest.min(), Some(0), "{policy}");
    }
    block_on(client.close()).unwrap();
}
