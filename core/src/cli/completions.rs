//! `callsheet completions`: what a shell needs to complete the command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::exit::{self, Failure};
use super::output::Output;

const AFTER_HELP: &str = "\
Examples:
  callsheet completions bash > ~/.local/share/bash-completion/completions/callsheet
  callsheet completions zsh > \"${fpath[1]}/_callsheet\"
  callsheet completions fish > ~/.config/fish/completions/callsheet.fish";

/// Print the completion script of a shell
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(super) fn execute(self, output: &Output) -> Result<i32, Failure> {
        // Collected first: clap_complete panics when it can't write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Arguments::command(), "callsheet", &mut script);
        output.text(&String::from_utf8_lossy(&script))?;
        Ok(exit::OK)
    }
}
