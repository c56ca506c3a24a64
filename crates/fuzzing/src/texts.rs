//! Small languages: selectors, quantities, tokens, queries, expressions.

use apimachinery::{Quantity, fields, labels};
use serde_json::json;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

pub fn selectors(bytes: &[u8]) {
    if let Ok(selector) = labels::Selector::parse(text(bytes)) {
        let again = labels::Selector::parse(&selector.to_string()).expect("what we print can be read");
        assert_eq!(again.to_string(), selector.to_string());
    }
    if let Ok(selector) = fields::Selector::parse(text(bytes)) {
        fields::Selector::parse(&selector.to_string()).expect("what we print can be read");
    }
    if let Ok(value) = schema::json_value(bytes) {
        let _ = labels::Selector::from_label_selector(Some(&value));
    }
}

pub fn quantities(bytes: &[u8]) {
    if let Ok(quantity) = Quantity::parse(text(bytes)) {
        let printed = quantity.to_string();
        let again = Quantity::parse(&printed).expect("what we print can be read");
        assert_eq!(again.to_string(), printed);
        assert_eq!(again, quantity);
        let _ =
            (quantity.value(), quantity.milli_value(), quantity.as_f64(), quantity + again, quantity - again);
    }
}

pub fn continue_tokens(bytes: &[u8]) {
    apiserver::fuzzing::continue_token(text(bytes));
}

pub fn queries(bytes: &[u8]) {
    apiserver::fuzzing::options(text(bytes));
}

/// Compiled, estimated, and evaluated within a budget.
pub fn cel(bytes: &[u8]) {
    let env = cel::Env::new().with_type("self", cel::Type::Dyn);
    match env.compile(text(bytes)) {
        Ok(program) => {
            program.estimate(&env);
            let data = json!({"a": [1, 2.5, "x", null, {"b": true}], "s": "text"});
            let globals = vec![("self", cel::Value::of_json(&data, &cel::DYNAMIC))];
            let _ = program.eval(&globals, &mut cel::Budget::new(50_000));
        }
        Err(issues) => {
            let _ = issues.to_string();
        }
    }
}
