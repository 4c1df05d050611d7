//! autograde as an instructor runs it, on a course so small that a grading takes a second.

mod batch;
mod course;
mod export;
mod grading;
mod integrations;
mod reports;
