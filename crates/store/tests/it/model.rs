//! Random histories against the simplest possible model, with reopening in between.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use store::{Error, Store};

#[derive(Debug, Clone)]
enum Step {
    Create(u8, u8),
    Update(u8, u8, bool),
    Delete(u8, bool),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6u8, any::<u8>()).prop_map(|(key, value)| Step::Create(key, value)),
        4 => (0..6u8, any::<u8>(), any::<bool>()).prop_map(|(k, v, stale)| Step::Update(k, v, stale)),
        2 => (0..6u8, any::<bool>()).prop_map(|(key, stale)| Step::Delete(key, stale)),
        1 => Just(Step::Reopen),
    ]
}

/// key -> (revision, value)
type Model = BTreeMap<String, (u64, u8)>;

async fn check(store: &Store, model: &Model, revision: u64, history: &BTreeMap<u64, Model>) {
    assert_eq!(store.revision(), revision);
    for (at, then) in history {
        let seen: Model = match store.list_at("/m/", *at) {
            Ok(snapshot) => {
                snapshot.iter().map(|e| (e.key.to_string(), (e.mod_revision, e.value[0]))).collect()
            }
            Err(Error::Compacted { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(&seen, then, "at revision {at}");
    }
    assert_eq!(history[&revision], *model);
}

async fn play(steps: Vec<Step>) {
    let dir = super::Dir::new("model");
    let clock = super::manual_clock().0;
    let open = || {
        let store = super::embedded(&dir, clock.clone());
        store.register("/m/");
        store
    };
    let mut store = open();
    let (mut model, mut revision) = (Model::new(), 1);
    let mut history = BTreeMap::from([(1, Model::new())]);
    for step in steps {
        let changed = match step {
            Step::Reopen => {
                drop(store);
                store = open();
                false
            }
            Step::Create(key, value) => {
                let key = format!("/m/{key}");
                let result = store.create(&key, Bytes::from(vec![value]), None).await;
                assert_eq!(result.is_ok(), !model.contains_key(&key));
                result.is_ok() && model.insert(key, (revision + 1, value)).is_none()
            }
            Step::Update(key, value, stale) => {
                let key = format!("/m/{key}");
                let at = model.get(&key).map_or(1, |(at, _)| *at) - u64::from(stale);
                let result = store.update(&key, Bytes::from(vec![value]), at, None).await;
                assert_eq!(result.is_ok(), model.contains_key(&key) && !stale);
                if result.is_ok() {
                    model.insert(key, (revision + 1, value));
                }
                result.is_ok()
            }
            Step::Delete(key, stale) => {
                let key = format!("/m/{key}");
                let at = model.get(&key).map(|(at, _)| at - u64::from(stale));
                let result = store.delete(&key, at).await;
                assert_eq!(result.is_ok(), model.contains_key(&key) && !stale);
                result.is_ok() && model.remove(&key).is_some()
            }
        };
        if changed {
            revision += 1;
            history.insert(revision, model.clone());
        }
        check(&store, &model, revision, &history).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn follows_the_model(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
        runtime.block_on(play(steps));
    }
}
