//! No input of a few kilobytes is worth much memory: whoever asks for too much at once is a fault that is found.

use std::alloc::{GlobalAlloc, Layout, System};

/// Most bytes that may be asked for at once: twice the largest document that is read from an archive.
const LIMIT: usize = 32 << 20;

struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fn check(size: usize) {
    if size > LIMIT {
        // Nothing that panics may be called here.
        std::process::abort();
    }
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
