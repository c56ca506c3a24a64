//! Whether a container that ended runs again: the Pod's restartPolicy, and the container's own
//! policy and rules where it has them (KEP-5307).

use serde_json::Value;

/// True if a container that ended with `code` is to be started again.
pub fn should_restart(spec: &Value, container: &Value, code: i32) -> bool {
    for rule in container["restartPolicyRules"].as_array().into_iter().flatten() {
        if rule["action"] == "Restart" && exit_code_matches(&rule["exitCodes"], code) {
            return true;
        }
    }
    let policy = container["restartPolicy"].as_str().or(spec["restartPolicy"].as_str()).unwrap_or("Always");
    match policy {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    }
}

fn exit_code_matches(codes: &Value, code: i32) -> bool {
    let listed =
        codes["values"].as_array().into_iter().flatten().any(|v| v.as_i64() == Some(i64::from(code)));
    match codes["operator"].as_str() {
        Some("In") => listed,
        Some("NotIn") => !listed,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn policies_and_rules() {
        let cases = [
            (json!({"restartPolicy": "Always"}), json!({}), 0, true),
            (json!({"restartPolicy": "OnFailure"}), json!({}), 0, false),
            (json!({"restartPolicy": "OnFailure"}), json!({}), 1, true),
            (json!({"restartPolicy": "Never"}), json!({}), 1, false),
            (json!({"restartPolicy": "Never"}), json!({"restartPolicy": "Always"}), 0, true),
            (
                json!({"restartPolicy": "Never"}),
                json!({"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]}),
                42,
                true,
            ),
            (
                json!({"restartPolicy": "Never"}),
                json!({"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [42]}}]}),
                42,
                false,
            ),
        ];
        for (spec, container, code, want) in cases {
            assert_eq!(should_restart(&spec, &container, code), want, "{spec} {container} {code}");
        }
    }
}
