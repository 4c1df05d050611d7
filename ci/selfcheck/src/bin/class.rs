//! A class of submissions of every kind, graded as an instructor does it. `ci/class` starts it.
//!
//! Every result is compared with what is known of the submission: the honest earn all points, the wrong fail the case that
//! has to find them, attacks earn their honest part, and what is broken is unreadable or doesn't compile. Then a few
//! submissions are graded in the way that comes to mind first, a clone and `cargo test` for each, to compare the time.

use flate2::Compression;
use flate2::write::GzEncoder;
use proctor::lab::Lab;
use selfcheck::course::{labs, read, reference_file, root};
use selfcheck::{hostile, zoo};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The lab that is graded.
const LAB: &str = "lab03";
/// How many of twenty submissions are honest, wrong, hostile and broken.
const MIX: [usize; 4] = [9, 6, 4, 1];
/// How many are graded the naive way.
const NAIVE: usize = 5;

/// What is handed in, and what it has to earn.
#[derive(Clone)]
struct Submission {
    what: String,
    content: Content,
    expected: Expected,
}

#[derive(Clone)]
enum Content {
    /// The learner's file.
    Text(String),
    /// Something else, and its ending.
    Raw(Vec<u8>, &'static str),
}

/// What the summary has to say.
#[derive(Clone, Debug)]
enum Expected {
    Points(u32),
    AtMost(u32),
    /// Not all points, and this case fails.
    Fails(String),
    Unreadable,
}

fn main() -> ExitCode {
    match run() {
        Ok(complaints) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(complaints) => {
            complaints.iter().for_each(|line| eprintln!("{line}"));
            ExitCode::FAILURE
        }
        Err(line) => {
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
    }
}

/// What isn't as expected.
fn run() -> Result<Vec<String>, String> {
    let size = std::env::args().nth(1).map_or(Ok(200), |n| n.parse().map_err(|_| format!("`{n}` is no number")))?;
    let lab = labs().into_iter().find(|lab| lab.name == LAB).ok_or("the lab is gone")?;
    let place = tempfile::tempdir().map_err(|e| format!("a temporary folder: {e}"))?;
    let (folder, out) = (place.path().join("submissions"), place.path().join("results"));
    let kinds = kinds(&lab)?;
    let mut expected = BTreeMap::new();
    let mut counts = [0; MIX.len()];
    for i in 0..size {
        let kind = kind(i);
        let submission = &kinds[kind][counts[kind] % kinds[kind].len()];
        counts[kind] += 1;
        let name = hand_in(&folder, &lab, i, submission).map_err(|e| format!("{}: {e}", folder.display()))?;
        expected.insert(name, submission);
    }

    let start = Instant::now();
    let program = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("autograde");
    let mut grading = Command::new(&program);
    grading.args(["--lab", LAB, "--batch"]).arg(&folder).arg("--out").arg(&out).current_dir(root());
    let grading = grading.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let peak = peak_memory(grading.map_err(|e| format!("{}: {e}", program.display()))?)?;
    let each = start.elapsed().as_secs_f64() / size as f64;

    let [honest, wrong, hostile, broken] = counts;
    println!("{size} submissions: {honest} honest, {wrong} wrong, {hostile} hostile, {broken} broken");
    println!("{:<34} {:>6.0} s, {each:.2} s for each", "the batch, with all it compiles", each * size as f64);
    println!("{:<34} {:>6} MiB, all its processes together", "peak memory", peak >> 20);
    let naive = naively(&lab, place.path())?.as_secs_f64() / NAIVE as f64;
    println!("{:<34} {naive:>6.1} s for each, {:.0} times as long", "a clone and `cargo test`", naive / each);
    compare(&out.join("summary.csv"), &expected)
}

/// Which kind the submission with this number is: all of them stand mixed.
fn kind(number: usize) -> usize {
    let slot = number * 7 % MIX.iter().sum::<usize>();
    (0..MIX.len()).find(|kind| slot < MIX[..=*kind].iter().sum()).unwrap_or(0)
}

/// What there is of each kind: honest, wrong, hostile, broken.
fn kinds(lab: &Lab) -> Result<[Vec<Submission>; 4], String> {
    let submission =
        |what: &str, text, expected| Submission { what: what.to_owned(), content: Content::Text(text), expected };
    let reference = read(&reference_file(lab));
    let mut honest = vec![submission("reference", reference.clone(), Expected::Points(100))];
    let mut wrong = Vec::new();
    for member in zoo::members(lab)? {
        let text = member.apply(&reference)?;
        match member.fails {
            Some(failure) => wrong.push(submission(&member.name, text, Expected::Fails(failure.caught_by[0].clone()))),
            None => honest.push(submission(&member.name, text, Expected::Points(100))),
        }
    }
    let attacks = hostile::attacks(lab)?.into_iter().map(|attack| {
        let earns = if attack.or_less { Expected::AtMost(attack.earns) } else { Expected::Points(attack.earns) };
        submission(&attack.name, attack.text, earns)
    });
    let raw = |what: &str, bytes, ending| Submission {
        what: what.to_owned(),
        content: Content::Raw(bytes, ending),
        expected: Expected::Unreadable,
    };
    let broken = vec![
        submission("does_not_compile", format!("{reference}\nfn unfinished( {{\n"), Expected::Points(0)),
        submission("empty", String::new(), Expected::Points(0)),
        raw("not_utf_8", b"// caf\xe9\n".to_vec(), "rs"),
        raw("no_zip", b"PK\x03\x04".to_vec(), "zip"),
        raw("bomb", gzip(&vec![0; 600 << 20]).map_err(|e| e.to_string())?, "tar.gz"),
    ];
    Ok([honest, wrong, attacks.collect(), broken])
}

/// Puts a submission into the folder, as a file, a folder, a clone or an archive in turn: its name.
fn hand_in(folder: &Path, lab: &Lab, number: usize, submission: &Submission) -> std::io::Result<String> {
    let name = format!("{number:03} {}", submission.what);
    let text = match &submission.content {
        Content::Raw(bytes, ending) => return write(folder, format!("{name}.{ending}"), Path::new(""), bytes),
        // No two are the same text.
        Content::Text(text) => format!("{text}\n// Handed in by learner {number}.\n"),
    };
    let file = Path::new("course/labs").join(&lab.name).join(&lab.file);
    match number % 5 {
        0 => write(folder, format!("{name}.rs"), Path::new(""), text.as_bytes()),
        1 => write(folder, name, &lab.file, text.as_bytes()),
        2 => write(folder, name, &file, text.as_bytes()),
        3 => {
            let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
            zip.start_file_from_path(&file, SimpleFileOptions::default())?;
            zip.write_all(text.as_bytes())?;
            write(folder, format!("{name}.zip"), Path::new(""), zip.finish()?.get_ref())
        }
        _ => {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            let mut tar = tar::Builder::new(Vec::new());
            tar.append_data(&mut header, &file, text.as_bytes())?;
            write(folder, format!("{name}.tar.gz"), Path::new(""), &gzip(&tar.into_inner()?)?)
        }
    }
}

/// Writes the entry `name`, a file, or a folder with the file `inside`: the name.
fn write(folder: &Path, name: String, inside: &Path, bytes: &[u8]) -> std::io::Result<String> {
    let path = if inside.as_os_str().is_empty() { folder.join(&name) } else { folder.join(&name).join(inside) };
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    fs::write(path, bytes)?;
    Ok(name)
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes)?;
    gzip.finish()
}

/// Waits for the program, and says how much memory it had at most, in bytes, with all the processes it started. What
/// processes share counts once.
fn peak_memory(mut program: Child) -> Result<u64, String> {
    let mut peak = 0;
    loop {
        match program.try_wait().map_err(|e| e.to_string())? {
            Some(status) if status.success() => return Ok(peak),
            Some(status) => return Err(format!("autograde ended with {status}")),
            None => peak = peak.max(memory(program.id())),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The memory of a process and of its children, in bytes. A process that ends meanwhile has none.
fn memory(process: u32) -> u64 {
    let of = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}")).unwrap_or_default();
    let rollup = of("smaps_rollup");
    let share =
        rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let of_children = children.flat_map(|text| text.split(' ').flat_map(str::parse).map(memory).collect::<Vec<_>>());
    share.unwrap_or(0) * 1024 + of_children.sum::<u64>()
}

/// A fresh clone and `cargo test` for each of a few submissions, one after the other.
fn naively(lab: &Lab, place: &Path) -> Result<Duration, String> {
    let mut took = Duration::ZERO;
    for number in 0..NAIVE {
        let clone = place.join(format!("naive-{number}"));
        let start = Instant::now();
        let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let cloned = quiet(Command::new("git").args(["clone", "--quiet"]).arg(root()).arg(&clone));
        cloned.map_err(|e| format!("git: {e}"))?;
        fs::copy(reference_file(lab), clone.join("labs").join(&lab.name).join(&lab.file)).map_err(|e| e.to_string())?;
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "-p", &lab.name, "--features", "given"]).current_dir(&clone).env_remove("CARGO_TARGET_DIR");
        let tested = quiet(&mut cargo).map_err(|e| format!("cargo: {e}"))?;
        if !tested.success() {
            return Err(format!("the reference fails in {}", clone.display()));
        }
        took += start.elapsed();
        fs::remove_dir_all(&clone).map_err(|e| e.to_string())?;
    }
    Ok(took)
}

/// The lines of the summary that don't say what they should.
fn compare(summary: &Path, expected: &BTreeMap<String, &Submission>) -> Result<Vec<String>, String> {
    let cannot = |e: csv::Error| format!("{}: {e}", summary.display());
    let mut rows = csv::Reader::from_path(summary).map_err(cannot)?;
    let mut seen = BTreeMap::new();
    for row in rows.deserialize::<BTreeMap<String, String>>() {
        let row = row.map_err(cannot)?;
        seen.insert(row["submission"].clone(), row);
    }
    let mut complaints: Vec<String> = seen
        .keys()
        .filter(|name| !expected.contains_key(*name))
        .map(|name| format!("{name}: nobody handed it in"))
        .collect();
    for (name, submission) in expected {
        let Some(row) = seen.get(name) else {
            complaints.push(format!("{name}: no line in the summary"));
            continue;
        };
        // What is held says in its note how many points wait.
        let points =
            row["points"].parse().or_else(|_| row["note"].split(' ').next().unwrap_or_default().parse::<u32>());
        let points = points.ok().filter(|_| row["status"] != "unreadable");
        let right = match &submission.expected {
            Expected::Points(earned) => points == Some(*earned),
            Expected::AtMost(most) => points.is_some_and(|points| points <= *most),
            Expected::Fails(case) => {
                points.is_some_and(|points| points < 100) && row["failing"].contains(case.as_str())
            }
            Expected::Unreadable => points.is_none() && row["status"] == "unreadable",
        };
        if !right {
            complaints.push(format!("{name}: {:?} was expected, not {row:?}", submission.expected));
        }
    }
    Ok(complaints)
}
