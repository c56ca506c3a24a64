//! `delete`: by name, by selector or by manifest; waits until the objects are gone.

use std::path::PathBuf;

use api::ResourceInfo;
use apimachinery::meta;
use apimachinery::status::Reason;
use clap::Args;
use client::{Options, WatchEvent};
use futures_util::StreamExt;

use crate::session::{Session, server_error};
use crate::{Target, manifest, resource};

#[derive(Args)]
pub struct Delete {
    /// TYPE NAME... or TYPE/NAME...
    words: Vec<String>,
    /// Manifests that name what is to be deleted
    #[arg(short, long = "filename", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Label selector
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// All of the type in the namespace
    #[arg(long)]
    all: bool,
    /// Seconds given to end gracefully
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<i64>,
    /// A grace period of 1 second
    #[arg(long)]
    now: bool,
    /// Delete at once, without confirmation that it ended (with --grace-period=0)
    #[arg(long)]
    force: bool,
    /// Do not wait until the objects are gone
    #[arg(long)]
    no_wait: bool,
    /// Missing objects are no error
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    pub target: Target,
}

struct Doomed {
    info: &'static ResourceInfo,
    namespace: String,
    name: String,
}

pub async fn run(session: &Session, delete: Delete) -> Result<(), String> {
    let grace = match (delete.now, delete.force) {
        (true, _) => Some(1),
        (false, true) => Some(delete.grace_period.unwrap_or(0)),
        (false, false) => delete.grace_period,
    };
    if delete.force && grace == Some(0) {
        eprintln!(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely."
        );
    }
    for doomed in find(session, &delete).await? {
        let resource = session.client.resource(doomed.info.group, doomed.info.version, doomed.info.resource);
        let before = resource.get_opt(&doomed.namespace, &doomed.name).await.map_err(server_error)?;
        let options = Options {
            grace_period_seconds: grace,
            propagation_policy: Some("Background".into()),
            ..Options::default()
        };
        match resource.delete(&doomed.namespace, &doomed.name, options).await {
            Err(status) if status.is(Reason::NotFound) && delete.ignore_not_found => continue,
            Err(status) => return Err(server_error(status)),
            Ok(_) => {}
        }
        let place = if doomed.info.namespaced {
            format!(" from {} namespace", doomed.namespace)
        } else {
            String::new()
        };
        println!("{} {:?} deleted{place}", doomed.info.singular, doomed.name);
        if let (false, Some(before)) = (delete.no_wait, before) {
            gone(&resource, &doomed, meta::uid(&before)).await?;
        }
    }
    Ok(())
}

async fn find(session: &Session, delete: &Delete) -> Result<Vec<Doomed>, String> {
    let mut all = Vec::new();
    if !delete.files.is_empty() {
        for document in manifest::read(&delete.files)? {
            let own = meta::namespace(&document.object);
            let namespace = if own.is_empty() { session.namespace.clone() } else { own.into() };
            let name = meta::name(&document.object).to_string();
            all.push(Doomed { info: document.info, namespace: scoped(document.info, namespace), name });
        }
        return Ok(all);
    }
    for asked in resource::parse(&delete.words)? {
        let namespace = scoped(asked.info, session.namespace.clone());
        let mut names = asked.names;
        if names.is_empty() {
            if delete.selector.is_none() && !delete.all {
                return Err("resource(s) were provided, but no name was specified".into());
            }
            let resource = session.client.resource(asked.info.group, asked.info.version, asked.info.resource);
            let options =
                Options { label_selector: delete.selector.clone().unwrap_or_default(), ..Options::default() };
            let list = resource.list(&namespace, options).await.map_err(server_error)?;
            names = list.items.iter().map(|item| meta::name(item).to_string()).collect();
        }
        all.extend(names.into_iter().map(|name| Doomed {
            info: asked.info,
            namespace: namespace.clone(),
            name,
        }));
    }
    Ok(all)
}

fn scoped(info: &ResourceInfo, namespace: String) -> String {
    if info.namespaced { namespace } else { String::new() }
}

/// Waits until the object with this uid is gone.
async fn gone(resource: &client::Resource, doomed: &Doomed, uid: &str) -> Result<(), String> {
    let options = Options { field_selector: format!("metadata.name={}", doomed.name), ..Options::default() };
    let list = resource.list(&doomed.namespace, options.clone()).await.map_err(server_error)?;
    if !list.items.iter().any(|item| meta::uid(item) == uid) {
        return Ok(());
    }
    let options = Options { resource_version: list.resource_version.to_string(), ..options };
    let mut events = resource.watch(&doomed.namespace, options).await.map_err(server_error)?;
    while let Some(event) = events.next().await {
        match event {
            WatchEvent::Deleted(object) if meta::uid(&object) == uid => return Ok(()),
            WatchEvent::Error(status) => return Err(server_error(status)),
            _ => {}
        }
    }
    Err(format!("the watch ended before {:?} was gone", doomed.name))
}
