//! What users read of CustomResourceDefinitions and APIServices.

use super::Good;
use serde_json::{Value, json};

fn definition() -> Good {
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"replicas": {"type": "integer"}, "name": {"type": "string"}}},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
    }}});
    Good {
        group: "apiextensions.k8s.io",
        resource: "customresourcedefinitions",
        api_version: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        object: json!({"metadata": {"name": "tabs.example.com"}, "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "tabs", "kind": "Tab"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        }}),
    }
}

/// The definition with a merge patch of its only version.
fn version(patch: Value) -> Value {
    let mut version = definition().object["spec"]["versions"][0].clone();
    apimachinery::patch::merge_patch(&mut version, &patch);
    json!({"spec": {"versions": [version]}})
}

fn schema(schema: Value) -> Value {
    let mut patch = version(json!({}));
    patch["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema;
    patch
}

fn property(property: Value) -> Value {
    schema(json!({"type": "object", "properties": {"p": property}}))
}

#[test]
fn what_follows_from_the_kind() {
    let definition = definition().with(&json!({}));
    let names = &definition["spec"]["names"];
    assert_eq!((&names["singular"], &names["listKind"]), (&json!("tab"), &json!("TabList")));
    assert_eq!(definition["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(definition["status"]["storedVersions"], json!(["v1"]));
}

#[test]
fn names_scopes_and_versions() {
    definition().creates(&[
        (
            json!({"metadata": {"name": "other.example.com"}}),
            &["metadata.name: Invalid value: \"other.example.com\": must be spec.names.plural+\".\"+spec.group"],
        ),
        (
            json!({"metadata": {"name": "tabs.local"}, "spec": {"group": "local", "scope": "Galaxy"}}),
            &[
                "spec.group: Invalid value: \"local\": should be a domain with at least one dot",
                "spec.scope: Unsupported value: \"Galaxy\": supported values: \"Cluster\", \"Namespaced\"",
            ],
        ),
        (
            json!({"spec": {"names": {"kind": "Tab", "listKind": "Tab", "shortNames": ["T"]}}}),
            &[
                "spec.names.shortNames[0]: Invalid value: \"T\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
                "spec.names.listKind: Invalid value: \"Tab\": kind and listKind may not be the same",
            ],
        ),
        (
            version(json!({"schema": null})),
            &["spec.versions[0].schema.openAPIV3Schema: Required value"],
        ),
        (
            version(json!({"deprecationWarning": "old"})),
            &["spec.versions[0].deprecationWarning: Invalid value: \"old\": can only be set for deprecated versions"],
        ),
        (
            json!({"spec": {"preserveUnknownFields": true}}),
            &["spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"],
        ),
        (
            json!({"metadata": {"name": "tabs.x.k8s.io"}, "spec": {"group": "x.k8s.io"}}),
            &["metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111"],
        ),
        (
            json!({"spec": {"conversion": {"strategy": "Webhook"}}}),
            &[
                "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
                "spec.conversion.conversionReviewVersions: Required value",
            ],
        ),
    ]);
    let none = definition().with(&version(json!({"storage": false})));
    let errors = super::texts(&definition().strategy().validate(&none));
    assert!(errors[0].ends_with("must have exactly one version marked as storage version"), "{errors:?}");
    assert_eq!(
        errors[1],
        "status.storedVersions: Invalid value: null: must have at least one stored version"
    );
}

#[test]
fn columns_fields_and_subresources() {
    definition().creates(&[
        (
            version(json!({"additionalPrinterColumns": [{"name": "A", "type": "thing", "jsonPath": "spec"}]})),
            &[
                "spec.additionalPrinterColumns[0].type: Invalid value: \"thing\": must be one of boolean,date,integer,number,string",
                "spec.additionalPrinterColumns[0].JSONPath: Invalid value: \"spec\": must be a simple json path starting with .",
            ],
        ),
        (version(json!({"subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}})), &[]),
        (
            version(json!({"subresources": {"scale": {"specReplicasPath": ".status.replicas", "statusReplicasPath": ""}}})),
            &[
                "spec.subresources.scale.specReplicasPath: Invalid value: \".status.replicas\": should be a json path under .spec",
                "spec.subresources.scale.statusReplicasPath: Required value",
            ],
        ),
        (version(json!({"selectableFields": [{"jsonPath": ".spec.name"}]})), &[]),
        (
            version(json!({"selectableFields": [{"jsonPath": ".spec.x"}, {"jsonPath": ".spec"}, {"jsonPath": ".spec['name']"}]})),
            &[
                "spec.selectableFields[0].jsonPath: Invalid value: \".spec.x\": is an invalid path: does not refer to a valid field",
                "spec.selectableFields[1].jsonPath: Invalid value: \".spec\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
                "spec.selectableFields[2].jsonPath: Invalid value: \".spec['name']\": is an invalid path: array notation is not allowed",
            ],
        ),
    ]);
}

#[test]
fn schemas_are_structural() {
    const AT: &str = "spec.validation.openAPIV3Schema";
    let at = |text: &str| format!("{AT}{text}");
    let cases: Vec<(Value, Vec<String>)> = vec![
        (schema(json!({})), vec![at(".type: Required value: must not be empty at the root")]),
        (
            property(json!({})),
            vec![at(".properties[p].type: Required value: must not be empty for specified object fields")],
        ),
        (property(json!({"x-kubernetes-int-or-string": true})), vec![]),
        (property(json!({"x-kubernetes-preserve-unknown-fields": true})), vec![]),
        (
            property(json!({"type": "array", "items": {}})),
            vec![at(
                ".properties[p].items.type: Required value: must not be empty for specified array items",
            )],
        ),
        (
            property(
                json!({"type": "object", "allOf": [{"properties": {"x": {"type": "string", "default": "a"}}}]}),
            ),
            vec![
                at(
                    ".properties[p].allOf[0].properties[x].default: Forbidden: must be undefined to be structural",
                ),
                at(".properties[p].allOf[0].properties[x].type: Forbidden: must be empty to be structural"),
            ],
        ),
        (
            schema(json!({"type": "object", "anyOf": [{"properties": {"x": {"minimum": 1}}}]})),
            vec![at(
                ".properties[x]: Required value: because it is defined in spec.validation.openAPIV3Schema.anyOf[0].properties[x]",
            )],
        ),
        (
            schema(
                json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            ),
            vec![at(
                ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
            )],
        ),
        (
            property(json!({"type": "string", "pattern": "(a"})),
            vec![at(
                ".properties[p].pattern: Invalid value: \"(a\": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(a`",
            )],
        ),
        (
            property(json!({"type": "strange"})),
            vec![at(
                ".properties[p].type: Unsupported value: \"strange\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
            )],
        ),
        (
            property(json!({"type": "object", "uniqueItems": true, "nullable": true})),
            vec![at(
                ".properties[p].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            )],
        ),
        (
            property(
                json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object", "properties": {"k": {"type": "string"}}}}),
            ),
            vec![at(
                ".properties[p].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            )],
        ),
        (
            property(json!({"type": "object", "x-kubernetes-list-type": "set"})),
            vec![at(
                ".properties[p].type: Invalid value: \"object\": must be array if x-kubernetes-list-type is specified",
            )],
        ),
        (
            property(
                json!({"type": "object", "x-kubernetes-validations": [{"rule": ""}, {"rule": "true", "fieldPath": ".x", "reason": "No"}]}),
            ),
            vec![
                at(".properties[p].x-kubernetes-validations[0].rule: Required value: rule is not specified"),
                at(
                    ".properties[p].x-kubernetes-validations[1].reason: Unsupported value: \"No\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"",
                ),
                at(
                    ".properties[p].x-kubernetes-validations[1].fieldPath: Invalid value: \".x\": must be a valid path",
                ),
            ],
        ),
        (
            property(
                json!({"type": "object", "default": {"a": 1, "b": 2}, "properties": {"a": {"type": "string"}}}),
            ),
            vec![
                at(".properties[p].default: Invalid value: {\"a\":1,\"b\":2}: must not have unknown fields"),
                at(
                    ".properties[p].default.a: Invalid value: \"integer\": a in body must be of type string: \"integer\"",
                ),
            ],
        ),
    ];
    for (patch, wanted) in cases {
        let object = definition().with(&patch);
        assert_eq!(super::texts(&definition().strategy().validate(&object)), wanted, "{patch}");
    }
}

#[test]
fn versions_that_differ_are_named_one_by_one() {
    let mut versions = definition().object["spec"]["versions"].clone();
    let mut second = versions[0].clone();
    second["name"] = "v2".into();
    second["storage"] = false.into();
    second["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({});
    versions.as_array_mut().expect("a list").push(second);
    let object = definition().with(&json!({"spec": {"versions": versions}}));
    assert_eq!(
        super::texts(&definition().strategy().validate(&object)),
        [
            "spec.versions[1].schema.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields"
        ]
    );
}

#[test]
fn what_may_change_of_a_definition() {
    let established = json!({"status": {"conditions": [{"type": "Established", "status": "True"}]}});
    definition().updates(
        "",
        &[
            (json!({}), json!({"spec": {"scope": "Cluster"}}), &[]),
            (
                established.clone(),
                json!({"spec": {"scope": "Cluster"}}),
                &["spec.scope: Invalid value: \"Cluster\": field is immutable"],
            ),
            (
                json!({}),
                json!({"spec": {"names": {"plural": "other"}}}),
                &["spec.names.plural: Invalid value: \"other\": field is immutable"],
            ),
            (
                json!({"status": {"storedVersions": ["v0", "v1"]}}),
                json!({"spec": {"names": {"shortNames": ["t"]}}}),
                &["status.storedVersions[0]: Invalid value: \"v0\": missing from spec.versions; v0 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v0 and removes v0 from status.storedVersions"],
            ),
        ],
    );
    definition()
        .warns(&property(json!({"type": "string", "format": "weird"})), &["unrecognized format \"weird\""]);
}

#[test]
fn api_services() {
    let service = Good {
        group: "apiregistration.k8s.io",
        resource: "apiservices",
        api_version: "apiregistration.k8s.io/v1",
        kind: "APIService",
        object: json!({"metadata": {"name": "v1.example.com"}, "spec": {
            "group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
            "service": {"name": "s", "namespace": "n"}}}),
    };
    assert_eq!(service.with(&json!({}))["spec"]["service"]["port"], 443);
    service.creates(&[
        (
            json!({"metadata": {"name": "v2.example.com"}, "spec": {"groupPriorityMinimum": 0, "versionPriority": 1001}}),
            &[
                "metadata.name: Invalid value: \"v2.example.com\": must be `spec.version+\".\"+spec.group`: \"v1.example.com\"",
                "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
                "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
            ],
        ),
        (
            json!({"spec": {"service": null, "insecureSkipTLSVerify": true, "caBundle": "YWJj"}}),
            &[
                "spec.caBundle: Invalid value: \"3 bytes\": local APIServices may not have a caBundle",
                "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
            ],
        ),
        (json!({"spec": {"service": {"name": ""}}}), &["spec.service.name: Required value"]),
    ]);
}
