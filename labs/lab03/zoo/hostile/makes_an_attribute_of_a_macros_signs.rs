// The sign of an attribute stands alone, and a macro puts its brackets behind it.
// on: starter
// held: a macro makes an attribute
// earns: 0

macro_rules! m { ($h:tt $p:ident $s:literal $m:tt $n:ident) => { $h[$p = $s] $m $n; } }
m!(# path "../solution/free_list.rs" mod reference);
