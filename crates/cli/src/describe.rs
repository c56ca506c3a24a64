//! `describe`: an object in words, with its events. Pods in full; other kinds as YAML.

use apimachinery::meta;
use clap::Args;
use serde_json::Value;

use crate::session::{Session, server_error};
use crate::table::align;
use crate::{Target, events, get, resource};

#[derive(Args)]
pub struct Describe {
    /// TYPE NAME... or TYPE/NAME...
    #[arg(required = true)]
    words: Vec<String>,
    #[command(flatten)]
    pub target: Target,
}

pub async fn run(session: &Session, describe: Describe) -> Result<(), String> {
    let mut first = true;
    for asked in resource::parse(&describe.words)? {
        let namespace = if asked.info.namespaced { session.namespace.as_str() } else { "" };
        let resource = session.client.resource(asked.info.group, asked.info.version, asked.info.resource);
        let objects = if asked.names.is_empty() {
            resource.list(namespace, client::Options::default()).await.map_err(server_error)?.items
        } else {
            let mut found = Vec::new();
            for name in &asked.names {
                found.push(resource.get(namespace, name).await.map_err(server_error)?);
            }
            found
        };
        for object in objects {
            if !std::mem::take(&mut first) {
                println!("\n");
            }
            if asked.info.resource == "pods" {
                print!("{}", pod(&object))
            } else {
                print!("{}", get::yaml(&object))
            }
            print_events(session, &object).await?;
        }
    }
    Ok(())
}

async fn print_events(session: &Session, object: &Value) -> Result<(), String> {
    let selector =
        format!("involvedObject.name={},involvedObject.uid={}", meta::name(object), meta::uid(object));
    let found = events::list(session, meta::namespace(object), &selector).await?;
    if found.is_empty() {
        println!("Events:  <none>");
        return Ok(());
    }
    let mut rows = vec![
        ["  Type", "Reason", "Age", "From", "Message"].map(str::to_string).to_vec(),
        ["  ----", "------", "----", "----", "-------"].map(str::to_string).to_vec(),
    ];
    let now = session.env.now();
    for event in &found {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        rows.push(vec![
            format!("  {}", text(&event["type"])),
            text(&event["reason"]),
            events::age(event, now),
            text(&event["source"]["component"]),
            text(&event["message"]).trim().to_string(),
        ]);
    }
    print!("Events:\n{}", align(&rows));
    Ok(())
}

/// Lines of `name: value`, the values in one column.
struct Lines(String);

impl Lines {
    fn add(&mut self, indent: usize, name: &str, value: &str) {
        let label = format!("{}{name}:", " ".repeat(indent));
        self.0.push_str(&format!("{label:<22}{value}\n"));
    }

    fn title(&mut self, indent: usize, name: &str) {
        self.0.push_str(&format!("{}{name}:\n", " ".repeat(indent)));
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".into() } else { text }
}

fn map(value: &Value) -> Vec<String> {
    value.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", text(value))).collect()
}

fn pod(pod: &Value) -> String {
    let (metadata, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
    let mut out = Lines(String::new());
    out.add(0, "Name", meta::name(pod));
    out.add(0, "Namespace", meta::namespace(pod));
    out.add(0, "Priority", &text(&spec["priority"]));
    out.add(0, "Service Account", &text(&spec["serviceAccountName"]));
    let node = text(&spec["nodeName"]);
    out.add(
        0,
        "Node",
        &if node.is_empty() { "<none>".into() } else { format!("{node}/{}", text(&status["hostIP"])) },
    );
    out.add(0, "Start Time", &text(&status["startTime"]));
    for (title, field) in [("Labels", "labels"), ("Annotations", "annotations")] {
        let pairs: Vec<String> = map(&metadata[field])
            .into_iter()
            .filter(|pair| !pair.contains("last-applied-configuration"))
            .collect();
        out.add(0, title, &or_none(pairs.join("\n                      ")));
    }
    let phase = if meta::is_deleting(pod) { "Terminating".into() } else { text(&status["phase"]) };
    out.add(0, "Status", &phase);
    for (title, field) in [("Reason", "reason"), ("Message", "message")] {
        if status[field].is_string() {
            out.add(0, title, &text(&status[field]));
        }
    }
    out.add(0, "IP", &text(&status["podIP"]));
    for (title, field, statuses) in [
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
    ] {
        if let Some(list) = spec[field].as_array() {
            out.title(0, title);
            for item in list {
                let status =
                    status[statuses].as_array().into_iter().flatten().find(|s| s["name"] == item["name"]);
                container(&mut out, item, status.unwrap_or(&Value::Null));
            }
        }
    }
    out.title(0, "Conditions");
    let mut rows = vec![vec!["  Type".to_string(), "Status".into()]];
    for condition in status["conditions"].as_array().into_iter().flatten() {
        rows.push(vec![format!("  {}", text(&condition["type"])), text(&condition["status"])]);
    }
    out.0.push_str(&align(&rows));
    volumes(&mut out, &spec["volumes"]);
    out.add(0, "QoS Class", &text(&status["qosClass"]));
    out.add(0, "Node-Selectors", &or_none(map(&spec["nodeSelector"]).join("\n                      ")));
    let tolerations: Vec<String> =
        spec["tolerations"].as_array().into_iter().flatten().map(toleration).collect();
    out.add(0, "Tolerations", &or_none(tolerations.join("\n                      ")));
    out.0
}

fn toleration(toleration: &Value) -> String {
    let mut line = text(&toleration["key"]);
    for (mark, field) in [("=", "value"), (":", "effect")] {
        if toleration[field].as_str().is_some_and(|t| !t.is_empty()) {
            line.push_str(&format!("{mark}{}", text(&toleration[field])));
        }
    }
    if toleration["operator"] == "Exists" {
        line.push_str(" op=Exists");
    }
    if toleration["tolerationSeconds"].is_number() {
        line.push_str(&format!(" for {}s", toleration["tolerationSeconds"]));
    }
    line
}

fn container(out: &mut Lines, container: &Value, status: &Value) {
    out.title(2, &text(&container["name"]));
    out.add(4, "Container ID", &text(&status["containerID"]));
    out.add(4, "Image", &text(&container["image"]));
    out.add(4, "Image ID", &text(&status["imageID"]));
    let ports: Vec<String> = container["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| format!("{}/{}", port["containerPort"], port["protocol"].as_str().unwrap_or("TCP")))
        .collect();
    out.add(4, "Ports", &or_none(ports.join(", ")));
    for (title, field) in [("Command", "command"), ("Args", "args")] {
        if let Some(words) = container[field].as_array().filter(|words| !words.is_empty()) {
            out.title(4, title);
            words.iter().for_each(|word| out.0.push_str(&format!("      {}\n", text(word))));
        }
    }
    state(out, "State", &status["state"]);
    if status["lastState"].get("terminated").is_some() {
        state(out, "Last State", &status["lastState"]);
    }
    out.add(4, "Ready", if status["ready"] == true { "True" } else { "False" });
    out.add(4, "Restart Count", &text(&status["restartCount"]));
    for (title, field) in [("Limits", "limits"), ("Requests", "requests")] {
        if let Some(list) = container["resources"][field].as_object() {
            out.title(4, title);
            list.iter().for_each(|(name, amount)| out.add(6, name, &text(amount)));
        }
    }
    environment(out, container);
    let mounts: Vec<String> = container["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|mount| {
            let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
            format!("      {} from {} ({mode})\n", text(&mount["mountPath"]), text(&mount["name"]))
        })
        .collect();
    if mounts.is_empty() {
        out.add(4, "Mounts", "<none>");
    } else {
        out.title(4, "Mounts");
        mounts.iter().for_each(|line| out.0.push_str(line));
    }
}

fn state(out: &mut Lines, title: &str, state: &Value) {
    if let Some(running) = state.get("running") {
        out.add(4, title, "Running");
        out.add(6, "Started", &text(&running["startedAt"]));
    } else if let Some(ended) = state.get("terminated") {
        out.add(4, title, "Terminated");
        for (name, field) in [
            ("Reason", "reason"),
            ("Message", "message"),
            ("Exit Code", "exitCode"),
            ("Started", "startedAt"),
            ("Finished", "finishedAt"),
        ] {
            if !ended[field].is_null() {
                out.add(6, name, &text(&ended[field]));
            }
        }
    } else {
        out.add(4, title, "Waiting");
        for (name, field) in [("Reason", "reason"), ("Message", "message")] {
            if state["waiting"][field].is_string() {
                out.add(6, name, &text(&state["waiting"][field]));
            }
        }
    }
}

fn environment(out: &mut Lines, container: &Value) {
    let variables = container["env"].as_array().map(Vec::as_slice).unwrap_or_default();
    if variables.is_empty() {
        return out.add(4, "Environment", "<none>");
    }
    out.title(4, "Environment");
    for variable in variables {
        let from = &variable["valueFrom"];
        let value = if let Some(key) = from.get("secretKeyRef") {
            format!(
                "<set to the key '{}' in secret '{}'>  Optional: {}",
                text(&key["key"]),
                text(&key["name"]),
                key["optional"] == true
            )
        } else if let Some(key) = from.get("configMapKeyRef") {
            format!(
                "<set to the key '{}' of config map '{}'>  Optional: {}",
                text(&key["key"]),
                text(&key["name"]),
                key["optional"] == true
            )
        } else if let Some(field) = from.get("fieldRef") {
            format!("({})", text(&field["fieldPath"]))
        } else if let Some(field) = from.get("resourceFieldRef") {
            format!("({})", text(&field["resource"]))
        } else {
            text(&variable["value"])
        };
        out.add(6, &text(&variable["name"]), &value);
    }
}

fn volumes(out: &mut Lines, volumes: &Value) {
    out.title(0, "Volumes");
    for volume in volumes.as_array().into_iter().flatten() {
        out.title(2, &text(&volume["name"]));
        let kind =
            volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).find(|key| *key != "name");
        out.add(4, "Type", kind.unwrap_or("emptyDir"));
    }
}
