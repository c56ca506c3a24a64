//! `kubectl apply --server-side` against the real program: taking over from client-side apply, conflicts
//! between managers, force, and the server-side diff.

use std::fs;

use serde_json::Value;
use testkit::Cluster;

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  selector: \
     {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: c, image: \
     nginx}]}\n";

fn managers(cluster: &Cluster) -> Vec<String> {
    let path = "/apis/apps/v1/namespaces/default/deployments/web";
    let answer = cluster.kubectl(&["get", "--raw", path]).stdout;
    let object: Value = serde_json::from_str(&answer).expect("JSON");
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    entries.iter().map(|e| format!("{} {}", text(e, "manager"), text(e, "operation"))).collect()
}

#[test]
fn kubectl_applies_server_side() {
    let cluster = Cluster::start("ssa", &["--api-only"]);
    let file = |replicas: u32| {
        let path = cluster.dir().join(format!("web-{replicas}.yaml"));
        fs::write(&path, DEPLOYMENT.replace("replicas: 2", &format!("replicas: {replicas}")))
            .expect("writable");
        path.to_str().expect("UTF-8").to_owned()
    };
    let kubectl = |arguments: &[&str]| cluster.kubectl(arguments);
    assert_eq!(kubectl(&["apply", "-f", &file(2)]).stdout, "deployment.apps/web created\n");
    assert_eq!(managers(&cluster), ["kubectl-client-side-apply Update"]);
    // What kubectl applied itself it takes over without a conflict.
    let taken = kubectl(&["apply", "--server-side", "-f", &file(3)]);
    assert_eq!(
        (taken.code, taken.stdout.as_str()),
        (0, "deployment.apps/web serverside-applied\n"),
        "{}",
        taken.stderr
    );
    assert!(managers(&cluster).contains(&"kubectl Apply".to_owned()));
    let other = ["apply", "--server-side", "--field-manager", "other", "-f"];
    let refused = kubectl(&[&other[..], &[&file(4)]].concat());
    assert_ne!(refused.code, 0);
    let text = "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas";
    assert!(refused.stderr.contains(text), "{}", refused.stderr);
    let forced = kubectl(&[&other[..], &[&file(4), "--force-conflicts"]].concat());
    assert_eq!(forced.code, 0, "{}", forced.stderr);
    assert!(managers(&cluster).contains(&"other Apply".to_owned()));
    let diff = kubectl(&["diff", "--server-side", "--field-manager", "other", "-f", &file(5)]);
    assert_eq!(diff.code, 1, "{}", diff.stderr);
    assert!(diff.stdout.contains("-  replicas: 4\n+  replicas: 5\n"), "{}", diff.stdout);
    let same = kubectl(&["diff", "--server-side", "--field-manager", "other", "-f", &file(4)]);
    assert_eq!((same.code, same.stdout.as_str()), (0, ""), "{}", same.stderr);
}
