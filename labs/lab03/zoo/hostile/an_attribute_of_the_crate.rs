// Asks for what only the crate can ask for.
// on: reference
// earns: 100

mod inner {
    #![no_implicit_prelude]
}
