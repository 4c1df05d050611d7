//! Joins the results of shards, once it is proved that together they are the class: nothing missing, nothing twice.

use crate::Error;
use crate::entry::{Listing, digest_of_keys};
use crate::record::{self, Batch, Record};
use crate::summary;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Joins the shards in `outs` into the folder `merged`, and says how many submissions there are.
///
/// With the folder of submissions the proof goes as far as the submissions themselves.
///
/// # Errors
/// Everything that is missing, there twice or doesn't belong together, each in a line. Nothing is written then.
pub fn run(outs: &[PathBuf], merged: &Path, submissions: Option<&Path>) -> Result<usize, Vec<String>> {
    let shards = load(outs)?;
    let mut wrong = Vec::new();
    check_same_class(&shards, &mut wrong);
    check_shards(&shards, &mut wrong);
    let found = check_entries(&shards, &mut wrong);
    if let Some(folder) = submissions {
        check_folder(folder, &found, &mut wrong);
    }
    if outs.iter().any(|out| is_same_folder(out, merged)) {
        wrong.push(format!("{}: this is one of the folders to merge", merged.display()));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    write(&shards, &found, merged).map_err(|error| vec![error.to_string()])
}

struct PartOfClass<'a> {
    out: &'a Path,
    batch: Batch,
}

/// An entry's result, and the folders it was found in.
type Found<'a> = BTreeMap<String, Vec<(&'a Path, Record)>>;

fn load(outs: &[PathBuf]) -> Result<Vec<PartOfClass<'_>>, Vec<String>> {
    let (mut shards, mut wrong) = (Vec::new(), Vec::new());
    for out in outs {
        match Batch::load(out) {
            Ok(batch) => shards.push(PartOfClass { out, batch }),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if shards.is_empty() && wrong.is_empty() {
        wrong.push("nothing to merge".to_owned());
    }
    if wrong.is_empty() { Ok(shards) } else { Err(wrong) }
}

fn check_same_class(shards: &[PartOfClass], wrong: &mut Vec<String>) {
    let first = &shards[0];
    for other in &shards[1..] {
        let (a, b) = (&first.batch, &other.batch);
        let mut differences = a.with.differences(&b.with);
        differences.extend((a.shards != b.shards).then_some("number of shards"));
        differences.extend((a.class != b.class).then_some("list of submissions"));
        differences.extend((a.leaderboard != b.leaderboard).then_some("leaderboard"));
        for what in differences {
            wrong.push(format!("{} and {} have another {what}", first.out.display(), other.out.display()));
        }
    }
}

fn check_shards(shards: &[PartOfClass], wrong: &mut Vec<String>) {
    let of = shards[0].batch.shards;
    for number in 1..=of {
        let there: Vec<String> = shards
            .iter()
            .filter(|shard| shard.batch.shard == number)
            .map(|shard| shard.out.display().to_string())
            .collect();
        match &there[..] {
            [_] => {}
            [] => wrong.push(format!("shard {number}/{of} is missing")),
            _ => wrong.push(format!("shard {number}/{of} is there more than once: {}", there.join(", "))),
        }
    }
}

fn check_entries<'a>(shards: &[PartOfClass<'a>], wrong: &mut Vec<String>) -> Found<'a> {
    let mut found = Found::new();
    for shard in shards {
        for key in &shard.batch.keys {
            match record::load(shard.out, key, &shard.batch.with) {
                Ok(record) => found.entry(key.clone()).or_default().push((shard.out, record)),
                Err(error) => wrong.push(format!("no result for {key}: {error}")),
            }
        }
    }
    for (key, results) in found.iter().filter(|(_, results)| results.len() > 1) {
        let outs: Vec<String> = results.iter().map(|(out, _)| out.display().to_string()).collect();
        wrong.push(format!("{key} is there more than once: {}", outs.join(", ")));
    }
    // The keys of missing shards are not known, but how many there are, and what they hash to, is.
    let class = &shards[0].batch;
    let listed: BTreeSet<&str> = shards.iter().flat_map(|shard| shard.batch.keys.iter().map(String::as_str)).collect();
    if listed.len() != class.class_size {
        wrong.push(format!("the class has {} submissions, the shards have {}", class.class_size, listed.len()));
    } else if digest_of_keys(listed.into_iter()) != class.class {
        wrong.push("the submissions of the shards are not those of the class".to_owned());
    }
    found
}

fn check_folder(folder: &Path, found: &Found, wrong: &mut Vec<String>) {
    let listing = match Listing::of(folder) {
        Ok(listing) => listing,
        Err(error) => return wrong.push(error.to_string()),
    };
    for entry in listing.entries.iter().filter(|entry| !found.contains_key(&entry.key)) {
        wrong.push(format!("{} is in {} and has no result", entry.name, folder.display()));
    }
    let keys: BTreeSet<&str> = listing.entries.iter().map(|entry| entry.key.as_str()).collect();
    for (_, record) in found.values().flatten().filter(|(_, record)| !keys.contains(record.key.as_str())) {
        wrong.push(format!("{} has a result and is not in {}", record.name, folder.display()));
    }
}

fn is_same_folder(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn write(shards: &[PartOfClass], found: &Found, merged: &Path) -> Result<usize, Error> {
    for (out, record) in found.values().flatten() {
        record::copy(out, merged, &record.key)?;
    }
    let batch = Batch::merged(shards.iter().map(|shard| &shard.batch), shards[0].batch.clone());
    batch.save(merged)?;
    let mut records: Vec<Record> = found.values().flatten().map(|(_, record)| record.clone()).collect();
    summary::sort(&mut records);
    summary::write(merged, &batch, &records)?;
    Ok(records.len())
}
