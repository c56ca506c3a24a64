//! Scripts: several managers write one object after the other. Who owns what, who conflicts, what goes.

use super::*;

fn lab(custom: &Structural) -> Lab<'_> {
    Lab::new(Type::Structural(custom), "example.com", "v1", "X")
}

fn spec(value: Value) -> Value {
    json!({"spec": value})
}

#[test]
fn what_an_applier_drops_goes_unless_somebody_else_owns_it() {
    let custom = custom();
    let mut lab = lab(&custom);
    lab.apply("one", spec(json!({"scalar": "a", "map": {"x": "1", "y": "2"}, "set": ["p", "q"]})));
    lab.apply("two", spec(json!({"map": {"y": "2", "z": "3"}, "set": ["q"]})));
    lab.update(
        "hand",
        spec(json!({"scalar": "a", "map": {"x": "1", "y": "2", "z": "3", "h": "4"}, "set": ["p", "q"]})),
    );
    lab.apply("one", spec(json!({"scalar": "a"})));
    assert_eq!(lab.spec(), &json!({"scalar": "a", "map": {"y": "2", "z": "3", "h": "4"}, "set": ["q"]}));
    assert_eq!(
        lab.owners(),
        [
            (r#""two""#.to_owned(), r#".spec.map.y .spec.map.z .spec.set[="q"]"#.to_owned()),
            (r#""one""#.to_owned(), ".spec.scalar".to_owned()),
            (r#""hand" using example.com/v1"#.to_owned(), ".spec.map.h".to_owned()),
        ]
    );
    lab.apply("two", spec(json!({})));
    assert_eq!(lab.spec(), &json!({"scalar": "a", "map": {"h": "4"}}));
    assert_eq!(lab.owned_by("two"), ".spec", "an empty map is owned itself");
}

#[test]
fn conflicts_are_about_other_values_only_and_force_takes() {
    let custom = custom();
    let mut lab = lab(&custom);
    lab.apply("one", spec(json!({"scalar": "a", "map": {"x": "1"}, "list": [{"name": "n", "value": 1}]})));
    let before = lab.object.clone();
    assert_eq!(
        lab.conflicts("two", spec(json!({"scalar": "b", "list": [{"name": "n", "value": 2}]}))),
        [r#""one" .spec.scalar"#, r#""one" .spec.list[name="n"].value"#]
    );
    assert_eq!(lab.object, before, "a refused apply changes nothing");
    lab.apply("two", spec(json!({"scalar": "a", "list": [{"name": "n", "port": 5}]})));
    assert_eq!(
        lab.owned_by("one"),
        r#".spec.scalar .spec.list[name="n"] .spec.list[name="n"].name .spec.list[name="n"].value .spec.map.x"#
    );
    lab.force("three", spec(json!({"scalar": "c"})));
    assert_eq!(lab.spec()["scalar"], "c");
    assert!(!lab.owned_by("one").contains("scalar") && !lab.owned_by("two").contains("scalar"));
    lab.update(
        "hand",
        spec(json!({"scalar": "d", "list": [{"name": "n", "value": 1, "port": 5}], "map": {"x": "1"}})),
    );
    assert_eq!(lab.owned_by("three"), "");
    assert_eq!(
        lab.conflicts("three", spec(json!({"scalar": "c"}))),
        [r#""hand" using example.com/v1 .spec.scalar"#]
    );
}

#[test]
fn items_stay_as_long_as_somebody_wants_them() {
    let custom = custom();
    let mut lab = lab(&custom);
    lab.apply("one", spec(json!({"list": [{"name": "n", "value": 1}, {"name": "m", "value": 2}]})));
    lab.apply("two", spec(json!({"list": [{"name": "n", "port": 5}]})));
    lab.apply("one", spec(json!({"list": []})));
    assert_eq!(lab.spec(), &json!({"list": [{"name": "n", "port": 5}]}));
    lab.update("hand", spec(json!({"list": [{"name": "n", "port": 5, "protocol": "UDP"}]})));
    lab.apply("two", spec(json!({"scalar": "s"})));
    // An update of a part does not keep an item: it goes with the last who wanted it as a whole.
    assert_eq!(lab.spec(), &json!({"scalar": "s"}));
    assert_eq!(lab.owned_by("hand"), "");
    lab.apply("two", spec(json!({"struct": {"a": "1"}})));
    lab.update("hand", spec(json!({"struct": {"a": "1", "b": "2"}})));
    lab.apply("two", spec(json!({"scalar": "s"})));
    assert_eq!(lab.spec(), &json!({"scalar": "s", "struct": {"b": "2"}}), "parts of a struct stand alone");
}

#[test]
fn an_update_owns_what_it_changes_and_frees_what_it_removes() {
    let custom = custom();
    let mut lab = lab(&custom);
    lab.update("creator", spec(json!({"scalar": "a", "struct": {"a": "1"}, "atomicList": ["x"]})));
    assert_eq!(lab.owned_by("creator"), ".spec .spec.atomicList .spec.scalar .spec.struct .spec.struct.a");
    lab.update("other", spec(json!({"scalar": "b", "struct": {"a": "1", "b": "2"}})));
    assert_eq!(lab.owned_by("creator"), ".spec .spec.struct .spec.struct.a");
    assert_eq!(lab.owned_by("other"), ".spec.scalar .spec.struct.b");
    let times = |lab: &Lab<'_>| lab.managed().0.into_iter().map(|e| e.time).collect::<Vec<_>>();
    let before = times(&lab);
    lab.update("other", spec(json!({"scalar": "b", "struct": {"a": "1", "b": "2"}})));
    assert_eq!(times(&lab), before, "no change, no time");
}

#[test]
fn the_first_apply_credits_what_is_there() {
    let custom = custom();
    let mut lab = lab(&custom);
    lab.object = json!({"apiVersion": "example.com/v1", "kind": "X", "metadata": {"uid": "u", "name": "n", "labels": {"l": "1"}},
        "spec": {"scalar": "a"}});
    lab.update("nobody", spec(json!({"scalar": "b"})));
    assert!(lab.owners().is_empty(), "an object without entries is not tracked");
    assert_eq!(
        lab.conflicts("one", spec(json!({"scalar": "c"}))),
        [r#""before-first-apply" using example.com/v1 .spec.scalar"#]
    );
    lab.force("one", spec(json!({"scalar": "c"})));
    assert_eq!(lab.owned_by("before-first-apply"), ".spec");
    assert_eq!(lab.owned_by("one"), ".spec.scalar");
}

#[test]
fn entries_of_updates_are_capped() {
    let custom = custom();
    let mut lab = lab(&custom);
    for n in 0..14 {
        let map: serde_json::Map<String, Value> = (0..=n).map(|k| (format!("k{k}"), "v".into())).collect();
        lab.update(&format!("m{n:02}"), spec(json!({"map": map})));
    }
    let managed = lab.managed();
    assert_eq!(managed.0.len(), 10);
    assert_eq!(managed.0[0].id.manager, "ancient-changes");
    assert_eq!(managed.0[0].time.as_deref(), Some("2026-11-20T10:00:05Z"));
    assert_eq!(
        managed.0[0].set.to_string().replace('\n', " "),
        ".spec .spec.map .spec.map.k0 .spec.map.k1 .spec.map.k2 .spec.map.k3 .spec.map.k4"
    );
    assert_eq!(managed.0[9].id.manager, "m13");
}

#[test]
fn clients_can_forget_and_rewrite_entries_but_not_break_them() {
    let custom = custom();
    let with = |entries: Value| {
        let mut lab = lab(&custom);
        lab.apply("one", spec(json!({"scalar": "a"})));
        let body = json!({"metadata": {"managedFields": entries}, "spec": {"scalar": "a", "number": 1}});
        lab.put("two", "", body);
        lab.owners()
    };
    let one = (r#""one""#.to_owned(), ".spec.scalar".to_owned());
    let two = (r#""two" using example.com/v1"#.to_owned(), ".spec.number".to_owned());
    assert_eq!(with(json!([])), []);
    assert_eq!(with(json!([{}])), []);
    assert_eq!(with(Value::Null), [one.clone(), two.clone()]);
    assert_eq!(with(json!([{"manager": "x", "operation": "Bogus"}])), [one.clone(), two.clone()]);
    assert_eq!(
        with(
            json!([{"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": []}])
        ),
        [one.clone(), two.clone()]
    );
    // An entry of a version that is not served is dropped, the rest counts.
    let renamed = json!([
        {"manager": "renamed", "operation": "Apply", "apiVersion": "example.com/v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:scalar": {".": {}}, "x:future": {}}}},
        {"manager": "old", "operation": "Update", "apiVersion": "example.com/v0", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:scalar": {}}}}]);
    assert_eq!(with(renamed.clone()), [(r#""renamed""#.to_owned(), one.1.clone()), two.clone()]);
    // Through a subresource nobody changes entries directly.
    let mut lab = lab(&custom);
    lab.apply("one", spec(json!({"scalar": "a"})));
    lab.put(
        "two",
        "status",
        json!({"metadata": {"managedFields": renamed}, "spec": {"scalar": "a", "number": 1}}),
    );
    let status = (r#""two" with subresource "status" using example.com/v1"#.to_owned(), two.1);
    assert_eq!(lab.owners(), [one, status]);
}

#[test]
fn kubectl_takes_over_what_it_applied_client_side() {
    let custom = custom();
    let object = |last: &str| {
        json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": last}},
            "spec": {"scalar": "a", "map": {"x": "1"}}})
    };
    let last = r#"{"apiVersion":"example.com/v1","kind":"X","spec":{"scalar":"a"}}"#;
    let mut lab = lab(&custom);
    lab.update("kubectl-client-side-apply", object(last));
    assert_eq!(
        lab.conflicts("other", spec(json!({"scalar": "b"}))),
        [r#""kubectl-client-side-apply" using example.com/v1 .spec.scalar"#]
    );
    // One foreign field among them, and nothing is taken over.
    assert_eq!(
        lab.conflicts("kubectl", spec(json!({"scalar": "b", "map": {"x": "2"}}))),
        [r#""kubectl-client-side-apply" using example.com/v1 .spec.map.x"#]
    );
    lab.apply("kubectl", spec(json!({"scalar": "b"})));
    assert_eq!(lab.spec()["scalar"], "b");
    assert_eq!(
        lab.object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"],
        "{\"apiVersion\":\"example.com/v1\",\"kind\":\"X\",\"spec\":{\"scalar\":\"b\"}}\n"
    );
}

#[test]
fn reset_fields_are_nobodys() {
    let pod = |status: &str| {
        json!({"metadata": {"labels": {"a": status}, "ownerReferences": [{"uid": "o"}]},
        "spec": {"containers": [{"name": "c", "image": status, "resources": {"limits": {"cpu": status}}}]}, "status": {"phase": status}})
    };
    for (reset, want) in [
        (
            Reset::Fields(&["status"]),
            ".metadata.labels.a .spec.containers[name=\"c\"].image .spec.containers[name=\"c\"].resources.limits.cpu",
        ),
        (Reset::Fields(&["spec", "metadata.labels"]), ".status.phase"),
        (
            Reset::AllBut(&["spec.containers.*.resources"]),
            ".spec.containers[name=\"c\"].resources.limits.cpu",
        ),
    ] {
        let mut lab = Lab::new(built_in("", "v1", "Pod"), "", "v1", "Pod");
        lab.update("creator", pod("1"));
        lab.target.reset = reset;
        lab.update("other", pod("2"));
        assert_eq!(lab.owned_by("other"), want);
    }
}

#[test]
fn recorded_deployments() {
    let mut lab = Lab::new(deployments(), "apps", "v1", "Deployment");
    let body = |replicas: Option<i64>| {
        let mut body = json!({"metadata": {"name": "d", "namespace": "default"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers":
                [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}}}});
        if let Some(replicas) = replicas {
            body["spec"]["replicas"] = replicas.into();
        }
        body
    };
    lab.apply("m1", body(Some(3)));
    let managed = &lab.object["metadata"]["managedFields"];
    assert_eq!(
        managed.to_string(),
        r#"[{"apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}}},"manager":"m1","operation":"Apply","time":"2026-11-20T10:00:01Z"}]"#
    );
    assert_eq!(lab.conflicts("m2", body(Some(5))), [r#""m1" .spec.replicas"#]);
    lab.force("m2", body(Some(5)));
    let owns = |lab: &Lab<'_>, manager: &str| lab.owned_by(manager).contains("replicas");
    assert_eq!([owns(&lab, "m1"), owns(&lab, "m2")], [false, true]);
    let before = lab.object.clone();
    lab.force("m2", body(Some(5)));
    assert_eq!(lab.object, before, "the same again changes nothing");
    lab.force("m2", body(None));
    assert!(lab.spec().get("replicas").is_none(), "it is defaulted again");
    assert_eq!([owns(&lab, "m1"), owns(&lab, "m2")], [false, false]);
    let error = |config: Value| {
        let mut config = config;
        apimachinery::meta::set_gvk(&mut config, &lab.kind);
        let writer = Writer { manager: "m", subresource: "", now: "" };
        lab.target.apply_config(&lab.kind, &lab.object, &config, writer, false).unwrap_err()
    };
    assert_eq!(
        error(json!({"metadata": {"name": "d"}, "spec": {"bogus": 1}})),
        ApplyError::Internal("failed to create typed patch object (/d; apps/v1, Kind=Deployment): .spec.bogus: field not declared in schema".into())
    );
    assert_eq!(
        error(json!({"metadata": {"managedFields": []}})),
        ApplyError::Bad("metadata.managedFields must be nil".into())
    );
}

#[test]
fn scaling_moves_the_replicas() {
    let scaled = |entries: Value, replicas: i64, manager: &str| {
        let map = Replicas { api_version: "apps/v1", paths: &[("apps/v1", "spec.replicas")] };
        let mut lab = Lab::new(built_in("autoscaling", "v1", "Scale"), "autoscaling", "v1", "Scale");
        let scale = |replicas: i64| json!({"metadata": {"uid": "u"}, "spec": {"replicas": replicas}});
        lab.object = lab.dress(scale(3));
        let had = map.to_scale(&entries).unwrap();
        apimachinery::meta::metadata_mut(&mut lab.object).insert("managedFields".into(), had);
        lab.put(manager, "scale", scale(replicas));
        let has = map.to_parent(&entries, &lab.object["metadata"]["managedFields"]).unwrap();
        Managed::decode(&has)
            .unwrap()
            .0
            .into_iter()
            .map(|e| {
                format!("{} {} {:?}", e.id.shown(), e.set.to_string().replace('\n', " "), e.time.is_some())
            })
            .collect::<Vec<_>>()
    };
    let entry = |manager: &str, operation: &str, fields: Value| {
        json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": "2026-11-20T10:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}})
    };
    let applied = json!([entry("m", "Apply", json!({"f:replicas": {}, "f:selector": {}}))]);
    assert_eq!(
        scaled(applied.clone(), 5, "kubectl"),
        [
            r#""m" .spec.selector true"#,
            r#""kubectl" with subresource "scale" using apps/v1 .spec.replicas false"#
        ]
    );
    assert_eq!(scaled(applied, 3, "kubectl"), [r#""m" .spec.replicas .spec.selector true"#]);
    let updated = json!([entry("m", "Update", json!({"f:replicas": {}, "f:selector": {}}))]);
    assert_eq!(scaled(updated, 3, "kubectl"), [r#""m" using apps/v1 .spec.replicas .spec.selector true"#]);
    let alone = json!([entry("m", "Update", json!({"f:replicas": {}}))]);
    assert_eq!(scaled(alone, 5, "m"), [r#""m" with subresource "scale" using apps/v1 .spec.replicas false"#]);
    // Where nobody owns the replicas nobody gets them.
    assert_eq!(
        scaled(json!([entry("m", "Apply", json!({"f:selector": {}}))]), 5, "x"),
        [r#""m" .spec.selector true"#]
    );
}

#[test]
fn only_times_changed_is_nothing_changed() {
    let object = |time: &str, value: i32| json!({"metadata": {"name": "n", "managedFields": [{"manager": "m", "time": time}]}, "spec": {"x": value}});
    let mut new = object("b", 1);
    assert!(restore_times(&mut new, &object("a", 1)));
    assert_eq!(new, object("a", 1));
    let mut new = object("b", 2);
    assert!(!restore_times(&mut new, &object("a", 1)));
    assert_eq!(new, object("b", 2));
}

#[test]
fn managers_have_names() {
    for (agent, name) in [
        ("kubectl/v1.33.0 (linux/amd64) kubernetes/x", "kubectl"),
        ("", ""),
        ("Python-urllib", "Python-urllib"),
        ("a\u{7}b c/1", "ab c"),
    ] {
        assert_eq!(manager_of_user_agent(agent), name);
    }
    assert_eq!(manager_of_user_agent(&"é".repeat(100)).len(), 128);
}

/// Two versions of a kind, in which one field has two names.
struct Renamed<'t>(&'t Structural, &'t Structural);

impl Versions for Renamed<'_> {
    fn type_at(&self, api_version: &str) -> Option<Type<'_>> {
        match api_version {
            "example.com/v1" => Some(Type::Structural(self.0)),
            "example.com/v2" => Some(Type::Structural(self.1)),
            _ => None,
        }
    }
    fn convert(&self, object: &Value, api_version: &str) -> Option<Value> {
        let (from, to) = if api_version.ends_with('2') { ("old", "new") } else { ("new", "old") };
        let mut object = object.clone();
        object["apiVersion"] = api_version.into();
        if let Some(spec) = object["spec"].as_object_mut()
            && let Some(value) = spec.remove(from)
        {
            spec.insert(to.into(), value);
        }
        Some(object)
    }
}

#[test]
fn managers_speak_their_own_versions() {
    let schema = |name: &str| {
        Structural::of_resource(
            &json!({"type": "object", "properties": {"spec": {"type": "object", "properties":
                {(name): {"type": "string"}, "same": {"type": "string"}}}}}),
            false,
        )
    };
    let (one, two) = (schema("old"), schema("new"));
    let versions = Renamed(&one, &two);
    let mut lab = Lab::new(Type::Structural(&one), "example.com", "v1", "X");
    let speak = |lab: &mut Lab<'_>, version: &'static str| {
        lab.object = versions.convert(&lab.object, version).unwrap();
        lab.kind = GroupVersionKind::new("example.com", version.rsplit('/').next().unwrap(), "X");
    };
    let target = |version| Target {
        api_version: version,
        ty: versions.type_at(version).unwrap(),
        reset: Reset::None,
        versions: &versions,
    };
    lab.target = target("example.com/v1");
    lab.apply("first", spec(json!({"old": "a", "same": "s"})));
    speak(&mut lab, "example.com/v2");
    lab.target = target("example.com/v2");
    assert_eq!(lab.conflicts("second", spec(json!({"new": "b"}))), [r#""first" .spec.old"#]);
    lab.apply("second", spec(json!({"new": "a"})));
    assert_eq!(lab.owned_by("first"), ".spec.old .spec.same");
    // The same manager in another version: one entry, and what it dropped goes by its old name.
    lab.apply("first", spec(json!({"same": "s"})));
    assert_eq!(
        (lab.owned_by("first"), lab.spec().clone()),
        (".spec.same".into(), json!({"new": "a", "same": "s"}))
    );
    lab.apply("second", spec(json!({})));
    assert_eq!(lab.spec(), &json!({"same": "s"}));
}
