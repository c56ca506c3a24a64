//! Image garbage collection: when the disk fills up, images that no container uses go, least recently
//! used first. Looks every five minutes, as upstream: a filling disk is no event.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Embedded;

/// Upstream's imageGCPeriod and the high and low thresholds in percent of the disk.
const PERIOD: Duration = Duration::from_secs(300);
const HIGH_PERCENT: u8 = 85;
const LOW_PERCENT: u8 = 80;

impl Embedded {
    pub(super) async fn collect_images(&self) {
        loop {
            let env = &self.inner.parts.env;
            env.sleep(PERIOD).await;
            let used: BTreeSet<String> = self.records(|records| {
                let containers = records.pods.values().flat_map(|pod| &pod.containers);
                containers.filter_map(|c| c.labels["imageId"].as_str().map(str::to_string)).collect()
            });
            let (images, kept) = (self.inner.parts.images.clone(), self.inner.parts.kept_images.clone());
            let collecting = env.spawn_blocking(move || {
                let in_use = |image: &image::Image| {
                    used.contains(&image.id) || kept.iter().any(|name| image.names.contains(name))
                };
                images.collect(HIGH_PERCENT, LOW_PERCENT, &in_use)
            });
            match collecting.await {
                Ok(Ok(collected)) => {
                    if let Some(message) = collected.shortfall() {
                        tracing::warn!("{message}");
                    }
                }
                Ok(Err(error)) => tracing::warn!(%error, "images not collected"),
                Err(error) => tracing::warn!(%error, "images not collected"),
            }
        }
    }
}
