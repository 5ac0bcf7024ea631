//! The command `callsheet`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = callsheet::cli::main(std::env::args_os());
    // Every code that `main` returns fits a byte; what would not is a failure all the same.
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
