//! Calls every function of C's interface, as a program does that knows nothing of what is preloaded.

use libc::{c_int, c_void, size_t};
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

unsafe extern "C" {
    fn pvalloc(size: size_t) -> *mut c_void;
    fn valloc(size: size_t) -> *mut c_void;
}

fn errno() -> c_int {
    // SAFETY: the C library's own variable.
    unsafe { *libc::__errno_location() }
}

fn set_errno(value: c_int) {
    // SAFETY: the C library's own variable.
    unsafe { *libc::__errno_location() = value };
}

/// Calls something that has to fail, and says what errno then is.
fn refused(call: impl FnOnce() -> *mut c_void) -> c_int {
    set_errno(0);
    // The compiler knows `malloc`, and would leave out a call whose block nobody uses.
    assert!(black_box(call()).is_null());
    errno()
}

fn blocks() {
    // SAFETY: as C's interface asks for it.
    unsafe {
        let (zero, one) = (libc::malloc(0), libc::malloc(1));
        assert!(!zero.is_null() && !one.is_null() && zero != one);
        libc::free(zero);
        libc::free(one);
        libc::free(ptr::null_mut());

        let dirty = libc::malloc(500);
        libc::memset(dirty, 0xff, 500);
        libc::free(dirty);
        let clean = libc::calloc(50, 10).cast::<u8>();
        assert!((0..500).all(|at| *clean.add(at) == 0));
        libc::free(clean.cast());

        let mut grown = libc::realloc(ptr::null_mut(), 10).cast::<u8>();
        grown.write(7);
        for size in [100, 1_000, 10_000, 1_000_000, 20, 300_000, 5] {
            grown = libc::realloc(grown.cast(), size).cast();
            assert!(*grown == 7 && libc::malloc_usable_size(grown.cast()) >= size);
        }
        assert!(libc::realloc(grown.cast(), 0).is_null());
        assert_eq!(libc::malloc_usable_size(ptr::null_mut()), 0);
    }
}

fn what_cannot_be() {
    // SAFETY: as C's interface asks for it.
    unsafe {
        for too_much in [usize::MAX, usize::MAX - 100, isize::MAX as usize, 1 << 60] {
            assert_eq!(refused(|| libc::malloc(too_much)), libc::ENOMEM);
            assert_eq!(refused(|| libc::realloc(ptr::null_mut(), too_much)), libc::ENOMEM);
            assert_eq!(refused(|| libc::memalign(64, too_much)), libc::ENOMEM);
            assert_eq!(refused(|| pvalloc(too_much)), libc::ENOMEM);
        }
        assert_eq!(refused(|| libc::calloc(usize::MAX, 16)), libc::ENOMEM);
        let kept = libc::malloc(100).cast::<u8>();
        kept.write(9);
        assert_eq!(refused(|| libc::reallocarray(kept.cast(), usize::MAX / 2, 16)), libc::ENOMEM);
        assert_eq!(refused(|| libc::realloc(kept.cast(), 1 << 60)), libc::ENOMEM);
        assert_eq!(*kept, 9);
        libc::free(kept.cast());
    }
}

fn alignments() {
    // SAFETY: as C's interface asks for it.
    unsafe {
        for power in 0..22 {
            let align = 1_usize << power;
            let block = libc::aligned_alloc(align, 100);
            assert!(!block.is_null() && block.addr().is_multiple_of(align));
            libc::memset(block, 1, 100);
            libc::free(block);
        }
        assert_eq!(refused(|| libc::aligned_alloc(48, 100)), libc::EINVAL);
        assert_eq!(refused(|| libc::aligned_alloc(0, 100)), libc::EINVAL);
        assert_eq!(refused(|| libc::memalign(usize::MAX, 100)), libc::EINVAL);
        let rounded = libc::memalign(48, 100);
        assert!(!rounded.is_null() && rounded.addr().is_multiple_of(64));
        libc::free(rounded);

        let mut out = ptr::dangling_mut::<c_void>();
        set_errno(77);
        for wrong in [0, 1, 4, 24, 48] {
            assert_eq!(libc::posix_memalign(&raw mut out, wrong, 10), libc::EINVAL);
        }
        assert_eq!(libc::posix_memalign(&raw mut out, 8, usize::MAX), libc::ENOMEM);
        assert_eq!(out, ptr::dangling_mut());
        assert_eq!(libc::posix_memalign(&raw mut out, 4096, 10), 0);
        assert_eq!(errno(), 77, "posix_memalign leaves errno alone");
        assert!(out.addr().is_multiple_of(4096));
        libc::free(out);

        for block in [valloc(10), pvalloc(10), pvalloc(0)] {
            assert!(!block.is_null() && block.addr().is_multiple_of(4096));
            libc::free(block);
        }
        let whole = pvalloc(4097);
        assert!(libc::malloc_usable_size(whole) >= 8192);
        libc::free(whole);
    }
}

fn errno_after_free() {
    for size in [10, 5_000, 1 << 20, 100 << 20] {
        // SAFETY: a block that nobody uses.
        unsafe {
            let block = libc::malloc(size);
            assert!(!block.is_null());
            set_errno(123);
            libc::free(block);
        }
        assert_eq!(errno(), 123, "free leaves errno alone");
    }
}

/// Threads whose keys' destructors still use the malloc, in all four rounds of them.
fn thread_exits() {
    static ROUNDS: AtomicUsize = AtomicUsize::new(0);
    static KEY: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn destroy(block: *mut c_void) {
        ROUNDS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the block that the thread has set, which nobody else uses.
        unsafe {
            libc::free(block);
            for size in 1..200 {
                libc::free(libc::malloc(size));
            }
            libc::pthread_setspecific(KEY.load(Ordering::Relaxed) as u32, libc::malloc(40));
        }
    }

    // SAFETY: the key is made once, and set to blocks of the malloc's.
    unsafe {
        let mut key = 0;
        // Of so many keys the thread library has to ask for memory.
        for _ in 0..40 {
            assert_eq!(libc::pthread_key_create(&raw mut key, Some(destroy)), 0);
        }
        KEY.store(key as usize, Ordering::Relaxed);
        for _ in 0..50 {
            let thread = thread::spawn(move || libc::pthread_setspecific(key, libc::malloc(100)));
            assert_eq!(thread.join().ok(), Some(0));
        }
    }
    assert_eq!(ROUNDS.load(Ordering::Relaxed), 200);
}

fn churn(seed: usize, steps: usize) {
    let mut kept: Vec<*mut c_void> = vec![ptr::null_mut(); 64];
    let mut state = seed;
    for _ in 0..steps {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (place, size) = ((state >> 33) % 64, (state >> 40) % 3_000);
        // SAFETY: a block of ours, or null, and a new one that we write into.
        unsafe {
            libc::free(kept[place]);
            kept[place] = libc::malloc(size);
            libc::memset(kept[place], 1, size);
        }
    }
    // SAFETY: blocks of ours, or null.
    kept.into_iter().for_each(|block| unsafe { libc::free(block) });
}

/// Copies of the process, made while other threads are in the middle of something.
fn forks() {
    static IS_OVER: AtomicUsize = AtomicUsize::new(0);
    let busy: Vec<_> = (0..3)
        .map(|seed| {
            thread::spawn(move || {
                while IS_OVER.load(Ordering::Relaxed) == 0 {
                    churn(seed, 1_000);
                }
            })
        })
        .collect();
    for seed in 0..100 {
        // SAFETY: the child uses the malloc, as glibc allows, and leaves at once.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::alarm(20);
                churn(seed, 2_000);
                libc::_exit(0);
            }
            let mut status = -1;
            libc::waitpid(child, &raw mut status, 0);
            assert_eq!(status, 0, "a child ended with {status:#x}");
        }
    }
    IS_OVER.store(1, Ordering::Relaxed);
    assert!(busy.into_iter().all(|thread| thread.join().is_ok()));
}

/// A process that may have only so many addresses, with threads.
fn little_memory() {
    // SAFETY: a limit for this process, and blocks of ours.
    unsafe {
        let limit = libc::rlimit { rlim_cur: 300 << 20, rlim_max: 300 << 20 };
        assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &raw const limit), 0);
    }
    let fill = || {
        let mut blocks = Vec::with_capacity(100_000);
        // SAFETY: blocks of ours, which go again.
        unsafe {
            loop {
                set_errno(0);
                let block = libc::malloc(20_000).cast::<u8>();
                if block.is_null() || blocks.len() == 100_000 {
                    break;
                }
                block.write(1);
                blocks.push(block.addr());
            }
            assert_eq!(errno(), libc::ENOMEM);
            assert!(blocks.len() > 1_000, "only {} blocks", blocks.len());
            for &block in &blocks {
                libc::free(ptr::with_exposed_provenance_mut(block));
            }
            let again = libc::malloc(20_000);
            assert!(!again.is_null());
            libc::free(again);
        }
    };
    fill();
    assert!(thread::spawn(fill).join().is_ok());
    churn(1, 1_000);
}

fn main() {
    blocks();
    what_cannot_be();
    alignments();
    errno_after_free();
    // SAFETY: it only looks.
    assert!(!unsafe { libc::dlsym(libc::RTLD_NEXT, c"malloc".as_ptr()) }.is_null());
    thread_exits();
    forks();
    little_memory();
    println!("every function does what C asks of it");
}
