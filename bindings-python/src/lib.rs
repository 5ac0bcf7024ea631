//! `callsheet._callsheet`: the core's types as Python sees them, one file per noun. It converts, it waits without the
//! GIL, it raises; what is decided is decided in the core, and what needs a Python frame is in the package around it.

mod argument;
mod balance;
mod call;
mod callbacks;
mod check;
mod cli;
mod client;
mod error;
mod filter;
mod instance;
mod log;
mod memory;
mod picker;
mod registration;
mod snapshot;
mod wait;
mod wakes;
mod watch;

/// The private module under the package `callsheet`.
// The locks of this crate rest on the GIL: they are taken by attached threads, and a fork finds them free.
#[pyo3::pymodule(gil_used = true)]
mod _callsheet {
    #[pymodule_export]
    use crate::balance::{Ejection, PickerOptions};
    #[pymodule_export]
    use crate::call::Call;
    #[pymodule_export]
    use crate::callbacks::{Dispatcher, Job};
    #[pymodule_export]
    use crate::check::{Check, grpc, heartbeat, http, tcp, ttl};
    #[pymodule_export]
    use crate::cli::command_line;
    #[pymodule_export]
    use crate::client::{Client, close_all};
    #[pymodule_export]
    use crate::error::{codes, panic_on_purpose};
    #[pymodule_export]
    use crate::filter::Filter;
    #[pymodule_export]
    use crate::instance::Instance;
    #[pymodule_export]
    use crate::log::{capture_log, next_log_line};
    #[pymodule_export]
    use crate::memory::Memory;
    #[pymodule_export]
    use crate::picker::{OpenPicker, Pick, Picker, Reported};
    #[pymodule_export]
    use crate::registration::Registration;
    #[pymodule_export]
    use crate::snapshot::{Changes, Snapshot};
    #[pymodule_export]
    use crate::wakes::Wakes;
    #[pymodule_export]
    use crate::watch::{NamesWatch, Watch};
}
