//! The CEL expressions of an object, with the path at which an error names each and what each may use. The
//! rules of kinds only check that expressions are there; who has a compiler checks these after them.

use crate::read::{at, has, list, text};
use apimachinery::Path;
use serde_json::Value;

/// What an expression is for: it decides which variables there are and what must come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Whether a webhook or policy concerns a request: true or false.
    Match,
    /// Something later expressions read as `variables.name`.
    Variable,
    /// Whether an object is valid: true or false.
    Validation,
    /// The text of a refusal.
    Message,
    /// The value of an audit annotation: text or null.
    AuditAnnotation,
    /// An object to be applied.
    ApplyConfiguration,
    /// A list of JSON patch operations.
    JsonPatch,
    /// A rule of a custom resource's schema.
    SchemaRule,
    /// The text of a refusal by a rule of a schema.
    SchemaMessage,
}

/// One expression of an object.
#[derive(Debug, Clone)]
pub struct Expression {
    pub path: Path,
    /// Of a variable.
    pub name: String,
    pub text: String,
    pub purpose: Use,
    /// Whether there are parameters.
    pub params: bool,
}

/// All expressions of an object that has some, in the order in which they depend on each other.
pub fn expressions(group: &str, resource: &str, object: &Value) -> Vec<Expression> {
    let mut found = Found(Vec::new());
    let spec = at(object, "spec");
    let path = Path::new("spec");
    match (group, resource) {
        (
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations" | "mutatingwebhookconfigurations",
        ) => {
            for (index, hook) in list(object, "webhooks").iter().enumerate() {
                found.conditions(hook, false, &Path::new("webhooks").index(index));
            }
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicies" | "mutatingadmissionpolicies") => {
            found.policy(spec, &path);
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            for (index, version) in list(spec, "versions").iter().enumerate() {
                let schema = at(at(version, "schema"), "openAPIV3Schema");
                let path = path.child("versions").index(index).child("schema").child("openAPIV3Schema");
                found.schema(schema, &path);
            }
        }
        _ => {}
    }
    found.0
}

struct Found(Vec<Expression>);

impl Found {
    fn add(&mut self, from: &Value, field: &'static str, purpose: Use, params: bool, path: &Path) {
        let source = text(from, field);
        if !source.trim().is_empty() {
            let name = if purpose == Use::Variable { text(from, "name") } else { "" };
            self.0.push(Expression {
                path: path.child(field),
                name: name.to_owned(),
                text: source.to_owned(),
                purpose,
                params,
            });
        }
    }

    fn conditions(&mut self, from: &Value, params: bool, path: &Path) {
        for (index, condition) in list(from, "matchConditions").iter().enumerate() {
            let path = path.child("matchConditions").index(index);
            self.add(condition, "expression", Use::Match, params, &path);
        }
    }

    fn policy(&mut self, spec: &Value, path: &Path) {
        let params = has(spec, "paramKind");
        self.conditions(spec, params, path);
        let lists: [(&'static str, &[(&'static str, Use)]); 3] = [
            ("variables", &[("expression", Use::Variable)]),
            ("validations", &[("expression", Use::Validation), ("messageExpression", Use::Message)]),
            ("auditAnnotations", &[("valueExpression", Use::AuditAnnotation)]),
        ];
        for (field, parts) in lists {
            for (index, item) in list(spec, field).iter().enumerate() {
                let path = path.child(field).index(index);
                parts.iter().for_each(|(part, purpose)| self.add(item, part, *purpose, params, &path));
            }
        }
        for (index, mutation) in list(spec, "mutations").iter().enumerate() {
            let path = path.child("mutations").index(index);
            for (field, purpose) in
                [("applyConfiguration", Use::ApplyConfiguration), ("jsonPatch", Use::JsonPatch)]
            {
                self.add(at(mutation, field), "expression", purpose, params, &path.child(field));
            }
        }
    }

    fn schema(&mut self, schema: &Value, path: &Path) {
        for (index, rule) in list(schema, "x-kubernetes-validations").iter().enumerate() {
            let path = path.child("x-kubernetes-validations").index(index);
            self.add(rule, "rule", Use::SchemaRule, false, &path);
            self.add(rule, "messageExpression", Use::SchemaMessage, false, &path);
        }
        for (name, property) in at(schema, "properties").as_object().into_iter().flatten() {
            self.schema(property, &path.child("properties").key(name.as_str()));
        }
        for field in ["items", "additionalProperties"] {
            if at(schema, field).is_object() {
                self.schema(at(schema, field), &path.child(field));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_expression_is_found_where_errors_name_it() {
        let policy = json!({"spec": {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConditions": [{"name": "a", "expression": "true"}],
            "variables": [{"name": "x", "expression": "1"}],
            "validations": [{"expression": "variables.x == 1", "messageExpression": "'no'"}],
            "auditAnnotations": [{"key": "k", "valueExpression": "'v'"}],
        }});
        let found = expressions("admissionregistration.k8s.io", "validatingadmissionpolicies", &policy);
        let paths: Vec<String> = found.iter().map(|one| one.path.to_string()).collect();
        assert_eq!(
            paths,
            [
                "spec.matchConditions[0].expression",
                "spec.variables[0].expression",
                "spec.validations[0].expression",
                "spec.validations[0].messageExpression",
                "spec.auditAnnotations[0].valueExpression",
            ]
        );
        assert!(found.iter().all(|one| one.params));
        let definition = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {
            "type": "object",
            "properties": {"spec": {"type": "object", "x-kubernetes-validations": [{"rule": "self.a > 0"}]}},
        }}}]}});
        let found = expressions("apiextensions.k8s.io", "customresourcedefinitions", &definition);
        assert_eq!(
            found[0].path.to_string(),
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule"
        );
    }
}
