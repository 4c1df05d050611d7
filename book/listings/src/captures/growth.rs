//! The sum by which the break moves first, from the reference of lab 1.

use heapkit::memory::{PAGE, PrivateArena};
use heapkit::os::SimOs;
use lab01::{ALIGNMENT, Bump, TOP_PAD};

/// A first request: what is added up, and by how much the break then moved.
pub fn first_growth() -> Result<String, String> {
    const REQUEST: usize = 100;
    let arena = PrivateArena::reserve().map_err(|e| format!("no memory for a sum: {e}"))?;
    let os = SimOs::new(arena, 64 * PAGE);
    Bump::new(&os).alloc(REQUEST).ok_or("the system has room for a first request")?;
    let moved = os.end();

    let missing = REQUEST.next_multiple_of(ALIGNMENT);
    let sum = missing + TOP_PAD;
    Ok(format!(
        "  missing {missing:>9}      {REQUEST}, rounded up to a multiple of {ALIGNMENT}\n  \
           pad     {TOP_PAD:>9}      {pad} KiB\n  \
                   {line:>17}\n  \
                   {sum:>17}      rounded up to pages of {PAGE}: {moved}\n",
        pad = TOP_PAD / 1024,
        line = "------",
    ))
}
