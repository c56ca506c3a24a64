//! kubectl and custom resources: what a user does in the minute after a definition.

use std::fs;

use testkit::Cluster;

const DEFINITION: &str = r#"apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Color, type: string, jsonPath: .spec.color, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What a widget should be.
            properties:
              replicas: {type: integer, default: 1, minimum: 0, description: How many.}
              color: {type: string, enum: [red, blue]}
            x-kubernetes-validations:
            - {rule: "self.replicas < 10", messageExpression: "'too many of ' + self.color"}
          status: {type: object, properties: {replicas: {type: integer}}}
"#;

const WIDGET: &str = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one}\nspec: {color: red}\n";

#[test]
fn kubectl_works_with_custom_resources() {
    let cluster = Cluster::start("crd", &["--api-only"]);
    let file = |name: &str, text: &str| {
        let path = cluster.dir().join(name);
        fs::write(&path, text).expect("writable");
        path.to_str().expect("UTF-8").to_owned()
    };
    let ok = |arguments: &[&str]| cluster.kubectl_ok(arguments);
    ok(&["create", "-f", &file("crd.yaml", DEFINITION)]);
    ok(&["wait", "--for", "condition=established", "--timeout=10s", "crd/widgets.example.com"]);
    assert_eq!(ok(&["apply", "-f", &file("one.yaml", WIDGET)]).trim(), "widget.example.com/one created");
    let changed = WIDGET.replace("red", "blue");
    assert_eq!(ok(&["apply", "-f", &file("one.yaml", &changed)]).trim(), "widget.example.com/one configured");

    let wide = ok(&["get", "wd", "-o", "wide"]);
    let words: Vec<&str> = wide.split_whitespace().collect();
    assert_eq!(words, ["NAME", "REPLICAS", "COLOR", "one", "1", "blue"]);
    assert!(ok(&["get", "all"]).contains("widget.example.com/one"));
    assert!(ok(&["api-resources", "--api-group", "example.com"]).contains("widgets"));
    let explained = ok(&["explain", "widgets.spec"]);
    assert!(explained.contains("What a widget should be.") && explained.contains("replicas"), "{explained}");

    assert!(ok(&["scale", "widget", "one", "--replicas=3"]).contains("scaled"));
    ok(&["patch", "widget", "one", "--type=merge", "-p", r#"{"metadata":{"labels":{"a":"b"}}}"#]);
    ok(&[
        "patch",
        "widget",
        "one",
        "--type=json",
        "-p",
        r#"[{"op":"replace","path":"/spec/color","value":"red"}]"#,
    ]);
    let template = "jsonpath={.spec.replicas} {.spec.color} {.metadata.generation}";
    assert_eq!(ok(&["get", "widget", "one", "-o", template]), "3 red 4");
    for (patch, want) in [
        (
            r#"{"spec":{"color":"green"}}"#,
            r#"spec.color: Unsupported value: "green": supported values: "red", "blue""#,
        ),
        (r#"{"spec":{"replicas":12}}"#, "spec: Invalid value: too many of red"),
        (r#"{"spec":{"replicas":"x"}}"#, r#"spec.replicas in body must be of type integer: "string""#),
    ] {
        let refused = cluster.kubectl(&["patch", "widget", "one", "--type=merge", "-p", patch]);
        assert!(refused.code != 0 && refused.stderr.contains(want), "{}", refused.stderr);
    }
    let strategic = cluster.kubectl(&["patch", "widget", "one", "-p", "{}"]);
    assert!(strategic.code != 0, "no strategic merge for custom resources");
    let applied =
        cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file("one.yaml", WIDGET)]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);

    ok(&["delete", "crd", "widgets.example.com", "--timeout=20s"]);
    // kubectl still believes in the resource; the server does not.
    let gone = cluster.kubectl(&["get", "widgets"]);
    assert!(gone.stderr.contains("the server could not find the requested resource"), "{}", gone.stderr);
}

#[test]
fn a_namespace_takes_its_custom_resources_along() {
    let cluster = Cluster::start("crd-ns", &["--api-only"]);
    cluster.apply(DEFINITION);
    cluster.kubectl_ok(&[
        "wait",
        "--for",
        "condition=established",
        "--timeout=10s",
        "crd/widgets.example.com",
    ]);
    cluster.kubectl_ok(&["create", "namespace", "shop"]);
    let path = cluster.dir().join("one.yaml");
    fs::write(&path, WIDGET).expect("writable");
    cluster.kubectl_ok(&["apply", "-n", "shop", "-f", path.to_str().expect("UTF-8")]);
    cluster.kubectl_ok(&["delete", "namespace", "shop", "--timeout=30s"]);
    assert_eq!(cluster.kubectl_ok(&["get", "widgets", "-A"]).trim(), "");
}
