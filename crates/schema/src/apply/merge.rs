//! An object with a configuration laid over it: the configuration wins at every leaf, nothing is
//! removed, and the items of lists that it names stand in its order.

use super::items;
use super::types::{Form, List, Map, Type};
use serde_json::Value;
use std::collections::{HashMap, HashSet, VecDeque};

/// Merges a configuration that fits the type into an object that fits it.
pub fn merge(ty: Type<'_>, live: &Value, config: &Value) -> Value {
    merged(ty, live, config).unwrap_or_default()
}

/// `None` where nothing comes out.
fn merged(ty: Type<'_>, live: &Value, config: &Value) -> Option<Value> {
    match ty.form(config) {
        Some(Form::Map(map)) if !map.atomic => {
            let empty = |side: &Value| side.as_object().is_none_or(serde_json::Map::is_empty);
            if empty(live) && empty(config) {
                return Some(config.clone());
            }
            entries(map, live, config)
        }
        Some(Form::List(list)) if !list.is_atomic() => {
            if array(live).is_empty() && array(config).is_empty() {
                return Some(config.clone());
            }
            let out = list_items(list, array(live), array(config));
            (!out.is_empty()).then_some(Value::Array(out))
        }
        _ => Some(config.clone()),
    }
}

fn entries(map: Map<'_>, live: &Value, config: &Value) -> Option<Value> {
    let none = serde_json::Map::new();
    let (live, config) = (live.as_object().unwrap_or(&none), config.as_object().unwrap_or(&none));
    let mut out = serde_json::Map::new();
    for (name, there) in live {
        let value = match config.get(name) {
            Some(wanted) => merged(map.entry(name).unwrap_or(Type::Deduced), there, wanted),
            None => Some(there.clone()),
        };
        if let Some(value) = value {
            out.insert(name.clone(), value);
        }
    }
    for (name, wanted) in config.iter().filter(|(name, _)| !live.contains_key(*name)) {
        out.insert(name.clone(), wanted.clone());
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The items of both. Items that both have keep the configuration's order; those that only the object
/// has stay before the item that they preceded.
fn list_items(list: List<'_>, live: &[Value], config: &[Value]) -> Vec<Value> {
    let steps = |items: &[Value]| -> Vec<String> {
        items.iter().map(|item| items::step(list, item).unwrap_or_else(|_| item.to_string())).collect()
    };
    let (live_steps, config_steps) = (steps(live), steps(config));
    // Items that the object has several times are not merged with anything.
    let mut of_live: HashMap<&str, Option<&Value>> = HashMap::with_capacity(live.len());
    for (step, item) in live_steps.iter().zip(live) {
        of_live.entry(step).and_modify(|seen| *seen = None).or_insert(Some(item));
    }
    let of_config: HashSet<&str> = config_steps.iter().map(String::as_str).collect();
    let mut shared: VecDeque<&str> =
        config_steps.iter().map(String::as_str).filter(|step| of_live.contains_key(step)).collect();
    let join = |at: usize| match of_live.get(config_steps[at].as_str()) {
        Some(Some(there)) => merged(list.item, there, &config[at]),
        _ => Some(config[at].clone()),
    };
    let mut next_shared = shared.pop_front();
    let mut taken: HashSet<&str> = HashSet::with_capacity(config.len());
    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let (mut left, mut right) = (0, 0);
    while left < live.len() || right < config.len() {
        if left < live.len() && right < config.len() {
            let step = live_steps[left].as_str();
            if step == config_steps[right] {
                taken.insert(step);
                out.extend(join(right));
                left += 1;
                right += 1;
                next_shared = shared.pop_front();
                continue;
            }
            if of_config.contains(step) && next_shared.is_some_and(|next| next != step) {
                // A shared item whose turn has not come; it is taken where the configuration has it.
                left += 1;
                continue;
            }
        }
        if left < live.len() {
            let step = live_steps[left].as_str();
            if !of_config.contains(step) {
                out.push(live[left].clone());
                left += 1;
                continue;
            }
            if taken.contains(step) {
                left += 1;
            }
        }
        if right < config.len() {
            let step = config_steps[right].as_str();
            taken.insert(step);
            out.extend(join(right));
            right += 1;
            if next_shared == Some(step) {
                next_shared = shared.pop_front();
            }
        }
    }
    out
}
