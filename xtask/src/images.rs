//! `cargo xtask images [--out DIR]`: makes the container images of tests and of documented
//! manifests from Debian packages, as `docker save` archives, without a container engine. Needs
//! apt-get, dpkg-deb, root (for the files' owners) and, the first time, Debian's archive.

mod archive;
mod catalog;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use catalog::{Extra, Recipe};

/// Packages that the others depend on for their installation scripts, which do not run here, or
/// for what an image never uses.
const UNUSED_PACKAGES: [&str; 18] = [
    "adduser",
    "cdebconf",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "libllvm14",
    "libperl5.36",
    "libz3-4",
    "locales",
    "passwd",
    "perl",
    "perl-base",
    "perl-modules-5.36",
    "sensible-utils",
    "ssl-cert",
    "sysvinit-utils",
    "ucf",
    "usrmerge",
];
/// Below the root of every image: documentation for people who are not there.
const UNUSED_PATHS: [&str; 8] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/lib/postgresql/15/lib/llvmjit.so",
];
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\n\
    postgres:x:999:999:postgres:/var/lib/postgresql:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\nadm:x:4:\nwww-data:x:33:\npostgres:x:999:\nnogroup:x:65534:\n";

pub fn run(args: &[String]) -> Result<(), String> {
    let out = match args {
        [] => default_out(),
        [flag, dir] if flag == "--out" => PathBuf::from(dir),
        _ => return Err("images: wants nothing or --out DIR".into()),
    };
    if !is_root() {
        return Err("images: must run as root, so that the files in the images have their owners".into());
    }
    fs::create_dir_all(&out).map_err(at(&out))?;
    for recipe in catalog::RECIPES {
        make(recipe, &out)?;
    }
    Ok(())
}

fn default_out() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/images")
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Makes one archive, unless there is one from the same recipe.
fn make(recipe: &Recipe, out: &Path) -> Result<(), String> {
    let target = out.join(format!("{}.tar", recipe.file));
    let note = out.join(format!(".{}.recipe", recipe.file));
    let text = format!("{recipe:?}");
    if target.exists() && fs::read_to_string(&note).is_ok_and(|made| made == text) {
        println!("{}: present", target.display());
        return Ok(());
    }
    let root = out.join(".work").join(recipe.file);
    remove_tree(&root)?;
    fs::create_dir_all(&root).map_err(at(&root))?;
    for package in packages(recipe, out)? {
        run_tool(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root))?;
    }
    finish(recipe, &root)?;
    let fresh = out.join(format!("{}.tar.new", recipe.file));
    archive::write(recipe, &root, &fresh)?;
    fs::rename(&fresh, &target).map_err(at(&target))?;
    fs::write(&note, text).map_err(at(&note))?;
    remove_tree(&root)?;
    println!("{}: {}", target.display(), recipe.names.join(", "));
    Ok(())
}

/// The .deb files of a recipe and of all they depend on, downloaded.
fn packages(recipe: &Recipe, out: &Path) -> Result<Vec<PathBuf>, String> {
    let cache = out.join(".packages");
    let partial = cache.join("partial");
    fs::create_dir_all(&partial).map_err(at(&partial))?;
    // As if nothing were installed: the answer must not depend on this machine.
    let status = out.join(".nothing-installed");
    fs::write(&status, "").map_err(at(&status))?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.arg("-o").arg(format!("Dir::State::status={}", status.display()));
        apt.arg("-o").arg(format!("Dir::Cache::archives={}", cache.display()));
        apt.args([
            "-o",
            "Debug::NoLocking=1",
            "-o",
            "APT::Sandbox::User=root",
            "-qq",
            "-y",
            "--no-install-recommends",
        ]);
        apt
    };
    // With an empty cache directory in its place every package is listed, downloaded or not.
    let mut list = apt();
    let nowhere = out.join(".no-packages");
    fs::create_dir_all(nowhere.join("partial")).map_err(at(&nowhere))?;
    list.arg("-o").arg(format!("Dir::Cache::archives={}", nowhere.display()));
    let listed = run_tool(list.args(["--print-uris", "install"]).args(recipe.packages))?;
    let files: BTreeSet<&str> = listed.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    let wanted: Vec<&str> = files
        .into_iter()
        .filter(|file| !UNUSED_PACKAGES.contains(&file.split('_').next().unwrap_or_default()))
        .collect();
    if wanted.is_empty() {
        return Err(format!(
            "images: apt-get knows none of {}; try apt-get update",
            recipe.packages.join(", ")
        ));
    }
    if !wanted.iter().all(|file| cache.join(file).exists()) {
        run_tool(apt().args(["--download-only", "install"]).args(recipe.packages))?;
    }
    Ok(wanted.into_iter().map(|file| cache.join(file)).collect())
}

/// What packages do at installation, and what the recipe adds.
fn finish(recipe: &Recipe, root: &Path) -> Result<(), String> {
    for path in UNUSED_PATHS {
        remove_tree(&root.join(path))?;
    }
    for (dir, mode) in [
        ("tmp", 0o1777),
        ("var/tmp", 0o1777),
        ("root", 0o700),
        ("etc", 0o755),
        ("run", 0o755),
        ("home", 0o755),
    ] {
        make_dir(&root.join(dir), mode)?;
    }
    for dir in ["proc", "sys", "dev", "var/log", "usr/bin", "bin"] {
        make_dir(&root.join(dir), 0o755)?;
    }
    write(&root.join("etc/passwd"), PASSWD, 0o644)?;
    write(&root.join("etc/group"), GROUP, 0o644)?;
    if root.join("bin/busybox").exists() {
        busybox_links(root)?;
    }
    for extra in recipe.extras {
        add(extra, root)?;
    }
    Ok(())
}

/// A link for each of its programs that no package brought.
fn busybox_links(root: &Path) -> Result<(), String> {
    let list = run_tool(Command::new(root.join("bin/busybox")).arg("--list"))?;
    for name in list.lines() {
        let places = ["bin", "sbin", "usr/bin", "usr/sbin"].map(|dir| root.join(dir).join(name));
        if places.iter().all(|place| fs::symlink_metadata(place).is_err()) {
            symlink("busybox", root.join("bin").join(name)).map_err(at(root))?;
        }
    }
    Ok(())
}

fn add(extra: &Extra, root: &Path) -> Result<(), String> {
    match extra {
        Extra::File(path, content) => write(&root.join(path), content, 0o644),
        Extra::Script(path, content) => write(&root.join(path), content, 0o755),
        Extra::Dir(path, owner) => {
            let path = root.join(path);
            make_dir(&path, 0o755)?;
            chown(&path, Some(*owner), Some(*owner)).map_err(at(&path))
        }
        Extra::Link(path, target) => {
            let path = root.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(at(parent))?;
            }
            if fs::symlink_metadata(&path).is_ok() {
                fs::remove_file(&path).map_err(at(&path))?;
            }
            symlink(target, &path).map_err(at(&path))
        }
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<(), String> {
    fs::create_dir_all(path).map_err(at(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(at(path))
}

fn write(path: &Path, content: &str, mode: u32) -> Result<(), String> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    fs::write(path, content).map_err(at(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(at(path))
}

fn remove_tree(path: &Path) -> Result<(), String> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    result.map_err(at(path))
}

/// What a tool prints; an error with its own words if it fails.
fn run_tool(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> String + '_ {
    move |error| format!("{}: {error}", path.display())
}
