//! Admission policies with kubectl: what is refused and how it reads, what is only warned of, and what
//! the status of a policy says about its expressions.

use std::fs;

use testkit::Cluster;

const POLICY: &str = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: \
     small}\nspec:\n  matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [''], apiVersions: [v1], \
     resources: [configmaps]}]}\n  validations:\n  - expression: size(object.data) < 2\n    messageExpression: \"'at \
     most one entry, not ' + string(size(object.data))\"\n  - expression: object.nothing == 1 || true\n";

fn binding(action: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: \
         small}}\nspec: {{policyName: small, validationActions: [{action}]}}\n"
    )
}

#[test]
fn kubectl_shows_what_policies_say() {
    let cluster = Cluster::start("policies", &["--api-only"]);
    let kubectl = |arguments: &[&str]| cluster.kubectl(arguments);
    let apply = |name: &str, text: &str| {
        let path = cluster.dir().join(name);
        fs::write(&path, text).expect("writable");
        kubectl(&["apply", "-f", path.to_str().expect("UTF-8")])
    };
    let made = apply("policy.yaml", POLICY);
    assert_eq!(made.code, 0, "{}", made.stderr);
    apply("binding.yaml", &binding("Deny"));
    let create = ["create", "configmap", "two", "--from-literal=a=1", "--from-literal=b=2"];
    let refused = kubectl(&create);
    assert_eq!(refused.code, 1);
    // Older clients print what comes before this in words of their own.
    let text =
        "ValidatingAdmissionPolicy 'small' with binding 'small' denied request: at most one entry, not 2";
    assert!(refused.stderr.contains(text), "{}", refused.stderr);

    apply("binding.yaml", &binding("Warn"));
    let warned = kubectl(&create);
    assert_eq!(warned.stdout, "configmap/two created\n", "{}", warned.stderr);
    let text = "Warning: Validation failed for ValidatingAdmissionPolicy 'small' with binding 'small': at most one \
                entry, not 2";
    assert!(warned.stderr.contains(text), "{}", warned.stderr);

    let path = ["get", "validatingadmissionpolicies", "small", "-o", "jsonpath={.status.typeChecking}"];
    let status = testkit::wait_for("the type check", || {
        Some(kubectl(&path).stdout).filter(|status| status.contains("expressionWarnings"))
    });
    assert!(status.contains("spec.validations[1].expression"), "{status}");
    assert!(status.contains("undefined field 'nothing'"), "{status}");

    let wrong = apply("wrong.yaml", &POLICY.replace("< 2", "<").replace("name: small", "name: wrong"));
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("spec.validations[0].expression: Invalid value"), "{}", wrong.stderr);
    assert!(
        wrong.stderr.contains("compilation failed: ERROR: <input>:1:20: Syntax error"),
        "{}",
        wrong.stderr
    );
}
