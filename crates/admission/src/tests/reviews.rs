//! Reviews, their answers, and refusals.

use super::*;

#[test]
fn reviews_say_what_is_asked_and_what_the_rule_named() {
    let mut asked = request(Operation::Create, "g/v2/r/scale", "ns");
    asked.dry_run = true;
    let v1 = Matched {
        resource: GroupVersionResource::new("g", "v1", "r"),
        kind: GroupVersionKind::new("g", "v1", "Thing"),
    };
    let object = json!({"a": 1});
    let (review, version) =
        review(&["v2".into(), "v1".into()], "id", &asked, &v1, Some(&object), None).unwrap();
    assert_eq!(version, "v1");
    assert_eq!(
        review,
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
            "uid": "id", "kind": {"group": "g", "version": "v1", "kind": "Thing"},
            "resource": {"group": "g", "version": "v1", "resource": "r"}, "subResource": "scale",
            "requestKind": {"group": "g", "version": "v2", "kind": "Thing"},
            "requestResource": {"group": "g", "version": "v2", "resource": "r"}, "requestSubResource": "scale",
            "name": "x", "namespace": "ns", "operation": "CREATE",
            "userInfo": {"username": "u", "groups": ["g"]},
            "object": {"a": 1}, "oldObject": null, "dryRun": true, "options": null}})
    );
    let none = crate::review(&["v9".into()], "id", &asked, &v1, None, None).unwrap_err();
    assert_eq!(none, "webhook does not accept known AdmissionReview versions (v1, v1beta1)");
}

#[test]
fn answers_are_verified() {
    let good = |response: Value| json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    for (review, mutating, want) in [
        (json!({}), true, "webhook response was absent"),
        (good(json!({"uid": "other"})), true, "expected response.uid=\"id\", got \"other\""),
        (
            json!({"response": {"uid": "id"}}),
            true,
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=",
        ),
        (
            good(json!({"uid": "id", "patch": "W10="})),
            true,
            "webhook returned response.patch but not response.patchType",
        ),
        (
            good(json!({"uid": "id", "patchType": "JSONPatch"})),
            true,
            "webhook returned response.patchType but not response.patch",
        ),
        (
            good(json!({"uid": "id", "patch": "W10=", "patchType": "JSONPatch"})),
            false,
            "validating webhook may not return response.patch",
        ),
        (
            good(json!({"uid": "id", "patchType": "JSONPatch"})),
            false,
            "validating webhook may not return response.patchType",
        ),
    ] {
        assert_eq!(Answer::read(&review, "v1", "id", mutating).unwrap_err(), want, "{review}");
    }
    let full = good(json!({"uid": "id", "allowed": true, "patch": "W10=", "patchType": "JSONPatch",
        "warnings": ["w"], "auditAnnotations": {"k": "v"}}));
    let answer = Answer::read(&full, "v1", "id", true).unwrap();
    assert!(answer.allowed && answer.patch == b"[]" && answer.warnings == ["w"]);
    assert_eq!(answer.annotations, [("k".to_string(), "v".to_string())]);
    // Before v1 neither uid nor kind had to be right.
    assert!(Answer::read(&json!({"response": {"allowed": true}}), "v1beta1", "id", true).unwrap().allowed);
}

#[test]
fn refusals_name_the_webhook() {
    for (result, code, message) in [
        (Value::Null, 400, "admission webhook \"w\" denied the request without explanation"),
        (json!({"message": "no"}), 400, "admission webhook \"w\" denied the request: no"),
        (json!({"reason": "Forbidden"}), 400, "admission webhook \"w\" denied the request: Forbidden"),
        (json!({"message": "no", "code": 403}), 403, "admission webhook \"w\" denied the request: no"),
        (json!({"code": 200}), 400, "admission webhook \"w\" denied the request without explanation"),
    ] {
        let status = denied("w", &result);
        assert_eq!((status.code, status.message.as_str()), (code, message), "{result}");
    }
}
