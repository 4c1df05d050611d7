//! Pools and regions: blocks of one type, and blocks that are freed together.

use core::alloc::Layout;
use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;
use heapkit::os::{Os, PAGE};

/// What a pool asks the system for when all its slots are taken: so many bytes, or more if a single slot needs more.
pub const POOL_GROWTH: usize = 16 * PAGE;

/// The first two words of a mapping. All mappings of a pool or a region are a list, which leads through these headers.
#[derive(Debug)]
struct Header {
    next: Cell<Link>,
    /// Of the whole mapping, with this header.
    len: usize,
}

/// The way to a mapping, or to nothing at the end of the list.
type Link = Option<NonNull<Header>>;

/// Where the first byte after the header is that a `T` may start at.
const fn first_place<T>() -> usize {
    // Mappings start at a page, so nothing in them is aligned to more by promise.
    const { assert!(align_of::<T>() <= PAGE, "no type in a pool or a region is aligned to more than a page") };
    size_of::<Header>().next_multiple_of(align_of::<T>())
}

/// Memory from the system. Every mapping goes back, each exactly once, when this is dropped, and not before.
#[derive(Debug)]
pub struct Mappings<O: Os> {
    os: O,
    first: Cell<Link>,
    /// How long all mappings together are.
    total: Cell<usize>,
}

impl<O: Os> Mappings<O> {
    /// No mapping yet: nothing is asked for before it is needed.
    pub const fn new(os: O) -> Self {
        Self { os, first: Cell::new(None), total: Cell::new(0) }
    }

    /// Asks the system for a mapping of `len` bytes or a little more, whole pages, and puts it into the list at `link`: what `link`
    /// led to comes after it. `None`, and nothing has changed, if the system refuses, or if no mapping can be that long.
    fn map(&self, link: &Cell<Link>, len: usize) -> Option<NonNull<Header>> {
        todo!("Mappings::map")
    }
}

impl<O: Os> Drop for Mappings<O> {
    fn drop(&mut self) {
        // Every mapping goes back. (No `todo!` here: a panic while a panic unwinds would abort the program.)
    }
}

// ---- pools ----

/// Runs `work`, and gives it what it needs to make one pool. The pool's pages go back to the system at the end.
///
/// The lifetime `'id` is the pool's brand. Nobody chooses it: `work` has to be right for *every* lifetime, so no two brands can be
/// taken for the same one, and what carries the brand can't leave `work`.
///
/// ```ignore
/// let text = pool_scope(os, |brand| {
///     let mut pool = Pool::new(brand);
///     let mut name = pool.alloc(String::from("he"))?;
///     name.push_str("ap");
///     Ok(pool.take(name))
/// });
/// ```
///
/// # Panics
/// If `work` returns and slots are still taken: nobody can free them any more. The message says how many. No type of Rust can say
/// "must be freed", only "can't be freed twice". The pages go back all the same.
pub fn pool_scope<O: Os, R>(os: O, work: impl for<'id> FnOnce(Brand<'id, O>) -> R) -> R {
    todo!("pool_scope")
}

/// A lifetime that is like no other: it can be made neither longer nor shorter.
type Invariant<'id> = PhantomData<fn(&'id ()) -> &'id ()>;

/// The right to make one pool.
#[derive(Debug)]
pub struct Brand<'id, O: Os> {
    mappings: &'id Mappings<O>,
    taken: &'id Cell<usize>,
    id: Invariant<'id>,
}

/// A pool: slots for values of one type.
///
/// A slot is as large as `T`, but at least a word, and aligned as both need it. A slot that is taken holds its value and nothing else. In
/// a dead slot, the first word is the address of the slot that died before it, or 0: that is the pool's free list.
pub struct Pool<'id, T, O: Os> {
    brand: Brand<'id, O>,
    /// The slot that died last.
    dead: Option<NonNull<Slot<T>>>,
    /// The first of the slots that have never been used,
    fresh: NonNull<Slot<T>>,
    /// and how many there are.
    fresh_left: usize,
}

#[repr(C)]
union Slot<T> {
    dead: Option<NonNull<Slot<T>>>,
    /// Never read as such: it gives the slot its size and alignment.
    _live: ManuallyDrop<T>,
}

impl<'id, T, O: Os> Pool<'id, T, O> {
    /// A pool without slots, which has asked the system for nothing yet.
    pub fn new(brand: Brand<'id, O>) -> Self {
        Self { brand, dead: None, fresh: NonNull::dangling(), fresh_left: 0 }
    }

    /// Puts `value` into a slot. It is the first of these:
    ///
    /// 1. the slot that died last;
    /// 2. the next slot of the newest mapping that has never been used. They lie side by side, the first one as near to the mapping's
    ///    [header](Mappings) as its alignment allows. Nobody touches them before;
    /// 3. the first slot of a new mapping, of [`POOL_GROWTH`] bytes. If that is too short for one slot: as many whole pages as it needs.
    ///
    /// A type without bytes needs no slot, and no memory.
    ///
    /// # Errors
    /// If the system refuses, `value` comes back, and nothing has changed.
    pub fn alloc(&mut self, value: T) -> Result<Handle<'id, T>, T> {
        todo!("Pool::alloc")
    }

    /// Drops the value, and its slot is dead.
    pub fn free(&mut self, handle: Handle<'id, T>) {
        todo!("Pool::free")
    }

    /// Moves the value out, and its slot is dead.
    pub fn take(&mut self, handle: Handle<'id, T>) -> T {
        todo!("Pool::take")
    }
}

/// A value in a pool, and the only way to it. `*handle` is the value.
///
/// The handle owns the value. [`Pool::free`] and [`Pool::take`] want the handle back, so nobody can use the value afterwards, or free it
/// twice; and the brand `'id` says which pool it belongs to.
///
/// A handle that is dropped drops its value, as every owner does in Rust. But it is one word and doesn't know where its pool is: the slot stays
/// taken, and [`pool_scope`] will say so.
pub struct Handle<'id, T> {
    value: NonNull<T>,
    id: Invariant<'id>,
}

impl<T> Deref for Handle<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        todo!("Handle::deref")
    }
}

impl<T> DerefMut for Handle<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        todo!("Handle::deref_mut")
    }
}

impl<T> Drop for Handle<'_, T> {
    fn drop(&mut self) {
        // The value is dropped. (No `todo!` here: a panic while a panic unwinds would abort the program.)
    }
}

// ---- regions ----

/// A region: values of any type, one after the other, that are freed together.
///
/// A value lives for `'r`, as long as the region's memory is borrowed. There is no way to free one alone, and so no destructor ever runs:
/// only types without one are let in, which is what `Copy` promises.
///
/// ```ignore
/// let mut mappings = Mappings::new(os);
/// let mut region = Region::new(&mut mappings);
/// let name = region.alloc_str("heap")?;
/// for request in requests {
///     let mut scratch = region.nested();
///     answer(request, name, &mut scratch);
/// } // What was in `scratch` is free again.
/// ```
#[derive(Debug)]
pub struct Region<'r, O: Os> {
    mappings: &'r Mappings<O>,
    /// Leads to the mapping after the one in use.
    next: &'r Cell<Link>,
    /// The first byte that is unused,
    unused: NonNull<u8>,
    /// and how many there are up to the end of the mapping.
    left: usize,
}

impl<'r, O: Os> Region<'r, O> {
    /// An empty region in this memory. Mappings that an earlier region has left there are used again.
    pub fn new(mappings: &'r mut Mappings<O>) -> Self {
        // Nobody else can get at the mappings for `'r`.
        let mappings: &'r Mappings<O> = mappings;
        Self { mappings, next: &mappings.first, unused: NonNull::dangling(), left: 0 }
    }

    /// A region inside this one. It starts where this one has come to, and while it or a value of it is in use, this one waits. Then this
    /// one goes on where it was: all that the inner one held is free, at no cost, and its mappings are used again.
    pub fn nested(&mut self) -> Region<'_, O> {
        todo!("Region::nested")
    }

    /// Puts `value` into the region, at the first of these places that has room for it:
    ///
    /// 1. the next byte of the mapping in use that is aligned for it;
    /// 2. the start of the next mapping, after its [header](Mappings), if there is a next one that an inner or earlier region has left;
    /// 3. the start of a new mapping, which comes before that one. It is as long as all mappings together so far, or longer, if the value
    ///    needs more than that: whole pages. If the system refuses that, a mapping just as long as the value needs.
    ///
    /// A value without bytes needs no place. `None`, and nothing has changed, if the system refuses.
    pub fn alloc<T: Copy>(&mut self, value: T) -> Option<&'r mut T> {
        todo!("Region::alloc")
    }

    /// Copies `values` into the region, side by side. See [`Region::alloc`].
    pub fn alloc_slice<T: Copy>(&mut self, values: &[T]) -> Option<&'r mut [T]> {
        todo!("Region::alloc_slice")
    }

    /// Makes `len` values side by side: `value(0)`, `value(1)`, and so on. See [`Region::alloc`].
    ///
    /// `None`, and `value` is not called, also if no memory can hold that many. If `value` panics, what it has made stays in the region until
    /// that ends, and nobody sees it.
    pub fn alloc_slice_with<T: Copy>(&mut self, len: usize, mut value: impl FnMut(usize) -> T) -> Option<&'r mut [T]> {
        todo!("Region::alloc_slice_with")
    }

    /// Copies `text` into the region. See [`Region::alloc`].
    pub fn alloc_str(&mut self, text: &str) -> Option<&'r mut str> {
        todo!("Region::alloc_str")
    }
}
