use heapkit::os::*;
use heapkit::referee::whole::WholeMalloc;
use heapkit::workload::{self, Op};
use lab05::Malloc;
use proctor::{Desk, Exam};
use std::ptr::NonNull;

const EXAM: Exam = Exam::new(env!("CARGO_MANIFEST_DIR"), cfg!(feature = "solution"));

struct Ours<O>(Malloc<O>);

impl<O: Os> WholeMalloc for Ours<O> {
    fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        self.0.malloc(request)
    }

    fn calloc(&mut self, count: usize, size: usize) -> Option<NonNull<u8>> {
        self.0.calloc(count, size)
    }

    fn aligned(&mut self, align: usize, request: usize) -> Option<NonNull<u8>> {
        self.0.aligned(align, request)
    }

    unsafe fn realloc(&mut self, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        // SAFETY: the referee's promise is the very one that `realloc` asks for.
        unsafe { self.0.realloc(payload, request) }
    }

    unsafe fn free(&mut self, payload: NonNull<u8>) {
        // SAFETY: the same.
        unsafe { self.0.free(payload) }
    }

    fn list_head(&self) -> usize {
        self.0.free_list().head().addr()
    }
}

#[test]
fn workloads() {
    EXAM.case("play", |desk| {
        for seed in 0..1 {
            let mut ops = workload::random_of_all_kinds(seed, 200, 1..=3000, 24);
            ops.insert(100, Op::Foreign { bytes: 100 });
            ops.insert(150, Op::Foreign { bytes: 4096 });
            desk.play_whole(Refusal::Nothing, &ops, |os| Ours(Malloc::new(os)));
        }
        for seed in 0..1 {
            let mut ops = workload::random_of_all_kinds(seed, 200, 1..=300_000, 24);
            ops.insert(100, Op::Foreign { bytes: 100 });
            ops.insert(150, Op::Foreign { bytes: 4096 });
            desk.play_whole(Refusal::Nothing, &ops, |os| Ours(Malloc::new(os)));
            for n in 0..10 {
                desk.play_whole(Refusal::OneAfter(n), &ops, |os| Ours(Malloc::new(os)));
            }
        }
    });
}
