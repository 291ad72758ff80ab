//! One order for every setting: flag, then environment (`KUORUM_` and the flag in capitals), then the YAML file that
//! `--config` names, then the flag's default.
//!
//! What the environment and the file say is turned into flags before the command line is parsed, so that every
//! setting is checked by the same code, whatever it came from.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

/// Largest settings or kubeconfig file that is read; both are written by people.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The command line, completed from the environment and the settings file.
///
/// # Errors
/// When the file cannot be read, is not a YAML map, or has a key that the command has no flag for.
pub fn complete(
    command: Command,
    arguments: Vec<OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<OsString>> {
    let mut command = command.ignore_errors(true);
    // Pushes global flags down to the subcommands, so that a leaf lists all that it accepts.
    command.build();
    let Ok(matches) = command.try_get_matches_from_mut(&arguments) else { return Ok(arguments) };
    let (leaf, matches) = leaf(&command, &matches);

    let mut added = Vec::new();
    let file = settings_file(matches, &env)?;
    let mut known = Vec::new();
    for arg in leaf.get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        known.push(long);
        if matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            continue;
        }
        // An empty variable counts as none, as compose files pass on what is not set.
        if let Some(value) = env(&variable(long)).filter(|value| !value.is_empty()) {
            let value = value.to_str().with_context(|| format!("{} is not UTF-8", variable(long)))?;
            push(&mut added, arg, long, &Value::from(value))?;
        } else if let Some(value) = file.get(long) {
            push(&mut added, arg, long, value)?;
        }
    }
    if let Some(unknown) = file.keys().find(|key| !known.contains(&key.as_str())) {
        bail!("the settings file has {unknown:?}, which `kuorum {}` does not know", leaf.get_name());
    }
    // Behind `--` a flag would be taken for a value.
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let mut all = arguments;
    all.splice(end..end, added);
    Ok(all)
}

/// A YAML document as JSON; a key that is there twice is a mistake, not a choice.
pub fn parse_yaml(text: &[u8]) -> Result<Value> {
    let document = kuorum_schema::yaml::to_json(text)?;
    match document.strict_error() {
        Some(error) => bail!("{error}"),
        None => Ok(document.value),
    }
}

/// The environment variable of a flag: `KUORUM_DATA_DIR` of `--data-dir`.
fn variable(long: &str) -> String {
    format!("KUORUM_{}", long.replace('-', "_").to_ascii_uppercase())
}

fn leaf<'a>(mut command: &'a Command, mut matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    while let Some((name, inner)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else { break };
        (command, matches) = (found, inner);
    }
    (command, matches)
}

fn settings_file(
    matches: &ArgMatches,
    env: &impl Fn(&str) -> Option<OsString>,
) -> Result<serde_json::Map<String, Value>> {
    let named = matches.try_get_one::<std::path::PathBuf>("config").ok().flatten().cloned();
    let Some(path) = named.or_else(|| env("KUORUM_CONFIG").map(Into::into)) else { return Ok(Default::default()) };
    match parse_yaml(&read_bounded(&path)?).with_context(|| format!("{} is not YAML", path.display()))? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Default::default()),
        _ => bail!("{} must be a map of settings", path.display()),
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path).with_context(|| format!("read {}", path.display()))?.len();
    if size > FILE_BYTES_MAX {
        bail!("{} has {size} bytes, more than {FILE_BYTES_MAX}", path.display());
    }
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// Adds `--long=value` as often as the flag wants it.
fn push(added: &mut Vec<OsString>, arg: &Arg, long: &str, value: &Value) -> Result<()> {
    match arg.get_action() {
        ArgAction::SetTrue => match value {
            Value::Bool(true) => added.push(format!("--{long}").into()),
            Value::String(text) if text == "true" || text == "1" => added.push(format!("--{long}").into()),
            Value::Bool(false) => {}
            Value::String(text) if text == "false" || text == "0" || text.is_empty() => {}
            other => bail!("{long} is true or false, not {other}"),
        },
        ArgAction::Append if value.is_array() => {
            for item in value.as_array().into_iter().flatten() {
                added.push(format!("--{long}={}", scalar(long, item)?).into());
            }
        }
        _ => added.push(format!("--{long}={}", scalar(long, value)?).into()),
    }
    Ok(())
}

/// A value as a flag spells it: lists with commas between, maps as `key=value` pairs.
fn scalar(long: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Array(items) => items.iter().map(|item| scalar(long, item)).collect::<Result<Vec<_>>>()?.join(","),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| Ok(format!("{key}={}", scalar(long, value)?)))
            .collect::<Result<Vec<_>>>()?
            .join(","),
        Value::Null => bail!("{long} has no value"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command::new("kuorum")
            .arg(Arg::new("config").long("config").global(true).value_parser(clap::value_parser!(std::path::PathBuf)))
            .subcommand(
                Command::new("serve")
                    .arg(Arg::new("port").long("secure-port").required(true))
                    .arg(Arg::new("gates").long("feature-gates"))
                    .arg(Arg::new("key").long("key").action(ArgAction::Append))
                    .arg(Arg::new("verbose").long("verbose").action(ArgAction::SetTrue)),
            )
    }

    fn completed(line: &str, env: &[(&str, &str)]) -> Result<Vec<String>> {
        let arguments = line.split(' ').map(OsString::from).collect();
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Ok(complete(command(), arguments, env)?.into_iter().map(|arg| arg.into_string().unwrap()).collect())
    }

    #[test]
    fn flag_then_environment_then_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kuorum.yaml");
        std::fs::write(&file, "secure-port: 1\nverbose: true\nfeature-gates: {A: true}\nkey: [x, z]\n").unwrap();
        let config = ("KUORUM_CONFIG", file.to_str().unwrap());

        let from_file = completed("kuorum serve", &[config]).unwrap();
        for flag in ["--secure-port=1", "--verbose", "--feature-gates=A=true", "--key=x", "--key=z"] {
            assert!(from_file.contains(&flag.to_owned()), "{flag} in {from_file:?}");
        }
        let from_env = completed("kuorum serve", &[config, ("KUORUM_SECURE_PORT", "2")]).unwrap();
        assert!(from_env.contains(&"--secure-port=2".to_owned()), "{from_env:?}");
        assert!(!from_env.contains(&"--secure-port=1".to_owned()), "{from_env:?}");
        let from_flag = completed("kuorum serve --secure-port=3", &[config, ("KUORUM_SECURE_PORT", "2")]).unwrap();
        assert!(!from_flag.iter().any(|arg| arg.ends_with("=2") || arg.ends_with("=1")), "{from_flag:?}");
    }

    #[test]
    fn settings_stay_in_front_of_the_separator() {
        let all = completed("kuorum serve -- x", &[("KUORUM_SECURE_PORT", "2")]).unwrap();
        assert_eq!(all, ["kuorum", "serve", "--secure-port=2", "--", "x"]);
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kuorum.yaml");
        for (text, expected) in [("secure-prt: 1", "secure-prt"), ("[1]", "map"), ("verbose: 7", "verbose")] {
            std::fs::write(&file, text).unwrap();
            let error = completed("kuorum serve", &[("KUORUM_CONFIG", file.to_str().unwrap())]).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
    }
}
