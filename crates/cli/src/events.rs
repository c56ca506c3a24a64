//! `events`: what happened, oldest first.

use apimachinery::meta;
use apimachinery::time::{Time, human_duration};
use clap::Args;
use client::Options;
use jiff::Timestamp;
use serde_json::Value;

use crate::Target;
use crate::session::{Session, server_error};
use crate::table::align;

#[derive(Args)]
pub struct Events {
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only events about this object (TYPE/NAME)
    #[arg(long = "for", value_name = "TYPE/NAME")]
    object: Option<String>,
    #[command(flatten)]
    pub target: Target,
}

pub async fn run(session: &Session, events: Events) -> Result<(), String> {
    let mut selector = String::new();
    if let Some(object) = &events.object {
        let (kind, name) = object.split_once('/').ok_or("--for wants TYPE/NAME")?;
        let info = crate::resource::find(kind)?;
        selector = format!("involvedObject.kind={},involvedObject.name={name}", info.kind);
    }
    let namespace = if events.all_namespaces { "" } else { session.namespace.as_str() };
    let list = list(session, namespace, &selector).await?;
    if list.is_empty() {
        eprintln!(
            "No events found{}",
            if namespace.is_empty() { String::new() } else { format!(" in {namespace} namespace.") }
        );
        return Ok(());
    }
    let mut rows = vec![["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(str::to_string).to_vec()];
    if events.all_namespaces {
        rows[0].insert(0, "NAMESPACE".into());
    }
    let now = session.env.now();
    for event in &list {
        let object = &event["involvedObject"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let mut row = vec![
            age(event, now),
            text(&event["type"]),
            text(&event["reason"]),
            format!("{}/{}", text(&object["kind"]).to_lowercase(), text(&object["name"])),
            text(&event["message"]).trim().to_string(),
        ];
        if events.all_namespaces {
            row.insert(0, meta::namespace(event).to_string());
        }
        rows.push(row);
    }
    print!("{}", align(&rows));
    Ok(())
}

/// Events by the time they were last seen.
pub async fn list(
    session: &Session,
    namespace: &str,
    field_selector: &str,
) -> Result<Vec<client::Object>, String> {
    let options = Options { field_selector: field_selector.into(), ..Options::default() };
    let events = session.client.resource("", "v1", "events");
    let mut items = events.list(namespace, options).await.map_err(server_error)?.items;
    items.sort_by_key(|event| last_seen(event));
    Ok(items)
}

fn last_seen(event: &Value) -> Option<Timestamp> {
    let fields = ["lastTimestamp", "eventTime", "firstTimestamp"];
    fields.iter().find_map(|field| event[*field].as_str()?.parse().ok())
}

/// `2m (x3 over 5m)`.
pub fn age(event: &Value, now: Timestamp) -> String {
    let since = |time: Timestamp| human_duration(Time(now).since(Time(time)));
    let Some(last) = last_seen(event) else { return "<unknown>".into() };
    let first = event["firstTimestamp"].as_str().and_then(|t| t.parse::<Timestamp>().ok());
    match (event["count"].as_u64().unwrap_or(1), first) {
        (count, Some(first)) if count > 1 => format!("{} (x{count} over {})", since(last), since(first)),
        _ => since(last),
    }
}
