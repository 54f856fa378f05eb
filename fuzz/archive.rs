//! Any bytes as an archive, plain or gzipped.

use headpose_fast::archive::{Content, Limits, Wanted, read_from};

const LIMITS: Limits =
    Limits { members: 50, archive_bytes: 1 << 20, unpacked_bytes: 1 << 22, expansion: 20 };
const MOST_BYTES: u64 = 5000;

/// What is read keeps to the limits, and reading it again gives the same.
pub fn run(data: &[u8]) {
    let read = || {
        let wanted = |name: &str| {
            Ok::<_, ()>(
                name.ends_with("jpg")
                    .then_some(Wanted { most_bytes: MOST_BYTES, by_place: name.starts_with("a") }),
            )
        };
        read_from(data, data.len() as u64, LIMITS, wanted, || Ok(()))
    };
    if let Ok(members) = read() {
        assert!(members.len() as u64 <= LIMITS.members);
        for (name, content) in &members {
            assert!(name.ends_with("jpg"));
            let length = match content {
                Content::Bytes(bytes) => bytes.len() as u64,
                Content::Place { length, .. } => *length,
            };
            assert!(length <= MOST_BYTES);
        }
        assert!(read().is_ok_and(|again| again == members));
    }
}
