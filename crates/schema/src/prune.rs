//! Removes what the schema does not know from a tree, in place.

use crate::table::{FieldRef, Item, Scalar, Shape, TypeRef};
use serde_json::Value;

/// Drops unknown fields at every level. Values of a wrong type are left for the decoder to name.
pub fn prune(ty: TypeRef, value: &mut Value) {
    let Value::Object(map) = value else { return };
    map.retain(|name, value| match ty.field(name) {
        Some(field) => {
            prune_field(field, value);
            true
        }
        None => false,
    });
}

fn prune_field(field: FieldRef, value: &mut Value) {
    let schema = matches!(
        field.item(),
        Item::Scalar(Scalar::PropsOrBool | Scalar::PropsOrArray | Scalar::PropsOrStrings)
    );
    let Some(ty) = field.target() else { return };
    match (field.shape(), value) {
        (Shape::Map, Value::Object(map)) if schema => map.values_mut().for_each(|v| prune_field_item(ty, v)),
        (Shape::Map, Value::Object(map)) => map.values_mut().for_each(|v| prune(ty, v)),
        (_, value) => prune_field_item(ty, value),
    }
}

fn prune_field_item(ty: TypeRef, value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|v| prune(ty, v)),
        value => prune(ty, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::table;
    use serde_json::json;

    #[test]
    fn only_known_fields_stay() {
        let mut pod = json!({"x": 1, "metadata": {"labels": {"x": "y"}, "y": 1}, "spec": {"containers": [{"name": "a", "z": 1}], "nodeSelector": {"q": "r"}}});
        prune(table().kind("", "v1", "Pod").unwrap(), &mut pod);
        assert_eq!(
            pod,
            json!({"metadata": {"labels": {"x": "y"}}, "spec": {"containers": [{"name": "a"}], "nodeSelector": {"q": "r"}}})
        );
    }
}
