// Its own _exit: the process can't end any more.
// on: reference
// earns: 100

#[unsafe(export_name = "_exit")]
pub extern "C" fn leave(_: i32) -> ! {
    loop {}
}
