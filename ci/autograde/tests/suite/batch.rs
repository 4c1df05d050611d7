//! A folder of submissions: what each earns, what stops none of the others, and what is on disk when.

use crate::course::{ABORTS, BROKEN, FakeCourse, HALF, HELD, RIGHT, assert_graded, one_line};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// A course and a class that hands in.
pub struct Class {
    pub course: FakeCourse,
}

impl Class {
    pub fn new() -> Self {
        let class = Class { course: FakeCourse::new() };
        fs::create_dir_all(class.folder()).unwrap();
        class
    }

    pub fn folder(&self) -> PathBuf {
        self.course.root().parent().unwrap().join("class")
    }

    pub fn entry(&self, name: &str) -> PathBuf {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub fn hand_in(&self, name: &str, text: &str) {
        fs::write(self.entry(name), text).unwrap();
    }

    fn autograde(&self, out: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autograde"));
        command.current_dir(self.course.root()).args(["--lab", "lab03", "--jobs", "2", "--batch"]);
        command.arg(self.folder()).arg("--out").arg(out);
        command
    }

    pub fn grade(&self) -> Output {
        self.autograde(&self.course.out()).output().unwrap()
    }

    fn merge(&self, outs: &[&Path], merged: &Path) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autograde"));
        command.current_dir(self.course.root()).arg("merge").args(outs).arg("--out").arg(merged);
        command.arg("--batch").arg(self.folder()).output().unwrap()
    }

    /// The rows of the summary, by submission.
    fn summary(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        rows(&self.course.out())
    }

    /// When the result of an entry was written.
    fn written(&self, key: &str) -> SystemTime {
        fs::metadata(self.course.out().join("results").join(key).join("entry.json")).unwrap().modified().unwrap()
    }
}

fn rows(out: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut csv = csv::Reader::from_path(out.join("summary.csv")).unwrap();
    let header = csv.headers().unwrap().clone();
    let row = |record: csv::StringRecord| -> BTreeMap<String, String> {
        header.iter().zip(&record).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()
    };
    csv.records().map(|record| row(record.unwrap())).map(|row| (row["submission"].clone(), row)).collect()
}

fn zip(path: &Path, files: &[(&str, &str)]) {
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, text) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

/// A tar archive whose names are taken as they are, also those that its writer would refuse.
fn tar(name: &str, kind: tar::EntryType, text: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(text.len() as u64);
    if kind.is_symlink() {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header, text.as_bytes()).unwrap();
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn files_folders_clones_and_archives_earn_what_their_file_earns() {
    let class = Class::new();
    class.hand_in("file.rs", RIGHT);
    class.hand_in("folder/src/free_list.rs", HALF);
    class.hand_in("clone/course-main/labs/lab03/src/free_list.rs", RIGHT);
    class.hand_in("clone/course-main/labs/lab03/solution/free_list.rs", HALF);
    class.hand_in("crashes/free_list.rs", ABORTS);
    class.hand_in("broken/free_list.rs", BROKEN);
    class.hand_in("renamed/free_list (1).rs", HALF);
    zip(&class.entry("zip.zip"), &[("lab03/src/free_list.rs", HALF), ("lab03/target/free_list.rs", RIGHT)]);
    zip(&class.entry("course system/handed_in.zip"), &[("free_list.rs", RIGHT)]);
    fs::write(class.entry("windows.zip"), "").unwrap();
    zip(&class.entry("windows.zip"), &[("lab03\\src\\free_list.rs", RIGHT)]);
    let packed = tar("./src/free_list.rs", tar::EntryType::Regular, HALF);
    fs::write(class.entry("tar.tar"), &packed).unwrap();
    fs::write(class.entry("tgz.TGZ"), gzip(&packed)).unwrap();

    let output = class.grade();
    assert_graded(&output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("11 of 11 done · 7 without full marks · 0 without a grade"), "{stderr}");
    let points: BTreeMap<String, String> =
        class.summary().into_iter().map(|(name, row)| (name, row["points"].clone())).collect();
    let wanted = [
        ("broken", "0"),
        ("clone", "100"),
        ("course system", "100"),
        // Held, for what it reads when it is compiled: its points wait.
        ("crashes", ""),
        ("file.rs", "100"),
        ("folder", "40"),
        ("renamed", "40"),
        ("tar.tar", "40"),
        ("tgz.TGZ", "40"),
        ("windows.zip", "100"),
        ("zip.zip", "40"),
    ];
    assert_eq!(points.len(), 11);
    for (name, score) in wanted {
        assert_eq!(points[name], score, "{name}");
    }
    let broken = &class.summary()["broken"];
    assert_eq!((&*broken["lifo"], &*broken["note"]), ("0", "The file does not compile, so no case was run."));
    let crashes = &class.summary()["crashes"];
    assert!(crashes["failing"].contains("unlink_head (crashed)"));
    assert!(crashes["note"].starts_with("40 points wait until somebody has read the file; line 2: `include_str!`"));
    assert_eq!((&*crashes["status"], &*crashes["lifo"]), ("held for review", "40"));
}

#[test]
fn only_what_learners_hand_in_is_a_submission() {
    let class = Class::new();
    class.hand_in("alice.RS", RIGHT);
    class.hand_in("bob/free_list.rs", HALF);
    let others = [".DS_Store", "Thumbs.db", "grades.csv", "desktop.ini", "read me.txt", "solutions.pdf"];
    for name in others {
        class.hand_in(name, "what a system or an instructor keeps there");
    }
    class.hand_in("__MACOSX/._alice.rs", "");
    let output = class.grade();
    assert_graded(&output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(class.summary().len(), 2, "{stderr}");
    let page = fs::read_to_string(class.course.out().join("summary.html")).unwrap();
    for name in others.into_iter().chain(["__MACOSX"]) {
        assert!(stderr.contains(&format!("autograde: {name}: skipped, it is no submission")), "{name}: {stderr}");
        assert!(page.contains(name), "{name}");
    }
}

#[test]
fn a_spreadsheet_finds_letters_keys_and_no_formula() {
    let class = Class::new();
    let names = ["Zoë", "=1+1", "@SUM(A1)", " =2", "＝3", "+4", "-5"];
    for name in names {
        class.hand_in(&format!("{name}/free_list.rs"), HALF);
    }
    assert_graded(&class.grade());
    let first = fs::read(class.course.out().join("summary.csv")).unwrap();
    assert!(first.starts_with(b"\xef\xbb\xbfkey,submission,status,points,of,lifo,unlink,"), "Excel sees UTF-8");
    let rows = class.summary();
    for (name, cell) in names.into_iter().zip(["Zoë", "'=1+1", "'@SUM(A1)", "' =2", "'＝3", "'+4", "'-5"]) {
        let row = rows.get(cell).unwrap_or_else(|| panic!("{name}: {rows:?}"));
        assert!(row["key"].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)), "{row:?}");
        assert!(!row["key"].starts_with('-'));
        assert_eq!(row["results"], format!("results/{}", row["key"]));
    }
    // The key is the name's, not the run's: another run, and another class, has the same.
    fs::remove_dir_all(class.course.out()).unwrap();
    class.hand_in("Adam/free_list.rs", HALF);
    assert_graded(&class.grade());
    assert_eq!(class.summary()["Zoë"]["key"], rows["Zoë"]["key"]);
}

/// Starts `command` while a disk of that many kibibytes is at `folder`, and keeps what the summary says in `kept`. Nothing where
/// this user may not mount.
fn on_a_small_disk(folder: &Path, kibibytes: u32, before: &str, command: &Command, kept: &Path) -> Option<Output> {
    fs::create_dir_all(folder).unwrap();
    fs::create_dir_all(kept).unwrap();
    let script = r#"
        mount -t tmpfs -o size="$1"k tmpfs "$2" || exit 77
        folder=$2 kept=$3 before=$4; shift 4
        eval "$before"
        "$@"; status=$?
        cp "$folder"/summary.* "$folder"/batch.json "$kept" 2>/dev/null
        ls "$folder/results" >"$kept/results" 2>/dev/null
        exit $status"#;
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "sh", "-c", script, "sh", &kibibytes.to_string()]).arg(folder).arg(kept).arg(before);
    shell.arg(command.get_program()).args(command.get_args());
    shell.current_dir(command.get_current_dir().unwrap());
    let output = shell.output().ok().filter(|output| output.status.code() != Some(77));
    let output = output.filter(|output| !String::from_utf8_lossy(&output.stderr).contains("unshare failed"));
    if output.is_none() {
        eprintln!("skipped: this user can't mount a small disk");
    }
    output
}

#[test]
fn a_full_disk_leaves_a_summary_and_says_how_to_go_on() {
    let class = Class::new();
    for i in 0..12 {
        class.hand_in(&format!("{i:02}.rs"), &format!("{HALF}// {i}\n"));
    }
    let kept = class.folder().with_file_name("kept");
    // The reserve for the summary, and room for a few results.
    let disk = 1024 + 12 * 16 + 200;
    let command = class.autograde(&class.course.out());
    let Some(output) = on_a_small_disk(&class.course.out(), disk, "", &command, &kept) else { return };
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert!(last.contains("No space left on device"), "{stderr}");
    assert!(last.ends_with("make room, and start it again to go on"), "{stderr}");
    let rows = rows(&kept);
    assert_eq!(rows.len(), 12, "everybody has a line");
    let graded = rows.values().filter(|row| row["status"] == "graded").count();
    assert!((1..12).contains(&graded), "{graded}");
    // A line without a result is not graded: nobody has lost points.
    assert!(rows.values().all(|row| (row["status"] == "graded") == (row["points"] == "40")));
    let left: usize = last.split(": ").last().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(left, 12 - graded, "{last}");

    let Some(output) = on_a_small_disk(&class.course.out(), 1024, "", &command, &kept) else { return };
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("reserve.tmp: No space left on device"), "not even the summary has room: {stderr}");
}

#[test]
fn a_full_disk_under_the_compiler_costs_nobody_a_point() {
    let class = Class::new();
    class.hand_in("first.rs", RIGHT);
    assert_graded(&class.autograde(&class.course.out()).args(["--jobs", "1"]).output().unwrap());
    class.hand_in("second.rs", &format!("{RIGHT}// second\n"));
    let target = class.course.root().join("target/grading/target");
    let copied = class.folder().with_file_name("copied");
    assert!(Command::new("cp").arg("-a").arg(&target).arg(&copied).status().unwrap().success());
    // As it was, and then full.
    let command = class.autograde(&class.course.out());
    let kept = class.folder().with_file_name("kept");
    // Cargo has no room; cargo has, and the compiler hasn't; the compiler has, and the linker hasn't.
    for room in ["0", "100K", "1M"] {
        let before = format!(
            "cp -a {}/. {1}; cat /dev/zero >{1}/full 2>/dev/null; truncate -s -{room} {1}/full",
            copied.display(),
            target.display()
        );
        let Some(output) = on_a_small_disk(&target, 32 << 10, &before, &command, &kept) else { return };
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{room}: {stderr}");
        assert!(stderr.contains("lab03 can't be compiled here: "), "{room}: {stderr}");
        // A linker that writes through a mapping ends with a bus error, and says no more.
        let said = ["No space left on device", "linking with"].iter().any(|said| stderr.contains(said));
        assert!(said, "{room}: {stderr}");
        assert!(!class.course.out().join("results/second.rs/report.json").exists(), "{room}: {stderr}");
    }

    // A file that only says so is refused like any other.
    class.hand_in("liar.rs", "compile_error!(\"No space left on device\");");
    // Nor is it the machine's fault if a function is missing only when all is linked.
    let missing = "unsafe extern \"C\" { fn nowhere() -> u32; }\npub fn push() -> u32 { unsafe { nowhere() } }\n";
    class.hand_in("unlinked.rs", &format!("{missing}pub fn unlink(_: u32) -> bool {{ true }}\n"));
    assert_graded(&class.grade());
    assert_eq!(class.summary()["liar.rs"]["points"], "0");
    assert_eq!(class.summary()["unlinked.rs"]["points"], "0");
    assert_eq!(class.summary()["second.rs"]["points"], "100");
}

#[test]
fn what_can_not_be_read_has_its_line_and_stops_nobody() {
    let class = Class::new();
    class.hand_in("good.rs", RIGHT);
    fs::create_dir(class.entry("empty")).unwrap();
    class.hand_in("nothing/README.md", "later");
    class.hand_in("two/a/free_list.rs", RIGHT);
    class.hand_in("two/b/free_list.rs", RIGHT);
    fs::write(class.entry("latin.rs"), b"// one\n// caf\xe9\n").unwrap();
    File::create(class.entry("huge.rs")).unwrap().set_len(2 << 30).unwrap();
    File::create(class.entry("huge.zip")).unwrap().set_len(2 << 30).unwrap();
    assert!(Command::new("mkfifo").arg(class.entry("pipe.rs")).status().unwrap().success());
    fs::create_dir_all(class.entry("pipe in folder/src")).unwrap();
    assert!(Command::new("mkfifo").arg(class.entry("pipe in folder/src/free_list.rs")).status().unwrap().success());
    symlink("/dev/zero", class.entry("device.rs")).unwrap();
    symlink("loop", class.entry("loop")).unwrap();
    fs::create_dir_all(class.entry("inner loop")).unwrap();
    symlink("../inner loop", class.entry("inner loop/again")).unwrap();
    symlink("/etc", class.entry("inner loop/src")).unwrap();
    fs::write(class.entry("damaged.zip"), "PK\x03\x04").unwrap();
    fs::write(class.entry("damaged.tar.gz"), "no gzip").unwrap();
    fs::write(class.entry("up.tar"), tar("../free_list.rs", tar::EntryType::Regular, RIGHT)).unwrap();
    fs::write(class.entry("root.tar"), tar("/tmp/free_list.rs", tar::EntryType::Regular, RIGHT)).unwrap();
    fs::write(class.entry("long.tar"), long_name(1 << 20)).unwrap();
    zip(&class.entry("twice.zip"), &[("src/free_list.rs", HALF), ("./src/free_list.rs", RIGHT)]);
    fs::write(class.entry("link.tar"), tar("free_list.rs", tar::EntryType::Symlink, "")).unwrap();
    zip(&class.entry("up.zip"), &[("../../free_list.rs", RIGHT)]);
    let zeros = vec![0; 300 << 20];
    fs::write(class.entry("bomb.tgz"), bomb(&zeros)).unwrap();

    let before = listing(class.folder().parent().unwrap());
    let start = Instant::now();
    let output = class.grade();
    assert_graded(&output);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let stderr = String::from_utf8(output.stderr).unwrap();
    let rows = class.summary();
    assert_eq!(rows["good.rs"]["points"], "100");
    for (name, part) in [
        ("empty", "a folder without files"),
        ("nothing", "found neither labs/lab03/src/free_list.rs"),
        ("two", "2 files are called free_list.rs (a/free_list.rs, b/free_list.rs): name the one to grade"),
        ("latin.rs", "not UTF-8 (line 2)"),
        ("huge.rs", "larger than 1048576 bytes"),
        ("huge.zip", "an archive of 2048 MiB"),
        ("pipe.rs", "not a regular file"),
        ("pipe in folder", "not a regular file"),
        ("device.rs", "a symbolic link"),
        ("loop", "a symbolic link"),
        ("inner loop", "a folder without files"),
        ("damaged.zip", "a damaged archive"),
        ("damaged.tar.gz", "a damaged archive"),
        ("up.tar", "a path that leads out of it: ../free_list.rs"),
        ("root.tar", "a path that leads out of it: /tmp/free_list.rs"),
        ("long.tar", "a name of 1 MiB in it"),
        ("twice.zip", "an archive that holds ./src/free_list.rs twice"),
        ("link.tar", "found neither"),
        ("up.zip", "a path that leads out of it: ../../free_list.rs"),
        ("bomb.tgz", "unpacks to 300 MiB"),
    ] {
        let row = &rows[name];
        assert_eq!((&*row["status"], &*row["points"]), ("unreadable", ""), "{name}");
        assert!(row["note"].contains(part), "{name}: {}", row["note"]);
        let lines: Vec<&str> =
            stderr.lines().filter(|line| line.starts_with(&format!("autograde: {name}: "))).collect();
        assert_eq!(lines.len(), 1, "{name}: {stderr}");
    }
    assert_eq!(rows.len(), 21);
    let mut after = listing(class.folder().parent().unwrap());
    after.retain(|path| !path.starts_with(class.course.out()) && !path.starts_with(class.course.root().join("target")));
    assert_eq!(before, after, "nothing was written outside the results");
}

/// A tar archive with a name as long as that.
fn long_name(len: usize) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    tar.append_data(&mut header, "a".repeat(len) + "/free_list.rs", &b""[..]).unwrap();
    tar.into_inner().unwrap()
}

fn bomb(zeros: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("src/free_list.rs").unwrap();
    header.set_size(zeros.len() as u64);
    header.set_cksum();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(header.as_bytes()).unwrap();
    // It need not hold what it claims.
    gzip.write_all(&zeros[..1 << 20]).unwrap();
    gzip.finish().unwrap()
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        ignore::WalkBuilder::new(folder).standard_filters(false).build().flatten().map(|e| e.into_path()).collect();
    paths.sort();
    paths
}

#[test]
fn hostile_names_stay_text() {
    let class = Class::new();
    let names =
        ["-rf", "--help", "a b", "two\nlines", "🦀", "<script>alert(1)", "=1+1", "\u{202e}sr.ecila", "a\"b'c&d"];
    for name in names {
        class.hand_in(&format!("{name}/<b>/free_list.rs"), HALF);
    }
    let latin = OsStr::from_bytes(b"caf\xe9");
    let inside = class.entry("latin").join(latin);
    fs::create_dir_all(&inside).unwrap();
    fs::write(inside.join("free_list.rs"), HALF).unwrap();
    fs::write(class.folder().join(latin).with_extension("rs"), HALF).unwrap();
    class.hand_in("twin.rs", RIGHT);
    class.hand_in("twin/free_list.rs", RIGHT);
    let output = class.grade();
    assert_graded(&output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().filter(|line| line.contains("may be one learner's")).count(), 1, "{stderr}");
    let rows = class.summary();
    assert_eq!(rows.len(), 13);
    for name in ["latin", "caf\\xE9.rs", "'-rf", "'--help", "a b", "two\\nlines", "🦀", "'=1+1", "\\u{202e}sr.ecila"]
    {
        assert_eq!(rows[name]["points"], "40", "{name}");
    }
    for name in ["twin", "twin.rs"] {
        assert_eq!(rows[name]["note"], "twin and twin.rs may be one learner's: each is graded");
    }
    let page = fs::read_to_string(class.course.out().join("summary.html")).unwrap();
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    assert!(page.contains("&lt;script&gt;alert(1)<"));
    assert!(page.contains("saw &lt;0&gt; ]]&gt;"), "the screens are there");
    assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
    assert!(!page.contains("://"), "nothing is loaded");
}

/// A decision about the version that `summary.html` shows.
fn decision(class: &Class, name: &str, points: &str) -> String {
    let report = fs::read_to_string(class.course.out().join(format!("results/{name}/report.json"))).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let sha256 = report["sha256"].as_str().unwrap();
    format!(
        "[[decision]]\nsubmission = \"{name}\"\nsha256 = \"{sha256}\"\npoints = {points}\nwho = \"J. Weber\"\nwhy = \"Read it: harmless.\"\n"
    )
}

#[test]
fn decisions_reach_every_report_and_survive_each_regrade() {
    let class = Class::new();
    class.hand_in("held.rs", HELD);
    class.hand_in("half.rs", HALF);
    class.hand_in("late.rs", ABORTS);
    class.hand_in("other.rs", RIGHT);
    assert_graded(&class.grade());
    let rows = class.summary();
    assert_eq!((&*rows["held.rs"]["status"], &*rows["held.rs"]["points"]), ("held for review", ""));
    // The page leads from the note to the line, quotes it, and has the decision to copy.
    let page = fs::read_to_string(class.course.out().join("summary.html")).unwrap();
    assert!(page.contains("<a href=\"#held.rs-line-1\">line 1</a>: `include_str!`"), "{page}");
    assert!(
        page.contains("<h4 id=\"held.rs-line-1\">") && page.contains("►    1  pub fn push() -&gt; u32 { include_str!")
    );
    let copied = decision(&class, "held.rs", "\"count it\"");
    assert!(page.contains(&copied.lines().take(3).collect::<Vec<_>>().join("\n").replace('"', "&quot;")), "{page}");

    let decisions = [
        copied,
        decision(&class, "half.rs", "55"),
        decision(&class, "late.rs", "\"count it\""),
        decision(&class, "other.rs", "7").replace("other.rs", "gone.rs"),
    ];
    let file = class.course.out().join("decisions.toml");
    fs::write(&file, decisions.concat()).unwrap();
    class.hand_in("late.rs", &format!("{ABORTS}// handed in again\n"));
    let before = class.written("other.rs");
    let output = class.grade();
    assert_graded(&output);
    assert_eq!(class.written("other.rs"), before, "what nobody decided is as it was");
    let check = |output: &Output| {
        let stderr = String::from_utf8(output.stderr.clone()).unwrap();
        let page = fs::read_to_string(class.course.out().join("summary.html")).unwrap();
        for line in [
            "late.rs: the decision by J. Weber does not count: the file has changed since",
            "gone.rs: the decision by J. Weber does not count: there is no such submission",
        ] {
            assert!(stderr.contains(line), "{stderr}");
            assert!(page.contains(line), "{page}");
        }
        let rows = class.summary();
        assert_eq!((&*rows["held.rs"]["status"], &*rows["held.rs"]["points"]), ("decided", "100"));
        assert_eq!((&*rows["half.rs"]["status"], &*rows["half.rs"]["points"]), ("decided", "55"));
        assert_eq!((&*rows["late.rs"]["status"], &*rows["late.rs"]["points"]), ("held for review", ""));
        assert!(rows["half.rs"]["note"].contains("Decided by J. Weber: 55 of 100 points count; the cases found 40."));
        for (name, points) in [("held.rs", 100), ("half.rs", 55)] {
            let text =
                |file: &str| fs::read_to_string(class.course.out().join("results").join(name).join(file)).unwrap();
            let json = |file: &str| serde_json::from_str::<serde_json::Value>(&text(file)).unwrap();
            let sum = |tests: &serde_json::Value| {
                tests.as_array().unwrap().iter().map(|test| test["score"].as_u64().unwrap()).sum::<u64>()
            };
            assert_eq!((&json("results.json")["score"], sum(&json("results.json")["tests"])), (&points.into(), points));
            let fifty = json("classroom50.json");
            assert_eq!((&fifty["score"], sum(&fifty["tests"])), (&points.into(), points));
            let older: u64 =
                json("classroom.json").as_array().unwrap().iter().map(|r| sum(&r["results"]["tests"])).sum();
            assert_eq!(older, points);
            let scores: serde_json::Value = serde_json::from_str(text("autolab.txt").lines().last().unwrap()).unwrap();
            let scores = scores["scores"].as_object().unwrap().values().map(|score| score.as_u64().unwrap());
            assert_eq!(scores.sum::<u64>(), points);
            for file in ["results.json", "classroom.json", "junit.xml", "report.md", "page.html", "autolab.txt"] {
                assert!(text(file).contains("Decided by J. Weber"), "{name}: {file}");
            }
            assert_eq!(json("report.json")["decision"]["who"], "J. Weber");
        }
    };
    check(&output);
    // Regraded from nothing, with the file named, and on two machines.
    let kept = class.folder().with_file_name("decisions.toml");
    fs::copy(&file, &kept).unwrap();
    fs::remove_dir_all(class.course.out()).unwrap();
    let with = |out: &Path, more: &[&str]| {
        let output = class.autograde(out).arg("--decisions").arg(&kept).args(more).output().unwrap();
        assert_graded(&output);
        output
    };
    check(&with(&class.course.out(), &[]));
    let place = class.folder().parent().unwrap().to_path_buf();
    let outs = [("one", "1/2"), ("two", "2/2")].map(|(name, shard)| {
        let out = place.join(name);
        with(&out, &["--shard", shard]);
        out
    });
    let merged = place.join("merged");
    assert_graded(&class.merge(&[&outs[0], &outs[1]], &merged));
    for file in ["summary.csv", "summary.html"] {
        assert!(fs::read(merged.join(file)).unwrap() == fs::read(class.course.out().join(file)).unwrap(), "{file}");
    }

    // A decision that is taken back is gone from the reports too.
    assert_graded(&class.grade());
    assert_eq!(class.summary()["half.rs"]["points"], "40");
    fs::write(&kept, "[[decision]]\nsubmission = \"half.rs\"\n").unwrap();
    let line = one_line(&class.autograde(&class.course.out()).arg("--decisions").arg(&kept).output().unwrap(), 2);
    assert!(line.contains("decisions.toml: line 1: missing field `sha256`"), "{line}");
}

#[test]
fn the_page_of_a_class_says_how_the_points_lie_and_where_it_is_stuck() {
    let class = Class::new();
    for i in 0..3 {
        class.hand_in(&format!("{i}.rs"), &format!("{HALF}// {i}\n"));
    }
    class.hand_in("right.rs", RIGHT);
    class.hand_in("nothing.rs", "pub fn push() -> u32 { 0 }\npub fn unlink(_: u32) -> bool { false }\n");
    assert_graded(&class.grade());
    let page = fs::read_to_string(class.course.out().join("summary.html")).unwrap();
    assert!(page.contains("The class is stuck on <b>unlink</b>: for 3 of the 4 who lack points"), "{page}");
    for (count, range) in [("1", "0–9"), ("3", "40–49"), ("1", "100"), ("", "50–59")] {
        let bars: Vec<&str> = page.lines().filter(|line| line.contains(&format!("<small>{range}</small>"))).collect();
        assert!(matches!(bars[..], [bar] if bar.contains(&format!("<b>{count}</b>"))), "{bars:?}");
    }
    assert!(page.contains("<a href=\"results/0.rs/page.html\">"), "and leads to each learner's own");
    assert!(class.course.out().join("results/0.rs/page.html").exists());
}

#[test]
fn a_second_run_grades_what_is_new_changed_or_half_written() {
    let class = Class::new();
    for name in ["same.rs", "changed.rs", "half.rs", "torn.rs"] {
        class.hand_in(name, HALF);
    }
    assert_graded(&class.grade());
    let keys = ["same.rs", "changed.rs", "half.rs", "torn.rs"];
    let first = keys.map(|key| class.written(key));

    class.hand_in("changed.rs", RIGHT);
    class.hand_in("new.rs", RIGHT);
    let results = class.course.out().join("results");
    fs::remove_file(results.join("half.rs/entry.json")).unwrap();
    let torn = fs::read_to_string(results.join("torn.rs/report.json")).unwrap();
    fs::write(results.join("torn.rs/report.json"), &torn[..torn.len() / 2]).unwrap();
    assert_graded(&class.grade());
    let again: Vec<bool> = keys.iter().zip(first).map(|(key, first)| class.written(key) > first).collect();
    assert_eq!(again, [false, true, true, true]);
    assert_eq!(class.summary()["changed.rs"]["points"], "100");
    assert_eq!(class.summary()["new.rs"]["points"], "100");

    // Another exam is another course; a page of the book isn't.
    let first = class.written("same.rs");
    class.course.write("book/src/welcome.md", "# Welcome\n");
    assert_graded(&class.grade());
    assert_eq!(class.written("same.rs"), first);
    let exam = fs::read_to_string(class.course.root().join("labs/lab03/tests/exam.rs")).unwrap();
    class
        .course
        .write("labs/lab03/tests/exam.rs", &exam.replace("case.stdout == b\"true\\n\"", "!case.stdout.is_empty()"));
    assert_graded(&class.grade());
    assert_eq!(class.summary()["same.rs"]["points"], "100");
}

#[test]
fn a_killed_run_keeps_its_results_and_the_next_one_goes_on() {
    let class = Class::new();
    for i in 0..8 {
        class.hand_in(&format!("{i}.rs"), &format!("{HALF}// {i}\n"));
    }
    for signal in ["KILL", "INT"] {
        let mut child = class.autograde(&class.course.out()).stderr(Stdio::piped()).spawn().unwrap();
        let done = |n: usize| (0..8).filter(|i| entry(&class, *i).exists()).count() > n;
        let so_far = (0..8).filter(|i| entry(&class, *i).exists()).count();
        let start = Instant::now();
        while !done(so_far) {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(2));
        }
        let killed = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), if signal == "INT" { Some(130) } else { None });
    }
    // Stopped in order, it has said how far it came, and who is missing.
    let rows = class.summary();
    assert_eq!(rows.len(), 8);
    let graded = rows.values().filter(|row| row["status"] == "graded").count();
    assert!((2..8).contains(&graded), "{graded}");
    assert!(rows.values().filter(|row| row["status"] != "graded").all(|row| row["note"].contains("was stopped")));
    let kept: Vec<(usize, SystemTime)> =
        (0..8).filter(|i| entry(&class, *i).exists()).map(|i| (i, class.written(&format!("{i}.rs")))).collect();
    assert_graded(&class.grade());
    assert_eq!(class.summary().len(), 8);
    for (i, written) in kept {
        assert_eq!(class.written(&format!("{i}.rs")), written);
    }
}

fn entry(class: &Class, i: usize) -> PathBuf {
    class.course.out().join(format!("results/{i}.rs/entry.json"))
}

#[test]
fn shards_merge_to_the_summary_of_one_run_and_a_gap_is_found() {
    let class = Class::new();
    for (i, text) in [RIGHT, HALF, BROKEN, ABORTS, RIGHT, HALF].iter().enumerate() {
        class.hand_in(&format!("learner {i}/free_list.rs"), text);
    }
    fs::create_dir(class.entry("empty")).unwrap();
    assert_graded(&class.grade());

    let place = class.folder().parent().unwrap().to_path_buf();
    let (one, two, merged) = (place.join("one"), place.join("two"), place.join("merged"));
    for (out, shard) in [(&one, "1/2"), (&two, "2/2")] {
        assert_graded(&class.autograde(out).args(["--shard", shard]).output().unwrap());
    }
    let refused = |outs: &[&Path], part: &str| {
        let output = class.merge(outs, &merged);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.contains(part), "{stderr}");
        assert!(!merged.exists());
    };
    refused(&[&one], "shard 2/2 is missing");
    refused(&[&one], "has no result");
    refused(&[&one, &two, &one], "shard 1/2 is there more than once");
    refused(&[&one, &class.course.out()], "have another number of shards");
    refused(&[&one, &place.join("none")], "none/batch.json: No such file");
    class.hand_in("late/free_list.rs", RIGHT);
    refused(&[&one, &two], "late is in");
    fs::remove_dir_all(class.entry("late")).unwrap();
    let lost = fs::read_dir(one.join("results")).unwrap().flatten().next().unwrap().path().join("entry.json");
    let kept = fs::read(&lost).unwrap();
    fs::remove_file(&lost).unwrap();
    refused(&[&one, &two], "no result for");
    // What an earlier run with another course has left behind, before this one came to it.
    let stale = String::from_utf8(kept.clone()).unwrap().replace("\"course\": \"", "\"course\": \"0");
    fs::write(&lost, stale).unwrap();
    refused(&[&one, &two], "it was graded with another course");
    fs::write(&lost, kept).unwrap();
    // A key is the name of a folder, and no way to another one.
    let batch = fs::read_to_string(one.join("batch.json")).unwrap();
    let key = lost.parent().and_then(Path::file_name).and_then(OsStr::to_str).unwrap();
    fs::write(one.join("batch.json"), batch.replace(&format!("\"{key}\""), "\"../../elsewhere\"")).unwrap();
    refused(&[&one, &two], "`../../elsewhere` is no name of a folder of results");
    fs::write(one.join("batch.json"), batch).unwrap();
    let seeded = place.join("seeded");
    assert_graded(&class.autograde(&seeded).args(["--shard", "2/2", "--seed", "7"]).output().unwrap());
    refused(&[&one, &seeded], "have another seed");

    assert_graded(&class.merge(&[&two, &one], &merged));
    for file in ["summary.csv", "summary.html"] {
        let text = |out: &Path| fs::read_to_string(out.join(file)).unwrap();
        assert!(text(&merged) == text(&class.course.out()), "{file} differs");
    }
    assert_eq!(rows(&merged).len(), 7);
}

#[test]
fn a_batch_that_makes_no_sense_gets_one_line() {
    let class = Class::new();
    let line = one_line(&class.grade(), 2);
    assert!(line.contains("there is no submission in it"), "{line}");
    class.hand_in("good.rs", RIGHT);
    let line = one_line(&class.autograde(&class.folder().join("out")).output().unwrap(), 2);
    assert!(line.contains("can't go into the folder of submissions"), "{line}");
    let line = one_line(&class.autograde(&class.course.out()).args(["--shard", "3/2"]).output().unwrap(), 2);
    assert!(line.contains("`3/2` is no shard"), "{line}");
    fs::remove_dir_all(class.folder()).unwrap();
    let line = one_line(&class.grade(), 2);
    assert!(line.contains("No such file"), "{line}");
    assert!(!class.course.out().exists());
}

#[test]
fn a_course_that_can_not_grade_stops_the_batch() {
    let class = Class::new();
    class.hand_in("good.rs", RIGHT);
    class.course.write("labs/lab03/tests/exam.rs", "fn main() { no_such_function() }");
    let output = class.grade();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("the course's own lab03 does not compile"), "{stderr}");
}

/// Has the exam count what a program costs: it takes more memory for each line `// memory`, and looks at more for each `// look`.
fn counting_costs(class: &Class) {
    let exam = fs::read_to_string(class.course.root().join("labs/lab03/tests/exam.rs")).unwrap();
    let counting = exam
        .replace("\"cases\":[{},{}]}}]}}\"#", "\"cases\":[{},{}]}}],\"costs\":{{\"unlink_head\":{}}}}}\"#")
        .replace("cases.next().unwrap()).unwrap();", "cases.next().unwrap(), cost()).unwrap();");
    assert_ne!(counting, exam);
    let cost = r##"
        fn cost() -> String {
            let file = std::fs::read_to_string("src/free_list.rs").unwrap();
            let lines = |like: &str| file.lines().filter(|line| *line == like).count();
            let (memory, looked_at) = (500 + 100 * lines("// memory"), lines("// look"));
            format!(r#"{{"peak":500,"memory":{memory},"requests":10,"looked_at":{looked_at}}}"#)
        }
    "##;
    class.course.write("labs/lab03/tests/exam.rs", &format!("{counting}{cost}"));
}

#[test]
fn a_leaderboard_has_what_the_examiner_counted_for_those_with_full_marks() {
    let class = Class::new();
    counting_costs(&class);
    class.hand_in("best.rs", RIGHT);
    class.hand_in("equal.rs", &format!("{RIGHT}// equal\n"));
    class.hand_in("=looks.rs", &format!("{RIGHT}// look\n// look\n"));
    class.hand_in("hungry.rs", &format!("{RIGHT}// memory\n"));
    class.hand_in("half.rs", HALF);
    class.hand_in("held.rs", HELD);
    class.hand_in("lenient.rs", &format!("{HALF}// lenient\n"));
    class.hand_in("unreadable/a.txt", "");
    let (out, file) = (class.course.out(), class.folder().with_file_name("decisions.toml"));
    assert_graded(&class.grade());
    assert!(!out.join("leaderboard.csv").exists(), "only where it is asked for");
    fs::write(&file, decision(&class, "lenient.rs", "100")).unwrap();
    let grade = |out: &Path, more: &[&str]| {
        let output = class.autograde(out).arg("--decisions").arg(&file).args(more).output().unwrap();
        assert_graded(&output);
    };
    let board = |out: &Path| fs::read_to_string(out.join("leaderboard.csv")).unwrap();

    grade(&out, &["--leaderboard=submissions"]);
    let lines = "1,best.rs,100.0,0.00\n1,equal.rs,100.0,0.00\n3,'=looks.rs,100.0,0.20\n4,hungry.rs,83.3,0.00\n";
    assert_eq!(board(&out), format!("rank,name,memory_used_percent,chunks_per_request\n{lines}"));
    assert_eq!(class.summary()["lenient.rs"]["points"], "100", "points that a person gave are no measure");
    assert!(fs::read_to_string(out.join("summary.html")).unwrap().contains("<a href=\"leaderboard.html\">"));
    let results = fs::read_to_string(out.join("results/hungry.rs/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let columns = serde_json::json!([
        { "name": "Points", "value": 100, "order": "desc" },
        { "name": "Memory used (%)", "value": 83.3, "order": "desc" },
        { "name": "Chunks per request", "value": 0.0, "order": "asc" },
    ]);
    assert_eq!(results["leaderboard"], columns);

    // A pseudonym is told on its owner's page and nowhere else, and a run that grades nothing anew has the same ones.
    let before = class.written("half.rs");
    grade(&out, &["--leaderboard"]);
    let said = board(&out);
    let page = fs::read_to_string(out.join("leaderboard.html")).unwrap();
    assert!(!page.contains("://") && !page.contains("<script"), "nothing is loaded");
    for name in ["best.rs", "equal.rs", "hungry.rs"] {
        let own = fs::read_to_string(out.join("results").join(name).join("page.html")).unwrap();
        let (_, own) = own.split_once("On the leaderboard, you are <b>").unwrap();
        let pseudonym = own.split('<').next().unwrap();
        assert!(said.contains(&format!(",{pseudonym},")) && page.contains(&format!("<td>{pseudonym}</td>")), "{said}");
        assert!(!said.contains(name) && !page.contains(name), "{said}");
    }
    assert_eq!(said.lines().count(), 5);
    assert!(class.written("half.rs") > before, "its page is written anew");
    assert!(!fs::read_to_string(out.join("results/half.rs/page.html")).unwrap().contains("leaderboard"));

    let place = class.folder().parent().unwrap().to_path_buf();
    let (one, two, merged) = (place.join("one"), place.join("two"), place.join("merged"));
    grade(&one, &["--leaderboard", "--shard", "1/2"]);
    grade(&two, &["--shard", "2/2"]);
    let refused = String::from_utf8(class.merge(&[&one, &two], &merged).stderr).unwrap();
    assert!(refused.contains("have another leaderboard"), "{refused}");
    grade(&two, &["--leaderboard", "--shard", "2/2"]);
    assert_graded(&class.merge(&[&one, &two], &merged));
    for file in ["leaderboard.csv", "leaderboard.html", "summary.csv", "summary.html"] {
        assert!(fs::read(merged.join(file)).unwrap() == fs::read(out.join(file)).unwrap(), "{file}");
    }

    grade(&out, &[]);
    assert!(!out.join("leaderboard.csv").exists() && !out.join("leaderboard.html").exists(), "none is left");
    let line = one_line(&class.autograde(&out).arg("--leaderboard=nicknames").output().unwrap(), 2);
    assert!(line.contains("`nicknames` are no names for a leaderboard: pseudonyms or submissions"), "{line}");
}
