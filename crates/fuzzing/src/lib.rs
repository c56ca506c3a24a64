//! Every decoder of what clients send, as a function of bytes that must end, must not panic and must keep its
//! promises, whatever the bytes are. `fuzz/` runs them under a coverage-guided fuzzer (`cargo xtask fuzz`); the test
//! here replays the corpus, so that what was found stays found.

mod objects;
mod streams;
mod texts;

pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

/// By the names of the folders of `corpus/`.
pub const TARGETS: [Target; 12] = [
    Target { name: "json", run: objects::json },
    Target { name: "yaml", run: objects::yaml },
    Target { name: "protobuf", run: objects::protobuf },
    Target { name: "patches", run: objects::patches },
    Target { name: "managed_fields", run: objects::managed_fields },
    Target { name: "selectors", run: texts::selectors },
    Target { name: "quantities", run: texts::quantities },
    Target { name: "continue_tokens", run: texts::continue_tokens },
    Target { name: "queries", run: texts::queries },
    Target { name: "cel", run: texts::cel },
    Target { name: "spdy", run: streams::spdy },
    Target { name: "websocket", run: streams::websocket },
];

/// Runs a target by its name; for the fuzzer's programs.
///
/// # Panics
/// If there is no such target, or if the target finds something.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the target exists");
    (target.run)(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_corpus_stays_harmless() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        for target in &TARGETS {
            let dir = corpus.join(target.name);
            let files = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
            let mut count = 0;
            for file in files {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                (target.run)(&bytes);
                // What is cut off or damaged is what a network delivers.
                for cut in [0, bytes.len() / 3, bytes.len().saturating_sub(1)] {
                    (target.run)(&bytes[..cut]);
                }
                for at in (0..bytes.len()).step_by(1 + bytes.len() / 16) {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 0x41;
                    (target.run)(&damaged);
                }
                count += 1;
            }
            assert!(count > 0, "{} has no corpus", target.name);
        }
    }
}
