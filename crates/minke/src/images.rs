//! `minke image …`, and the image that the program carries: itself, as a small set of tools.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use image::{Credentials, ImageConfig, NewImage, Progress, Reference, Registries, Store};
use sha2::Digest;

use crate::options::{Image, ImageCommand};

/// Name of the image that needs no registry.
pub const TOOLBOX: &str = "minke.local/toolbox:latest";

pub fn run(options: &Image) -> Result<(), String> {
    let store = open(&crate::data_dir::DataDir::share(&options.data.data_dir)?)?;
    match &options.command {
        ImageCommand::Import { archive, name } => {
            for image in store.import(archive, name.as_deref()).map_err(|error| error.to_string())? {
                let names: Vec<&str> = image.names.iter().map(String::as_str).collect();
                println!("imported {} ({})", names.join(", "), short(&image.id));
            }
        }
        ImageCommand::List => list(&store),
        ImageCommand::Pull { name, creds } => pull(&store, name, creds.as_deref())?,
        ImageCommand::Rm { names } => {
            for name in names {
                store.remove(name).map_err(|error| error.to_string())?;
                println!("removed {name}");
            }
        }
    }
    Ok(())
}

pub fn open(data_dir: &Path) -> Result<Store, String> {
    Store::open(&data_dir.join("images")).map_err(|error| error.to_string())
}

fn short(id: &str) -> &str {
    id.get("sha256:".len().."sha256:".len() + 12).unwrap_or(id)
}

fn list(store: &Store) {
    println!("{:<60} {:<14} SIZE", "NAME", "IMAGE ID");
    for image in store.images() {
        let names: BTreeSet<&String> = if image.names.is_empty() {
            image.digests.iter().collect()
        } else {
            image.names.iter().collect()
        };
        for name in names {
            println!("{name:<60} {:<14} {:.1}MB", short(&image.id), image.size as f64 / 1e6);
        }
    }
}

fn pull(store: &Store, name: &str, creds: Option<&str>) -> Result<(), String> {
    let reference = Reference::parse(name)?;
    let credentials = match creds {
        Some(text) => {
            let (username, password) = text.split_once(':').ok_or("--creds is USER:PASSWORD")?;
            Some(Credentials { username: username.into(), password: password.into() })
        }
        None => None,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let progress = Progress::default();
    let image = runtime
        .block_on(image::pull(store, &Registries::default(), &reference, credentials.as_ref(), &progress))
        .map_err(|error| error.to_string())?;
    println!("pulled {reference} ({})", short(&image.id));
    Ok(())
}

/// Makes the toolbox image from this very program, unless it is there. The copy is private: what
/// a container does to it never touches the host's file.
pub fn ensure_toolbox(store: &Store) -> Result<(), String> {
    let program = fs::read_link("/proc/self/exe").map_err(|error| format!("/proc/self/exe: {error}"))?;
    let metadata =
        fs::metadata("/proc/self/exe").map_err(|error| format!("{}: {error}", program.display()))?;
    // Which build this is: hashing all of it at every start would take longer than a Pod.
    let identity = format!(
        "{} {} {} {}",
        env!("CARGO_PKG_VERSION"),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec()
    );
    let hash = sha2::Sha256::digest(identity.as_bytes());
    let diff_id: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let diff_id = format!("sha256:{diff_id}");
    let config = ImageConfig {
        entrypoint: vec!["/toolbox".into()],
        cmd: vec!["web".into()],
        env: vec!["PATH=/".into()],
        diff_ids: vec![diff_id.clone()],
        architecture: image::architecture().into(),
        ..ImageConfig::default()
    };
    let config = config.to_json().to_string();
    let _work = store.begin().map_err(|error| error.to_string())?;
    store
        .build_layer(&diff_id, |dir| {
            let target = dir.join("toolbox");
            fs::copy("/proc/self/exe", &target)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
            for name in ["etc", "tmp", "proc", "sys", "dev"] {
                fs::create_dir(dir.join(name))?;
            }
            fs::set_permissions(dir.join("tmp"), fs::Permissions::from_mode(0o1777))?;
            fs::write(
                dir.join("etc/passwd"),
                "root:x:0:0:root:/:/toolbox\nnobody:x:65534:65534:nobody:/:/toolbox\n",
            )?;
            fs::write(dir.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")
        })
        .map_err(|error| error.to_string())?;
    let name = Reference::parse(TOOLBOX)?;
    let known = store.resolve(TOOLBOX).is_some_and(|image| image.id == image::Digest::of(config.as_bytes()));
    if !known {
        let new = NewImage {
            config: config.as_bytes(),
            name: Some(&name),
            manifest_digest: None,
            size: metadata.len(),
        };
        store.add_image(&new).map_err(|error| error.to_string())?;
    }
    Ok(())
}
