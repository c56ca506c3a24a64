//! `get`: tables as the server makes them, or objects as JSON, YAML, names or by path.

use apimachinery::{jsonpath, meta};
use clap::Args;
use client::https::{next_line, path};
use client::{Options, Verb};
use http::Method;
use serde_json::{Value, json};

use crate::Target;
use crate::resource::{self, Asked};
use crate::session::{Session, server_error};
use crate::table::{Style, align, columns, headers, rows};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const JSON: &str = "application/json";

#[derive(Args)]
pub struct Get {
    /// TYPE [NAME...] or TYPE/NAME...
    #[arg(required = true)]
    words: Vec<String>,
    /// wide, json, yaml, name or jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Label selector
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Field selector
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,
    /// Show labels as the last column
    #[arg(long)]
    show_labels: bool,
    /// No titles above the columns
    #[arg(long)]
    no_headers: bool,
    /// Go on and show changes
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    pub target: Target,
}

pub async fn run(session: &Session, get: Get) -> Result<(), String> {
    let asked = resource::parse(&get.words)?;
    match get.output.as_deref() {
        None | Some("wide") => tables(session, &get, &asked).await,
        Some(format) => objects(session, &get, &asked, format).await,
    }
}

/// The request for all of a resource, or for one name of it.
fn request(session: &Session, get: &Get, asked: &Asked, name: &str, verb: Verb) -> client::Request {
    let info = asked.info;
    let namespace = if info.namespaced && !get.all_namespaces { session.namespace.as_str() } else { "" };
    let resource = session.client.resource(info.group, info.version, info.resource);
    let mut request = resource.request(verb, namespace, name);
    request.options = Options {
        label_selector: get.selector.clone().unwrap_or_default(),
        field_selector: get.field_selector.clone().unwrap_or_default(),
        ..Options::default()
    };
    request
}

async fn fetch(
    session: &Session,
    get: &Get,
    asked: &Asked,
    name: &str,
    accept: &str,
) -> Result<Value, String> {
    let verb = if name.is_empty() { Verb::List } else { Verb::Get };
    let path = path(asked.info, &request(session, get, asked, name, verb));
    let (_, _, body) = session
        .https
        .raw(Method::GET, &path, accept, ("", bytes::Bytes::new()))
        .await
        .map_err(server_error)?;
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}

fn names(asked: &Asked) -> Vec<String> {
    if asked.names.is_empty() { vec![String::new()] } else { asked.names.clone() }
}

async fn tables(session: &Session, get: &Get, asked: &[Asked]) -> Result<(), String> {
    let mut empty = true;
    for (i, asked) in asked.iter().enumerate() {
        let style = Style {
            wide: get.output.is_some(),
            namespaces: get.all_namespaces && asked.info.namespaced,
            no_headers: get.no_headers,
            labels: get.show_labels,
        };
        let mut all: Vec<Vec<String>> = Vec::new();
        let (mut shown, mut version) = (Vec::new(), String::new());
        for name in names(asked) {
            let table = fetch(session, get, asked, &name, TABLE).await?;
            shown = columns(&table, style);
            all.extend(rows(&table, &shown, style));
            version = table["metadata"]["resourceVersion"].as_str().unwrap_or_default().into();
        }
        empty &= all.is_empty();
        if !all.is_empty() {
            if i > 0 {
                println!();
            }
            if !style.no_headers {
                all.insert(0, headers(&shown, style));
            }
            print!("{}", align(&all));
        }
        if get.watch {
            return watch(session, get, asked, style, version).await;
        }
    }
    if empty {
        let scope = asked.first().is_some_and(|a| a.info.namespaced) && !get.all_namespaces;
        eprintln!(
            "No resources found{}",
            if scope { format!(" in {} namespace.", session.namespace) } else { String::new() }
        );
    }
    Ok(())
}

/// A line per change, until interrupted.
async fn watch(
    session: &Session,
    get: &Get,
    asked: &Asked,
    style: Style,
    version: String,
) -> Result<(), String> {
    let mut request = request(session, get, asked, "", Verb::Watch);
    if let [name] = asked.names.as_slice() {
        request.options.field_selector = format!("metadata.name={name}");
    }
    request.options.resource_version = version;
    let mut body = session.https.stream(&path(asked.info, &request), TABLE).await.map_err(server_error)?;
    let mut buffer = Default::default();
    let mut shown = Vec::new();
    while let Some(line) = next_line(&mut body, &mut buffer).await {
        let event: Value = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
        let table = &event["object"];
        if table["columnDefinitions"].is_array() {
            shown = columns(table, style);
        }
        print!("{}", align(&rows(table, &shown, style)));
    }
    Ok(())
}

async fn objects(session: &Session, get: &Get, asked: &[Asked], format: &str) -> Result<(), String> {
    let mut items = Vec::new();
    let single = asked.len() == 1 && asked[0].names.len() == 1;
    for asked in asked {
        for name in names(asked) {
            let mut answer = fetch(session, get, asked, &name, JSON).await?;
            if name.is_empty() {
                for mut item in answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
                    item["kind"] = json!(asked.info.kind);
                    item["apiVersion"] = json!(asked.info.api_version());
                    items.push((asked.info, item));
                }
            } else {
                items.push((asked.info, answer));
            }
        }
    }
    if format == "name" {
        for (info, item) in &items {
            println!("{}", resource::object_name(info, meta::name(item)));
        }
        return Ok(());
    }
    let all: Vec<Value> = items.into_iter().map(|(_, item)| item).collect();
    let value = match (single, all) {
        (true, mut all) if all.len() == 1 => all.remove(0),
        (_, all) => {
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": all})
        }
    };
    print_object(&value, format)
}

fn print_object(value: &Value, format: &str) -> Result<(), String> {
    match format.split_once('=') {
        None if format == "json" => println!("{}", pretty(value)),
        None if format == "yaml" => print!("{}", yaml(value)),
        Some(("jsonpath", template)) => print!("{}", jsonpath::print(template, value)?),
        _ => {
            return Err(format!(
                "unable to match a printer suitable for the output format {format:?}, allowed formats are: json,jsonpath,name,wide,yaml"
            ));
        }
    }
    Ok(())
}

/// In the API's field order.
fn pretty(value: &Value) -> String {
    String::from_utf8_lossy(&schema::encode::indent(&schema::encode_any(value))).into_owned()
}

pub fn yaml(value: &Value) -> String {
    schema::encode::encode_yaml(value).unwrap_or_default()
}
