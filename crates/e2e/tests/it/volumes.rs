//! Volumes made of API data, seen from inside running containers, and the token in use.

use testkit::{Cluster, side_by_side, wait_for};

use crate::{IDLE, shell_pod};

#[test]
fn volumes_and_tokens_from_inside() {
    let cluster = Cluster::start_with_images("volumes", &[], &["busybox", "nginx"]);
    side_by_side(&cluster, &[live_updates, a_token_speaks_to_the_api_server, host_directories]);
}

/// ConfigMap, Secret, labels: what changes in the API changes in the container, whole, read-only,
/// and readable for whoever the container runs as.
fn live_updates(cluster: &Cluster) {
    cluster.kubectl_ok(&["create", "configmap", "live", "--from-literal=a=1", "--from-literal=b=1"]);
    cluster.kubectl_ok(&["create", "secret", "generic", "key", "--from-literal=password=old"]);
    let text = r#"apiVersion: v1
kind: Pod
metadata: {name: reader, labels: {tier: one}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 1000}
  volumes:
  - {name: live, configMap: {name: live}}
  - {name: key, secret: {secretName: key, defaultMode: 0444, items: [{key: password, path: deep/word}]}}
  - {name: about, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - name: all
    projected:
      sources:
      - {configMap: {name: live, items: [{key: a, path: from-map}]}}
      - {secret: {name: key}}
      - {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}
  - {name: may-come, configMap: {name: may-come, optional: true}}
  containers:
  - name: app
    image: busybox:1.36
    command: [sh, -c, 'trap "exit 0" TERM; while :; do sleep 0.1; done']
    volumeMounts:
    - {name: live, mountPath: /live}
    - {name: key, mountPath: /key}
    - {name: about, mountPath: /about}
    - {name: all, mountPath: /all}
    - {name: may-come, mountPath: /may-come}
"#;
    cluster.apply(text);
    cluster.wait_field("pod", "reader", ".status.phase", "Running");
    let sh = |script: &str| cluster.sh("reader", "app", script);
    assert_eq!(
        sh("id -u; cat /live/a /live/b /key/deep/word /all/from-map /all/password /all/name; ls /may-come"),
        "1000\n11old1oldreader"
    );
    assert_eq!(sh("cat /about/labels"), "tier=\"one\"");
    for path in ["/live/x", "/key/x", "/about/x", "/all/x", "/var/run/secrets/kubernetes.io/serviceaccount/x"]
    {
        let told = cluster.kubectl(&["exec", "reader", "--", "touch", path]);
        assert!(told.code != 0 && told.stderr.contains("Read-only file system"), "{path}: {}", told.stderr);
    }
    // Both keys change at once, for a reader that looks all the time.
    let both = r#"{"data":{"a":"2","b":"2","c":"new"}}"#;
    cluster.kubectl_ok(&["patch", "configmap", "live", "-p", both]);
    cluster.kubectl_ok(&["patch", "secret", "key", "-p", r#"{"stringData":{"password":"new"}}"#]);
    cluster.kubectl_ok(&["label", "pod", "reader", "tier=two", "--overwrite"]);
    cluster.kubectl_ok(&["create", "configmap", "may-come", "--from-literal=x=came"]);
    let wanted = "22new2newtier=\"two\"came";
    wait_for("the container sees all of it", || {
        let seen = cluster
            .kubectl(&[
                "exec",
                "reader",
                "--",
                "sh",
                "-c",
                "cat /live/a /live/b /key/deep/word /all/from-map /all/password /about/labels /may-come/x",
            ])
            .stdout;
        (seen == wanted).then_some(())
    });
    assert_eq!(sh("readlink /live/a; ls /live"), "..data/a\na\nb\nc");
    assert_eq!(cluster.field("pod", "reader", ".status.containerStatuses[0].restartCount"), "0");
    cluster.kubectl_ok(&["patch", "configmap", "live", "--type=merge", "-p", r#"{"data":{"c":null}}"#]);
    wait_for("a key goes", || (sh("ls /live") == "a\nb").then_some(()));
}

/// A Pod's service account, by its token, at the address of the `kubernetes` Service.
fn a_token_speaks_to_the_api_server(cluster: &Cluster) {
    let ask = |path: &str| {
        format!(
            "D=/var/run/secrets/kubernetes.io/serviceaccount; curl -sS --cacert $D/ca.crt -H \"Authorization: Bearer $(cat $D/token)\" https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT{path}"
        )
    };
    let text = shell_pod("client", IDLE, "", "")
        .replace("busybox:1.36", "nginx:1.25")
        .replace("sleep 0.1", "sleep 1");
    cluster.apply(&text);
    cluster.wait_field("pod", "client", ".status.phase", "Running");
    assert_eq!(
        cluster.sh("client", "app", "cat /var/run/secrets/kubernetes.io/serviceaccount/namespace"),
        "default"
    );
    let path = "/api/v1/namespaces/default/pods/client";
    let told = cluster.sh("client", "app", &ask(path));
    let want = "pods \\\"client\\\" is forbidden: User \\\"system:serviceaccount:default:default\\\" cannot get resource \\\"pods\\\" in API group \\\"\\\" in the namespace \\\"default\\\"";
    assert!(told.contains(want), "{told}");
    cluster.kubectl_ok(&[
        "create",
        "rolebinding",
        "view",
        "--clusterrole=view",
        "--serviceaccount=default:default",
    ]);
    wait_for("the role counts at once", || {
        cluster.sh("client", "app", &ask(path)).contains("\"serviceAccountName\": \"default\"").then_some(())
    });
    let without = "curl -sSk https://$KUBERNETES_SERVICE_HOST/api/v1/namespaces/default/pods";
    let told = cluster.sh("client", "app", without);
    assert!(told.contains("User \\\"system:anonymous\\\" cannot list resource"), "{told}");
    let bad = "curl -sSk -H 'Authorization: Bearer abc' https://$KUBERNETES_SERVICE_HOST/api";
    assert!(cluster.sh("client", "app", bad).contains("\"reason\": \"Unauthorized\""));
    // The token dies with its Pod.
    let token = cluster.sh("client", "app", "cat /var/run/secrets/kubernetes.io/serviceaccount/token");
    cluster.kubectl_ok(&["delete", "pod", "client"]);
    let late = cluster.kubectl(&[
        "get",
        "pods",
        "--token",
        &token,
        "--kubeconfig",
        "/dev/null",
        "--insecure-skip-tls-verify",
        "--server",
        &server(cluster),
    ]);
    assert!(late.code != 0 && late.stderr.contains("Unauthorized"), "{}{}", late.stdout, late.stderr);
}

fn server(cluster: &Cluster) -> String {
    cluster.kubectl_ok(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"])
}

/// hostPath: its types are checked, its absence is told.
fn host_directories(cluster: &Cluster) {
    let dir = cluster.dir().join("shared");
    let path = dir.display();
    let volume = |kind: &str| format!("volumes: [{{name: h, hostPath: {{path: '{path}', type: {kind}}}}}]");
    let mount = "volumeMounts: [{name: h, mountPath: /h}]";
    cluster.apply(&shell_pod("early", IDLE, &volume("Directory"), mount));
    cluster.wait_event(
        "early",
        "Warning FailedMount MountVolume.SetUp failed for volume \"h\" : hostPath type check failed: ",
    );
    cluster.apply(&shell_pod("maker", IDLE, &volume("DirectoryOrCreate"), mount));
    cluster.wait_field("pod", "maker", ".status.phase", "Running");
    cluster.sh("maker", "app", "echo from-inside > /h/file");
    assert_eq!(std::fs::read_to_string(dir.join("file")).expect("written"), "from-inside\n");
    cluster.wait_field("pod", "early", ".status.phase", "Running");
    assert_eq!(cluster.sh("early", "app", "cat /h/file"), "from-inside");
}
