//! What the core's threads have for JavaScript: answers of calls that were begun, and feeds that may have news.

use std::sync::Arc;

use callsheet::host::Untaken;
use callsheet::{Picker, RegistrationHandle, Result, Snapshot};
use napi::bindgen_prelude::{Array, External, Null, ToNapiValue, Undefined};
use napi::{Env, sys};

use crate::error::encoded;
use crate::picker::{LoosePick, LoosePicker};
use crate::registration::Registration;
use crate::snapshot;

/// One thing that happened, with the number that JavaScript gave it.
pub(crate) enum Answer {
    /// The call came to its end.
    Call(u32, Result<Value>),
    /// The feed should be looked at.
    Ready(u32),
}

/// What a call gave.
pub(crate) enum Value {
    Nothing,
    Snapshot(Snapshot),
    Names(Arc<[String]>),
    Registration(RegistrationHandle),
    Picker(Picker),
    Pick(Untaken),
}

impl ToNapiValue for Value {
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> napi::Result<sys::napi_value> {
        // SAFETY: `env` is the caller's, on whose thread this runs.
        unsafe {
            match value {
                Value::Nothing => Undefined::to_napi_value(env, ()),
                Value::Snapshot(core) => External::to_napi_value(env, snapshot::external(core)),
                Value::Names(names) => Vec::to_napi_value(env, names.to_vec()),
                Value::Registration(handle) => {
                    External::to_napi_value(env, External::new(Registration(handle)))
                }
                Value::Picker(picker) => External::to_napi_value(env, LoosePicker::external(picker)),
                Value::Pick(pick) => External::to_napi_value(env, LoosePick::external(pick)),
            }
        }
    }
}

/// Three elements for each answer: its number, its error or null, and its value; for a feed that may have news the
/// number alone, which is negative.
pub(crate) fn array(env: &Env, answers: Vec<Answer>) -> napi::Result<Array<'_>> {
    let mut array = env.create_array(0)?;
    for answer in answers {
        match answer {
            Answer::Ready(id) => array.insert(-f64::from(id))?,
            Answer::Call(id, Ok(value)) => {
                array.insert(id)?;
                array.insert(Null)?;
                array.insert(value)?;
            }
            Answer::Call(id, Err(error)) => {
                array.insert(id)?;
                array.insert(encoded(&error))?;
                array.insert(())?;
            }
        }
    }
    Ok(array)
}
