//! Which library this is.

use std::ffi::{CStr, c_char};

/// The number of this header's interface. A library whose `callsheet_abi_version` is another one does not fit.
pub const CALLSHEET_ABI_VERSION: u32 = 0;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no NUL"),
};

/// The number of the library's interface: compare it with `CALLSHEET_ABI_VERSION` when the library is loaded by hand.
#[unsafe(no_mangle)]
pub extern "C" fn callsheet_abi_version() -> u32 {
    CALLSHEET_ABI_VERSION
}

/// The version of the library, such as "0.1.0". Lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn callsheet_version() -> *const c_char {
    VERSION.as_ptr()
}
