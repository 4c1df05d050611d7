// A macro that calls itself.
// on: reference
// earns: 0

macro_rules! again {
    ($($x:tt)*) => { again!($($x)* $($x)*) };
}
again!(a b);
