//! `cargo lab explain`: how the reference does it, once every point is earned.

use crate::text::{self, Style, paint, wrap};
use proctor::explain::{self, Part};
use proctor::lab::Lab;
use proctor::standing::Standing;

/// The explanation of a lab's reference; else, in one sentence, what is missing.
pub fn explain(lab: &Lab) -> Result<String, String> {
    if let Some(sentence) = explain::missing(&Standing::read(lab)?) {
        return Ok(wrap("", &sentence));
    }
    let mut told = paint(Style::Bold, &format!("{} · {} · how the reference does it, and why", lab.name, lab.title));
    told.push('\n');
    for part in explain::read(lab)? {
        told.push('\n');
        match part {
            Part::Heading(heading) => {
                told.push_str(&paint(Style::Bold, &heading));
                told.push('\n');
            }
            Part::Text(words) => told.push_str(&wrap("", &words)),
            Part::Code { place, lines } => {
                told.push_str(&paint(Style::Dim, &format!("    // {place}")));
                told.push('\n');
                for line in lines {
                    told.push_str(&text::code(&line));
                }
            }
        }
    }
    Ok(told)
}
