//! Laws that hold for every kind of the table, checked with objects made from the schema itself.

use crate::table::{FieldRef, Item, Scalar, Shape, TypeRef, table};
use crate::{decode_json, decode_protobuf, decode_value, encode, encode_protobuf, prune, strategic_merge};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A small generator of numbers, so that one proptest seed makes a whole object.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

fn object(ty: TypeRef, dice: &mut Dice, depth: u32) -> Value {
    let mut map = Map::new();
    for field in ty.fields().filter(|f| !matches!(f.name(), "kind" | "apiVersion") || !f.numbers().is_empty())
    {
        if dice.below(3 + u64::from(depth) * 2) == 0 {
            map.insert(field.name().to_owned(), member(field, dice, depth));
        }
    }
    Value::Object(map)
}

fn member(field: FieldRef, dice: &mut Dice, depth: u32) -> Value {
    let count = 1 + dice.below(2);
    let list = |dice: &mut Dice| Value::Array((0..count).map(|_| item(field, dice, depth)).collect());
    match field.shape() {
        Shape::One => item(field, dice, depth),
        Shape::List | Shape::WrappedList => list(dice),
        Shape::Map => {
            (0..count).map(|i| (format!("k{i}"), item(field, dice, depth))).collect::<Map<_, _>>().into()
        }
        Shape::MapOfWrappedLists => json!({"k": list(dice)}),
    }
}

fn item(field: FieldRef, dice: &mut Dice, depth: u32) -> Value {
    let scalar = match field.item() {
        Item::Object(target) => return object(target, dice, depth + 1),
        Item::Scalar(scalar) => scalar,
    };
    let pick = dice.below(3) as usize;
    match scalar {
        Scalar::String => ["", "text", "<é>\n\"\\"][pick].into(),
        Scalar::Int32 => [0, 7, i32::MIN][pick].into(),
        Scalar::Int64 => [0, -1, i64::MAX][pick].into(),
        Scalar::Bool => (pick == 0).into(),
        Scalar::Double => [0.5, -2.25, 1e9][pick].into(),
        Scalar::Bytes => ["", "AA==", "AP8B"][pick].into(),
        Scalar::Quantity => ["0", "250m", "64Mi"][pick].into(),
        Scalar::Time => "2026-11-20T09:39:00Z".into(),
        Scalar::MicroTime => "2026-11-20T09:39:00.123456Z".into(),
        Scalar::Duration => "1m30s".into(),
        Scalar::IntOrString => [json!(0), json!("http"), json!(8080)][pick].clone(),
        Scalar::Raw => json!({"kind": "Foo", "apiVersion": "example.com/v1", "a": [1, null]}),
        Scalar::Any | Scalar::Json => [json!([1, "a"]), json!({"b": null}), json!("s")][pick].clone(),
        Scalar::Fields => json!({"f:a": {}}),
        Scalar::PropsOrBool if pick == 0 => true.into(),
        Scalar::PropsOrArray if pick == 0 => json!([{"type": "string"}]),
        Scalar::PropsOrStrings => json!(["a"]),
        Scalar::PropsOrBool | Scalar::PropsOrArray => json!({"type": "string"}),
    }
}

/// A kind and an object of it, in the form decoding gives.
fn objects() -> impl Strategy<Value = (TypeRef, Value)> {
    let kinds: Vec<_> = table().kinds().collect();
    (0..kinds.len(), 1..u64::MAX).prop_map(move |(kind, seed)| {
        let (group, version, kind, ty) = kinds[kind];
        let mut made = object(ty, &mut Dice(seed), 0);
        apimachinery::meta::set_gvk(&mut made, &apimachinery::GroupVersionKind::new(group, version, kind));
        (ty, decode_value(ty, made).expect("objects made from the schema fit it").object)
    })
}

fn is_in_protobuf(ty: TypeRef) -> bool {
    ty.field("kind").is_some()
        && ty.fields().all(|f| matches!(f.name(), "kind" | "apiVersion") || !f.numbers().is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn json_keeps_every_object((ty, object) in objects()) {
        let decoded = decode_json(ty, &encode(ty, &object)).unwrap();
        prop_assert_eq!(decoded.problems, vec![]);
        prop_assert_eq!(decoded.object, object);
    }

    #[test]
    fn protobuf_keeps_every_object((ty, object) in objects().prop_filter("not in protobuf", |(ty, _)| is_in_protobuf(*ty))) {
        let (_, decoded) = decode_protobuf(&encode_protobuf(ty, &object)).unwrap();
        prop_assert_eq!(decoded, object);
    }

    #[test]
    fn pruning_and_empty_patches_change_nothing((ty, object) in objects()) {
        let mut pruned = object.clone();
        prune(ty, &mut pruned);
        prop_assert_eq!(&pruned, &object);
        prop_assert_eq!(strategic_merge(ty, object.clone(), &json!({})), Ok(object));
    }
}
