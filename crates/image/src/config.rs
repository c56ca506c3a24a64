//! The config of an image (OCI image specification), reduced to what running it needs.

use serde_json::{Value, json};

use crate::error::{Error, Result};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// `user`, `uid`, `user:group`, …; empty is root.
    pub user: String,
    pub working_dir: String,
    /// Empty: SIGTERM.
    pub stop_signal: String,
    /// Digests of the uncompressed layers, base first.
    pub diff_ids: Vec<String>,
    /// `amd64`; empty if it does not say.
    pub architecture: String,
}

impl ImageConfig {
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig> {
        let root: Value = serde_json::from_slice(bytes).map_err(|error| Error::Config(error.to_string()))?;
        let config = &root["config"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let list = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
        };
        Ok(ImageConfig {
            entrypoint: list(&config["Entrypoint"]),
            cmd: list(&config["Cmd"]),
            env: list(&config["Env"]),
            user: text(&config["User"]),
            working_dir: text(&config["WorkingDir"]),
            stop_signal: text(&config["StopSignal"]),
            diff_ids: list(&root["rootfs"]["diff_ids"]),
            architecture: text(&root["architecture"]),
        })
    }

    /// The JSON form, for images made on this node.
    pub fn to_json(&self) -> Value {
        json!({
            "architecture": self.architecture,
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.cmd,
                "Env": self.env,
                "User": self.user,
                "WorkingDir": self.working_dir,
                "StopSignal": self.stop_signal,
            },
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
        })
    }
}

/// Whether a `platform` of an image index is this machine's.
pub fn is_this_platform(platform: &Value) -> bool {
    platform["os"] == "linux" && platform["architecture"] == architecture()
}

/// This machine's architecture as images name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
