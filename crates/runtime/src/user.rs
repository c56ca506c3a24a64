//! Users and groups by name: /etc/passwd and /etc/group of a container, read as text.

use crate::error::{Error, ErrorKind, Result};
use crate::spec::{User, UserSpec};
use std::fs;
use std::path::Path;

/// Who a process really runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups, sorted, without duplicates; the primary group is one of them (a set-gid
    /// program must not lose what is denied to the group, CVE-2022-2995).
    pub gids: Vec<u32>,
    /// Home directory of the entry in /etc/passwd.
    pub home: Option<String>,
}

/// Resolves `user`, `uid`, `user:group`, `uid:gid` and so on against the file system at `rootfs`
/// (`/` for the calling process's own). Numbers need no entry; a name without one is a `Start`
/// error worded as containerd words it.
pub fn resolve_user(rootfs: &Path, name: &str) -> Result<ResolvedUser> {
    let user = User { spec: UserSpec::Name(name.to_owned()), ..Default::default() };
    let read = |file| fs::read_to_string(rootfs.join(file)).unwrap_or_default();
    resolve(&user, &read("etc/passwd"), &read("etc/group"))
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let f: Vec<&str> = line.split(':').collect();
        let (uid, gid) = (f.get(2)?.parse().ok()?, f.get(3)?.parse().ok()?);
        Some(Account { name: f[0], uid, gid, home: f.get(5).unwrap_or(&"") })
    })
}

/// (name, gid, members)
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let f: Vec<&str> = line.split(':').collect();
        Some((f[0], f.get(2)?.parse().ok()?, *f.get(3).unwrap_or(&"")))
    })
}

pub(crate) fn resolve(user: &User, passwd: &str, group: &str) -> Result<ResolvedUser> {
    let missing = |text: String| Error::new(ErrorKind::Start, text);
    let (account, uid, gid) = match &user.spec {
        UserSpec::Ids { uid, gid } => {
            let account = accounts(passwd).find(|a| a.uid == *uid);
            let default = account.as_ref().map_or(0, |a| a.gid);
            (account, *uid, gid.unwrap_or(default))
        }
        UserSpec::Name(text) => {
            let (name, group_name) = match text.split_once(':') {
                Some((name, group)) => (name, Some(group).filter(|g| !g.is_empty())),
                None => (text.as_str(), None),
            };
            let number = if name.is_empty() { Some(0) } else { name.parse::<u32>().ok() };
            // An entry wins over a number: accounts may have numeric names.
            let account = accounts(passwd)
                .find(|a| a.name == name)
                .or_else(|| accounts(passwd).find(|a| Some(a.uid) == number));
            let uid = match (&account, number) {
                (Some(account), _) => account.uid,
                (None, Some(number)) => number,
                (None, None) => {
                    return Err(missing(format!(
                        "unable to find user {name}: no matching entries in passwd file"
                    )));
                }
            };
            let gid = match group_name {
                None => account.as_ref().map_or(0, |a| a.gid),
                Some(wanted) => groups(group)
                    .find(|(name, ..)| *name == wanted)
                    .map(|(_, gid, _)| gid)
                    .or_else(|| wanted.parse().ok())
                    .ok_or_else(|| {
                        missing(format!("unable to find group {wanted}: no matching entries in group file"))
                    })?,
            };
            (account, uid, gid)
        }
    };
    let mut gids = user.additional_gids.clone();
    if let (true, Some(account)) = (user.merge_image_groups, &account) {
        let member = |members: &str| members.split(',').any(|m| m == account.name);
        gids.extend(groups(group).filter(|(.., members)| member(members)).map(|(_, gid, _)| gid));
    }
    gids.push(gid);
    gids.sort_unstable();
    gids.dedup();
    let home = account.map(|a| a.home.to_owned()).filter(|h| !h.is_empty());
    Ok(ResolvedUser { uid, gid, gids, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:w:/srv:/bin/false\nbroken\n7:x:70:71::/n:\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\nlogs:x:4:web,root\nextra:x:90:web\n";

    #[test]
    fn users_and_groups_by_name_and_number() {
        let table: [(&str, u32, u32, &[u32]); 9] = [
            ("", 0, 0, &[0, 4]),
            ("root", 0, 0, &[0, 4]),
            ("web", 33, 34, &[4, 34, 90]),
            ("33", 33, 34, &[4, 34, 90]),
            ("web:logs", 33, 4, &[4, 90]),
            ("web:99", 33, 99, &[4, 90, 99]),
            ("1000", 1000, 0, &[0]),
            ("1000:1000", 1000, 1000, &[1000]),
            ("7", 70, 71, &[71]),
        ];
        for (name, uid, gid, gids) in table {
            let user = User { spec: UserSpec::Name(name.into()), ..Default::default() };
            let got = resolve(&user, PASSWD, GROUP).unwrap();
            assert_eq!((got.uid, got.gid, got.gids.as_slice()), (uid, gid, gids), "{name}");
        }
    }

    #[test]
    fn strict_groups_are_only_those_given() {
        let user = User {
            spec: UserSpec::Ids { uid: 33, gid: None },
            additional_gids: vec![2000, 5, 2000],
            merge_image_groups: false,
            umask: None,
        };
        let got = resolve(&user, PASSWD, GROUP).unwrap();
        assert_eq!((got.gid, got.gids, got.home), (34, vec![5, 34, 2000], Some("/srv".into())));
    }

    #[test]
    fn unknown_names_are_start_errors() {
        for (name, words) in [("nobody", "unable to find user nobody"), ("web:zz", "unable to find group zz")]
        {
            let user = User { spec: UserSpec::Name(name.into()), ..Default::default() };
            let error = resolve(&user, PASSWD, GROUP).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Start);
            assert!(error.message.contains(words));
        }
    }
}
