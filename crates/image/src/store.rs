//! The images of a node: `<dir>/layers/<hex>` holds each unpacked layer, `<dir>/images/<hex>.json`
//! what an image is, `<dir>/partial` what is not finished, `<dir>/holds` what containers use. Everything else is derived from these
//! files, which several processes may share (see `lock`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use crate::config::ImageConfig;
use crate::error::{At, Error, Result};
use crate::holds::held;
use crate::layer::{Digest, unpack};
use crate::lock::{Changes, Locked, Work};
use crate::record::{self, layers};
use crate::reference::Reference;

/// Shortest start of an image's id that names it.
const SHORT_ID: usize = 12;

/// An image that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Digest of its config: `sha256:…`.
    pub id: String,
    /// Full names with tags.
    pub names: BTreeSet<String>,
    /// Full names with digests.
    pub digests: BTreeSet<String>,
    /// Bytes of its layers as transported (unpacked where it never was).
    pub size: u64,
    pub config: ImageConfig,
    /// Unpacked layers, topmost first: the lower directories of an overlay.
    pub layers: Vec<PathBuf>,
}

/// What a finished pull or import adds.
pub struct NewImage<'a> {
    /// The config's bytes.
    pub config: &'a [u8],
    pub name: Option<&'a Reference>,
    /// Digest of the manifest, for `name@digest`.
    pub manifest_digest: Option<&'a str>,
    pub size: u64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) dir: PathBuf,
    changes: Changes,
    state: RwLock<State>,
    /// Layers were added that may not be on the disk yet.
    unsynced: AtomicBool,
    /// For names in `partial` that no other opener of the store ever has: one that is being swept
    /// away there must not be ours.
    unique: u64,
    partials: AtomicU64,
    /// Layers being fetched: the second one to want it waits and finds it there.
    fetching: Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

#[derive(Default)]
struct State {
    /// The count of changes at which the records were read.
    count: u64,
    images: BTreeMap<String, Arc<Image>>,
}

type Writing<'a> = (RwLockWriteGuard<'a, State>, Locked<'a>);

impl Store {
    /// Opens (or makes) the store, and clears what a crash left behind.
    ///
    /// # Errors
    /// A record that cannot be read, with its path; nothing is removed then.
    pub fn open(dir: &Path) -> Result<Store> {
        for part in ["layers", "images", "partial", "holds"] {
            fs::create_dir_all(dir.join(part)).at(dir)?;
        }
        // Images hold setuid programs, which are for containers and not for the host's users.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).at(dir)?;
        let inner = Inner {
            dir: dir.into(),
            changes: Changes::open(dir)?,
            state: RwLock::default(),
            unsynced: AtomicBool::new(false),
            unique: RandomState::new().hash_one(std::process::id()),
            partials: AtomicU64::new(0),
            fetching: Mutex::default(),
        };
        let store = Store { inner: Arc::new(inner) };
        let trash = {
            let mut state = store.inner.state.write().expect("no writer panics");
            let _locked = store.inner.changes.lock(true)?;
            store.read_records(&mut state)?;
            store.sweep(&state)?
        };
        empty(&trash)?;
        Ok(store)
    }

    fn read_records(&self, state: &mut State) -> Result<()> {
        let count = self.inner.changes.count();
        *state = State { count, images: record::read_all(&self.inner.dir)? };
        Ok(())
    }

    /// The records as they are now, whoever changed them. What cannot be read then is left out
    /// until somebody changes something: writers report it.
    fn reading(&self) -> RwLockReadGuard<'_, State> {
        let state = self.inner.state.read().expect("no writer panics");
        if state.count == self.inner.changes.count() {
            return state;
        }
        drop(state);
        let mut state = self.inner.state.write().expect("no writer panics");
        if let Ok(_locked) = self.inner.changes.lock(false) {
            let count = self.inner.changes.count();
            if state.count != count && self.read_records(&mut state).is_err() {
                state.count = count;
            }
        }
        drop(state);
        self.inner.state.read().expect("no writer panics")
    }

    /// The only writer of records, with all of them read.
    fn writing(&self) -> Result<Writing<'_>> {
        let mut state = self.inner.state.write().expect("no writer panics");
        let locked = self.inner.changes.lock(true)?;
        if state.count != self.inner.changes.count() {
            self.read_records(&mut state)?;
        }
        state.count = locked.announce()?;
        Ok((state, locked))
    }

    pub fn images(&self) -> Vec<Arc<Image>> {
        self.reading().images.values().cloned().collect()
    }

    /// By id (or the start of one, 12 digits at least), by name, or by name and digest.
    pub fn resolve(&self, name: &str) -> Option<Arc<Image>> {
        find(&self.reading().images, name)
    }

    pub fn has_layer(&self, diff_id: &str) -> Result<bool> {
        Ok(self.layer_dir(diff_id)?.is_dir())
    }

    fn layer_dir(&self, diff_id: &str) -> Result<PathBuf> {
        Ok(self.inner.dir.join("layers").join(Digest::hex(diff_id)?))
    }

    /// To be held from before the first layer is added (or found present) until the image is:
    /// layers that no image refers to are otherwise swept away.
    pub fn begin(&self) -> Result<Work> {
        Work::begin(&self.inner.dir)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.inner.dir
    }

    pub(crate) fn while_nothing_is_removed<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let _one_thread = self.inner.state.write().expect("no writer panics");
        let _locked = self.inner.changes.lock(false)?;
        work()
    }

    /// The turn of one fetcher of a layer.
    pub(crate) fn fetch_turn(&self, diff_id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut fetching = self.inner.fetching.lock().expect("no holder panics");
        fetching.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = fetching.get(diff_id).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        fetching.insert(diff_id.into(), Arc::downgrade(&turn));
        turn
    }

    /// A path that nobody has, for a file or directory that is not finished; gone when dropped.
    pub(crate) fn partial(&self) -> Partial {
        let number = self.inner.partials.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:016x}-{number}", self.inner.unique);
        Partial { path: self.inner.dir.join("partial").join(name) }
    }

    /// Unpacks a layer unless it is there. Blocks. See [`Store::begin`].
    pub fn add_layer(&self, diff_id: &str, compressed: impl Read + Send) -> Result<()> {
        if self.has_layer(diff_id)? {
            return Ok(());
        }
        let partial = self.partial();
        unpack(compressed, diff_id, partial.path())?;
        self.finish_layer(&partial, diff_id)
    }

    /// A layer that is made on this node rather than unpacked; `build` fills its directory.
    /// See [`Store::begin`].
    pub fn build_layer(&self, diff_id: &str, build: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
        if self.has_layer(diff_id)? {
            return Ok(());
        }
        let partial = self.partial();
        fs::create_dir(partial.path()).at(partial.path())?;
        build(partial.path()).at(partial.path())?;
        self.finish_layer(&partial, diff_id)
    }

    fn finish_layer(&self, partial: &Partial, diff_id: &str) -> Result<()> {
        let dir = self.layer_dir(diff_id)?;
        fs::set_permissions(partial.path(), fs::Permissions::from_mode(0o755)).at(partial.path())?;
        self.inner.unsynced.store(true, Ordering::Release);
        match fs::rename(partial.path(), &dir) {
            // Somebody else was faster with the same content.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                Ok(())
            }
            result => result.at(&dir),
        }
    }

    /// Makes an image whose layers are all there known under its name.
    pub fn add_image(&self, new: &NewImage<'_>) -> Result<Arc<Image>> {
        let config = ImageConfig::parse(new.config)?;
        let id = Digest::of(new.config);
        // A record must never outlive its layers, not even a power failure.
        if self.inner.unsynced.swap(false, Ordering::AcqRel) {
            let dir = fs::File::open(&self.inner.dir).at(&self.inner.dir)?;
            rustix::fs::syncfs(&dir).map_err(io::Error::from).at(&self.inner.dir)?;
        }
        let (mut state, _locked) = self.writing()?;
        let mut image = match state.images.get(&id) {
            Some(image) => (**image).clone(),
            None => Image {
                id: id.clone(),
                names: BTreeSet::new(),
                digests: BTreeSet::new(),
                size: new.size,
                layers: layers(&self.inner.dir, &config)?,
                config,
            },
        };
        if let Some(name) = new.name {
            self.take_names(&mut state, &mut image, name, new.manifest_digest)?;
        }
        record::write(&self.inner.dir, &image, new.config)?;
        let image = Arc::new(image);
        state.images.insert(id, image.clone());
        Ok(image)
    }

    /// Another name for an image that is there.
    pub(crate) fn add_name(&self, id: &str, name: &Reference, manifest_digest: &str) -> Result<Arc<Image>> {
        let (mut state, _locked) = self.writing()?;
        let Some(image) = state.images.get(id) else { return Err(Error::NotFound(id.into())) };
        let mut image = (**image).clone();
        self.take_names(&mut state, &mut image, name, Some(manifest_digest))?;
        record::rewrite(&self.inner.dir, &image)?;
        let image = Arc::new(image);
        state.images.insert(id.into(), image.clone());
        Ok(image)
    }

    /// A tag names one image: the one that had it loses it.
    fn take_names(
        &self,
        state: &mut State,
        image: &mut Image,
        name: &Reference,
        manifest_digest: Option<&str>,
    ) -> Result<()> {
        if let Some(digest) = manifest_digest {
            image.digests.insert(format!("{}@{digest}", name.name()));
        }
        if name.tag.is_empty() {
            return Ok(());
        }
        let tagged = Reference { digest: String::new(), ..name.clone() }.to_string();
        for other in state.images.values_mut().filter(|i| i.id != image.id && i.names.contains(&tagged)) {
            let mut old = (**other).clone();
            old.names.remove(&tagged);
            record::rewrite(&self.inner.dir, &old)?;
            *other = Arc::new(old);
        }
        image.names.insert(tagged);
        Ok(())
    }

    /// Notes that an image is used now: garbage collection takes those first that are not.
    pub fn mark_used(&self, image: &Image) -> Result<()> {
        record::touch(&self.inner.dir, &image.id)
    }

    /// Removes a name; with its last name (or by id) the image and the layers no other one has.
    /// Layers that are held ([`Store::hold`]) stay until they no longer are.
    pub fn remove(&self, name: &str) -> Result<()> {
        let trash = {
            let (mut state, _locked) = self.writing()?;
            let found = find(&state.images, name).ok_or_else(|| Error::NotFound(name.into()))?;
            let mut image = (*found).clone();
            if let Ok(reference) = Reference::parse(name) {
                let digest = format!("{}@{}", reference.name(), reference.digest);
                let by_name = image.names.remove(&reference.to_string()) || image.digests.remove(&digest);
                if by_name && !image.names.is_empty() {
                    record::rewrite(&self.inner.dir, &image)?;
                    state.images.insert(image.id.clone(), Arc::new(image));
                    return Ok(());
                }
            }
            record::remove(&self.inner.dir, &image.id)?;
            state.images.remove(&image.id);
            self.sweep(&state)?
        };
        empty(&trash)
    }

    /// Removes what failed pulls and removals beside a pull left behind.
    pub(crate) fn clear(&self) -> Result<()> {
        let trash = {
            let (state, _locked) = self.writing()?;
            self.sweep(&state)?
        };
        empty(&trash)
    }

    /// Puts layers no image refers to out of the way, unless somebody is adding some; the answer
    /// is to be deleted, which takes longer and needs no lock.
    fn sweep(&self, state: &State) -> Result<Vec<PathBuf>> {
        let Some(_alone) = Work::alone(&self.inner.dir)? else { return Ok(Vec::new()) };
        let used: BTreeSet<&PathBuf> = state.images.values().flat_map(|image| &image.layers).collect();
        let held = held(&self.inner.dir)?;
        for layer in entries(&self.inner.dir.join("layers"))? {
            if !used.contains(&layer) && !held.contains(&layer) {
                // Never half a layer under its full name.
                let mut partial = self.partial();
                fs::rename(&layer, partial.path()).at(&layer)?;
                partial.keep();
            }
        }
        entries(&self.inner.dir.join("partial"))
    }
}

/// Something unfinished; removed with it.
pub(crate) struct Partial {
    path: PathBuf,
}

impl Partial {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn keep(&mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = remove_any(&self.path);
        }
    }
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(dir).at(dir)?.map(|entry| Ok(entry.at(dir)?.path())).collect()
}

fn empty(trash: &[PathBuf]) -> Result<()> {
    trash.iter().try_for_each(|path| remove_any(path).at(path))
}

/// A file or a whole directory; it may be gone already.
fn remove_any(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn find(images: &BTreeMap<String, Arc<Image>>, name: &str) -> Option<Arc<Image>> {
    let id = name.strip_prefix("sha256:").unwrap_or(name);
    if id.len() >= SHORT_ID {
        let mut found = images.values().filter(|image| image.id["sha256:".len()..].starts_with(id));
        // A start that several ids have names none.
        if let (Some(image), None) = (found.next(), found.next()) {
            return Some(image.clone());
        }
    }
    let reference = Reference::parse(name).ok()?;
    if !reference.digest.is_empty() {
        let wanted = format!("{}@{}", reference.name(), reference.digest);
        return images.values().find(|image| image.digests.contains(&wanted)).cloned();
    }
    let wanted = reference.to_string();
    images.values().find(|image| image.names.contains(&wanted)).cloned()
}
