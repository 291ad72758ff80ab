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

/// One line, whatever went wrong: the causes behind each other, without those that the one before has quoted.
fn fail(error: &anyhow::Error) -> ExitCode {
    let mut line = String::new();
    for cause in error.chain().map(|cause| cause.to_string().replace('\n', " ")) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    eprintln!("kuorum: {line}");
    ExitCode::FAILURE
}
