//! What holds for whatever stands in etcd. The input is a line with a key, then its value. It is heard as a greeting too.

use super::keys::{Keys, end_of};
use super::wire::Wire;
use crate::codec;
use crate::error::Code;

/// Longest message of an error, in bytes: of what others write, some is quoted.
const MAX_MESSAGE: usize = 2000;

pub(crate) fn fuzz(bytes: &[u8]) {
    let wire = Wire::new("h", None, Vec::new());
    wire.hear(bytes);
    assert!(wire.why().is_none_or(|why| why.message().len() < MAX_MESSAGE));

    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (key, value) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let keys = Keys::new("/services/");
    let Some((service, id)) = keys.split(key) else { return };
    assert_eq!(keys.instance(service, id).as_bytes(), key);
    let range = keys.service(service);
    assert!(range.as_bytes() < key && key < &*end_of(range.as_bytes()));

    match codec::decode(service, id, value) {
        Ok(record) => {
            let instance = &record.instance;
            assert_eq!((&*instance.service, &*instance.id), (service, id));
            assert!(!instance.address.is_empty() && instance.port > 0 && instance.weight > 0);
            assert!(instance.url().ends_with(&instance.authority()));
            assert_eq!(codec::decode(service, id, &codec::encode(&record)).unwrap(), record);
        }
        Err(error) => {
            assert_eq!(error.code(), Code::Protocol);
            assert!(error.message().len() < MAX_MESSAGE, "{error}");
        }
    }
}
