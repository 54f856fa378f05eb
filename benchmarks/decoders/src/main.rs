//! Compares JPEG decoders with the pixels that `make.py` wrote.
//!
//!     python make.py OUT [PHOTOS]
//!     cargo run --release -- exact|damage|speed|fuzz|all OUT [PHOTOS]
//!
//! `fuzz` compares mutated files with the first decoder; FUZZ_COUNT sets how many (200000).
//! The features are explained in Cargo.toml; 2>/dev/null hides the messages of panics.

mod decoders;

use decoders::{Decode, Result};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

const ROUNDS: usize = 7;

/// All files with the ending, in order, with their folder's path below `root`.
fn files(root: &Path, ending: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|name| name == ending) {
                let below = folder.strip_prefix(root).unwrap();
                found.push((below.display().to_string(), path));
            }
        }
    }
    found.sort();
    found
}

/// Runs a decoder; `None` is a panic.
fn guarded(decode: &mut Decode, jpeg: &[u8], out: &mut Vec<u8>) -> Option<Result> {
    catch_unwind(AssertUnwindSafe(|| decode(jpeg, out))).ok()
}

/// The largest difference to the RGB reference; a grey result counts three times.
fn difference(out: &[u8], rgb: &[u8]) -> Option<u8> {
    let step = if out.len() * 3 == rgb.len() { 3 } else { 1 };
    if out.len() * step != rgb.len() {
        return None;
    }
    rgb.iter().enumerate().map(|(at, value)| value.abs_diff(out[at / step])).max()
}

/// One row per class, one column per decoder.
fn table(classes: &[String], names: &[&str], cell: impl Fn(usize, usize) -> String) {
    println!("| class | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for (row, class) in classes.iter().enumerate() {
        let cells: Vec<_> = (0..names.len()).map(|column| cell(row, column)).collect();
        println!("| {class} | {} |", cells.join(" | "));
    }
    println!();
}

#[derive(Clone, Default)]
struct Count {
    equal: usize,
    differ: usize,
    error: usize,
    panic: usize,
    largest: u8,
    slowest: Duration,
}

impl Count {
    fn add(&mut self, result: Option<Result>, out: &[u8], rgb: &[u8]) {
        match result {
            None => self.panic += 1,
            Some(Err(_)) => self.error += 1,
            Some(Ok(())) => match difference(out, rgb) {
                Some(0) => self.equal += 1,
                other => {
                    self.differ += 1;
                    self.largest = self.largest.max(other.unwrap_or(255));
                }
            },
        }
    }
}

/// Decodes every file and counts per class; `.rgb` lies beside it or below `pixels`.
fn count(root: &Path, pixels: &Path) -> (Vec<String>, Vec<Vec<Count>>) {
    let mut decoders = decoders::all();
    let mut classes: Vec<String> = Vec::new();
    let mut counts: Vec<Vec<Count>> = Vec::new();
    let mut out = Vec::new();
    for (class, path) in files(root, "jpg") {
        if classes.last() != Some(&class) {
            classes.push(class);
            counts.push(vec![Count::default(); decoders.len()]);
        }
        let jpeg = fs::read(&path).unwrap();
        let below = path.strip_prefix(root).unwrap().with_extension("rgb");
        let rgb = fs::read(pixels.join(below)).unwrap();
        for (column, (_, decode)) in decoders.iter_mut().enumerate() {
            out.clear();
            let start = Instant::now();
            let result = guarded(decode, &jpeg, &mut out);
            let count = &mut counts.last_mut().unwrap()[column];
            count.slowest = count.slowest.max(start.elapsed());
            count.add(result, &out, &rgb);
        }
    }
    (classes, counts)
}

fn exact(root: &Path, pixels: &Path, names: &[&str]) {
    println!("Files equal to Pillow and OpenCV / all (largest difference, errors, panics):\n");
    let (classes, counts) = count(root, pixels);
    table(&classes, names, |row, column| {
        let c = &counts[row][column];
        let mut cell = format!("{}/{}", c.equal, c.equal + c.differ + c.error + c.panic);
        for (what, number) in [("±", c.largest as usize), ("error ", c.error), ("panic ", c.panic)]
        {
            if number > 0 {
                cell += &format!(" {what}{number}");
            }
        }
        cell
    });
}

fn damage(root: &Path, names: &[&str]) {
    println!(
        "Errors / accepted with the undamaged pixels / accepted with other pixels / panics:\n"
    );
    let (classes, counts) = count(root, root);
    table(&classes, names, |row, column| {
        let c = &counts[row][column];
        format!("{}/{}/{}/{}", c.error, c.equal, c.differ, c.panic)
    });
    println!("Slowest file of each class:\n");
    table(&classes, names, |row, column| format!("{:.0?}", counts[row][column].slowest));
}

fn speed(photos: &Path, names: &[&str]) {
    let mut jpegs: Vec<_> = files(photos, "jpg");
    jpegs.retain(|(folder, _)| folder.starts_with("Person"));
    let jpegs: Vec<_> = jpegs.iter().map(|(_, path)| fs::read(path).unwrap()).collect();
    let mut decoders = decoders::all();
    let mut times = vec![[0.0; ROUNDS]; decoders.len()];
    let mut out = Vec::new();
    for round in 0..ROUNDS {
        // Short turns, so that a change of the machine's load meets all decoders.
        for turn in jpegs.chunks(31) {
            for (time, (_, decode)) in times.iter_mut().zip(&mut decoders) {
                let start = Instant::now();
                for jpeg in turn {
                    decode(jpeg, &mut out).unwrap();
                }
                time[round] += start.elapsed().as_secs_f64();
            }
        }
    }
    let median = |mut values: [f64; ROUNDS]| {
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    println!("{} photos, one thread, medians of {ROUNDS} rounds in turns of 31:\n", jpegs.len());
    println!("| decoder | ms per photo | time, {} = 1 |\n|---|---|---|", names[0]);
    for (name, time) in names.iter().zip(&times) {
        let each = 1e3 * median(*time) / jpegs.len() as f64;
        let ratio = median(std::array::from_fn(|round| time[round] / times[0][round]));
        println!("| {name} | {each:.3} | {ratio:.2} |");
    }
    println!();
}

fn fuzz(root: &Path, names: &[&str]) {
    let total: u64 = env::var("FUZZ_COUNT").map_or(200_000, |text| text.parse().unwrap());
    let seeds: Vec<_> =
        files(root, "jpg").iter().map(|(_, path)| fs::read(path).unwrap()).collect();
    let mut decoders = decoders::all();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % limit
    };
    let mut counts = vec![[0; 5]; decoders.len()];
    let mut slowest = vec![Duration::ZERO; decoders.len()];
    let (mut wanted, mut out) = (Vec::new(), Vec::new());
    for _ in 0..total {
        let mut jpeg = seeds[random(seeds.len())].clone();
        for _ in 0..1 + random(4) {
            let (at, length) = (random(jpeg.len().max(1)), random(16));
            let end = (at + length).min(jpeg.len());
            match random(6) {
                0 => jpeg.truncate(at + 1),
                1 => drop(jpeg.drain(at..end)),
                2 => jpeg[at..end].reverse(),
                3 => jpeg.splice(at..at, [0xFF, random(256) as u8]).for_each(drop),
                _ => jpeg.iter_mut().skip(at).take(1).for_each(|byte| *byte = random(256) as u8),
            }
        }
        for (column, (_, decode)) in decoders.iter_mut().enumerate() {
            let start = Instant::now();
            let result = guarded(decode, &jpeg, &mut out);
            slowest[column] = slowest[column].max(start.elapsed());
            if column == 0 {
                wanted = if matches!(result, Some(Ok(()))) { out.clone() } else { Vec::new() };
            }
            counts[column][match result {
                None => 0,
                Some(Err(_)) if wanted.is_empty() => 1,
                Some(Err(_)) => 2,
                Some(Ok(())) if wanted.is_empty() => 3,
                Some(Ok(())) if difference(&out, &wanted) != Some(0) => 4,
                Some(Ok(())) => continue,
            }] += 1;
        }
    }
    println!("{total} mutated files, compared with {} (warnings are its errors):\n", names[0]);
    println!(
        "| decoder | panic | both error | error, reference does not | no error, reference does |"
    );
    println!("| other pixels | slowest |\n|---|---|---|---|---|---|---|");
    for ((name, [panic, both, more, less, differ]), time) in names.iter().zip(&counts).zip(&slowest)
    {
        println!("| {name} | {panic} | {both} | {more} | {less} | {differ} | {time:.0?} |");
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [what, out, photos @ ..] = &arguments[..] else {
        panic!("usage: decoders exact|damage|speed|fuzz|all OUT [PHOTOS]");
    };
    let (out, photos) = (Path::new(out), photos.first().map(Path::new));
    let decoders = decoders::all();
    let names: Vec<_> = decoders.iter().map(|(name, _)| *name).collect();
    let run = |name: &str| what == name || what == "all";
    if run("exact") {
        exact(&out.join("good"), &out.join("good"), &names);
        if let Some(photos) = photos {
            exact(photos, &out.join("photos"), &names);
        }
    }
    if run("damage") {
        damage(&out.join("damage"), &names);
    }
    if let (true, Some(photos)) = (run("speed"), photos) {
        speed(photos, &names);
    }
    if run("fuzz") {
        fuzz(&out.join("good"), &names);
    }
}
