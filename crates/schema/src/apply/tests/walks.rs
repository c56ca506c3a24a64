//! The walks, one table each.

use super::*;

fn spec(value: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "X", "spec": value})
}

/// A set's paths below `spec`, one string.
fn below_spec(set: &Set) -> String {
    let lines = set.to_string();
    let lines = lines.lines().filter_map(|line| line.strip_prefix(".spec"));
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn configurations_own_their_leaves_and_items() {
    let custom = custom();
    for (config, want) in [
        (json!({"scalar": "x"}), ".scalar"),
        (json!({"struct": {"a": "x"}}), ".struct.a"),
        (json!({"struct": {}}), ".struct"),
        (json!({"struct": null}), ".struct"),
        (json!({"map": {"k": "v"}}), ".map.k"),
        (json!({"atomicMap": {"k": "v"}}), ".atomicMap"),
        (json!({"atomicList": []}), ".atomicList"),
        (json!({"set": ["b", "a"]}), r#".set[="a"] .set[="b"]"#),
        (json!({"set": []}), ""),
        (json!({"set": ["a", "a"]}), r#".set[="a"]"#),
        (
            json!({"list": [{"name": "n", "value": 1}]}),
            r#".list[name="n"] .list[name="n"].name .list[name="n"].value"#,
        ),
        (json!({"list": [{"name": "n", "value": 1}, {"name": "n"}]}), r#".list[name="n"]"#),
        (
            json!({"ports": [{"port": 1}]}),
            r#".ports[port=1,protocol="TCP"] .ports[port=1,protocol="TCP"].port"#,
        ),
        (json!({"free": {"x": {"y": [1]}}}), ".free.x .free.x.y"),
        (json!({"any": 1}), ".any"),
    ] {
        let set = to_set(Type::Structural(&custom), &spec(config.clone()));
        assert_eq!(below_spec(&set), want, "{config}");
    }
}

#[test]
fn configurations_must_fit() {
    let custom = custom();
    for (config, want) in [
        (json!({"bogus": 1}), ".spec.bogus: field not declared in schema"),
        (json!({"scalar": 1}), ".spec.scalar: expected string, got &value.valueUnstructured{Value:1}"),
        (json!({"number": "x"}), ".spec.number: expected numeric (int or float), got string"),
        (json!({"struct": "x"}), ".spec.struct: expected map, got &{x}"),
        (json!({"list": {"a": 1}}), ".spec.list: expected list, got &{map[a:1]}"),
        (
            json!({"list": [{"name": "c"}, {"name": "c"}]}),
            r#".spec.list: duplicate entries for key [name="c"]"#,
        ),
        (
            json!({"list": [null]}),
            ".spec.list: element 0: associative list with keys may not have a null element",
        ),
        (
            json!({"list": [1]}),
            ".spec.list: element 0: associative list with keys may not have non-map elements",
        ),
        (
            json!({"list": [{"value": 1}]}),
            ".spec.list: element 0: associative list with keys has an element that omits all key fields [\"name\"] (and doesn't have default values for any key fields)",
        ),
        (
            json!({"set": [["a"]]}),
            ".spec.set: element 0: not supported: associative list with lists as elements",
        ),
        (
            json!({"scalar": true, "number": []}),
            "errors:\n  .spec.number: expected numeric (int or float), got []interface {}\n  .spec.scalar: expected string, got &value.valueUnstructured{Value:true}",
        ),
    ] {
        let errors = validate(Type::Structural(&custom), &spec(config.clone()), Duplicates::Refused);
        assert_eq!(errors.unwrap_err().to_string(), want, "{config}");
    }
    let twice = spec(json!({"list": [{"name": "c"}, {"name": "c"}], "free": {"x": [{}]}, "any": "1"}));
    assert_eq!(validate(Type::Structural(&custom), &twice, Duplicates::Allowed), Ok(()));
}

#[test]
fn merging_keeps_the_order_of_the_configuration() {
    let custom = custom();
    let ty = Type::Structural(&custom);
    for (live, config, want) in [
        (json!({"scalar": "a"}), json!({"scalar": "b"}), json!({"scalar": "b"})),
        (json!({"map": {"a": "1"}}), json!({"map": {"b": "2"}}), json!({"map": {"a": "1", "b": "2"}})),
        (json!({"map": {"a": "1"}}), json!({"map": null}), json!({"map": {"a": "1"}})),
        (json!({"map": {}}), json!({"map": null}), json!({"map": null})),
        (
            json!({"atomicMap": {"a": "1"}}),
            json!({"atomicMap": {"b": "2"}}),
            json!({"atomicMap": {"b": "2"}}),
        ),
        (json!({"atomicList": ["a"]}), json!({"atomicList": ["b"]}), json!({"atomicList": ["b"]})),
        (json!({"set": ["a", "b", "c"]}), json!({"set": ["c", "a"]}), json!({"set": ["b", "c", "a"]})),
        (
            json!({"set": ["a", "b", "c"]}),
            json!({"set": ["a", "x", "c"]}),
            json!({"set": ["a", "b", "x", "c"]}),
        ),
        (json!({"set": ["a", "b"]}), json!({"set": ["x"]}), json!({"set": ["a", "b", "x"]})),
        (
            json!({"set": ["x", "a", "y", "b"]}),
            json!({"set": ["b", "a"]}),
            json!({"set": ["x", "y", "b", "a"]}),
        ),
        (
            json!({"list": [{"name": "a", "value": 1}, {"name": "b", "value": 2}]}),
            json!({"list": [{"name": "b", "port": 9}, {"name": "c"}]}),
            json!({"list": [{"name": "a", "value": 1}, {"name": "b", "value": 2, "port": 9}, {"name": "c"}]}),
        ),
        (
            // What the object has twice is replaced, not merged.
            json!({"list": [{"name": "a", "value": 1}, {"name": "z"}, {"name": "a", "value": 2}]}),
            json!({"list": [{"name": "a", "port": 9}]}),
            json!({"list": [{"name": "a", "port": 9}, {"name": "z"}]}),
        ),
        (json!({"any": "a"}), json!({"any": 5}), json!({"any": 5})),
        (json!({"free": {"a": {"b": 1}}}), json!({"free": {"a": [1]}}), json!({"free": {"a": [1]}})),
        (json!({"free": {"a": [1]}}), json!({"free": {"a": {"b": 1}}}), json!({"free": {"a": {"b": 1}}})),
    ] {
        assert_eq!(merge(ty, &spec(live.clone()), &spec(config.clone())), spec(want), "{live} {config}");
    }
}

#[test]
fn comparisons_find_leaves_and_items() {
    let custom = custom();
    let ty = Type::Structural(&custom);
    let item = |value: i32| json!({"name": "n", "value": value});
    for (old, new, added, modified, removed) in [
        (json!({"scalar": "a"}), json!({"scalar": "a"}), "", "", ""),
        (json!({"number": 1}), json!({"number": 1.0}), "", "", ""),
        (json!({"scalar": "a"}), json!({"scalar": "b"}), "", ".scalar", ""),
        (json!({}), json!({"struct": {"a": "x"}}), ".struct .struct.a", "", ""),
        (json!({"struct": {}}), json!({"struct": {"a": "x"}}), ".struct.a", "", ""),
        (json!({"struct": {"a": "x"}}), json!({"struct": {}}), "", "", ".struct.a"),
        (json!({"struct": null}), json!({"struct": {}}), "", ".struct", ""),
        (json!({"atomicMap": {"a": "1"}}), json!({"atomicMap": {"a": "2"}}), "", ".atomicMap", ""),
        (json!({"set": ["a", "b"]}), json!({"set": ["b", "c"]}), r#".set[="c"]"#, "", r#".set[="a"]"#),
        (json!({"set": ["a", "b"]}), json!({"set": ["b", "a"]}), "", "", ""),
        (json!({"list": [item(1)]}), json!({"list": [item(2)]}), "", r#".list[name="n"].value"#, ""),
        (
            json!({"list": []}),
            json!({"list": [item(1)]}),
            r#".list[name="n"] .list[name="n"].name .list[name="n"].value"#,
            "",
            "",
        ),
        (
            json!({"list": [item(1), item(2)]}),
            json!({"list": [item(1), item(3)]}),
            "",
            r#".list[name="n"]"#,
            "",
        ),
        (
            json!({"list": [item(1), item(2)]}),
            json!({"list": [item(1)]}),
            r#".list[name="n"] .list[name="n"].name .list[name="n"].value"#,
            "",
            r#".list[name="n"]"#,
        ),
        (
            json!({"list": [item(1)]}),
            json!({"list": [item(1), item(2)]}),
            r#".list[name="n"]"#,
            "",
            r#".list[name="n"] .list[name="n"].name .list[name="n"].value"#,
        ),
        (json!({"free": {"a": 1}}), json!({"free": {"a": {"b": 1}}}), ".free.a.b", ".free.a", ""),
    ] {
        let found = compare(ty, &spec(old.clone()), &spec(new.clone())).unwrap();
        let shown = [&found.added, &found.modified, &found.removed].map(below_spec);
        assert_eq!(shown, [added, modified, removed].map(str::to_owned), "{old} {new}");
    }
    // Lists that Go prints even if they are not there are null where the object around them is there.
    let pods = built_in("", "v1", "Pod");
    let pod = json!({"spec": {"containers": [{"name": "c"}], "volumes": [{"name": "v"}]}});
    let found = compare(pods, &pods.zero(), &pod).unwrap();
    assert!(!found.added.has(&["f:spec", "f:containers"]) && found.added.has(&["f:spec", "f:volumes"]));
}

#[test]
fn members_are_removed_and_extracted() {
    let custom = custom();
    let ty = Type::Structural(&custom);
    let object =
        spec(json!({"scalar": "a", "struct": {"a": "x", "b": "y"}, "set": ["p", "q"], "atomicList": ["1"],
        "list": [{"name": "n", "value": 1}, {"name": "m"}], "map": {"k": "v"}}));
    let set = |value: Value| Set::decode(&json!({"f:spec": value})).unwrap();
    for (fields, without, only) in [
        (
            json!({"f:scalar": {}, "f:struct": {"f:a": {}}}),
            json!({"struct": {"b": "y"}, "set": ["p", "q"], "atomicList": ["1"], "list": [{"name": "n", "value": 1}, {"name": "m"}], "map": {"k": "v"}}),
            json!({"scalar": "a", "struct": {"a": "x"}}),
        ),
        (
            json!({"f:set": {"v:\"p\"": {}}, "f:list": {"k:{\"name\":\"n\"}": {"f:value": {}}, "k:{\"name\":\"m\"}": {}}}),
            json!({"scalar": "a", "struct": {"a": "x", "b": "y"}, "set": ["q"], "atomicList": ["1"], "list": [{"name": "n"}], "map": {"k": "v"}}),
            json!({"set": ["p"], "list": [{"value": 1}, {"name": "m"}]}),
        ),
        (
            json!({"f:map": {"f:k": {}}, "f:atomicList": {}}),
            json!({"scalar": "a", "struct": {"a": "x", "b": "y"}, "set": ["p", "q"], "list": [{"name": "n", "value": 1}, {"name": "m"}], "map": null}),
            json!({"map": {"k": "v"}, "atomicList": ["1"]}),
        ),
    ] {
        let set = set(fields);
        assert_eq!(remove_items(ty, object.clone(), &set)["spec"], without);
        assert_eq!(extract_items(ty, object.clone(), &set)["spec"], only);
    }
}

#[test]
fn what_became_atomic_is_owned_whole() {
    let custom = custom();
    let set = |value: Value| Set::decode(&json!({"f:spec": value})).unwrap();
    for (had, has) in [
        (json!({"f:atomicMap": {"f:a": {}, "f:b": {}}}), Some(json!({"f:atomicMap": {}}))),
        (json!({"f:atomicList": {".": {}, "v:\"a\"": {}}}), Some(json!({"f:atomicList": {}}))),
        (
            json!({"f:atomicMap": {}, "f:map": {"f:k": {}}, "f:gone": {"f:x": {}}, "f:free": {"f:a": {"f:b": {}}}}),
            None,
        ),
        (json!({"f:map": {}, "f:list": {}}), None),
    ] {
        assert_eq!(reconcile(Type::Structural(&custom), &set(had)), has.map(set));
    }
}

#[test]
fn the_table_says_how_built_in_fields_are_owned() {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1,
        "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"nodeSelector": {"x": "y"}, "containers":
            [{"name": "c", "args": ["1"], "resources": {"limits": {"cpu": 1}},
                "env": [{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
                "ports": [{"containerPort": 80}], "volumeMounts": [{"mountPath": "/m", "name": "v"}]}]}}}});
    assert_eq!(validate(deployments(), &deployment, Duplicates::Refused), Ok(()));
    let owned = to_set(deployments(), &deployment).into_value();
    assert_eq!(
        owned["f:spec"],
        json!({"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {"f:nodeSelector": {}, "f:containers":
            {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:args": {}, "f:resources": {"f:limits": {"f:cpu": {}}},
                "f:env": {"k:{\"name\":\"E\"}": {".": {}, "f:name": {}, "f:valueFrom": {"f:fieldRef": {}}}},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                "f:volumeMounts": {"k:{\"mountPath\":\"/m\"}": {".": {}, "f:mountPath": {}, "f:name": {}}}}}}}})
    );
}

#[test]
fn times_are_there_even_if_nobody_set_them() {
    let pods = built_in("", "v1", "Pod");
    let pod = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let added = compare(pods, &pods.zero(), &pod).unwrap().added.into_value();
    assert_eq!(
        added["f:status"]["f:conditions"]["k:{\"type\":\"Ready\"}"],
        json!({".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {}})
    );
}
