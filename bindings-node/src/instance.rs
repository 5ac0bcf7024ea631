//! Instances as JSON text: one text for all that are new makes them many times faster than one call for each property.

/// Every field of an instance, in the order in which `lib/instance.js` has them.
fn write(text: &mut Vec<u8>, instance: &callsheet::Instance) {
    let row = (
        &instance.id,
        &instance.service,
        &instance.address,
        instance.port,
        &instance.scheme,
        &instance.tags,
        &instance.metadata,
        instance.weight,
        &instance.zone,
        &instance.version,
        instance.status.as_str(),
        instance.url(),
    );
    // Strings, numbers and string-keyed maps always have a JSON form.
    _ = serde_json::to_writer(text, &row);
}

/// What JSON wrote.
fn text(written: Vec<u8>) -> String {
    String::from_utf8(written).unwrap_or_default()
}

/// One instance.
pub(crate) fn row(instance: &callsheet::Instance) -> String {
    let mut written = Vec::new();
    write(&mut written, instance);
    text(written)
}

/// A list of them. Straight into the text: a tree of values between would take more memory than all the rest.
pub(crate) fn rows<'a>(instances: impl Iterator<Item = &'a callsheet::Instance>) -> String {
    let mut written = vec![b'['];
    for (at, instance) in instances.enumerate() {
        if at > 0 {
            written.push(b',');
        }
        write(&mut written, instance);
    }
    written.push(b']');
    text(written)
}
