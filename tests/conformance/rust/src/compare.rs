//! What a step's `is` asks of what was seen: named keys only, and four operators where equality would say too much.

use serde_json::{Map, Value};

/// The first difference between `expected` and what was seen at `path`.
pub(crate) fn difference(path: &str, expected: &Value, seen: &Value) -> Option<String> {
    match (expected, seen) {
        (Value::Object(expected), Value::Object(seen)) => expected.iter().find_map(|(key, expected)| {
            difference(&format!("{path}.{key}"), expected, seen.get(key).unwrap_or(&Value::Null))
        }),
        (Value::Array(expected), Value::Array(seen)) if expected.len() == seen.len() => {
            let mut pairs = expected.iter().zip(seen).enumerate();
            pairs.find_map(|(at, (expected, seen))| difference(&format!("{path}[{at}]"), expected, seen))
        }
        (Value::Object(operators), seen) if operators_hold(operators, seen) => None,
        (Value::Number(expected), Value::Number(seen)) if expected.as_f64() == seen.as_f64() => None,
        (expected, seen) if expected == seen => None,
        (expected, seen) => Some(format!("expected {path} {expected}, saw {seen}")),
    }
}

fn operators_hold(operators: &Map<String, Value>, seen: &Value) -> bool {
    operators.iter().all(|(operator, operand)| match (operator.as_str(), operand, seen) {
        ("least", _, Value::Number(_)) => seen.as_f64() >= operand.as_f64(),
        ("most", _, Value::Number(_)) => seen.as_f64() <= operand.as_f64(),
        ("has", Value::String(part), Value::String(seen)) => seen.contains(part),
        ("lacks", Value::String(part), Value::String(seen)) => !seen.contains(part),
        // In this order, with anything between them.
        ("has", Value::Array(wanted), Value::Array(seen)) => {
            let mut rest = seen.iter();
            wanted.iter().all(|wanted| rest.any(|seen| seen == wanted))
        }
        ("lacks", Value::Array(unwanted), Value::Array(seen)) => !unwanted.iter().any(|it| seen.contains(it)),
        _ => false,
    })
}
