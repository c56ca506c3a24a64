//! The directories of volumes, by Pod: created, filled, given to their group, and removed with
//! the Pod. Everything here may block and runs off the async threads.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use crate::payload::Payload;
use crate::writer;

/// Where volumes of Pods live.
#[derive(Clone, Debug)]
pub struct Volumes {
    /// `<data>/pods`.
    root: PathBuf,
    /// `<data>/pods-removed`: what is given up and only waits to be unlinked.
    removed: PathBuf,
    /// A tmpfs for everything that holds secrets or API data; one mount for all Pods.
    memory: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmptyDir {
    /// `medium: Memory`.
    pub memory: bool,
    /// Enforced on memory-backed volumes.
    pub size_limit_bytes: Option<u64>,
}

impl Volumes {
    /// Opens (and mounts, if it is not there yet) the node's volume area.
    pub fn open(data: &Path) -> io::Result<Volumes> {
        let volumes = Volumes {
            root: data.join("pods"),
            removed: data.join("pods-removed"),
            memory: data.join("memory"),
        };
        make_dir(&volumes.root, 0o750)?;
        make_dir(&volumes.removed, 0o700)?;
        make_dir(&volumes.memory, 0o700)?;
        if !is_mount_point(&volumes.memory)? {
            mount_tmpfs(&volumes.memory, "mode=0700")?;
        }
        Ok(volumes)
    }

    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.root.join(uid)
    }

    fn volume_dir(&self, uid: &str, plugin: &str, name: &str) -> PathBuf {
        self.pod_dir(uid).join("volumes").join(format!("kubernetes.io~{plugin}")).join(name)
    }

    /// Host path of an emptyDir, made on first use.
    pub fn empty_dir(
        &self,
        uid: &str,
        name: &str,
        options: EmptyDir,
        group: Option<u32>,
    ) -> io::Result<PathBuf> {
        let dir = self.volume_dir(uid, "empty-dir", name);
        if dir.exists() && (!options.memory || is_mount_point(&dir)?) {
            return Ok(dir);
        }
        make_dir(&dir, 0o777)?;
        if options.memory {
            let size = options.size_limit_bytes.map(|bytes| format!(",size={bytes}")).unwrap_or_default();
            mount_tmpfs(&dir, &format!("mode=0777{size}"))?;
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777))?;
        if let Some(gid) = group {
            chown(&dir, None, Some(gid))?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o2777))?;
        }
        Ok(dir)
    }

    /// Host path of a volume made of API data, brought up to date; `stamp` is unique per write.
    pub fn payload(
        &self,
        uid: &str,
        name: &str,
        payload: &Payload,
        stamp: &str,
        group: Option<u32>,
    ) -> io::Result<PathBuf> {
        let dir = self.memory.join(uid).join(name);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&dir)?;
        writer::write(&dir, payload, stamp, group)?;
        Ok(dir)
    }

    /// Checks (and for the `OrCreate` types makes) a hostPath.
    pub fn host_path(&self, path: &str, kind: &str) -> Result<PathBuf, String> {
        use std::os::unix::fs::FileTypeExt;
        let target = PathBuf::from(path);
        let is =
            |check: fn(&fs::FileType) -> bool| fs::metadata(&target).is_ok_and(|m| check(&m.file_type()));
        let must = |good: bool, what: &str| {
            if good { Ok(()) } else { Err(format!("hostPath type check failed: {path} is not {what}")) }
        };
        match kind {
            "" => {
                if !target.exists() {
                    make_dir(&target, 0o755).map_err(|e| e.to_string())?;
                }
            }
            "DirectoryOrCreate" => {
                if !target.exists() {
                    make_dir(&target, 0o755).map_err(|e| e.to_string())?;
                }
                must(is(fs::FileType::is_dir), "a directory")?;
            }
            "FileOrCreate" => {
                if !target.exists() {
                    fs::File::create(&target).map_err(|e| e.to_string())?;
                }
                must(is(fs::FileType::is_file), "a file")?;
            }
            "Directory" => must(is(fs::FileType::is_dir), "a directory")?,
            "File" => must(is(fs::FileType::is_file), "a file")?,
            "Socket" => must(is(FileTypeExt::is_socket), "a socket file")?,
            "CharDevice" => must(is(FileTypeExt::is_char_device), "a character device")?,
            "BlockDevice" => must(is(FileTypeExt::is_block_device), "a block device")?,
            other => return Err(format!("hostPath type check failed: unknown type {other:?}")),
        }
        Ok(target)
    }

    /// A file of the Pod's own directory (etc-hosts, termination log), mode 0644.
    pub fn pod_file(&self, uid: &str, name: &str, content: &str) -> io::Result<PathBuf> {
        let path = self.pod_dir(uid).join(name);
        if let Some(parent) = path.parent() {
            make_dir(parent, 0o750)?;
        }
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }

    /// Uids of Pods that left something on the disk.
    pub fn pods(&self) -> io::Result<Vec<String>> {
        let mut all = std::collections::BTreeSet::new();
        for dir in [&self.root, &self.memory] {
            for entry in fs::read_dir(dir)? {
                all.extend(entry?.file_name().into_string().ok());
            }
        }
        Ok(all.into_iter().collect())
    }

    /// Takes everything of a Pod away: mounts and secrets are gone, files on the disk are out of
    /// their place and wait for [`Volumes::discard`]. Idempotent.
    pub fn tear_down(&self, uid: &str) -> io::Result<()> {
        let empty_dirs = self.pod_dir(uid).join("volumes/kubernetes.io~empty-dir");
        for entry in fs::read_dir(empty_dirs).into_iter().flatten() {
            let path = entry?.path();
            if is_mount_point(&path)? {
                rustix::mount::unmount(&path, UnmountFlags::DETACH)?;
            }
        }
        remove_all(&self.memory.join(uid))?;
        match fs::rename(self.pod_dir(uid), self.removed.join(uid)) {
            // There since an earlier attempt, or another file system: the slow way.
            Err(error) if error.kind() != io::ErrorKind::NotFound => remove_all(&self.pod_dir(uid)),
            _ => Ok(()),
        }
    }

    /// Unlinks what [`Volumes::tear_down`] put aside; nobody has to wait for it.
    pub fn discard(&self, uid: &str) -> io::Result<()> {
        remove_all(&self.removed.join(uid))
    }

    /// Uids of Pods that wait for [`Volumes::discard`], after a crash.
    pub fn waiting(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.removed)?.flatten();
        Ok(entries.filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// Unmounts what [`Volumes::open`] mounted; for the end of a node.
    pub fn close(data: &Path) -> io::Result<()> {
        let memory = data.join("memory");
        if memory.exists() && is_mount_point(&memory)? {
            rustix::mount::unmount(&memory, UnmountFlags::DETACH)?;
        }
        Ok(())
    }
}

fn remove_all(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

fn mount_tmpfs(dir: &Path, options: &str) -> io::Result<()> {
    let data = std::ffi::CString::new(options).map_err(io::Error::other)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", dir, "tmpfs", flags, Some(data.as_c_str()))?)
}

/// A directory on another device than its parent is a mount point.
fn is_mount_point(dir: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let parent = dir.parent().unwrap_or(Path::new("/"));
    Ok(fs::metadata(dir)?.dev() != fs::metadata(parent)?.dev())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::File;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("minke-volume-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).expect("the temporary directory is writable");
        dir
    }

    fn payload(content: &str) -> Payload {
        [("a/b".to_string(), File { bytes: content.into(), mode: 0o640 })].into()
    }

    #[test]
    fn updates_swap_all_files_at_once_and_leave_nothing_behind() {
        let dir = scratch("swap");
        assert!(writer::write(&dir, &payload("1"), "t1", None).expect("written"));
        assert!(!writer::write(&dir, &payload("1"), "t2", None).expect("unchanged"));
        assert!(writer::write(&dir, &payload("2"), "t3", None).expect("swapped"));
        assert_eq!(fs::read_to_string(dir.join("a/b")).expect("visible"), "2");
        assert_eq!(fs::metadata(dir.join("a/b")).expect("there").permissions().mode() & 0o777, 0o640);
        writer::write(&dir, &Payload::new(), "t4", None).expect("emptied");
        let left: Vec<_> = fs::read_dir(&dir).expect("readable").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left.len(), 2, "the data directory and its link: {left:?}");
        fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn what_is_torn_down_leaves_its_place_at_once_and_the_disk_when_discarded() {
        let dir = scratch("discard");
        let volumes =
            Volumes { root: dir.join("pods"), removed: dir.join("pods-removed"), memory: dir.join("memory") };
        fs::create_dir_all(&volumes.removed).expect("made");
        for _twice in 0..2 {
            volumes.pod_file("u", "etc-hosts", "x").expect("written");
            fs::create_dir_all(volumes.memory.join("u")).expect("made");
            volumes.tear_down("u").expect("torn down");
            assert_eq!(volumes.pods().expect("readable"), Vec::<String>::new());
        }
        volumes.tear_down("u").expect("idempotent");
        assert_eq!(volumes.waiting().expect("readable"), ["u"]);
        volumes.discard("u").expect("discarded");
        volumes.discard("u").expect("idempotent");
        assert!(volumes.waiting().expect("readable").is_empty());
        fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn paths_cannot_leave_the_volume() {
        let dir = scratch("escape");
        for path in ["../x", "/x", "a/../../x", ""] {
            let bad: Payload = [(path.to_string(), File { bytes: vec![], mode: 0o644 })].into();
            assert!(writer::write(&dir, &bad, "t", None).is_err(), "{path}");
        }
        fs::remove_dir_all(dir).expect("removed");
    }
}
