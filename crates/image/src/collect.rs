//! Garbage collection of images by disk usage: between two thresholds, as the kubelet's
//! `imageGCHighThresholdPercent` and `imageGCLowThresholdPercent` describe it. Who is asked to
//! collect decides which images are in use.

use std::fs;
use std::io;
use std::time::SystemTime;

use crate::error::{At, Error, Result};
use crate::record;
use crate::store::{Image, Store};

/// What a collection did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Ids of the removed images.
    pub removed: Vec<String>,
    /// Bytes to free for the lower threshold; 0 below the upper one.
    pub wanted_bytes: u64,
    /// Sizes of the removed images together.
    pub freed_bytes: u64,
}

impl Collected {
    /// Upstream's message if not enough could be removed.
    pub fn shortfall(&self) -> Option<String> {
        (self.freed_bytes < self.wanted_bytes).then(|| {
            format!(
                "Failed to garbage collect required amount of images. Attempted to free {} bytes, but only found {} bytes eligible to free.",
                self.wanted_bytes, self.freed_bytes
            )
        })
    }
}

/// Of the file system that holds the store, in bytes.
#[derive(Clone, Copy, Debug)]
struct Disk {
    capacity: u64,
    available: u64,
}

struct Candidate {
    id: String,
    size: u64,
    last_used: SystemTime,
}

impl Store {
    /// Removes images that are not in use, least recently used first, if the disk is fuller than
    /// `high_percent`, until it is only `low_percent` full. Blocks.
    pub fn collect(
        &self,
        high_percent: u8,
        low_percent: u8,
        in_use: &dyn Fn(&Image) -> bool,
    ) -> Result<Collected> {
        self.clear()?;
        let disk = self.disk()?;
        let mut candidates = Vec::new();
        for image in self.images().iter().filter(|image| !in_use(image)) {
            let path = record::path(&self.inner.dir, &image.id)?;
            // Another process may just have removed it.
            let Ok(last_used) = fs::metadata(&path).and_then(|metadata| metadata.modified()) else {
                continue;
            };
            candidates.push(Candidate { id: image.id.clone(), size: image.size, last_used });
        }
        let mut collected = plan(disk, high_percent, low_percent, candidates);
        let mut removed = Vec::new();
        for id in std::mem::take(&mut collected.removed) {
            match self.remove(&id) {
                Ok(()) | Err(Error::NotFound(_)) => removed.push(id),
                Err(error) => return Err(error),
            }
        }
        Ok(Collected { removed, ..collected })
    }

    fn disk(&self) -> Result<Disk> {
        let dir = &self.inner.dir;
        let stat = rustix::fs::statvfs(dir).map_err(io::Error::from).at(dir)?;
        Ok(Disk { capacity: stat.f_blocks * stat.f_frsize, available: stat.f_bavail * stat.f_frsize })
    }
}

/// Which images to remove, in order.
fn plan(disk: Disk, high_percent: u8, low_percent: u8, mut candidates: Vec<Candidate>) -> Collected {
    let mut collected = Collected::default();
    if disk.capacity == 0 {
        return collected;
    }
    let of_capacity = |percent: u64| (u128::from(disk.capacity) * u128::from(percent) / 100) as u64;
    let free_percent = (u128::from(disk.available) * 100 / u128::from(disk.capacity)) as u64;
    if 100u64.saturating_sub(free_percent) < u64::from(high_percent) {
        return collected;
    }
    let low_percent = u64::from(low_percent.min(100));
    collected.wanted_bytes = of_capacity(100 - low_percent).saturating_sub(disk.available);
    candidates.sort_by(|a, b| (a.last_used, &a.id).cmp(&(b.last_used, &b.id)));
    for candidate in candidates {
        if collected.freed_bytes >= collected.wanted_bytes {
            break;
        }
        collected.freed_bytes += candidate.size;
        collected.removed.push(candidate.id);
    }
    collected
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn images() -> Vec<Candidate> {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        [("new", 10, 3), ("old", 10, 1), ("middle", 10, 2)]
            .map(|(id, size, used)| Candidate { id: id.into(), size, last_used: at(used) })
            .into()
    }

    #[test]
    fn thresholds_are_upstreams() {
        /// Available of 100, high, low.
        type Given = (u64, u8, u8);
        // What is wanted, and what is removed for it.
        let cases: [(Given, u64, &[&str]); 7] = [
            ((16, 85, 80), 0, &[]),
            ((15, 85, 80), 5, &["old"]),
            ((9, 85, 80), 11, &["old", "middle"]),
            ((0, 85, 10), 90, &["old", "middle", "new"]),
            ((50, 100, 80), 0, &[]),
            ((0, 100, 100), 0, &[]),
            ((40, 0, 80), 0, &[]),
        ];
        for ((available, high, low), wanted, removed) in cases {
            let collected = plan(Disk { capacity: 100, available }, high, low, images());
            assert_eq!(collected.wanted_bytes, wanted, "{available} {high} {low}");
            assert_eq!(collected.removed, removed, "{available} {high} {low}");
        }
    }

    #[test]
    fn a_shortfall_is_told_in_upstreams_words() {
        let collected = plan(Disk { capacity: 100, available: 0 }, 85, 10, images());
        assert_eq!(
            collected.shortfall().expect("too little to free"),
            "Failed to garbage collect required amount of images. Attempted to free 90 bytes, but only found 30 bytes eligible to free."
        );
        assert_eq!(plan(Disk { capacity: 0, available: 0 }, 85, 80, images()), Collected::default());
    }
}
