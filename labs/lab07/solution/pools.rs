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
        let len = len.checked_next_multiple_of(PAGE)?;
        let new = self.os.mmap(len)?.cast::<Header>();
        // SAFETY: a fresh mapping of at least a page, which starts at a page: aligned, and nobody else's.
        unsafe { new.write(Header { next: Cell::new(link.get()), len }) };
        link.set(Some(new));
        self.total.set(self.total.get() + len);
        Some(new)
    }
}

impl<O: Os> Drop for Mappings<O> {
    fn drop(&mut self) {
        let mut next = self.first.take();
        while let Some(mapping) = next {
            // SAFETY: a mapping in the list starts with its header, which is read before the mapping is gone. Whatever points
            // into it borrows this value, so nothing does any more.
            unsafe {
                let len = mapping.as_ref().len;
                next = mapping.as_ref().next.get();
                self.os.munmap(mapping.cast(), len);
            }
        }
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
    let (mappings, taken) = (Mappings::new(os), Cell::new(0));
    let result = work(Brand { mappings: &mappings, taken: &taken, id: PhantomData });
    assert!(taken.get() == 0, "{} slots of the pool were never freed", taken.get());
    result
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
        let Some(place) = self.place() else { return Err(value) };
        // SAFETY: a slot that nobody has, which is aligned for a `T` and long enough.
        unsafe { place.write(value) };
        self.brand.taken.set(self.brand.taken.get() + 1);
        Ok(Handle { value: place, id: PhantomData })
    }

    /// Drops the value, and its slot is dead.
    pub fn free(&mut self, handle: Handle<'id, T>) {
        // The slot is already dead while the value is dropped: if that panics, nothing is lost.
        drop(self.take(handle));
    }

    /// Moves the value out, and its slot is dead.
    pub fn take(&mut self, handle: Handle<'id, T>) -> T {
        let place = ManuallyDrop::new(handle).value;
        // SAFETY: the handle owned a value of this pool, since it has the brand, and it is gone.
        let value = unsafe { place.read() };
        if size_of::<T>() > 0 {
            let slot = place.cast::<Slot<T>>();
            // SAFETY: the value lay in a slot, which nobody has now.
            unsafe { (*slot.as_ptr()).dead = self.dead };
            self.dead = Some(slot);
        }
        self.brand.taken.set(self.brand.taken.get() - 1);
        value
    }

    /// Where the next value goes.
    fn place(&mut self) -> Option<NonNull<T>> {
        if size_of::<T>() == 0 {
            return Some(NonNull::dangling());
        }
        if let Some(slot) = self.dead {
            // SAFETY: a dead slot holds its link.
            self.dead = unsafe { (*slot.as_ptr()).dead };
            return Some(slot.cast());
        }
        if self.fresh_left == 0 {
            self.grow()?;
        }
        let slot = self.fresh;
        self.fresh_left -= 1;
        // SAFETY: the slot is one of the mapping's, so it ends inside the mapping.
        self.fresh = unsafe { slot.add(1) };
        Some(slot.cast())
    }

    /// Takes fresh slots from the system.
    fn grow(&mut self) -> Option<()> {
        let first = const { first_place::<Slot<T>>() };
        let needed = first.checked_add(size_of::<Slot<T>>())?;
        let mappings = self.brand.mappings;
        let mapping = mappings.map(&mappings.first, needed.max(POOL_GROWTH))?;
        // SAFETY: the mapping has its header, and room for the first slot after it, where slots are aligned.
        unsafe {
            self.fresh_left = (mapping.as_ref().len - first) / size_of::<Slot<T>>();
            self.fresh = mapping.byte_add(first).cast();
        }
        Some(())
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
        // SAFETY: the handle owns the value, and its pool's pages stay for as long as its brand lives.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for Handle<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and there is no other way to the value.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for Handle<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the handle owned the value, and nobody can use it any more.
        unsafe { self.value.drop_in_place() }
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
        // The outer region's own place is the mark: it doesn't move while the inner one borrows it.
        Region { mappings: self.mappings, next: self.next, unused: self.unused, left: self.left }
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
        let mut place = self.place::<T>(Layout::new::<T>())?;
        // SAFETY: bytes of the region that nobody has, aligned for a `T`; they stay for `'r`.
        unsafe {
            place.write(value);
            Some(place.as_mut())
        }
    }

    /// Copies `values` into the region, side by side. See [`Region::alloc`].
    pub fn alloc_slice<T: Copy>(&mut self, values: &[T]) -> Option<&'r mut [T]> {
        self.alloc_slice_with(values.len(), |index| values[index])
    }

    /// Makes `len` values side by side: `value(0)`, `value(1)`, and so on. See [`Region::alloc`].
    ///
    /// `None`, and `value` is not called, also if no memory can hold that many. If `value` panics, what it has made stays in the region until
    /// that ends, and nobody sees it.
    pub fn alloc_slice_with<T: Copy>(&mut self, len: usize, mut value: impl FnMut(usize) -> T) -> Option<&'r mut [T]> {
        let start = self.place::<T>(Layout::array::<T>(len).ok()?)?;
        // SAFETY: bytes of the region for `len` values, that nobody has; they stay for `'r`, and each value is written before it is seen.
        unsafe {
            for index in 0..len {
                start.add(index).write(value(index));
            }
            Some(slice::from_raw_parts_mut(start.as_ptr(), len))
        }
    }

    /// Copies `text` into the region. See [`Region::alloc`].
    pub fn alloc_str(&mut self, text: &str) -> Option<&'r mut str> {
        let bytes = self.alloc_slice(text.as_bytes())?;
        // SAFETY: the bytes of a `str`.
        Some(unsafe { str::from_utf8_unchecked_mut(bytes) })
    }

    /// Where values of type `T` go that need this layout.
    fn place<T>(&mut self, layout: Layout) -> Option<NonNull<T>> {
        if layout.size() == 0 {
            return Some(NonNull::dangling());
        }
        if let Some(place) = self.cut(layout) {
            return Some(place.cast());
        }
        self.advance(first_place::<T>().checked_add(layout.size())?)?;
        self.cut(layout).map(NonNull::cast)
    }

    /// Takes bytes of the mapping in use, if it has enough.
    fn cut(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let skipped = self.unused.align_offset(layout.align());
        self.left = self.left.checked_sub(skipped.checked_add(layout.size())?)?;
        // SAFETY: so many bytes were left in the mapping.
        unsafe {
            let start = self.unused.add(skipped);
            self.unused = start.add(layout.size());
            Some(start)
        }
    }

    /// Goes on in another mapping, of at least `needed` bytes: the next one, or a new one before it.
    fn advance(&mut self, needed: usize) -> Option<()> {
        // SAFETY: a mapping in the list starts with its header, and stays for `'r`.
        let header = |mapping: NonNull<Header>| unsafe { &*mapping.as_ptr() };
        let map = |len| self.mappings.map(self.next, len);
        let total = self.mappings.total.get();
        let mapping = self
            .next
            .get()
            .filter(|&next| header(next).len >= needed)
            .or_else(|| if total > needed { map(total) } else { None })
            .or_else(|| map(needed))?;
        let header: &'r Header = header(mapping);
        self.next = &header.next;
        // SAFETY: the header is inside the mapping, which is at least a page.
        self.unused = unsafe { mapping.add(1) }.cast();
        self.left = header.len - size_of::<Header>();
        Some(())
    }
}
