//! What a mutating policy makes of an object: a configuration laid over it, or a JSON patch.

use crate::activation::{Activation, Inputs, PER_POLICY};
use crate::policy::{Mutation, Policy};
use apimachinery::meta;
use apimachinery::patch::{PatchError, json_patch};
use cel::{Object, Value};
use schema::apply::{self, Duplicates, Type};
use serde_json::{Map, Value as Json};

/// The changed object, as the patch left it: not decoded, not defaulted.
///
/// # Errors
/// Why the policy cannot be applied.
pub fn mutate(
    policy: &Policy,
    mutation: &Mutation,
    inputs: &Inputs<'_>,
    ty: Type<'_>,
) -> Result<Json, String> {
    if let Err(text) = &mutation.expression.program {
        return Err(text.clone());
    }
    let activation = Activation::new(inputs, &policy.variables);
    let mut left = PER_POLICY;
    let value = activation.evaluate(&mutation.expression, &mut left)??;
    if mutation.apply {
        let config = configuration(&value)?;
        applied(ty, inputs.object, config).map_err(|error| format!("error applying patch: {error}"))
    } else {
        patched(inputs.object, &operations(&value)?)
    }
}

fn configuration(value: &Value<'_>) -> Result<Json, String> {
    named_by_path(value)?;
    value.to_json().ok_or_else(|| "invalid return type: it has no form in JSON".into())
}

/// Objects are made under the names of the fields that lead to them, beginning at `Object`.
fn named_by_path(value: &Value<'_>) -> Result<(), String> {
    let Value::Object(object) = value else { return Ok(()) };
    let mut wrong = Vec::new();
    check_names(value, object.type_name(), &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(format!("type mismatch: {}", wrong.join("\n"))) }
}

fn check_names(value: &Value<'_>, path: &str, wrong: &mut Vec<String>) {
    match value {
        Value::Object(Object::Values { decl, fields }) => {
            if decl.name != path {
                wrong.push(format!(
                    "unexpected type name \"{}\", expected \"{path}\", which matches field name path from root Object type",
                    decl.name
                ));
            }
            for (field, value) in fields.iter() {
                check_names(value, &format!("{path}.{field}"), wrong);
            }
        }
        Value::List(list) => list.iter().for_each(|item| check_names(&item, path, wrong)),
        Value::Map(map) => {
            let values = map.keys().into_iter().filter_map(|key| map.get(&key));
            values.for_each(|value| check_names(&value, path, wrong));
        }
        _ => {}
    }
}

fn applied(ty: Type<'_>, object: &Json, mut config: Json) -> Result<Json, String> {
    if let Some(kind) = meta::gvk(object) {
        meta::set_gvk(&mut config, &kind);
    }
    apply::validate(ty, &config, Duplicates::Refused)
        .map_err(|errors| format!("failed to convert patch object to typed object: {errors}"))?;
    let mut atomic = Vec::new();
    find_atomic(ty, &config, "", &mut atomic);
    if !atomic.is_empty() {
        let list = atomic.join(", ");
        return Err(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {list}"
        ));
    }
    Ok(apply::merge(ty, object, &config))
}

/// The places of values that would be replaced as a whole.
fn find_atomic(ty: Type<'_>, value: &Json, path: &str, found: &mut Vec<String>) {
    let atom = ty.atom();
    match (value, atom.map, atom.list) {
        (Json::Object(entries), Some(map), _) => {
            if map.atomic {
                found.push(path.to_owned());
            }
            for (name, value) in entries {
                if let Some(ty) = map.declared(name) {
                    find_atomic(ty, value, &format!("{path}.{name}"), found);
                }
            }
        }
        (Json::Array(items), _, Some(list)) => {
            if list.is_atomic() {
                found.push(path.to_owned());
            }
            for (index, item) in items.iter().enumerate() {
                find_atomic(list.item, item, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// The operations as JSON.
fn operations(value: &Value<'_>) -> Result<Json, String> {
    let Value::List(list) = value else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".into());
    };
    let mut operations = Vec::with_capacity(list.len());
    for item in list.iter() {
        let Value::Object(object) = &item else {
            return Err(format!(
                "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch, got element of {}",
                item.type_name()
            ));
        };
        let mut operation = Map::new();
        for (field, required) in [("op", true), ("path", true), ("from", false)] {
            let text = object.get(field).and_then(|value| value.as_text().map(str::to_owned));
            let text = text.unwrap_or_default();
            if required || !text.is_empty() {
                operation.insert(field.into(), text.into());
            }
        }
        if let Some(value) = object.get("value") {
            named_by_path(&value)?;
            let json = value.to_json().ok_or_else(|| {
                let name = value.type_name().into_owned();
                format!("JSONPath valueExpression evaluated to a type that could not marshal to JSON: {name}")
            })?;
            operation.insert("value".into(), json);
        }
        operations.push(Json::Object(operation));
    }
    Ok(Json::Array(operations))
}

fn patched(object: &Json, operations: &Json) -> Result<Json, String> {
    match json_patch(object, operations.to_string().as_bytes()) {
        Ok(patched) => Ok(patched),
        // A test that fails keeps the patch from being applied; that is what tests are for.
        Err(PatchError::TestFailed(_)) => Ok(object.clone()),
        Err(error) => Err(format!("JSON Patch: {error}")),
    }
}
