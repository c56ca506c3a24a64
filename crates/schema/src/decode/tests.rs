//! Strict decoding: problems, messages, limits.

use super::*;
use crate::table::table;
use serde_json::json;

fn kind(group: &str, version: &str, kind: &str) -> TypeRef {
    table().kind(group, version, kind).unwrap()
}

fn problems(decoded: &Decoded) -> Vec<String> {
    decoded.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn unknown_and_repeated_fields_are_reported() {
    let body =
        br#"{"kind":"ConfigMap","apiVersion":"v1","data":{"a":"1","a":"2"},"bogus":{"x":[1]},"Data":{}}"#;
    let decoded = decode_json(kind("", "v1", "ConfigMap"), body).unwrap();
    assert_eq!(
        decoded.object,
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {}, "data": {"a": "2"}})
    );
    assert_eq!(
        problems(&decoded),
        [r#"duplicate field "data.a""#, r#"unknown field "bogus""#, r#"unknown field "Data""#]
    );
    assert_eq!(
        strict_message(&decoded.problems[..2]),
        r#"strict decoding error: duplicate field "data.a", unknown field "bogus""#
    );
    let pod = br#"{"spec":{"containers":[{"name":"a","foo":1},{"name":"b","name":"c"}]}}"#;
    let decoded = decode_json(kind("", "v1", "Pod"), pod).unwrap();
    assert_eq!(
        problems(&decoded),
        [r#"unknown field "spec.containers[0].foo""#, r#"duplicate field "spec.containers[1].name""#]
    );
}

#[test]
fn wrong_types_fail_in_gos_words() {
    for (group, version, name, body, want) in [
        (
            "",
            "v1",
            "ConfigMap",
            r#"{"data":{"a":1}}"#,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        ("", "v1", "ConfigMap", r#"{"binaryData":{"a":"*"}}"#, "illegal base64 data at input byte 0"),
        (
            "apps",
            "v1",
            "Deployment",
            r#"{"spec":{"replicas":"3"}}"#,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "apps",
            "v1",
            "Deployment",
            r#"{"spec":{"replicas":3000000000}}"#,
            "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "",
            "v1",
            "Pod",
            r#"{"spec":{"containers":{}}}"#,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "",
            "v1",
            "Pod",
            r#"{"spec":[]}"#,
            "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec",
        ),
        (
            "",
            "v1",
            "Pod",
            r#"{"spec":{"containers":[{"name":true}]}}"#,
            "json: cannot unmarshal bool into Go struct field Container.spec.containers.name of type string",
        ),
        (
            "",
            "v1",
            "Pod",
            r#"{"metadata":{"creationTimestamp":"x"}}"#,
            r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#,
        ),
        (
            "",
            "v1",
            "Pod",
            r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"x"}}}]}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("", "v1", "Pod", "[]", "json: cannot unmarshal array into Go value of type v1.Pod"),
    ] {
        assert_eq!(
            decode_json(kind(group, version, name), body.as_bytes()),
            Err(DecodeError::Type(want.into())),
            "{body}"
        );
    }
}

#[test]
fn broken_json_is_named_as_go_does() {
    for (body, want) in [
        (r#"{"a":"#, "unexpected end of JSON input"),
        ("{\"a\":\n x}", "invalid character 'x' looking for beginning of value"),
        (r#"{"a" 1}"#, "invalid character '1' after object key"),
        (r#"{} x"#, "invalid character 'x' after top-level value"),
    ] {
        assert_eq!(
            decode_json(kind("", "v1", "Pod"), body.as_bytes()),
            Err(DecodeError::Syntax(want.into())),
            "{body}"
        );
    }
    let deep = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
    assert!(
        decode_json(
            kind("", "v1", "Pod"),
            format!(r#"{{"metadata":{{"managedFields":[{{"fieldsV1":{{"a":{deep}}}}}]}}}}"#).as_bytes()
        )
        .is_err()
    );
    assert_eq!(
        sniff(Format::Json, br#"{"apiVersion":1}"#),
        Err(DecodeError::Syntax("couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .apiVersion of type string".into()))
    );
    assert_eq!(
        sniff(Format::Json, br#"{"a":"#),
        Err(DecodeError::Syntax(
            "couldn't get version/kind; json parse error: unexpected end of JSON input".into()
        ))
    );
}

#[test]
fn values_take_their_canonical_form() {
    let body = br#"{
        "metadata": {"name": "p", "creationTimestamp": null, "generateName": "", "labels": {"a": null}},
        "spec": {"hostNetwork": false, "terminationGracePeriodSeconds": 0, "nodeSelector": {}, "tolerations": [],
            "securityContext": {}, "priorityClassName": "",
            "containers": [null, {"name": "", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 0}}]},
        "status": {"startTime": "2026-11-20T10:39:00.5+01:00"}}"#;
    let decoded = decode_json(kind("", "v1", "Pod"), body).unwrap();
    assert_eq!(
        decoded.object,
        json!({
            "metadata": {"name": "p", "labels": {"a": ""}},
            "spec": {"terminationGracePeriodSeconds": 0, "securityContext": {},
                "containers": [{"name": "", "resources": {}}, {"name": "", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                    "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": "http"}}}]},
            "status": {"startTime": "2026-11-20T09:39:00Z"}})
    );
    assert!(decoded.problems.is_empty());
    let again = decode_value(kind("", "v1", "Pod"), decoded.object.clone()).unwrap();
    assert_eq!(again.object, decoded.object);
}

#[test]
fn yaml_is_decoded_alike() {
    let body = b"apiVersion: v1\nkind: Service\nspec:\n  ports:\n  - port: 80\n    targetPort: http\n    nope: 1\n  selector: {a: b}\n";
    let decoded = decode_yaml(kind("", "v1", "Service"), body).unwrap();
    assert_eq!(
        decoded.object["spec"],
        json!({"ports": [{"port": 80, "targetPort": "http"}], "selector": {"a": "b"}})
    );
    assert_eq!(problems(&decoded), [r#"unknown field "spec.ports[0].nope""#]);
    let twice = decode_yaml(kind("", "v1", "ConfigMap"), b"data:\n  a: x\n  a: y\n").unwrap();
    assert_eq!(problems(&twice), [r#"duplicate field "data.a""#]);
    let number = decode_yaml(kind("", "v1", "ConfigMap"), b"data: {a: 1}");
    assert_eq!(
        number,
        Err(DecodeError::Type(
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string".into()
        ))
    );
    let sniffed = sniff(Format::Yaml, body).unwrap();
    assert_eq!((sniffed.api_version.as_str(), sniffed.kind.as_str()), ("v1", "Service"));
}

#[test]
fn json_schemas_are_walked() {
    let body = json!({"spec": {"versions": [{"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {
        "type": "object", "bogus": 1, "additionalProperties": false,
        "properties": {"a": {"items": {"type": "string"}, "default": {"any": [1]}, "x-kubernetes-int-or-string": true, "enum": [1, "a"]}},
        "dependencies": {"d": ["x"]}}}}]}});
    let decoded =
        decode_value(kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), body.clone()).unwrap();
    let mut want = body;
    want.pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove("bogus");
    assert_eq!(decoded.object["spec"]["versions"], want["spec"]["versions"]);
    assert_eq!(problems(&decoded), [r#"unknown field "spec.versions[0].schema.openAPIV3Schema.bogus""#]);
}

#[test]
fn formats_are_told_apart() {
    assert_eq!(Format::detect(b" \n{}"), Format::Json);
    assert_eq!(Format::detect(b"kind: x"), Format::Yaml);
    assert_eq!(Format::detect(b"k8s\0\n"), Format::Protobuf);
}
