// The compiler is asked to count to 2⁶⁴.
// on: reference
// earns: 0

#[allow(long_running_const_eval)]
const _: u64 = {
    let mut count = 0_u64;
    while count < u64::MAX {
        count += 1;
    }
    count
};
