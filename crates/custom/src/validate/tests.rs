//! Tables: values, schemas, and upstream's words for what is wrong.

use super::*;
use serde_json::json;

fn errors(schema: Value, value: Value) -> Vec<String> {
    let root = json!({"type": "object", "properties": {"spec": schema}});
    create(&Schema::read(&root), &json!({"spec": value})).iter().map(ToString::to_string).collect()
}

#[test]
fn every_limit_has_its_words() {
    let table: &[(Value, Value, &[&str])] = &[
        (
            json!({"type": "integer"}),
            json!("x"),
            &[r#"spec: Invalid value: "string": spec in body must be of type integer: "string""#],
        ),
        (
            json!({"type": "integer"}),
            json!(null),
            &[r#"spec: Invalid value: "null": spec in body must be of type integer: "null""#],
        ),
        (json!({"type": "integer", "nullable": true}), json!(null), &[]),
        (json!({"type": "integer"}), json!(2.0), &[]),
        (
            json!({"type": "integer"}),
            json!(2.5),
            &[
                r#"spec: Invalid value: "number": spec in body must be of type integer: "number""#,
                r#"<nil>: Invalid value: "": Checked value must be of type integer (default format) in spec"#,
            ],
        ),
        (json!({"type": "number"}), json!(2), &[]),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(3_000_000_000_i64),
            &[r#"<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec"#],
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            &[r#"spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean""#],
        ),
        (json!({"x-kubernetes-int-or-string": true}), json!("50%"), &[]),
        (
            json!({"type": "integer", "minimum": 1, "maximum": 5}),
            json!(0),
            &["spec: Invalid value: 0: spec in body should be greater than or equal to 1"],
        ),
        (
            json!({"type": "integer", "minimum": 1, "maximum": 5}),
            json!(6),
            &["spec: Invalid value: 6: spec in body should be less than or equal to 5"],
        ),
        (
            json!({"type": "number", "exclusiveMinimum": true, "minimum": 0.5}),
            json!(0.5),
            &["spec: Invalid value: 0.5: spec in body should be greater than 0.5"],
        ),
        (
            json!({"type": "integer", "exclusiveMaximum": true, "maximum": 5}),
            json!(5),
            &["spec: Invalid value: 5: spec in body should be less than 5"],
        ),
        (
            json!({"type": "integer", "multipleOf": 3}),
            json!(4),
            &["spec: Invalid value: 4: spec in body should be a multiple of 3"],
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("äöü"),
            &["spec: Too long: may not be more than 2 bytes"],
        ),
        (
            json!({"type": "string", "minLength": 4}),
            json!("äöü"),
            &[r#"spec: Invalid value: "äöü": spec in body should be at least 4 chars long"#],
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            &[r#"spec: Invalid value: "b": spec in body should match '^a+$'"#],
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("x"),
            &[r#"spec: Invalid value: "x": spec in body must be of type date-time: "x""#],
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!(5),
            &[r#"spec: Invalid value: "int64": spec in body must be of type date-time: "int64""#],
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            &[r#"spec: Unsupported value: "c": supported values: "a", "b""#],
        ),
        (
            json!({"type": "integer", "enum": [1, 2]}),
            json!(3),
            &[r#"spec: Unsupported value: 3: supported values: "1", "2""#],
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 2}),
            json!([1]),
            &[
                r#"spec[0]: Invalid value: "integer": spec[0] in body must be of type string: "integer""#,
                "spec: Invalid value: 1: spec in body should have at least 2 items",
            ],
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}, "maxItems": 1}),
            json!([1, 2]),
            &["spec: Too many: 2: must have at most 1 item"],
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}, "uniqueItems": true}),
            json!([1, 1]),
            &[r#"spec: Invalid value: "": spec in body shouldn't contain duplicates"#],
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
            json!({}),
            &["spec.a: Required value"],
        ),
        (
            json!({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "integer"}}),
            json!({"a": "x", "b": 1}),
            &[
                "spec: Too many: 2: must have at most 1 item",
                r#"spec.a: Invalid value: "string": spec.a in body must be of type integer: "string""#,
            ],
        ),
        (
            json!({"type": "object", "minProperties": 1, "additionalProperties": {"type": "integer"}}),
            json!({}),
            &["spec: Invalid value: 0: spec in body should have at least 1 properties"],
        ),
        (
            json!({"type": "string", "not": {"enum": ["a"]}}),
            json!("a"),
            &[r#"<nil>: Invalid value: "": "spec" must not validate the schema (not)"#],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({}),
            &[
                r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid"#,
                "spec.a: Required value",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({"a": "", "b": ""}),
            &[
                r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives"#,
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}, {"minProperties": 3}]}),
            json!({}),
            &[
                r#"<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)"#,
                "spec.a: Required value",
            ],
        ),
        (
            json!({"type": "string", "allOf": [{"minLength": 3}, {"maxLength": 5}]}),
            json!("a"),
            &[
                r#"spec: Invalid value: "a": spec in body should be at least 3 chars long"#,
                r#"<nil>: Invalid value: "": "spec" must validate all the schemas (allOf)"#,
            ],
        ),
        (
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!("a"),
            &[],
        ),
    ];
    for (schema, value, want) in table {
        assert_eq!(errors(schema.clone(), value.clone()), *want, "{schema} {value}");
    }
}

#[test]
fn what_did_not_change_is_let_through() {
    let schema = Schema::read(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["must"], "properties": {
            "a": {"type": "string", "maxLength": 1}, "b": {"type": "string"},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "string", "maxLength": 1}}}},
            "list": {"type": "array", "items": {"type": "string", "maxLength": 1}},
        }}}}),
    );
    let old = json!({"spec": {"a": "long", "map": [{"k": "1", "v": "long"}, {"k": "2"}], "list": ["long"]}});
    let judge =
        |new: Value| -> Vec<String> { update(&schema, &new, &old).iter().map(ToString::to_string).collect() };
    assert!(judge(old.clone()).is_empty());
    // The list of required fields is the object's, and the object changed.
    let new = json!({"spec": {"a": "long", "b": "new", "map": [{"k": "2"}, {"k": "1", "v": "long"}], "list": ["long"]}});
    assert_eq!(judge(new), ["spec.must: Required value"]);
    let new = json!({"spec": {"must": 1, "a": "other", "map": [{"k": "3", "v": "long"}, {"k": "1", "v": "long"}], "list": ["x", "long"]}});
    assert_eq!(
        judge(new),
        [
            "spec.a: Too long: may not be more than 1 byte",
            "spec.list[1]: Too long: may not be more than 1 byte",
            "spec.map[0].v: Too long: may not be more than 1 byte"
        ]
    );
}

#[test]
fn numbers_print_as_go() {
    for (number, want) in [
        (1.0, "1"),
        (0.5, "0.5"),
        (1e21, "1e+21"),
        (1e-7, "1e-07"),
        (1e20, "100000000000000000000"),
        (0.0, "0"),
    ] {
        assert_eq!(shown(number), want);
    }
}
