//! `logs`: what a container wrote.

use std::io::Write;

use clap::Args;
use client::https::encode;
use http_body_util::BodyExt;

use crate::session::{Session, server_error};
use crate::{Target, wait};

#[derive(Args)]
pub struct Logs {
    /// Name of the Pod (or pod/NAME)
    pod: String,
    /// Container, if the Pod has several
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Go on as more is written
    #[arg(short, long)]
    follow: bool,
    /// The log of the run before this one
    #[arg(short, long)]
    previous: bool,
    /// Only the last lines
    #[arg(long, value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Only what is newer (for example 10s, 5m)
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// Begin each line with its time
    #[arg(long)]
    timestamps: bool,
    #[command(flatten)]
    pub target: Target,
}

pub async fn run(session: &Session, logs: Logs) -> Result<(), String> {
    let pod = logs.pod.trim_start_matches("pods/").trim_start_matches("pod/");
    let mut query = Vec::new();
    let mut add = |name: &str, value: String| query.push(format!("{name}={}", encode(&value)));
    if let Some(container) = &logs.container {
        add("container", container.clone());
    }
    for (name, set) in [("follow", logs.follow), ("previous", logs.previous), ("timestamps", logs.timestamps)]
    {
        if set {
            add(name, "true".into());
        }
    }
    if let Some(tail) = logs.tail.filter(|tail| *tail >= 0) {
        add("tailLines", tail.to_string());
    }
    if let Some(since) = &logs.since {
        add("sinceSeconds", wait::duration(since)?.as_secs().to_string());
    }
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/log?{}",
        encode(&session.namespace),
        encode(pod),
        query.join("&")
    );
    let mut body = session.https.stream(&path, "*/*").await.map_err(server_error)?;
    let mut out = std::io::stdout().lock();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        if let Some(data) = frame.data_ref()
            && out.write_all(data).and_then(|()| out.flush()).is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}
