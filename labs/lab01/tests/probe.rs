//! Watches the C library's malloc with the lab's observer, in a process where nothing has been allocated before.
//!
//! `no_main`: Rust's runtime allocates before it calls a program's `main`. And all is measured before anything is printed,
//! since printing may allocate too.
#![no_main]

use heapkit::os::LinuxOs;
use lab01::{Journey, Observer};
use std::ffi::{CStr, c_char, c_int, c_void};

#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    if count != 2 {
        return 2;
    }
    let observer = Observer::new(LinuxOs);
    // SAFETY: the system hands over `count` strings, which live as long as the process.
    match unsafe { CStr::from_ptr(*arguments.add(1)) }.to_bytes() {
        b"small" => {
            let first = watch(&observer, 100);
            let second = watch(&observer, 200);
            say("100 bytes", &first);
            say("200 bytes", &second);
        }
        b"large" => say("10 MiB", &watch(&observer, 10 << 20)),
        b"thread" => say("100 bytes on a thread", &in_a_thread(&observer)),
        _ => return 2,
    }
    0
}

fn watch(observer: &Observer<LinuxOs>, request: usize) -> Journey {
    // SAFETY: glibc's malloc returns null or a block with a size word in front of it.
    unsafe { observer.watch(|| libc::malloc(request).cast()) }
}

fn say(what: &str, journey: &Journey) {
    println!("{what}: moved {:+}, {:?}", journey.moved, journey.source());
}

/// What a thread sees. The C library's own thread: Rust's allocates for its name and its handle.
fn in_a_thread(observer: &Observer<LinuxOs>) -> Journey {
    struct Errand<'a> {
        observer: &'a Observer<LinuxOs>,
        journey: Option<Journey>,
    }
    extern "C" fn run(errand: *mut c_void) -> *mut c_void {
        // SAFETY: the thread that started this one waits, and does not touch the errand meanwhile.
        let errand = unsafe { &mut *errand.cast::<Errand>() };
        // A thread's first blocks may be taken for the thread itself.
        watch(errand.observer, 100);
        errand.journey = Some(watch(errand.observer, 100));
        std::ptr::null_mut()
    }
    // So that the first heap has an owner already.
    watch(observer, 100);
    let mut errand = Errand { observer, journey: None };
    // SAFETY: the errand lives until the thread has ended, which is waited for.
    unsafe {
        let mut thread = std::mem::zeroed();
        let failed = libc::pthread_create(&mut thread, std::ptr::null(), run, (&raw mut errand).cast());
        assert_eq!(failed, 0, "a thread can't be started");
        libc::pthread_join(thread, std::ptr::null_mut());
    }
    errand.journey.expect("the thread has run")
}
