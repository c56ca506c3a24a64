//! `wait`: until a condition holds, a field has a value, or the object is gone.

use std::time::Duration;

use apimachinery::{jsonpath, meta};
use clap::Args;
use client::{Object, Options, WatchEvent};
use futures_util::StreamExt;

use crate::session::{Session, server_error};
use crate::{Target, resource};

#[derive(Args)]
pub struct Wait {
    /// TYPE NAME... or TYPE/NAME...
    #[arg(required = true)]
    words: Vec<String>,
    /// delete, condition=NAME[=VALUE] or jsonpath={PATH}=VALUE
    #[arg(long = "for", value_name = "WHAT")]
    what: String,
    /// How long (for example 60s, 5m)
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    timeout: String,
    #[command(flatten)]
    pub target: Target,
}

enum What {
    Delete,
    Condition { name: String, value: String },
    Path { path: String, value: String },
}

pub async fn run(session: &Session, wait: Wait) -> Result<(), String> {
    let what = parse(&wait.what)?;
    let timeout = duration(&wait.timeout)?;
    for asked in resource::parse(&wait.words)? {
        let namespace = if asked.info.namespaced { session.namespace.as_str() } else { "" };
        let resource = session.client.resource(asked.info.group, asked.info.version, asked.info.resource);
        for name in &asked.names {
            let shown = resource::object_name(asked.info, name);
            match tokio::time::timeout(timeout, one(&resource, namespace, name, &what)).await {
                Ok(result) => result?,
                Err(_) => {
                    return Err(format!(
                        "timed out waiting for the condition on {}/{name}",
                        asked.info.resource
                    ));
                }
            }
            println!("{shown} condition met");
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<What, String> {
    if text == "delete" {
        return Ok(What::Delete);
    }
    if let Some(rest) = text.strip_prefix("condition=") {
        let (name, value) = rest.split_once('=').unwrap_or((rest, "True"));
        return Ok(What::Condition { name: name.to_lowercase(), value: value.to_lowercase() });
    }
    if let Some((path, value)) = text.strip_prefix("jsonpath=").and_then(|rest| rest.rsplit_once('=')) {
        return Ok(What::Path { path: path.into(), value: value.into() });
    }
    Err(format!("unrecognized condition: {text:?}"))
}

pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no duration such as 60s or 5m");
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| bad())?;
    match unit {
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "h" => Ok(Duration::from_secs(number * 3600)),
        _ => Err(bad()),
    }
}

fn holds(object: &Object, what: &What) -> Result<bool, String> {
    match what {
        What::Delete => Ok(false),
        What::Condition { name, value } => {
            let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_lowercase();
            let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
            Ok(conditions.any(|c| text(&c["type"]) == *name && text(&c["status"]) == *value))
        }
        What::Path { path, value } => Ok(jsonpath::print(path, object)? == *value),
    }
}

async fn one(resource: &client::Resource, namespace: &str, name: &str, what: &What) -> Result<(), String> {
    let options = Options { field_selector: format!("metadata.name={name}"), ..Options::default() };
    let list = resource.list(namespace, options.clone()).await.map_err(server_error)?;
    let found = list.items.iter().find(|item| meta::name(item) == name);
    match (found, what) {
        (None, What::Delete) => return Ok(()),
        (None, _) => {
            resource.get(namespace, name).await.map_err(server_error)?;
        }
        (Some(object), what) if holds(object, what)? => return Ok(()),
        _ => {}
    }
    let options = Options { resource_version: list.resource_version.to_string(), ..options };
    let mut events = resource.watch(namespace, options).await.map_err(server_error)?;
    while let Some(event) = events.next().await {
        match event {
            WatchEvent::Deleted(_) if matches!(what, What::Delete) => return Ok(()),
            WatchEvent::Added(object) | WatchEvent::Modified(object) if holds(&object, what)? => {
                return Ok(());
            }
            WatchEvent::Error(status) => return Err(server_error(status)),
            _ => {}
        }
    }
    Err("the watch ended early".into())
}
