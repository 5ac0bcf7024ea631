//! How an instance is written as a value: callsheet's own JSON, for every registry that stores values.

mod json;

pub(crate) use json::{decode, encode};
