//! Structs of options: each begins with its size, so that a program built with an older header still fits.

use std::collections::BTreeMap;
use std::ffi::c_char;

use callsheet::Result;

use crate::boundary::{elements, invalid, required};

/// A key and its value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct callsheet_pair_t {
    /// The key.
    pub key: *const c_char,
    /// The value.
    pub value: *const c_char,
}

/// A struct of options whose first field is `struct_size`.
///
/// # Safety
/// `Self` is `repr(C)`, and its first field is the size as a `usize`.
pub(crate) unsafe trait Options: Copy {
    /// Its name and that of its initialiser.
    const NAMES: (&'static str, &'static str);
    /// Its size in the first version of the header.
    const LEAST: usize;
    /// What holds where the program's struct ends early.
    const DEFAULT: Self;

    /// The options of a program that may have been built with an older header; NULL gives the default.
    ///
    /// # Safety
    /// `options` is NULL or points to as many bytes as its first field says.
    unsafe fn read(options: *const Self) -> Result<Self> {
        let mut read = Self::DEFAULT;
        if options.is_null() {
            return Ok(read);
        }
        // SAFETY: as the caller promises, and the first field is the size.
        let size = unsafe { *options.cast::<usize>() };
        let (name, initialiser) = Self::NAMES;
        if size < Self::LEAST {
            return Err(invalid(format!("{name} has no struct_size: begin with {initialiser}")));
        }
        if size > size_of::<Self>() {
            let message = format!("{name} is of a newer header than this library: use the library's own");
            return Err(invalid(message));
        }
        // SAFETY: both have at least `size` bytes, and one of them is on this stack.
        unsafe {
            std::ptr::copy_nonoverlapping(options.cast::<u8>(), (&raw mut read).cast::<u8>(), size);
        }
        Ok(read)
    }
}

/// Copies of an array of texts.
///
/// # Safety
/// As for [`elements`] and [`required`].
pub(crate) unsafe fn texts(name: &str, first: *const *const c_char, count: usize) -> Result<Vec<String>> {
    // SAFETY: as the caller promises.
    unsafe {
        elements(name, first, count)?.iter().map(|text| Ok(required(name, *text)?.to_owned())).collect()
    }
}

/// Copies of an array of pairs.
///
/// # Safety
/// As for [`elements`] and [`required`].
pub(crate) unsafe fn pairs(
    name: &str,
    first: *const callsheet_pair_t,
    count: usize,
) -> Result<BTreeMap<String, String>> {
    // SAFETY: as the caller promises.
    unsafe {
        let pair = |pair: &callsheet_pair_t| {
            Ok((required(name, pair.key)?.to_owned(), required(name, pair.value)?.to_owned()))
        };
        elements(name, first, count)?.iter().map(pair).collect()
    }
}
