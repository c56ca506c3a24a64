//! The real program, real containers, a stock kubectl. One cluster per test, each in a network
//! namespace of its own. Needs root; run `cargo build -p minke` and `cargo xtask prepare` first.

mod bad_input;
mod crash;
mod custom_resources;
#[cfg(feature = "kube-rs")]
mod kube_rs;
mod lifecycle;
mod python_client;
mod restarts;
mod server_side_apply;
mod worked_lab;

/// A Pod of the image that the program carries.
pub fn toolbox_pod(name: &str, args: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  {more}\n  containers:\n  - name: app\n    image: \
         minke.local/toolbox\n    imagePullPolicy: IfNotPresent\n    args: {args}\n"
    )
}
