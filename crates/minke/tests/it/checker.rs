//! Histories of clients and watches, and what must be true of them.

use std::collections::{BTreeMap, BTreeSet};

/// What a client did to an object and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub name: String,
    /// The value it wrote; `None`: it deleted the object.
    pub value: Option<u64>,
    /// The revision it was told; `None`: no (good) answer, it may have happened.
    pub revision: Option<u64>,
}

/// What a watch said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub revision: u64,
    pub name: String,
    pub value: u64,
    pub deleted: bool,
}

/// An object at the end.
pub type Final = BTreeMap<String, (u64, u64)>;

/// Each watch began before the first write and ended after the last one.
pub fn check(writes: &[Write], watches: &[Vec<Seen>], finals: &[Final]) -> Result<(), String> {
    let first = watches.first().ok_or("no watch")?;
    for (n, watch) in watches.iter().enumerate() {
        for pair in watch.windows(2) {
            if pair[0].revision >= pair[1].revision {
                return Err(format!("watch {n}: {:?} came before {:?}", pair[0], pair[1]));
            }
        }
        if watch != first {
            let at =
                watch.iter().zip(first).position(|(a, b)| a != b).unwrap_or(watch.len().min(first.len()));
            return Err(format!("watches 0 and {n} differ: {:?}, {:?}", first.get(at), watch.get(at)));
        }
    }
    acknowledged(writes, first)?;
    invented(writes, first)?;
    let mut state = Final::new();
    for seen in first {
        if seen.deleted {
            state.remove(&seen.name);
        } else {
            state.insert(seen.name.clone(), (seen.revision, seen.value));
        }
    }
    match finals.iter().position(|found| *found != state) {
        Some(n) => Err(format!("server {n} ends with another state than the watches tell")),
        None => Ok(()),
    }
}

/// No acknowledged write is lost, and no revision was given twice.
fn acknowledged(writes: &[Write], watch: &[Seen]) -> Result<(), String> {
    let by_revision: BTreeMap<u64, &Seen> = watch.iter().map(|seen| (seen.revision, seen)).collect();
    let mut used = BTreeSet::new();
    for write in writes {
        let Some(revision) = write.revision else { continue };
        if !used.insert(revision) {
            return Err(format!("revision {revision} was given twice"));
        }
        let good = by_revision.get(&revision).is_some_and(|seen| {
            seen.name == write.name
                && seen.deleted == write.value.is_none()
                && write.value.is_none_or(|value| value == seen.value)
        });
        if !good {
            return Err(format!(
                "acknowledged and not seen: {write:?}, there was {:?}",
                by_revision.get(&revision)
            ));
        }
    }
    Ok(())
}

/// Whatever was seen somebody wrote, as often as it was written at most.
fn invented(writes: &[Write], watch: &[Seen]) -> Result<(), String> {
    let mut left: BTreeMap<(&str, Option<u64>), i64> = BTreeMap::new();
    for write in writes {
        *left.entry((&write.name, write.value)).or_default() += 1;
    }
    for seen in watch {
        let value = (!seen.deleted).then_some(seen.value);
        let count = left.entry((&seen.name, value)).or_default();
        *count -= 1;
        if *count < 0 {
            return Err(format!("nobody did this: {seen:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, value: Option<u64>, revision: Option<u64>) -> Write {
        Write { name: name.into(), value, revision }
    }

    fn seen(revision: u64, name: &str, value: u64, deleted: bool) -> Seen {
        Seen { revision, name: name.into(), value, deleted }
    }

    #[test]
    fn every_kind_of_loss_is_found() {
        let writes = [write("a", Some(1), Some(5)), write("a", Some(2), None), write("a", None, Some(9))];
        let good = vec![seen(5, "a", 1, false), seen(7, "a", 2, false), seen(9, "a", 2, true)];
        let with = |watch: Vec<Seen>| check(&writes, &[good.clone(), watch], &[Final::new()]);
        assert_eq!(with(good.clone()), Ok(()));
        assert!(with(vec![good[0].clone(), good[2].clone()]).is_err(), "a gap");
        assert!(with(vec![good[1].clone(), good[0].clone(), good[2].clone()]).is_err(), "order");
        assert!(check(&writes, &[good[..2].to_vec()], &[]).is_err(), "a lost write");
        let twice = [write("a", Some(1), Some(5)), write("b", Some(1), Some(5))];
        assert!(check(&twice, std::slice::from_ref(&good), &[]).is_err(), "a revision used twice");
        let other = Final::from([("a".into(), (5, 1))]);
        assert!(check(&writes, std::slice::from_ref(&good), &[other]).is_err(), "another end");
        assert!(check(&writes[..1], &[good], &[Final::new()]).is_err(), "invented");
    }
}
