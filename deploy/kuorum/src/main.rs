//! The `kuorum` command: parses settings, assembles the parts that the other crates provide, and runs one of them.

mod cli;
mod completion;
mod ctl;
mod dev;
mod files;
mod kubeconfig;
mod logging;
mod pki;
mod probe;
mod servers;
mod settings;
mod signals;
mod table;
mod yaml;

use std::process::ExitCode;

/// Keeps freed memory per thread and gives it back in time, where glibc's arenas keep what a burst has left.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages; a heap of a few megabytes would occupy tens of them. An older kernel refuses.
    let _ = nix::sys::prctl::set_thp_disable(true);
    let command = match cli::parse(std::env::args_os().collect()) {
        Ok(command) => command,
        Err(cli::ParseError::Usage(error)) => {
            // A broken pipe on the help text is nobody's problem.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
        Err(cli::ParseError::Settings(error)) => return fail(&error),
    };
    match cli::run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// One line, whatever went wrong: the causes behind each other.
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("kuorum: {}", format!("{error:#}").replace('\n', " "));
    ExitCode::FAILURE
}
