//! What users read of devices, and of the claims to them.

use super::Good;
use serde_json::{Value, json};

const GROUP: &str = "resource.k8s.io";

fn device(resource: &'static str, kind: &'static str, object: Value) -> Good {
    Good { group: GROUP, resource, api_version: "resource.k8s.io/v1", kind, object }
}

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

fn devices(devices: Value) -> Value {
    json!({"spec": {"devices": devices}})
}

fn claim() -> Good {
    let requests = json!([
        {"name": "one", "exactly": {"deviceClassName": "gpu", "selectors": [{"cel": {"expression": "true"}}]}},
        {"name": "any", "firstAvailable": [{"name": "big", "deviceClassName": "gpu", "allocationMode": "All"}]},
    ]);
    device(
        "resourceclaims",
        "ResourceClaim",
        json!({"metadata": {"name": "c"}, "spec": {"devices": {
            "requests": requests,
            "constraints": [{"requests": ["one", "any/big"], "matchAttribute": "d.io/numa"}],
            "config": [{"opaque": {"driver": "d.io", "parameters": {"a": 1}}}],
        }}}),
    )
}

#[test]
fn classes() {
    let class = device(
        "deviceclasses",
        "DeviceClass",
        json!({"metadata": {"name": "gpu"}, "spec": {"extendedResourceName": "d.io/gpu"}}),
    );
    class.creates(&[
        (spec(json!({"selectors": [{}]})), &["spec.selectors[0].cel: Required value"]),
        (
            spec(json!({"selectors": [{"cel": {"expression": "x".repeat(10241)}}]})),
            &["spec.selectors[0].cel.expression: Too long: may not be more than 10240 bytes"],
        ),
        (
            spec(json!({"config": [{}, {"opaque": {"driver": "", "parameters": 1}}]})),
            &[
                "spec.config[0].opaque: Required value",
                "spec.config[1].opaque.driver: Required value",
                "spec.config[1].opaque.parameters: Invalid value: \"<value omitted>\": must be a valid JSON object",
            ],
        ),
        (
            spec(json!({"extendedResourceName": "cpu"})),
            &["spec.extendedResourceName: Invalid value: \"cpu\": must be a valid extended resource name"],
        ),
    ]);
}

#[test]
fn claims() {
    let good = claim();
    let object = good.with(&json!({}));
    let exactly = &object["spec"]["devices"]["requests"][0]["exactly"];
    assert_eq!((&exactly["allocationMode"], &exactly["count"]), (&json!("ExactCount"), &json!(1)));
    assert!(object["spec"]["devices"]["requests"][1].get("count").is_none());
    let only = |request: Value| devices(json!({"requests": [request], "constraints": null}));
    let exact = |exactly: Value| only(json!({"name": "r", "exactly": exactly}));
    let reference = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    good.creates(&[
        (
            only(json!({"name": "r"})),
            &["spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"],
        ),
        (
            exact(json!({"deviceClassName": "", "allocationMode": "All", "count": 2})),
            &[
                "spec.devices.requests[0].exactly.deviceClassName: Required value",
                "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
            ],
        ),
        (
            exact(json!({"deviceClassName": "g", "allocationMode": "Some", "count": -1})),
            &["spec.devices.requests[0].exactly.allocationMode: Unsupported value: \"Some\": supported values: \"All\", \"ExactCount\""],
        ),
        (
            exact(json!({"deviceClassName": "g", "count": -1, "tolerations": [
                {"operator": "Exists", "value": "v"}, {"effect": "Never"}]})),
            &[
                "spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero",
                "spec.devices.requests[0].exactly.tolerations[0].value: Invalid value: \"v\": must be empty for operator `Exists`",
                "spec.devices.requests[0].exactly.tolerations[1].effect: Unsupported value: \"Never\": supported values: \"NoExecute\", \"NoSchedule\", \"None\"",
            ],
        ),
        (
            devices(json!({"constraints": [{"requests": ["any/small", "one", "one"], "matchAttribute": "numa"}, {}]})),
            &[
                &format!("spec.devices.constraints[0].requests[0]: Invalid value: \"any/small\": {reference}"),
                "spec.devices.constraints[0].requests[2]: Duplicate value: \"one\"",
                "spec.devices.constraints[0].matchAttribute: Invalid value: \"numa\": a fully qualified name must be a domain and a name separated by a slash",
                "spec.devices.constraints[1]: Required value: exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set",
            ],
        ),
    ]);
    good.updates(
        "",
        &[
            (json!({}), json!({"metadata": {"labels": {"a": "b"}}}), &[]),
                        (
                spec(json!({"devices": null})),
                devices(json!({"config": [{"opaque": {"driver": "e.io", "parameters": {}}}]})),
                &["spec: Invalid value: {\"devices\":{\"config\":[{\"opaque\":{\"driver\":\"e.io\",\"parameters\":{}}}]}}: field is immutable"],
            ),
        ],
    );
    let template = device(
        "resourceclaimtemplates",
        "ResourceClaimTemplate",
        json!({"metadata": {"name": "t"}, "spec": {"spec": good.object["spec"]}}),
    );
    template.creates(&[(
        json!({"spec": {"metadata": {"labels": {"a": "-"}}, "spec": {"devices": {"config": [{}]}}}}),
        &[
            "spec.metadata.labels: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            "spec.spec.devices.config[0].opaque: Required value",
        ],
    )]);
}

#[test]
fn allocations() {
    let result = |device: &str| json!({"request": "one", "driver": "d.io", "pool": "p", "device": device});
    let given = |results: Value| json!({"status": {"allocation": {"devices": {"results": results}}}});
    let told = json!({"driver": "d.io", "pool": "p", "device": "gpu-1"});
    let user = json!({"resource": "pods", "name": "p", "uid": "1"});
    claim().updates(
        "status",
        &[
            (json!({}), given(json!([result("gpu-1")])), &[]),
            (
                json!({}),
                given(json!([{"request": "two", "driver": "d.io", "pool": "", "device": "gpu-1", "shareID": "x"}])),
                &[
                    "status.allocation.devices.results[0].request: Invalid value: \"two\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
                    "status.allocation.devices.results[0].pool: Required value",
                    "status.allocation.devices.results[0].shareID: Invalid value: \"x\": error validating uid: invalid UUID length: 1",
                ],
            ),
            (
                json!({}),
                json!({"status": {"reservedFor": [user, {}]}}),
                &[
                    "status.reservedFor[1].resource: Required value",
                    "status.reservedFor[1].name: Required value",
                    "status.reservedFor[1].uid: Required value",
                    "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
                ],
            ),
            (
                given(json!([result("gpu-1")])),
                json!({"status": {"devices": [told, {"driver": "d.io", "pool": "p", "device": "gpu-2",
                    "networkData": {"ips": ["10.0.0.1", "2001:DB8::1/64"]}}]}}),
                &[
                    "status.devices[1]: Invalid value: d.io/p/gpu-2: must be an allocated device in the claim",
                    "status.devices[1].networkData.ips[0]: Invalid value: \"10.0.0.1\": must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)",
                    "status.devices[1].networkData.ips[1]: Invalid value: \"2001:DB8::1/64\": must be in canonical form (\"2001:db8::1/64\")",
                ],
            ),
        ],
    );
    // What was told of a device goes with the device.
    let claim = claim();
    let mut old = claim.with(&json!({}));
    apimachinery::patch::merge_patch(&mut old, &given(json!([result("gpu-1")])));
    old["status"]["devices"] = json!([told]);
    let mut new = old.clone();
    new["status"] = json!({"devices": [told]});
    claim.strategy().prepare_update("status", &mut new, &old);
    assert_eq!(new["status"], json!({}));
}

fn slice() -> Good {
    device(
        "resourceslices",
        "ResourceSlice",
        json!({"metadata": {"name": "s"}, "spec": {"driver": "d.io", "nodeName": "n",
            "pool": {"name": "n/p", "resourceSliceCount": 1},
            "devices": [{"name": "gpu-1",
                "attributes": {"model": {"string": "m"}, "d.io/driver": {"version": "1.2.3-rc.1+b"}},
                "capacity": {"memory": {"value": "4Gi"}},
                "taints": [{"key": "k", "effect": "NoSchedule"}]}]}}),
    )
}

#[test]
fn slices() {
    let one = |device: Value| devices(json!([device]));
    let policy = |policy: Value| {
        one(json!({"name": "d", "allowMultipleAllocations": true,
            "capacity": {"memory": {"value": "4Gi", "requestPolicy": policy}}}))
    };
    slice().creates(&[
        (
            spec(json!({"driver": "", "pool": {"name": "", "resourceSliceCount": 0, "generation": -1}})),
            &[
                "spec.driver: Required value",
                "spec.pool.name: Required value",
                "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
                "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
            ],
        ),
        (
            spec(json!({"nodeName": null, "allNodes": false})),
            &[
                "spec.allNodes: Invalid value: false: must be either unset or set to true",
                "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
            ],
        ),
        (
            spec(json!({"allNodes": true, "sharedCounters": [{"name": "c", "counters": {"C": {"value": "1"}}}, {"name": "c"}]})),
            &[
                "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
                "spec: Invalid value: \"\": only one of `sharedCounters` or `devices` is allowed",
                "spec.sharedCounters[0].counters: Invalid value: \"C\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
                "spec.sharedCounters[1].counters: Required value",
                "spec.sharedCounters[1]: Duplicate value: \"c\"",
            ],
        ),
        (
            one(json!({"name": "d", "attributes": {"a": {}, "b": {"version": "1.02.3"}, "c": {"int": 1, "bool": true}, "/d": {"int": 1}}})),
            &[
                "spec.devices[0].attributes: Invalid value: \"\": the domain must not be empty",
                "spec.devices[0].attributes[a]: Invalid value: \"\": exactly one value must be specified",
                "spec.devices[0].attributes[b].version: Invalid value: \"1.02.3\": must be a string compatible with semver.org spec 2.0.0",
                "spec.devices[0].attributes[c]: Invalid value: {\"bool\":true,\"int\":1}: exactly one value must be specified",
            ],
        ),
        (
            one(json!({"name": "d", "allNodes": true, "bindingConditions": ["a", "a"], "taints": [{"key": "k", "effect": ""}]})),
            &[
                "spec.devices[0].taints[0].effect: Required value",
                "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec",
                "spec.devices[0].bindingConditions[1]: Duplicate value: \"a\"",
                "spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions",
            ],
        ),
        (
            policy(json!({"default": "3Gi", "validValues": ["2Gi", "1Gi", "8Gi"]})),
            &[
                "spec.devices[0].capacity[memory].requestPolicy.validValues[1]: Invalid value: \"1Gi\": values must be sorted in ascending order",
                "spec.devices[0].capacity[memory].requestPolicy.validValues[2]: Invalid value: \"8Gi\": option is larger than capacity value: 4Gi",
                "spec.devices[0].capacity[memory].requestPolicy.validValues: Invalid value: \"3Gi\": default value is not valid according to the requestPolicy",
            ],
        ),
        (
            policy(json!({"default": "3Gi", "validRange": {"min": "1Gi", "max": "2Gi", "step": "0"}})),
            &[
                "spec.devices[0].capacity[memory].requestPolicy.validRange.max: Invalid value: \"3Gi\": default is more than max: 2Gi",
                "spec.devices[0].capacity[memory].requestPolicy.validRange.step: Invalid value: \"3Gi\": value is not a multiple of a given step (0) from (1Gi)",
                "spec.devices[0].capacity[memory].requestPolicy.validRange.step: Invalid value: \"2Gi\": value is not a multiple of a given step (0) from (1Gi)",
            ],
        ),
    ]);
    let long: Vec<Value> = (0..65)
        .map(|i| json!({"name": format!("d{i}"), "taints": [{"key": "k", "effect": "None"}]}))
        .collect();
    slice().creates(&[(devices(json!(long)), &["spec.devices: Too many: 65: must have at most 64 items"])]);
    slice().updates(
        "",
        &[(
            json!({}),
            spec(json!({"driver": "e.io", "nodeName": "m"})),
            &[
                "spec.driver: Invalid value: \"e.io\": field is immutable",
                "spec.nodeName: Invalid value: \"m\": field is immutable",
            ],
        )],
    );
    slice().warns(
        &spec(json!({"driver": "D.io"})),
        &["spec.driver: driver names should be lowercase; \"D.io\" contains uppercase characters"],
    );
    let lists = slice().with(&one(json!({"name": "d", "attributes": {"a": {"int": 1, "ints": [1]}},
        "nodeAllocatableResourceMappings": {"cpu": {"capacityKey": "x"}}})));
    assert_eq!(lists["spec"]["devices"], json!([{"name": "d", "attributes": {"a": {"int": 1}}}]));
}

#[test]
fn taints_have_a_time() {
    let now = apimachinery::Time::parse("2026-01-01T00:00:00Z").expect("a time");
    let rule = Good {
        api_version: "resource.k8s.io/v1beta2",
        ..device(
            "devicetaintrules",
            "DeviceTaintRule",
            json!({"metadata": {"name": "t"}, "spec": {"deviceSelector": {"driver": "d.io"},
                "taint": {"key": "k", "effect": "NoExecute", "timeAdded": "2025-01-01T00:00:00Z"}}}),
        )
    };
    rule.creates(&[(
        spec(json!({"deviceSelector": {"pool": "", "device": "A"}, "taint": {"key": "", "effect": "x"}})),
        &[
            "spec.deviceSelector.pool: Required value",
            "spec.deviceSelector.device: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "spec.taint.key: Invalid value: \"\": name part must be non-empty",
            "spec.taint.key: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "spec.taint.effect: Unsupported value: \"x\": supported values: \"NoExecute\", \"NoSchedule\", \"None\"",
        ],
    )]);
    let old = rule.with(&json!({}));
    let mut new = old.clone();
    rule.strategy().stamp("", &mut new, Some(&old), now);
    assert_eq!(new, old);
    new["spec"]["taint"]["effect"] = json!("None");
    rule.strategy().stamp("", &mut new, Some(&old), now);
    assert_eq!(new["spec"]["taint"]["timeAdded"], "2026-01-01T00:00:00Z");
    let mut slice = slice().with(&json!({}));
    super::strategy(GROUP, "resourceslices").stamp("", &mut slice, None, now);
    assert_eq!(slice["spec"]["devices"][0]["taints"][0]["timeAdded"], "2026-01-01T00:00:00Z");
}
