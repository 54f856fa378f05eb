//! What the fuzzers found worth keeping (`fuzz/`), and the golden JPEGs, once more.

use std::fs;
use std::path::Path;

#[path = "../fuzz/archive.rs"]
mod archive;
#[path = "../fuzz/photograph.rs"]
mod photograph;

/// Runs a body on all files of a folder, and says how many they were.
fn replay(folder: &str, body: fn(&[u8])) -> usize {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    entries.map(|entry| body(&fs::read(entry.unwrap().path()).unwrap())).count()
}

#[test]
fn no_photograph_of_the_corpus_does_harm() {
    assert!(replay("fuzz/corpus/photograph", photograph::run) > 50);
    assert!(replay("tests/golden/jpeg", photograph::run) > 10);
}

#[test]
fn no_archive_of_the_corpus_does_harm() {
    assert!(replay("fuzz/corpus/archive", archive::run) > 50);
}
