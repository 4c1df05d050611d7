//! What the tests record. It has no `main` of Rust's, whose runtime has requests of its own.
#![no_main]

use libc::{c_char, c_int, c_void};
use std::ffi::CStr;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Chooses by the first argument.
///
/// # Safety
/// `argv` is what a program gets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    assert_eq!(argc, 2);
    // SAFETY: `argv` is what a program gets, and it has two entries.
    let what = unsafe { CStr::from_ptr(*argv.add(1)) };
    match what.to_bytes() {
        b"calls" => every_call(),
        b"threads" => threads(),
        b"fork" => fork(),
        b"abort" => abort(),
        _ => return 2,
    }
    0
}

fn malloc(size: usize) -> *mut c_void {
    // SAFETY: any request may be made.
    black_box(unsafe { libc::malloc(black_box(size)) })
}

/// Every relative of `malloc` once, the calls that are not recorded as well; then an end that runs no handlers.
fn every_call() {
    let a = malloc(1001);
    // SAFETY: each pointer comes from the calls before, and none is used after the call that frees it.
    unsafe {
        let b = libc::calloc(7, 11);
        let mut c = ptr::null_mut();
        assert_eq!(libc::posix_memalign(&raw mut c, 64, 300), 0);
        black_box(libc::aligned_alloc(32, 320));
        black_box(libc::memalign(128, 5));
        black_box(libc::reallocarray(ptr::null_mut(), 3, 5));
        black_box(libc::realloc(a, 2002));
        assert!(malloc(isize::MAX as usize).is_null());
        assert_eq!(libc::posix_memalign(&raw mut c, 48, 300), libc::EINVAL);
        assert!(libc::reallocarray(c, usize::MAX, 2).is_null());
        libc::free(ptr::null_mut());
        assert!(libc::realloc(b, 0).is_null());
        *libc::__errno_location() = 77;
        libc::free(c);
        assert_eq!(*libc::__errno_location(), 77);
        libc::_exit(3);
    }
}

/// Four threads that free what another one got.
fn threads() {
    thread::scope(|scope| {
        for _ in 0..4 {
            let (sender, receiver) = std::sync::mpsc::channel();
            scope.spawn(move || (0..1000).for_each(|_| sender.send(malloc(1003).expose_provenance()).unwrap()));
            scope.spawn(move || {
                // SAFETY: every block is sent once, and freed here alone.
                receiver.iter().for_each(|block| unsafe { libc::free(ptr::with_exposed_provenance_mut(block)) });
            });
        }
    });
}

/// Children are made while another thread never stops asking. They ask for 1002 bytes, this process for 1001.
fn fork() {
    malloc(1001);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // SAFETY: the block is freed once.
                unsafe { libc::free(malloc(1)) };
            }
        });
        for _ in 0..100 {
            // SAFETY: the child asks the C library for bytes, which it allows after a fork, and ends.
            unsafe {
                let child = libc::fork();
                if child == 0 {
                    malloc(1002);
                    libc::_exit(0);
                }
                assert_eq!(libc::waitpid(child, ptr::null_mut(), 0), child);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// A program that crashes.
fn abort() {
    malloc(1001);
    // SAFETY: it ends the process.
    unsafe { libc::abort() };
}
