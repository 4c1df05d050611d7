//! What leaves for other programs: grades for a gradebook, files for a similarity checker.

use crate::batch::Class;
use crate::course::{BROKEN, HALF, HELD, RIGHT, assert_graded, one_line};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A class that is graded, with a name of each kind.
fn graded() -> Class {
    let class = Class::new();
    class.hand_in("alice.rs", RIGHT);
    class.hand_in("bob/free_list.rs", HALF);
    class.hand_in("carol.rs", BROKEN);
    class.hand_in("dave.rs", HELD);
    class.hand_in("erin/README.md", "later");
    class.hand_in("frank.rs", RIGHT);
    class.hand_in("frank/free_list.rs", HALF);
    class.hand_in("mallory.rs", RIGHT);
    class.hand_in("twin.rs", RIGHT);
    assert_graded(&class.grade());
    class
}

const PEOPLE: [(&str, &str, &str); 8] = [
    ("alice", "007", "=Alice()"),
    ("bob", "0042", "Bob"),
    ("carol", "1e5", "Carol, C."),
    ("dave", "8", "Dave"),
    ("erin", "9", "Erin"),
    ("frank", "10", "Frank"),
    ("nobody", "11", "No Body"),
    ("twin", "12", "Twin"),
];

fn export(class: &Class, system: &str, roster: &str, more: &[&str]) -> (Output, PathBuf) {
    let file = class.folder().with_file_name("roster.csv");
    fs::write(&file, roster).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_autograde"));
    command.current_dir(class.course.root()).args(["export", "--for", system, "--roster"]).arg(&file);
    let output = command.arg(class.course.out()).args(more).output().unwrap();
    (output, class.course.out().join(format!("grades-{system}.csv")))
}

fn rows(path: &PathBuf) -> Vec<Vec<String>> {
    let mut csv = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
    csv.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn a_gradebook_gets_who_is_in_the_roster_and_everybody_else_is_named() {
    let class = graded();
    // As Canvas exports it, with the logins for the names of submissions, and a line that is there twice.
    let mut roster =
        "\u{feff}Student,ID,SIS User ID,SIS Login ID,Section,Lab 2 (77)\n    Points Possible,,,,,100\n".to_owned();
    for (login, id, name) in PEOPLE {
        roster += &format!("\"{name}\",{id},s{id},{login},L1,50\n");
    }
    roster += "Twin,13,s13,twin,L2,50\n\"No login\",14,s14,,L2,50\n";
    let (output, file) = export(&class, "canvas", &roster, &["--match", "sis login id", "--column", "Lab 3 (1234)"]);
    assert_graded(&output);
    let table = rows(&file);
    assert_eq!(table[0], ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Lab 3 (1234)"]);
    assert_eq!(table[1], ["    Points Possible", "", "", "", "", "100"]);
    let grades: Vec<[&str; 4]> = table[2..].iter().map(|row| [&*row[0], &row[1], &row[3], &row[5]]).collect();
    assert_eq!(
        grades,
        [["'=Alice()", "007", "alice", "100"], ["Bob", "0042", "bob", "40"], ["Carol, C.", "1e5", "carol", "0"],],
        "ids are text"
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    for line in [
        "dave: 100 points wait for a decision: no grade",
        "erin: unreadable, found neither",
        "frank: several submissions (frank, frank.rs): no grade",
        "nobody: in the roster, and no submission",
        "mallory.rs: nobody in the roster is `mallory`",
        "twin: more than one line of the roster has this name: no grade",
        "roster.csv: line 12 has nothing in `sis login id`",
    ] {
        assert!(stderr.contains(line), "{line}: {stderr}");
    }
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("3 grades in {}, 8 left out\n", file.display()));
}

#[test]
fn moodle_and_blackboard_get_their_own_columns() {
    let class = graded();
    let mut roster = "First name,Last name,ID number,Email address,submission\n".to_owned();
    for (login, id, name) in PEOPLE {
        roster += &format!("X,\"{name}\",{id},{login}@example.org,{login}\n");
    }
    let (output, file) = export(&class, "moodle", &roster, &[]);
    assert_graded(&output);
    let table = rows(&file);
    assert_eq!(table[0], ["First name", "Last name", "ID number", "Email address", "lab03"]);
    assert_eq!(table[2], ["X", "Bob", "0042", "bob@example.org", "40"]);
    assert_eq!(table.len(), 5, "also a twin of whom there is one");

    // As Blackboard exports it: UTF-16, with tabs.
    let mut roster = "\u{feff}Last Name\tFirst Name\tUsername\tStudent ID\n".to_owned();
    for (login, id, name) in PEOPLE {
        roster += &format!("{name}\tX\t{login}\t{id}\n");
    }
    let file = class.folder().with_file_name("blackboard.xls");
    fs::write(&file, roster.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_autograde"));
    command.current_dir(class.course.root()).args(["export", "--for", "blackboard", "--match", "Username", "--roster"]);
    command.arg(&file).arg(class.course.out()).args(["--column", "Lab 3 [Total Pts: 100 Score] |1234"]);
    assert_graded(&command.output().unwrap());
    let file = class.course.out().join("grades-blackboard.csv");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"Bob\",\"X\",\"bob\",\"0042\",\"40\"\n"), "every cell in quotation marks: {text}");
    assert_eq!(rows(&file)[0][4], "Lab 3 [Total Pts: 100 Score] |1234");
}

#[test]
fn a_part_of_a_downloads_name_can_be_the_id() {
    let class = Class::new();
    // As Canvas packs a class: kimalice_12345_678_free_list.rs.
    class.hand_in("kimalice_0012345_678_free_list.rs", RIGHT);
    class.hand_in("leebob_99_679_free_list.rs", HALF);
    assert_graded(&class.grade());
    let roster = "Student,ID,Section\n\"Kim, Alice\",0012345,L1\n";
    let (output, file) = export(&class, "canvas", roster, &["--match", "ID", "--field", "2"]);
    assert_graded(&output);
    assert_eq!(rows(&file)[2], ["Kim, Alice", "0012345", "", "", "L1", "100"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("leebob_99_679_free_list.rs: nobody in the roster is `99`"), "{stderr}");
}

#[test]
fn what_is_no_roster_gets_one_line() {
    let class = Class::new();
    class.hand_in("alice.rs", RIGHT);
    assert_graded(&class.grade());
    for (roster, more, said) in [
        ("Student,ID\n", &[][..], "there is no column `submission` (there are: `Student`, `ID`)"),
        ("submission,Name\n", &[], "it needs one of the columns `ID`, `SIS User ID`, `SIS Login ID`"),
        ("submission,ID,id\n", &[], "two columns are called `ID`"),
        ("submission,ID\n", &["--field", "0"], "0"),
        ("submission,ID\n", &["--lab", "lab03"], "--lab"),
    ] {
        let (output, file) = export(&class, "canvas", roster, more);
        let line = one_line(&output, 2);
        assert!(line.contains(said), "{said}: {line}");
        assert!(!file.exists());
    }
    let (output, _) = export(&class, "ilias", "submission,ID\n", &[]);
    assert!(one_line(&output, 2).contains("`ilias` is no gradebook: canvas, moodle or blackboard"));
}

#[test]
fn a_similarity_checker_gets_a_folder_for_each_learner_and_the_starter() {
    let class = Class::new();
    class.hand_in("alice.rs", RIGHT);
    class.hand_in("Bob Ω/course/labs/lab03/src/free_list.rs", HALF);
    class.hand_in("empty/README.md", "later");
    class.hand_in("grades.csv", "a,b");
    let out = class.folder().with_file_name("collected");
    let collect = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autograde"));
        command.current_dir(class.course.root()).args(["collect", "--lab", "lab03", "--batch"]).arg(class.folder());
        command.arg("--out").arg(&out).output().unwrap()
    };
    let output = collect();
    assert_graded(&output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("empty: found neither") && stderr.contains("grades.csv: skipped"), "{stderr}");
    let mut folders: Vec<String> = fs::read_dir(out.join("submissions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders.len(), 2);
    assert!(folders[0].starts_with("Bob___~") && folders[1] == "alice.rs", "{folders:?}");
    assert_eq!(fs::read_to_string(out.join("submissions/alice.rs/free_list.rs")).unwrap(), RIGHT);
    let starter = fs::read_to_string(class.course.root().join("labs/lab03/src/free_list.rs")).unwrap();
    assert_eq!(fs::read_to_string(out.join("starter/free_list.rs")).unwrap(), starter);
    assert!(one_line(&collect(), 2).contains("this folder isn't empty"), "what was there would be compared too");
}

/// Every file in a folder: its path and its text.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let walk = ignore::WalkBuilder::new(folder).standard_filters(false).build();
    let files = walk.flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    files
        .map(|entry| (entry.path().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).unwrap()))
        .collect()
}

#[test]
fn results_without_names_say_the_same_of_nobody() {
    let class = Class::new();
    class.hand_in("Wren Kowalski.rs", RIGHT);
    class.hand_in("okafor/Okafor Home/free_list.rs", HALF);
    class.hand_in("lindqvist.rs", HELD);
    class.hand_in("=tanaka/free_list.rs", BROKEN);
    class.hand_in("marchetti/Marchetti 1/free_list.rs", RIGHT);
    class.hand_in("marchetti/Marchetti 2/free_list.rs", RIGHT);
    class.hand_in("Kowalski.txt", "a note about somebody");
    let place = class.folder().parent().unwrap().to_path_buf();
    assert_graded(&class.grade());
    let report = fs::read_to_string(class.course.out().join("results/lindqvist.rs/report.json")).unwrap();
    let sha256 = serde_json::from_str::<serde_json::Value>(&report).unwrap()["sha256"].as_str().unwrap().to_owned();
    let decision = |name: &str| {
        format!(
            "[[decision]]\nsubmission = \"{name}\"\nsha256 = \"{sha256}\"\npoints = 55\nwho = \"J. Weber\"\nwhy = \"Harmless.\"\n"
        )
    };
    let decisions = decision("lindqvist.rs") + &decision("kowalski, who left");
    fs::write(class.course.out().join("decisions.toml"), decisions).unwrap();
    assert_graded(&class.grade());

    let table = place.join("who is who.csv");
    let anonymise = |out: &Path, table: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autograde"));
        command.current_dir(class.course.root()).arg("anonymise").arg(class.course.out()).arg("--pseudonyms");
        command.arg(table).arg("--out").arg(out).output().unwrap()
    };
    let first = place.join("first");
    assert_graded(&anonymise(&first, &table));
    let names = ["kowalski", "wren", "okafor", "lindqvist", "tanaka", "marchetti"];
    let place_of_all = place.to_string_lossy().to_lowercase();
    for (path, text) in texts(&first) {
        let (path, text) = (path.to_lowercase().replace(&place_of_all, ""), text.to_lowercase());
        for name in names {
            assert!(!path.contains(name) && !text.contains(name), "{name} in {path}");
        }
    }
    let status = |out: &Path| {
        let mut rows: Vec<[String; 3]> =
            rows(&out.join("summary.csv"))[1..].iter().map(|row| [2, 3, 6].map(|i| row[i].clone())).collect();
        rows.sort();
        rows
    };
    assert_eq!(status(&first), status(&class.course.out()), "status and points are the same");
    assert!(status(&first).iter().any(|[status, points, _]| status == "decided" && points == "55"));

    // Who is in the table stays who they are; a collection has the same names.
    let who: Vec<Vec<String>> = rows(&table);
    assert_eq!(who[0], ["pseudonym", "key", "submission"]);
    assert!(who.iter().any(|row| row[2] == "'=tanaka") && who.len() == 6, "{who:?}");
    class.hand_in("late.rs", HALF);
    assert_graded(&class.grade());
    let second = place.join("second");
    assert_graded(&anonymise(&second, &table));
    let grown = rows(&table);
    assert!(grown.len() == 7 && who.iter().all(|row| grown.contains(row)), "{grown:?}");
    let mut collect = Command::new(env!("CARGO_BIN_EXE_autograde"));
    collect.current_dir(class.course.root()).args(["collect", "--lab", "lab03", "--batch"]).arg(class.folder());
    collect.arg("--pseudonyms").arg(&table).arg("--out").arg(place.join("collected"));
    assert_graded(&collect.output().unwrap());
    let collected = fs::read_dir(place.join("collected/submissions")).unwrap();
    let collected: Vec<String> = collected.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(collected.len(), 5, "marchetti's can't be read");
    assert!(collected.iter().all(|name| grown.iter().any(|row| row[0] == *name)), "{collected:?}");

    assert!(one_line(&anonymise(&second, &table), 2).contains("this folder isn't empty"));
    let third = place.join("third");
    let line = one_line(&anonymise(&third, &third.join("who.csv")), 2);
    assert!(line.contains("can't go where others see pseudonyms"), "{line}");
    fs::write(&table, "a,b\n").unwrap();
    assert!(one_line(&anonymise(&third, &table), 2).contains("no table of pseudonyms"));
    fs::write(&table, "pseudonym,key,submission\n../up,alice.rs,alice.rs\n").unwrap();
    assert!(one_line(&anonymise(&third, &table), 2).contains("`alice.rs`"));
    assert!(!third.exists());
}
