//! The real program, real containers, a stock kubectl. One cluster per test, each in a network
//! namespace of its own. Needs root; run `cargo build -p minke` and `cargo xtask prepare` first.

mod admission;
mod bad_input;
mod crash;
mod custom_resources;
mod images;
#[cfg(feature = "kube-rs")]
mod kube_rs;
mod kubectl;
mod lifecycle;
mod pods;
mod python_client;
mod restarts;
mod server_side_apply;
mod states;
mod volumes;
mod worked_lab;

/// A Pod of the image that the program carries.
pub fn toolbox_pod(name: &str, args: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  {more}\n  containers:\n  - name: app\n    image: \
         minke.local/toolbox\n    imagePullPolicy: IfNotPresent\n    args: {args}\n"
    )
}

/// A shell script that goes on until it is told to end.
pub const IDLE: &str = "trap \"exit 0\" TERM; while :; do sleep 0.1; done";

/// A Pod with one container `app` that runs a shell script; `spec` and `container` are lines of
/// their own at that place.
pub fn shell_pod(name: &str, script: &str, spec: &str, container: &str) -> String {
    let script = serde_json::Value::from(script);
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  {spec}\n  \
         containers:\n  - name: app\n    image: busybox:1.36\n    command: [sh, -c, {script}]\n    {container}\n"
    )
}
