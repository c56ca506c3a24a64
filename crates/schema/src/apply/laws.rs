//! What holds for every object and every configuration.

use super::tests::{Lab, built_in, custom};
use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(Value::from)
}

fn items(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let names = proptest::sample::subsequence(vec!["n", "m", "o", "p"], 0..4).prop_shuffle();
    (names, proptest::collection::vec((0..3i64, 0..3i64), 4)).prop_map(move |(names, numbers)| {
        let item = |(name, (value, port)): (&str, (i64, i64))| {
            let mut item = json!({"name": name});
            for (key, number) in keys.iter().zip([value, port]) {
                // Not every item has every field.
                if number > 0 {
                    item[*key] = number.into();
                }
            }
            item
        };
        names.into_iter().zip(numbers).map(item).collect()
    })
}

fn maybe(
    name: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Option<(String, Value)>> {
    proptest::option::of(value).prop_map(move |value| Some((name.to_owned(), value?))).boxed()
}

fn entries() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[xyz]", text(), 0..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// An object of the custom kind.
fn object() -> impl Strategy<Value = Value> {
    let set = || proptest::sample::subsequence(vec!["p", "q", "r", "s"], 0..4).prop_shuffle();
    let fields = vec![
        maybe("scalar", text()),
        maybe("list", items(&["value", "port"])),
        maybe("set", set().prop_map(|set| json!(set))),
        maybe("atomicList", set().prop_map(|set| json!(set))),
        maybe("atomicMap", entries()),
        maybe("map", entries()),
        maybe(
            "struct",
            proptest::sample::subsequence(vec!["a", "b"], 0..3).prop_flat_map(|names| {
                proptest::collection::vec(text(), names.len()).prop_map(move |values| {
                    names.iter().map(|n| (*n).to_owned()).zip(values).collect::<Map<_, _>>().into()
                })
            }),
        ),
        maybe("free", entries().prop_map(|map| json!({"deep": map}))),
    ];
    fields.prop_map(|fields| {
        let spec: Map<String, Value> = fields.into_iter().flatten().collect();
        json!({"spec": spec})
    })
}

fn lab(custom: &Structural) -> Lab<'_> {
    Lab::new(Type::Structural(custom), "example.com", "v1", "X")
}

fn dressed(mut value: Value) -> Value {
    value["apiVersion"] = "example.com/v1".into();
    value["kind"] = "X".into();
    value
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn applying_twice_is_applying_once(start in object(), config in object()) {
        let custom = custom();
        let mut lab = lab(&custom);
        lab.update("creator", start);
        lab.force("one", config.clone());
        let once = lab.object.clone();
        lab.apply("one", config);
        prop_assert_eq!(&lab.object, &once);
    }

    #[test]
    fn merging_an_object_with_itself_or_its_parts_changes_nothing(object in object()) {
        let custom = custom();
        let ty = Type::Structural(&custom);
        let object = dressed(object);
        prop_assert_eq!(&merge(ty, &object, &object), &object);
        // Empty lists of items are the only values that leave no trace.
        let mut full = object.clone();
        if let Some(spec) = full["spec"].as_object_mut() {
            spec.retain(|name, value| name.starts_with("atomic") || value != &json!([]));
        }
        let set = to_set(ty, &full);
        prop_assert_eq!(&extract_items(ty, full.clone(), &set)["spec"], &full["spec"]);
        prop_assert!(compare(ty, &object, &object).unwrap().is_same());
    }

    #[test]
    fn every_leaf_of_a_configuration_is_owned_and_has_its_value(start in object(), config in object()) {
        let custom = custom();
        let ty = Type::Structural(&custom);
        let mut lab = lab(&custom);
        lab.update("creator", start);
        lab.force("one", config.clone());
        let config = dressed(config);
        let mut wanted = to_set(ty, &config);
        wanted.subtract(&Set::of_fields(&["apiVersion", "kind"]));
        let own = lab.managed().get(&Id::new("one", Operation::Apply, "", "")).map(|e| e.set.clone()).unwrap_or_default();
        prop_assert_eq!(&own, &wanted);
        let merged = merge(ty, &lab.object, &config);
        prop_assert_eq!(&merged["spec"], &lab.object["spec"], "the configuration is in the object");
    }

    #[test]
    fn an_apply_that_is_not_forced_changes_nobodys_values(start in object(), one in object(), two in object()) {
        let custom = custom();
        let ty = Type::Structural(&custom);
        let mut lab = lab(&custom);
        lab.update("creator", start);
        lab.force("one", one);
        let before = lab.object.clone();
        let owned: Vec<Entry> = lab.managed().0.into_iter().collect();
        if lab.apply_as("two", false, two).is_ok() {
            let found = compare(ty, &before, &lab.object).unwrap();
            for entry in owned {
                for changed in [&found.modified, &found.removed] {
                    let lost = entry.set.intersection(changed);
                    prop_assert!(lost.is_empty(), "{:?} lost {}", entry.id, lost);
                }
            }
        } else {
            prop_assert_eq!(&lab.object, &before);
        }
    }

    #[test]
    fn updates_and_applies_converge(start in object(), config in object()) {
        // What one manager applies from nothing is the configuration; withdrawing it leaves what was there.
        let custom = custom();
        let mut lab = lab(&custom);
        lab.apply("one", config.clone());
        let ty = Type::Structural(&custom);
        let found = compare(ty, &dressed(config), &lab.object).unwrap();
        prop_assert!(found.removed.is_empty() && found.modified.is_empty());
        lab.update("hand", start.clone());
        let merged = merge(ty, &dressed(start), &lab.object);
        prop_assert_eq!(&merged["spec"], &lab.object["spec"]);
        for entry in lab.managed().0 {
            let mut rest = entry.set.clone();
            let mut all = to_set(ty, &lab.object);
            all.unite(compare(ty, &ty.zero(), &lab.object).unwrap().added);
            rest.subtract(&all);
            prop_assert!(rest.is_empty(), "{:?} owns what is not there: {}", entry.id, rest);
        }
    }

    #[test]
    fn comparing_is_symmetric_and_complete(a in object(), b in object()) {
        let custom = custom();
        let ty = Type::Structural(&custom);
        let (a, b) = (dressed(a), dressed(b));
        let (there, back) = (compare(ty, &a, &b).unwrap(), compare(ty, &b, &a).unwrap());
        prop_assert_eq!(&there.added, &back.removed);
        prop_assert_eq!(&there.removed, &back.added);
        prop_assert_eq!(&there.modified, &back.modified);
        prop_assert!(there.added.intersection(&there.removed).is_empty());
        prop_assert!(there.added.intersection(&there.modified).is_empty());
    }

    #[test]
    fn sets_are_sets(a in object(), b in object(), c in object()) {
        let custom = custom();
        let ty = Type::Structural(&custom);
        let [a, b, c] = [a, b, c].map(|o| to_set(ty, &dressed(o)));
        let union = |a: &Set, b: &Set| { let mut u = a.clone(); u.unite(b.clone()); u };
        let minus = |a: &Set, b: &Set| { let mut u = a.clone(); u.subtract(b); u };
        prop_assert_eq!(union(&a, &b), union(&b, &a));
        prop_assert_eq!(union(&union(&a, &b), &c), union(&a, &union(&b, &c)));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(minus(&a, &b), minus(&a, &a.intersection(&b)));
        prop_assert_eq!(union(&minus(&a, &b), &a.intersection(&b)), a.clone());
        prop_assert!(minus(&a, &union(&a, &b)).is_empty());
        let again = Set::decode(&a.clone().into_value()).unwrap();
        prop_assert_eq!(&again, &a);
        for path in a.paths() {
            prop_assert!(a.has(&path));
        }
    }

    #[test]
    fn junk_is_refused_without_panic(fields in "\\PC{0,12}", depth in 0..4usize) {
        let mut value = json!({});
        for _ in 0..depth {
            value = json!({(fields.clone()): value});
        }
        let _ = Set::decode(&value);
        let pods = built_in("", "v1", "Pod");
        let _ = validate(pods, &json!({"spec": {"containers": [value.clone()], "volumes": value}}), Duplicates::Refused);
        let _ = compare(pods, &json!({"spec": {"containers": [value.clone(), value.clone()]}}), &json!({"spec": value}));
    }
}
