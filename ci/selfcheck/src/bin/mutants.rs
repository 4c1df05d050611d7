//! Grades the mutants of the references, and compares those that survive with the lists. `ci/mutants` starts it.

use proctor::lab::Lab;
use selfcheck::course::{labs, root};
use selfcheck::grading::{Job, grade_all};
use selfcheck::mutants::{self, Fate, Mutant, Score, Scores};
use std::process::ExitCode;
use std::time::Instant;

/// The short form grades one of so many, and those that are listed.
const ONE_IN: usize = 16;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(complaints) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(complaints) => {
            complaints.iter().for_each(|complaint| eprintln!("\n{complaint}"));
            ExitCode::FAILURE
        }
        Err(line) => {
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that isn't as the lists say, for the labs of these names, or for all.
fn run(words: &[String]) -> Result<Vec<String>, String> {
    let is_short = words.first().is_some_and(|word| word == "short");
    let names = &words[usize::from(is_short)..];
    let mut labs = labs();
    if let Some(unknown) = names.iter().find(|name| labs.iter().all(|lab| lab.name != **name)) {
        return Err(format!("there is no lab `{unknown}`: ci/mutants [short] [LAB …]"));
    }
    labs.retain(|lab| names.is_empty() || names.contains(&lab.name));
    let renew = std::env::var("INSTA_UPDATE").as_deref() == Ok("always");
    let (mut complaints, mut scores) = (Vec::new(), Scores::load()?);
    let all = mutants::of(&labs, &root().join("target/tmp/mutants"))?;
    for (lab, mutants) in labs.iter().zip(all) {
        if is_short {
            let known = scores.0.get(&lab.name).map_or(0, |score| score.mutants);
            if known != mutants.len() {
                complaints.push(format!(
                    "{} has {} mutants, not {known}: ci/mutants has to be run",
                    lab.name,
                    mutants.len()
                ));
            }
            grade(lab, &sample(lab, mutants)?, &mut complaints)?;
            continue;
        }
        let score = grade(lab, &mutants, &mut complaints)?;
        if scores.0.insert(lab.name.clone(), score) != Some(score) && !renew {
            complaints.push(format!(
                "{} has another score than {} says: INSTA_UPDATE=always ci/mutants renews it",
                lab.name,
                mutants::SCORES
            ));
        }
    }
    if renew {
        scores.save()?;
    }
    Ok(complaints)
}

/// One mutant in [`ONE_IN`], and those that are listed.
fn sample(lab: &Lab, mutants: Vec<Mutant>) -> Result<Vec<Mutant>, String> {
    let listed = mutants::survivors(lab)?;
    let is_listed = |mutant: &Mutant| listed.iter().any(|survivor| survivor.change == mutant.change);
    let chosen = mutants.into_iter().enumerate().filter(|(at, mutant)| at % ONE_IN == 0 || is_listed(mutant));
    Ok(chosen.map(|(_, mutant)| mutant).collect())
}

fn grade(lab: &Lab, mutants: &[Mutant], complaints: &mut Vec<String>) -> Result<Score, String> {
    let start = Instant::now();
    let listed = mutants::survivors(lab)?;
    let all = mutants::cases(lab);
    let about = mutants.iter().map(|mutant| mutants::cases_about(lab, &mutant.change));
    let about = about.map(|about| if about.is_empty() { all.clone() } else { about }).collect::<Vec<_>>();
    let mut fates = fates(lab, &mutants.iter().zip(&about).collect::<Vec<_>>())?;
    // What passes the cases about its function may still fail another one.
    let passed_some = |&at: &usize| fates[at] == Fate::Survived && about[at] != all;
    let left: Vec<usize> = (0..mutants.len()).filter(passed_some).collect();
    let again: Vec<_> = left.iter().map(|&at| (&mutants[at], &all)).collect();
    for (at, fate) in left.into_iter().zip(self::fates(lab, &again)?) {
        fates[at] = fate;
    }
    let fates: Vec<_> = mutants.iter().map(|mutant| &mutant.change).zip(fates).collect();
    complaints.extend(mutants::compare(lab, &fates, &listed));
    let score = Score::of(fates.iter().map(|(_, fate)| fate));
    println!("{}  {score}  {} s", lab.name, start.elapsed().as_secs());
    Ok(score)
}

/// What becomes of each mutant, graded by its cases.
fn fates(lab: &Lab, graded: &[(&Mutant, &Vec<String>)]) -> Result<Vec<Fate>, String> {
    let jobs: Vec<Job> = graded.iter().map(|(mutant, cases)| Job { lab, text: &mutant.text, cases }).collect();
    let grades = if jobs.is_empty() { Vec::new() } else { grade_all(&jobs, &root().join("target/tmp/grading"))? };
    grades.iter().zip(graded).map(|(grade, (_, cases))| mutants::fate(grade, cases)).collect()
}
