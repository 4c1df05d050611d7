// Two functions in an array are two addresses, and an address can be written over: so any function of the process is called.
// on: reference
// in: push
// held: a function as a value
// earns: 100

fn attack() {
    let functions = [attack, nothing];
    let _ = functions.len();
}

fn nothing() {}
