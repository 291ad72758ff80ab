//! Clients in other languages, run to their end; what they print is shown, and is the failure's message.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs `command`, prints what it said, and fails when it did.
pub fn run(what: &str, command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {what}"))?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("--- {what} ---\n{said}");
    if !output.status.success() {
        bail!("{what}: {}\n{said}", output.status);
    }
    Ok(said)
}
