//! Which credentials each image was pulled with: an image that came with the secret of one Pod is
//! not given to another Pod that could not have pulled it (KEP-2535). Images that no Pod pulled
//! (imported, or part of the program) are for everybody, under the names they were imported with. Kept on the disk: a restart must not
//! forget it. What cannot be read or was not finished counts against the Pod, never for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// Most secrets that are remembered of one image (upstream's writeRecordWhileMatchingLimit).
const SECRETS_MAX: usize = 100;

/// A secret as far as it must be known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullSecret {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    /// Of the credentials for the image's registry.
    pub hash: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Access {
    anyone: bool,
    secrets: Vec<PullSecret>,
}

/// By repository: the same image may have come from several registries.
type Record = BTreeMap<String, Access>;

#[derive(Default)]
struct State {
    /// Pulls that were begun: an image may be there before its record is.
    begun: HashMap<String, u32>,
    /// By the image's id; `None` if the record is damaged.
    records: HashMap<String, Option<Record>>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct PullRecords {
    dir: PathBuf,
    state: Arc<Mutex<State>>,
}

impl PullRecords {
    /// Reads what was recorded below `dir`, which is made if needed.
    pub fn open(dir: &Path) -> io::Result<PullRecords> {
        let mut state = State::default();
        for path in files(&dir.join("pulled"))? {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let record = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            state.records.insert(format!("sha256:{stem}"), record.as_ref().map(parse));
        }
        for path in files(&dir.join("begun"))? {
            if let Ok(name) = fs::read_to_string(path) {
                state.begun.insert(name, 1);
            }
        }
        Ok(PullRecords { dir: dir.into(), state: Arc::new(Mutex::new(state)) })
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.state.lock().expect("no holder of the records panics"))
    }

    /// Whether a Pod with these secrets has to show that it may pull an image that is there.
    pub fn must_pull(&self, name: &str, id: &str, secrets: &[PullSecret]) -> bool {
        let repository = repository(name);
        let new = self.with(|state| {
            let record = match state.records.get(id) {
                Some(None) => return Err(true),
                Some(Some(record)) => record.get(&repository),
                None => None,
            };
            // The image has this name, and not from a pull: it was imported.
            let Some(access) = record else { return Err(state.begun.contains_key(name)) };
            if access.anyone {
                return Err(false);
            }
            let same = |a: &PullSecret, b: &PullSecret| {
                a.uid == b.uid && a.namespace == b.namespace && a.name == b.name
            };
            let known = secrets
                .iter()
                .find(|mine| access.secrets.iter().any(|had| had.hash == mine.hash || same(had, mine)));
            match known {
                Some(mine) if access.secrets.contains(mine) => Err(false),
                Some(mine) => Ok(mine.clone()),
                None => Err(true),
            }
        });
        match new {
            Err(must) => must,
            Ok(secret) => {
                self.add(name, id, Some(&secret));
                false
            }
        }
    }

    /// Before a pull. Until it ends, whatever is there under the name has to be asked for.
    pub fn begin(&self, name: &str) -> io::Result<()> {
        let first = self.with(|state| {
            let count = state.begun.entry(name.into()).or_default();
            *count += 1;
            *count == 1
        });
        if first { write_durably(&self.begun_path(name), name.as_bytes()) } else { Ok(()) }
    }

    pub fn failed(&self, name: &str) {
        self.end(name);
    }

    /// `secret` is the one the registry accepted; `None` if it asked for none.
    pub fn succeeded(&self, name: &str, id: &str, secret: Option<&PullSecret>) {
        if self.add(name, id, secret) {
            self.end(name);
        }
    }

    fn end(&self, name: &str) {
        let last = self.with(|state| match state.begun.get_mut(name) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            _ => state.begun.remove(name).is_some(),
        });
        if last && let Err(error) = fs::remove_file(self.begun_path(name)) {
            tracing::warn!(image = name, %error, "a finished pull is still noted as begun");
        }
    }

    /// True if it is on the disk.
    fn add(&self, name: &str, id: &str, secret: Option<&PullSecret>) -> bool {
        let changed = self.with(|state| {
            let record = state.records.entry(id.into()).or_default().get_or_insert_default();
            let access = record.entry(repository(name)).or_default();
            let before = access.clone();
            match secret {
                None => *access = Access { anyone: true, secrets: Vec::new() },
                Some(_) if access.anyone => {}
                Some(secret) => {
                    access.secrets.retain(|had| had.uid != secret.uid);
                    access.secrets.push(secret.clone());
                    let surplus = access.secrets.len().saturating_sub(SECRETS_MAX);
                    access.secrets.drain(..surplus);
                }
            }
            (*access != before).then(|| render(record))
        });
        let Some(text) = changed else { return true };
        match write_durably(&self.record_path(id), text.as_bytes()) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(image = name, %error, "a pull could not be recorded");
                false
            }
        }
    }

    /// Forgets images that are gone.
    pub fn keep_only(&self, ids: &BTreeSet<String>) {
        let gone: Vec<String> = self.with(|state| {
            let gone = state.records.keys().filter(|id| !ids.contains(*id)).cloned().collect::<Vec<_>>();
            gone.iter().for_each(|id| drop(state.records.remove(id)));
            gone
        });
        for id in gone {
            let _ = fs::remove_file(self.record_path(&id));
        }
    }

    fn record_path(&self, id: &str) -> PathBuf {
        self.dir.join("pulled").join(format!("{}.json", id.trim_start_matches("sha256:")))
    }

    fn begun_path(&self, name: &str) -> PathBuf {
        let digest = image::Digest::of(name.as_bytes());
        self.dir.join("begun").join(digest.trim_start_matches("sha256:"))
    }
}

/// The name without tag and digest.
fn repository(name: &str) -> String {
    image::Reference::parse(name).map_or_else(|_| name.to_string(), |reference| reference.name())
}

fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    let all = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    // What a crash left half written.
    let (unfinished, whole): (Vec<_>, _) =
        all.into_iter().partition(|path: &PathBuf| path.extension().is_some_and(|e| e == "new"));
    unfinished.iter().try_for_each(fs::remove_file)?;
    Ok(whole)
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

fn render(record: &Record) -> String {
    let secret =
        |s: &PullSecret| json!({"uid": s.uid, "namespace": s.namespace, "name": s.name, "hash": s.hash});
    let access =
        |a: &Access| json!({"anyone": a.anyone, "secrets": a.secrets.iter().map(secret).collect::<Vec<_>>()});
    Value::Object(record.iter().map(|(name, a)| (name.clone(), access(a))).collect()).to_string()
}

fn parse(record: &Value) -> Record {
    let secret = |value: &Value| {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_string();
        PullSecret { uid: text("uid"), namespace: text("namespace"), name: text("name"), hash: text("hash") }
    };
    let access = |value: &Value| Access {
        anyone: value["anyone"] == true,
        secrets: value["secrets"].as_array().into_iter().flatten().map(secret).collect(),
    };
    record.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), access(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "registry.local:5000/app:1";

    fn secret(uid: &str, hash: &str) -> PullSecret {
        PullSecret { uid: uid.into(), namespace: "n".into(), name: "s".into(), hash: hash.into() }
    }

    fn id(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("minke-pulls-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn an_image_is_for_those_who_could_have_pulled_it() {
        let dir = dir("secrets");
        let records = PullRecords::open(&dir).expect("writable");
        assert!(!records.must_pull(APP, &id('a'), &[]), "nobody pulled it: it was imported");
        records.begin(APP).expect("writable");
        assert!(records.must_pull(APP, &id('a'), &[]), "a pull is under way");
        records.succeeded(APP, &id('a'), Some(&secret("1", "x")));
        let check = |records: &PullRecords| {
            assert!(records.must_pull(APP, &id('a'), &[]), "no secret at all");
            assert!(records.must_pull(APP, &id('a'), &[secret("2", "y")]), "another secret");
            assert!(!records.must_pull(APP, &id('a'), &[secret("1", "x")]));
            assert!(!records.must_pull("other.local/app:1", &id('a'), &[]), "imported under this name");
        };
        check(&records);
        check(&PullRecords::open(&dir).expect("after a restart"));
        assert!(!records.must_pull(APP, &id('a'), &[secret("3", "x")]), "another secret, the same password");
        assert!(!records.must_pull(APP, &id('a'), &[secret("1", "changed")]), "the same secret, rotated");
        records.begin(APP).expect("writable");
        records.succeeded(APP, &id('a'), None);
        assert!(!records.must_pull(APP, &id('a'), &[]), "the registry asks for nothing");
        fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn what_is_unfinished_or_damaged_counts_against_the_pod() {
        let dir = dir("damage");
        let records = PullRecords::open(&dir).expect("writable");
        records.begin(APP).expect("writable");
        let records = PullRecords::open(&dir).expect("after a crash");
        assert!(records.must_pull(APP, &id('a'), &[]));
        records.failed(APP);
        assert!(!PullRecords::open(&dir).expect("again").must_pull(APP, &id('a'), &[]));
        fs::write(records.record_path(&id('b')), "{").expect("writable");
        let records = PullRecords::open(&dir).expect("readable");
        assert!(records.must_pull(APP, &id('b'), &[secret("1", "x")]));
        records.keep_only(&BTreeSet::new());
        assert!(!PullRecords::open(&dir).expect("readable").must_pull(APP, &id('b'), &[]));
        fs::remove_dir_all(dir).expect("removed");
    }
}
