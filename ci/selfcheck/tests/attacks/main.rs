//! What the attacks on the grader earn. They wait more than they work, so those at home and those with an instructor run side by side.

mod home;
mod hostile;
