//! `{{fact NAME}}`: a value in the text that a program computed.

use std::path::Path;
use toml::{Table, Value};

/// Where the facts are, relative to the course.
pub const FILE: &str = "book/listings/captured/facts.toml";

/// The smallest number that is printed with commas: `4096` reads well without, `135,168` doesn't.
const FIRST_WITH_COMMAS: u64 = 10_000;

/// Every fact of the course, by name.
#[derive(Debug, Default)]
pub struct Facts(Table);

impl Facts {
    /// Reads the facts of the course in the folder `course`. A course without the file has no facts.
    ///
    /// # Errors
    /// One line that names the file and the line in it.
    pub fn load(course: &Path) -> Result<Self, String> {
        match std::fs::read_to_string(course.join(FILE)) {
            Ok(text) => Self::parse(&text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(format!("{FILE}: {e}")),
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map(Self).map_err(|e: toml::de::Error| {
            let at = e.span().map_or(0, |span| span.start);
            format!("{FILE}:{}: {}", 1 + text[..at].matches('\n').count(), e.message())
        })
    }

    /// The fact called `name`, as the page shows it.
    ///
    /// # Errors
    /// There is no such fact, or it isn't a text or a whole number.
    pub fn show(&self, name: &str) -> Result<String, String> {
        match self.0.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Integer(number)) => Ok(with_commas(*number)),
            Some(other) => {
                Err(format!("`{name}` in {FILE} is a {}: make it a text or a whole number", other.type_str()))
            }
            None if name.is_empty() => Err("name the fact: {{fact NAME}}".to_owned()),
            None => Err(format!(
                "there is no `{name}` in {FILE}: correct the name, or let a program in book/listings compute it"
            )),
        }
    }

    /// Whether the fact called `name` is a number.
    pub fn is_number(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::is_integer)
    }
}

fn with_commas(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    if number.unsigned_abs() < FIRST_WITH_COMMAS {
        return number.to_string();
    }
    let mut shown = if number < 0 { "-".to_owned() } else { String::new() };
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str) -> Facts {
        Facts::parse(text).unwrap()
    }

    #[test]
    fn a_text_is_shown_as_it_is() {
        assert_eq!(facts("glibc = \"2.36\"").show("glibc").as_deref(), Ok("2.36"));
    }

    #[test]
    fn a_small_number_has_no_commas() {
        assert_eq!(facts("page = 4096").show("page").as_deref(), Ok("4096"));
        assert_eq!(facts("n = 9999").show("n").as_deref(), Ok("9999"));
    }

    #[test]
    fn a_large_number_has_a_comma_before_each_three_digits() {
        assert_eq!(facts("n = 10000").show("n").as_deref(), Ok("10,000"));
        assert_eq!(facts("n = 135168").show("n").as_deref(), Ok("135,168"));
        assert_eq!(facts("n = 10489856").show("n").as_deref(), Ok("10,489,856"));
        assert_eq!(facts("n = -135168").show("n").as_deref(), Ok("-135,168"));
    }

    #[test]
    fn an_unknown_fact_is_an_error_that_says_where_to_look() {
        let error = facts("page = 4096").show("paeg").unwrap_err();
        assert!(error.contains("`paeg`") && error.contains(FILE), "{error}");
    }

    #[test]
    fn a_fact_that_is_neither_text_nor_number_is_an_error() {
        assert!(facts("half = 0.5").show("half").unwrap_err().contains("float"));
    }

    #[test]
    fn a_broken_file_is_an_error_that_names_its_line() {
        let error = Facts::parse("page = 4096\nglibc = \n").unwrap_err();
        assert!(error.starts_with("book/listings/captured/facts.toml:2: "), "{error}");
    }

    #[test]
    fn a_course_without_the_file_has_no_facts() {
        let course = tempfile::tempdir().unwrap();
        assert!(Facts::load(course.path()).unwrap().show("page").is_err());
    }
}
