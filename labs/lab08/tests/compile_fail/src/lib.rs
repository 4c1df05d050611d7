//! Empty: what matters are the programs beside `Cargo.toml`, which must not compile.
