//! Pulling images from registries: manifest, config and layers, each checked against its digest;
//! layers in parallel, and only those that are not on this node yet.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use serde_json::Value;
use sha2::Digest as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::config::{ImageConfig, architecture, is_this_platform};
use crate::error::{At, Error, Result};
use crate::layer::hex;
use crate::lock::Work;
use crate::reference::Reference;
use crate::registry::{CONFIG_BYTES_MAX, Manifest, Refusal, Registry};
use crate::store::{Image, NewImage, Partial, Store};

/// Layers of one image downloaded at once (containerd's default).
const LAYERS_AT_ONCE: usize = 3;
/// How often a layer is begun whose connection breaks.
const ATTEMPTS_MAX: usize = 3;
/// Longest silence in the middle of a layer.
const STALL_TIME: Duration = Duration::from_secs(60);
/// Indexes inside indexes.
const INDEX_DEPTH_MAX: usize = 4;
/// Pieces of a layer on their way from the network to the disk.
const PIECES_AHEAD: usize = 16;

/// Where names are pulled from.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    /// Hosts (or URLs) asked instead of a registry, in order, before the registry itself.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries (and mirrors) spoken to over plain HTTP. Those on loopback addresses are too,
    /// except at port 443; a mirror given as an `https://` URL never is.
    pub insecure: Vec<String>,
}

#[derive(Clone)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

/// How far a pull is; shared with whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Bytes of the layers that are fetched; layers already present do not count.
    pub total_bytes: Arc<AtomicU64>,
    pub done_bytes: Arc<AtomicU64>,
}

/// A layer as a manifest describes it.
struct Layer {
    /// Of the bytes as they are transported.
    digest: String,
    size: u64,
    /// Of the unpacked content.
    diff_id: String,
}

/// Pulls an image by tag or digest and makes it known under that name. The registry is asked even
/// if the image is here: the tag may stand for another one, and the credentials may not suffice.
///
/// # Errors
/// In containerd's words; [`Error::is_unreachable`] if the registry could not be reached.
pub async fn pull(
    store: &Store,
    registries: &Registries,
    reference: &Reference,
    credentials: Option<&Credentials>,
    progress: &Progress,
) -> Result<Arc<Image>> {
    match pull_as(store, registries, reference, credentials, progress).await {
        Ok(image) => Ok(image),
        Err(Error::Unreachable(why)) => Err(Error::Unreachable(unpulled(reference, &why))),
        Err(Error::Pull(why)) => Err(Error::Pull(unpulled(reference, &why))),
        Err(error @ (Error::Layer { .. } | Error::Config(_) | Error::Invalid(_))) => {
            Err(Error::Pull(unpulled(reference, &error.to_string())))
        }
        Err(error) => Err(error),
    }
}

fn unpulled(reference: &Reference, why: &str) -> String {
    format!("failed to pull and unpack image {:?}: {why}", reference.to_string())
}

async fn pull_as(
    store: &Store,
    registries: &Registries,
    reference: &Reference,
    credentials: Option<&Credentials>,
    progress: &Progress,
) -> Result<Arc<Image>> {
    let registry = Registry::new(registries, reference, credentials)?;
    // With a digest the tag is decoration: nobody asked what it stands for.
    let name = match reference.digest.is_empty() {
        true => reference.clone(),
        false => Reference { tag: String::new(), ..reference.clone() },
    };
    let tag = if name.digest.is_empty() { &name.tag } else { &name.digest };
    let doing = format!("failed to resolve reference {:?}", reference.to_string());
    let refused = |refusal: Refusal| refusal.into_error(&doing, &reference.to_string());
    // Most often a tag that is here still stands for the same image; one question tells.
    if store.resolve(&name.to_string()).is_some() {
        let digest = match registry.resolve(tag).await {
            Ok(digest) => digest,
            // Not every proxy passes HEAD on; the manifest itself will tell.
            Err(Refusal::Failed(_) | Refusal::Passing(_)) => String::new(),
            Err(refusal) => return Err(refused(refusal)),
        };
        if let Some(image) = store.resolve(&format!("{}@{digest}", name.name())) {
            return store.add_name(&image.id, &name, &digest);
        }
    }
    let top = registry.manifest(tag).await.map_err(refused)?;
    let digest = top.digest.clone();
    let manifest = platform_manifest(&registry, top).await?;
    let config = fetch_config(&registry, &manifest).await?;
    let parsed = ImageConfig::parse(&config)?;
    let layers = layers(&manifest, &parsed)?;
    let size = layers.iter().map(|layer| layer.size).sum();
    let work = {
        let store = store.clone();
        Arc::new(blocking(move || store.begin()).await?)
    };
    // A loop, not a closure: the futures must be `Send` for every lifetime of their layers.
    let mut fetching = Vec::with_capacity(layers.len());
    for layer in &layers {
        fetching.push(fetch_layer(store, &work, &registry, layer, progress));
    }
    futures_util::stream::iter(fetching).buffer_unordered(LAYERS_AT_ONCE).try_collect::<()>().await?;
    let store = store.clone();
    blocking(move || {
        let new = NewImage { config: &config, name: Some(&name), manifest_digest: Some(&digest), size };
        let image = store.add_image(&new);
        drop(work);
        image
    })
    .await
}

/// Off the threads that drive the network.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Pull("the node is shutting down".into())),
    }
}

/// The manifest for this machine, behind an index or not.
async fn platform_manifest(registry: &Registry, mut manifest: Manifest) -> Result<Manifest> {
    for _ in 0..INDEX_DEPTH_MAX {
        let Some(choices) = manifest.json["manifests"].as_array() else { return Ok(manifest) };
        let mut ours = choices.iter().filter(|choice| is_this_platform(&choice["platform"]));
        let Some(digest) = ours.next().and_then(|choice| choice["digest"].as_str()) else {
            return Err(no_platform(&manifest.digest));
        };
        let refused = |refusal: Refusal| refusal.into_error("failed to fetch the manifest", digest);
        manifest = registry.manifest(digest).await.map_err(refused)?;
    }
    Err(Error::Pull(format!("index {}: too many indexes inside each other", manifest.digest)))
}

fn no_platform(digest: &str) -> Error {
    Error::Pull(format!("no match for platform in manifest {digest}: not found"))
}

async fn fetch_config(registry: &Registry, manifest: &Manifest) -> Result<Bytes> {
    let Some(digest) = manifest.json["config"]["digest"].as_str() else {
        let version = &manifest.json["schemaVersion"];
        return Err(Error::Pull(format!(
            "manifest {}: is no image manifest (schemaVersion {version}); schema 1 is not supported",
            manifest.digest
        )));
    };
    let refused = |refusal: Refusal| refusal.into_error("failed to fetch the config", digest);
    registry.small_blob(digest, CONFIG_BYTES_MAX).await.map_err(refused)
}

/// Puts the manifest's and the config's lists of layers together.
fn layers(manifest: &Manifest, config: &ImageConfig) -> Result<Vec<Layer>> {
    if !config.architecture.is_empty() && config.architecture != architecture() {
        return Err(no_platform(&manifest.digest));
    }
    let listed = manifest.json["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if listed.len() != config.diff_ids.len() {
        return Err(Error::Pull(format!(
            "manifest {}: has {} layers, but its config names {}",
            manifest.digest,
            listed.len(),
            config.diff_ids.len()
        )));
    }
    let pair = |(layer, diff_id): (&Value, &String)| Layer {
        digest: layer["digest"].as_str().unwrap_or_default().to_string(),
        size: layer["size"].as_u64().unwrap_or(0),
        diff_id: diff_id.clone(),
    };
    Ok(listed.iter().zip(&config.diff_ids).map(pair).collect())
}

async fn fetch_layer(
    store: &Store,
    work: &Arc<Work>,
    registry: &Registry,
    layer: &Layer,
    progress: &Progress,
) -> Result<()> {
    let turn = store.fetch_turn(&layer.diff_id);
    let _turn = turn.lock().await;
    if store.has_layer(&layer.diff_id)? {
        return Ok(());
    }
    progress.total_bytes.fetch_add(layer.size, Ordering::Relaxed);
    let mut last = Refusal::NotFound;
    for _ in 0..ATTEMPTS_MAX {
        match fetch_once(store, work, registry, layer, progress).await? {
            Ok(()) => return Ok(()),
            Err(refusal @ Refusal::Passing(_)) => last = refusal,
            Err(refusal) => {
                last = refusal;
                break;
            }
        }
    }
    Err(last.into_error("failed to fetch a layer", &layer.digest))
}

/// Streams one layer to disk and unpacks it. The outer error is this node's, the inner one the
/// registry's.
async fn fetch_once(
    store: &Store,
    work: &Arc<Work>,
    registry: &Registry,
    layer: &Layer,
    progress: &Progress,
) -> Result<std::result::Result<(), Refusal>> {
    let answer = match registry.blob(&layer.digest).await {
        Ok(answer) => answer,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (pieces, incoming) = mpsc::channel(PIECES_AHEAD);
    let disk = {
        let (store, work, digest, diff_id) =
            (store.clone(), work.clone(), layer.digest.clone(), layer.diff_id.clone());
        blocking(move || {
            let result = receive(&store, incoming, &digest, &diff_id);
            drop(work);
            result
        })
    };
    let network = async move {
        let mut body = answer.into_body();
        let mut received = 0;
        let broken = |why: String| Refusal::Passing(format!("layer {}: {why}", layer.digest));
        let result = loop {
            let frame = match timeout(STALL_TIME, body.frame()).await {
                Ok(None) => break Ok(()),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => break Err(broken(format!("the connection broke: {error}"))),
                Err(_) => break Err(broken("the connection stalled".into())),
            };
            let Ok(bytes) = frame.into_data() else { continue };
            received += bytes.len() as u64;
            if received > layer.size {
                break Err(Refusal::Failed(format!(
                    "layer {}: is longer than {} bytes",
                    layer.digest, layer.size
                )));
            }
            progress.done_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if pieces.send(Piece::Bytes(bytes)).await.is_err() {
                // The disk side ended, and says why.
                return Ok(());
            }
        };
        if result.is_ok() {
            let _ = pieces.send(Piece::End).await;
        } else {
            progress.done_bytes.fetch_sub(received.min(layer.size), Ordering::Relaxed);
        }
        result
    };
    let (network, disk) = tokio::join!(network, disk);
    match (network, disk) {
        (Err(refusal), _) => Ok(Err(refusal)),
        (Ok(()), disk) => disk.map(Ok),
    }
}

enum Piece {
    Bytes(Bytes),
    /// All bytes came; without it the connection broke.
    End,
}

/// The disk's side of a download: a temporary file, its digest, then the layer.
fn receive(store: &Store, mut incoming: mpsc::Receiver<Piece>, digest: &str, diff_id: &str) -> Result<()> {
    let partial: Partial = store.partial();
    let path = partial.path();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).at(path)?;
    let mut hash = sha2::Sha256::new();
    loop {
        match incoming.blocking_recv() {
            Some(Piece::Bytes(bytes)) => {
                hash.update(&bytes);
                file.write_all(&bytes).at(path)?;
            }
            Some(Piece::End) => break,
            None => return Err(io::Error::other("the download broke off")).at(path),
        }
    }
    let found = format!("sha256:{}", hex(&hash.finalize()));
    if found != digest {
        return Err(Error::Pull(format!("layer {digest} is damaged: what came has digest {found}")));
    }
    store.add_layer(diff_id, File::open(path).at(path)?)
}
