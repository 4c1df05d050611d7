//! A table of people, as a gradebook exports it or a person writes it. Its columns are found by their headings, and every cell is text:
//! an id may start with zeros.

use crate::Error;
use crate::entry::printable;
use std::fmt;
use std::path::Path;

/// What is wrong with a roster. Shown, it is the end of a line.
#[derive(Debug)]
pub enum Fault {
    /// It is no table.
    Table(csv::Error),
    /// It is neither UTF-8 nor UTF-16.
    Encoding,
    /// There is no such column; these there are.
    NoColumn(String, Vec<String>),
    /// Two columns have this heading.
    Twice(String),
    /// There is none of these columns.
    NoId(Vec<String>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Table(error) => write!(f, "{}", printable(&error.to_string())),
            Fault::Encoding => f.write_str("it is neither UTF-8 nor UTF-16"),
            Fault::NoColumn(name, known) => {
                let (name, known) = (printable(name), printable(&known.join("`, `")));
                write!(
                    f,
                    "there is no column `{name}` (there are: `{known}`); --match names the one that has the names of submissions"
                )
            }
            Fault::Twice(name) => write!(f, "two columns are called `{}`", printable(name)),
            Fault::NoId(names) => write!(f, "it needs one of the columns `{}`", names.join("`, `")),
        }
    }
}

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    /// Its number in the file.
    pub line: u64,
    cells: csv::StringRecord,
}

/// The table.
#[derive(Debug)]
pub struct Roster {
    headings: Vec<String>,
    rows: Vec<Row>,
}

impl Roster {
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(Error::at(path))?;
        Self::parse(&bytes).map_err(|fault| Error::Roster { path: path.to_path_buf(), fault })
    }

    fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = decode(bytes)?;
        let text = text.trim_start_matches('\u{feff}');
        // Blackboard's own files have tabs.
        let tabs = text.lines().next().is_some_and(|heading| heading.contains('\t'));
        let mut csv = csv::ReaderBuilder::new()
            .delimiter(if tabs { b'\t' } else { b',' })
            .flexible(true)
            .from_reader(text.as_bytes());
        let headings: Vec<String> =
            csv.headers().map_err(Fault::Table)?.iter().map(|heading| heading.trim().to_owned()).collect();
        let mut rows = Vec::new();
        for record in csv.records() {
            let cells = record.map_err(Fault::Table)?;
            // Canvas's second line is about no person.
            let is_possible = cells.get(0).is_some_and(|cell| cell.trim() == "Points Possible");
            if !is_possible && cells.iter().any(|cell| !cell.trim().is_empty()) {
                rows.push(Row { line: cells.position().map_or(0, csv::Position::line), cells });
            }
        }
        Ok(Roster { headings, rows })
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Where the column with this heading is, in whatever letters.
    pub fn column(&self, name: &str) -> Result<usize, Fault> {
        let mut found = (0..self.headings.len()).filter(|i| self.headings[*i].eq_ignore_ascii_case(name.trim()));
        match (found.next(), found.next()) {
            (Some(index), None) => Ok(index),
            (Some(_), Some(_)) => Err(Fault::Twice(name.to_owned())),
            (None, _) => Err(Fault::NoColumn(name.to_owned(), self.headings.clone())),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.column(name).is_ok()
    }

    /// Whether there is one of these columns, and none of them twice.
    pub fn any_of(&self, names: &[&str]) -> Result<(), Fault> {
        let mut any = false;
        for name in names {
            match self.column(name) {
                Ok(_) => any = true,
                Err(Fault::NoColumn(..)) => {}
                Err(fault) => return Err(fault),
            }
        }
        if any { Ok(()) } else { Err(Fault::NoId(names.iter().map(|name| (*name).to_owned()).collect())) }
    }

    pub fn cell<'a>(&'a self, row: &'a Row, column: usize) -> &'a str {
        row.cells.get(column).unwrap_or_default()
    }

    /// What is in the column with this heading; nothing where there is none.
    pub fn text<'a>(&'a self, row: &'a Row, name: &str) -> &'a str {
        self.column(name).map_or("", |column| self.cell(row, column))
    }
}

fn decode(bytes: &[u8]) -> Result<String, Fault> {
    let wide = |of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| of([pair[0], pair[1]])).collect();
        String::from_utf16(&units).map_err(|_| Fault::Encoding)
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).map_err(|_| Fault::Encoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_is_read_in_any_encoding_and_its_columns_by_name() {
        let text = "Last Name\tUsername\tStudent ID\nKim\tkim\t0042\n\t\t\n";
        let utf16: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for bytes in [text.as_bytes(), &utf16] {
            let roster = Roster::parse(bytes).unwrap();
            assert_eq!(roster.rows().len(), 1);
            assert_eq!(roster.text(&roster.rows()[0], "student id"), "0042");
        }
        let canvas = "Student,ID,SIS User ID,Section\n    Points Possible,,,\n\"Kim, A\",7,00a,L1\n";
        let roster = Roster::parse(canvas.as_bytes()).unwrap();
        assert_eq!((roster.rows().len(), roster.rows()[0].line), (1, 3));
        assert!(matches!(roster.column("login"), Err(Fault::NoColumn(..))));
        assert!(matches!(Roster::parse(b"a,A\n").unwrap().column("a"), Err(Fault::Twice(_))));
        assert!(matches!(Roster::parse(b"n\ncaf\xe9\n"), Err(Fault::Encoding)));
    }
}
