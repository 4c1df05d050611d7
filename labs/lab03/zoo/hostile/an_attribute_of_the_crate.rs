// Asks for what only the crate can ask for.
// on: reference
// held: `#![no_implicit_prelude…]`
// earns: 100

mod inner {
    #![no_implicit_prelude]
}
