//! Images for the kubelet: descriptions and pulls.

use image::Reference;

use crate::runtime::{Credentials, Image, PullError};

/// Images that the node itself provides; no registry of this name exists, so that "always pull"
/// means "take ours".
const OWN_REGISTRY: &str = "minke.local";

pub fn describe(image: &image::Image) -> Image {
    let user = image.config.user.split(':').next().unwrap_or_default();
    let uid = if user.is_empty() { Some(0) } else { user.parse().ok() };
    Image {
        id: image.id.clone(),
        repo_tags: image.names.iter().cloned().collect(),
        repo_digests: image.digests.iter().cloned().collect(),
        size: image.size,
        uid,
        username: if uid.is_none() { user.to_string() } else { String::new() },
    }
}

pub fn is_own(name: &str) -> bool {
    Reference::parse(name).is_ok_and(|reference| reference.registry == OWN_REGISTRY)
}

pub async fn pull(
    images: &image::Store,
    registries: &image::Registries,
    name: &str,
    credentials: Option<Credentials>,
) -> Result<Image, PullError> {
    let reference = Reference::parse(name).map_err(PullError)?;
    if reference.registry == OWN_REGISTRY {
        let found = images.resolve(name).map(|image| describe(&image));
        return found.ok_or_else(|| PullError(format!("this node provides no image {name}")));
    }
    let credentials = credentials.map(|c| image::Credentials { username: c.username, password: c.password });
    match image::pull(images, registries, &reference, credentials.as_ref(), &image::Progress::default()).await
    {
        Ok(image) => Ok(describe(&image)),
        Err(error) => Err(PullError(error.to_string())),
    }
}
