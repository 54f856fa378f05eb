//! A batch gives the same bits whatever the workers, reports every bad photograph, and stops.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use headpose_fast::crops::Crop;
use headpose_fast::file::{Encoding, FileRun, Output};
use headpose_fast::jpeg::{Photo, PhotoDecoder};
use headpose_fast::render::{MemoryRun, RenderError, Run, Size, render};
use headpose_fast::resize::Resizer;

const SIZE: Size = Size { width: 8, height: 6 };
const PASSES: usize = 3;
/// Photographs in a group of the larger ones.
const GROUP: usize = FileRun::GROUP;

fn jpeg() -> Vec<u8> {
    let name = "tests/golden/jpeg/420_64x40_q70_restart.jpg";
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Photographs (one of them in three groups, the last not full) and a crop of each in each pass.
fn batch() -> (Vec<Vec<u8>>, Vec<Crop>) {
    let photographs = 2 * GROUP + 1;
    let crop = |i: usize| {
        let i = i as i32;
        Crop { x: i % 20, y: i % 13, w: 1 + i * 7 % 44, h: 1 + i * 5 % 27 }
    };
    (vec![jpeg(); photographs], (0..PASSES * photographs).map(crop).collect())
}

fn samples(jpegs: &[Vec<u8>], crops: &[Crop], workers: usize) -> Result<Vec<f32>, RenderError> {
    let mut out = vec![f32::NAN; crops.len() * SIZE.values()];
    let runs = MemoryRun::divide(&mut out, SIZE);
    render(jpegs, crops, SIZE, runs, workers, |_| true).map(|()| out)
}

#[test]
fn workers_do_not_change_a_bit() {
    let (jpegs, crops) = batch();
    let mut photo = Photo::default();
    PhotoDecoder::default().decode(&jpeg(), &mut photo).unwrap();
    let mut expected = vec![0.0; crops.len() * SIZE.values()];
    for (crop, sample) in crops.iter().zip(expected.chunks_exact_mut(SIZE.values())) {
        Resizer::new(SIZE.width, SIZE.height).render(&photo, *crop, sample);
    }
    for workers in [1, 2, 3, 100] {
        assert_eq!(samples(&jpegs, &crops, workers).unwrap(), expected, "{workers} workers");
    }
}

#[test]
fn a_file_holds_the_samples_at_their_offsets() {
    let (jpegs, crops) = batch();
    let expected = samples(&jpegs, &crops, 1).unwrap();
    let values = SIZE.values();
    for (encoding, length) in [
        (Encoding::Raw, values * 4),
        (Encoding::Text { blocks: 6 }, values * 4 / 6 * 7),
        (Encoding::Text { blocks: 4 }, values * 4 / 4 * 5),
    ] {
        // Gaps in places, so that neighbours in a run are not always neighbours in the file.
        let offsets: Vec<u64> =
            (0..crops.len()).map(|i| (i * length + i / 7 * 10) as u64).collect();
        let name = format!("headpose-fast-{}-{encoding:?}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = fs::File::create(&path).unwrap();
        let output = Output::new(file, SIZE, encoding);
        let mut checksums = vec![0; offsets.len()];
        let runs = output.divide(&offsets, &mut checksums, jpegs.len());
        render(jpegs.as_slice(), &crops, SIZE, runs, 2, |_| true).unwrap();
        let written = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        for (sample, offset) in expected.chunks_exact(values).zip(offsets) {
            let there = &written[offset as usize..][..length];
            let raw: Vec<u8> = sample.iter().flat_map(|value| value.to_le_bytes()).collect();
            match encoding {
                Encoding::Raw => assert_eq!(there, raw),
                Encoding::Text { blocks } => {
                    assert!(there.is_ascii());
                    let block = raw.len() / blocks;
                    let (low, high) = there.split_at(raw.len());
                    for (i, byte) in raw.iter().enumerate() {
                        let high_bit = high[i % block] >> (6 - i / block) & 1;
                        assert_eq!(low[i] | high_bit << 7, *byte);
                    }
                }
            }
        }
    }
}

#[test]
fn all_bad_photographs_are_reported_in_order() {
    let (mut jpegs, mut crops) = batch();
    let last = jpegs.len() - 1;
    jpegs[last].truncate(300);
    jpegs[3].clear();
    crops[jpegs.len() + 7].w = 64;
    for workers in [1, 3] {
        let Err(RenderError::Photographs(bad)) = samples(&jpegs, &crops, workers) else {
            panic!("the bad photographs went unnoticed")
        };
        assert_eq!(bad.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [3, 7, last]);
        assert!(bad[1].1.to_string().contains("not inside the picture of 64 x 40"), "{}", bad[1].1);
    }
}

/// Takes its time, and counts.
struct Slow<'a>(&'a AtomicUsize);

impl Run for Slow<'_> {
    const GROUP: usize = GROUP;

    fn write(
        self,
        _scratch: &mut Vec<f32>,
        _draw: &mut dyn FnMut(usize, &mut [f32]),
    ) -> std::io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    }
}

#[test]
fn a_batch_stops_when_it_is_told_to() {
    let jpegs = vec![jpeg(); GROUP];
    let passes = 500;
    let crops = vec![Crop { x: 0, y: 0, w: 9, h: 9 }; passes * GROUP];
    let written = AtomicUsize::new(0);
    let runs = (0..passes).map(|_| Slow(&written)).collect();
    let began = Instant::now();
    let result = render(jpegs.as_slice(), &crops, SIZE, runs, 1, |_| {
        began.elapsed() < Duration::from_millis(100)
    });
    assert!(matches!(result, Err(RenderError::Cancelled)));
    assert!(began.elapsed() < Duration::from_millis(600), "it took {:?}", began.elapsed());
    assert!(written.into_inner() < 40);
}

/// Cannot write.
struct Full;

impl Run for Full {
    const GROUP: usize = GROUP;

    fn write(
        self,
        _scratch: &mut Vec<f32>,
        _draw: &mut dyn FnMut(usize, &mut [f32]),
    ) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn a_failure_to_write_ends_the_batch() {
    let (jpegs, crops) = batch();
    let runs = (0..PASSES * 3).map(|_| Full).collect();
    let error = render(jpegs.as_slice(), &crops, SIZE, runs, 2, |_| true).unwrap_err();
    assert!(matches!(error, RenderError::Output(e) if e.kind() == std::io::ErrorKind::StorageFull));
}
