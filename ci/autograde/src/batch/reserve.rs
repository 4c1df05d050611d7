//! Room that is kept free until the end of a run: on a full disk the results end, and the summary can still say so.

use crate::Error;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a summary needs at least, and for each entry.
const BYTES: u64 = 1 << 20;
const BYTES_EACH: u64 = 16 << 10;

/// A file that is there for its size alone. Dropped, it makes room.
pub struct Reserve(PathBuf);

impl Reserve {
    /// # Errors
    /// One line: there is no room even for the summary.
    pub fn make(out: &Path, entries: usize) -> Result<Self, Error> {
        let path = out.join("reserve.tmp");
        let cannot = Error::at(&path);
        fs::create_dir_all(out).map_err(Error::at(out))?;
        let file = File::create(&path).map_err(&cannot)?;
        let reserve = Reserve(path.clone());
        match fallocate(&file, FallocateFlags::empty(), 0, BYTES + BYTES_EACH * entries as u64) {
            // Some network file systems promise no room to anybody.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(reserve),
            Err(error) => Err(cannot(error.into())),
        }
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
