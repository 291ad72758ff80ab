//! `kuorum completion`: what a shell needs to complete kuorum's commands and flags.

use clap::{Args, Command};
use clap_complete::Shell;

/// Arguments of `kuorum completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell that the script is for
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionArgs, mut command: Command) {
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut std::io::stdout());
}
