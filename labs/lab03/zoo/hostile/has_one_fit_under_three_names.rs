// Three fits that are one: who compares them finds no difference.
// on: reference
// earns: 62

--- a/labs/lab03/solution/free_list.rs
+++ b/labs/lab03/solution/free_list.rs
@@ -19,8 +19,12 @@
     /// The first that is large enough.
     First,
-    /// The smallest that is large enough.
-    Best,
-    /// The largest, if it is large enough.
-    Worst,
+}
+
+#[allow(non_upper_case_globals)]
+impl Fit {
+    /// The same.
+    pub const Best: Self = Self::First;
+    /// The same.
+    pub const Worst: Self = Self::First;
 }
 
@@ -130,10 +134,5 @@
     /// The chunk that serves a request, by `fit`, among those of at least `size` bytes. It stays in the list.
     pub fn find(&self, fit: Fit, size: usize) -> Option<Listed<'_>> {
-        let mut large_enough = self.iter().filter(|chunk| chunk.size() >= size);
-        match fit {
-            Fit::First => large_enough.next(),
-            Fit::Best => large_enough.reduce(|best, chunk| if chunk.size() < best.size() { chunk } else { best }),
-            Fit::Worst => large_enough.reduce(|best, chunk| if chunk.size() > best.size() { chunk } else { best }),
-        }
+        self.iter().find(|chunk| chunk.size() >= size)
     }
 
