//! The data directory: its lock, its version, and where everything in it is.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Version of the directory's layout; a newer one is refused.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "minke.lock";

/// Held while a daemon runs on the directory.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory (0700) if needed and takes it for this process.
    pub fn take(path: &Path) -> Result<DataDir, String> {
        let path = make(path)?;
        let lock = lock(&path)?;
        check_format(&path)?;
        Ok(DataDir { path, _lock: lock })
    }

    /// For commands that work beside a daemon or before the first one: makes the directory if
    /// needed, and from then on it is minke's. The canonical path.
    pub fn share(path: &Path) -> Result<PathBuf, String> {
        let path = make(path)?;
        check_format(&path)?;
        Ok(path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn kubeconfig_path(dir: &Path) -> PathBuf {
        dir.join("admin.kubeconfig")
    }

    /// Written once everything is up: who started the daemon in the background waits for it.
    pub fn ready_path(dir: &Path) -> PathBuf {
        dir.join("ready")
    }

    /// Facts that `minke down` needs about the last run.
    pub fn run_path(dir: &Path) -> PathBuf {
        dir.join("run.json")
    }

    /// The process that holds the directory, if one does.
    pub fn holder(dir: &Path) -> Result<Option<u32>, String> {
        let path = lock_path(dir);
        let Ok(mut file) = File::open(&path) else { return Ok(None) };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(|error| format!("{}: {error}", path.display()))?;
                let pid = text.trim().parse().map_err(|_| format!("{} names no process", path.display()))?;
                Ok(Some(pid))
            }
            Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
        }
    }
}

fn make(path: &Path) -> Result<PathBuf, String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| format!("cannot make the data directory {}: {error}", path.display()))?;
    only_ours(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .map_err(|error| format!("cannot protect the data directory {}: {error}", path.display()))?;
    fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// `minke down --purge` removes the whole directory, so nothing of the user's may be in it at first.
fn only_ours(dir: &Path) -> Result<(), String> {
    if dir.join(FORMAT_FILE).exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?.flatten() {
        let name = entry.file_name();
        if name != LOCK_FILE && name != "lost+found" {
            return Err(format!(
                "{} holds files that are not minke's ({}): name an empty or a new directory with --data-dir",
                dir.display(),
                name.display()
            ));
        }
    }
    Ok(())
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join(LOCK_FILE)
}

fn lock(dir: &Path) -> Result<File, String> {
    let path = lock_path(dir);
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            return Err(format!(
                "a cluster is already running on {} (process {}): use it, stop it with `minke down`, or choose another --data-dir",
                dir.display(),
                pid.trim()
            ));
        }
        Err(TryLockError::Error(error)) => return Err(fail(error)),
    }
    // Always the same length and in place: `minke down` takes it on a full disk too.
    writeln!(file, "{:<10}", std::process::id()).map_err(fail)?;
    Ok(file)
}

fn check_format(dir: &Path) -> Result<(), String> {
    let path = dir.join(FORMAT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(version) if version <= FORMAT => Ok(()),
            Ok(version) => Err(format!(
                "{} was written by a newer minke (format {version}, this one knows {FORMAT}): use that version, or another --data-dir",
                dir.display()
            )),
            Err(_) => Err(format!("{} does not hold a format number", path.display())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::write(&path, format!("{FORMAT}\n")).map_err(|error| format!("{}: {error}", path.display()))
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let fresh = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    fs::rename(&fresh, path).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_daemon_per_directory_and_no_newer_format() {
        let dir = std::env::temp_dir().join(format!("minke-data-{}", std::process::id()));
        let held = DataDir::take(&dir).expect("free");
        assert_eq!(DataDir::holder(&dir), Ok(Some(std::process::id())));
        let error = DataDir::take(&dir).err().expect("taken");
        assert!(error.contains("already running"), "{error}");
        drop(held);
        assert_eq!(DataDir::holder(&dir), Ok(None));
        fs::write(dir.join("format"), "99\n").expect("writable");
        let error = DataDir::take(&dir).err().expect("newer");
        assert!(error.contains("newer minke"), "{error}");
        fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn images_may_come_before_the_first_daemon() {
        let dir = std::env::temp_dir().join(format!("minke-shared-{}", std::process::id()));
        let shared = DataDir::share(&dir).expect("new");
        fs::create_dir(shared.join("images")).expect("writable");
        let held = DataDir::take(&dir).expect("it is minke's");
        assert!(DataDir::share(&dir).is_ok(), "beside a daemon");
        drop(held);
        fs::write(dir.join("format"), "99\n").expect("writable");
        assert!(DataDir::share(&dir).is_err(), "a newer layout");
        fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn a_directory_with_the_users_own_files_is_not_taken() {
        let dir = std::env::temp_dir().join(format!("minke-own-{}", std::process::id()));
        fs::create_dir_all(dir.join("lost+found")).expect("writable");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("ours");
        fs::write(dir.join("thesis.txt"), "").expect("writable");
        let error = DataDir::take(&dir).err().expect("refused");
        assert!(error.contains("thesis.txt"), "{error}");
        let mode = fs::metadata(&dir).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "nothing was changed");
        fs::remove_file(dir.join("thesis.txt")).expect("ours");
        fs::write(dir.join("minke.lock"), "").expect("writable");
        assert!(DataDir::take(&dir).is_ok(), "a new file system, and a first start that was cut short");
        fs::remove_dir_all(dir).expect("removed");
    }
}
