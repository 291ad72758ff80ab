//! Static bearer tokens of `--token-auth-file`: CSV lines of token, user, uid and optionally groups.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Authenticated;
use crate::user::User;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    #[error("cannot read --token-auth-file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("line {line} has {columns} columns, at least 3 (token, user, uid) are needed")]
    Columns { line: usize, columns: usize },
    #[error("line {0} has an unclosed quote")]
    Quote(usize),
}

/// Token to user.
#[derive(Default)]
pub struct Tokens(HashMap<Box<str>, Arc<Authenticated>>);

impl Tokens {
    pub fn load(path: &Path) -> Result<Self, TokenFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TokenFileError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    pub fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut tokens = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                continue;
            }
            let columns = csv_record(line).ok_or(TokenFileError::Quote(number + 1))?;
            let [token, name, uid, rest @ ..] = columns.as_slice() else {
                return Err(TokenFileError::Columns { line: number + 1, columns: columns.len() });
            };
            if token.is_empty() {
                tracing::warn!(line = number + 1, "empty token in the token file, skipped");
                continue;
            }
            if tokens.contains_key(token.as_str()) {
                tracing::warn!(line = number + 1, "token of an earlier line in the token file, which it replaces");
            }
            let groups = rest.first().map(|g| g.split(',').filter(|g| !g.is_empty()).map(str::to_owned).collect());
            let user =
                User { name: name.clone(), uid: uid.clone(), groups: groups.unwrap_or_default(), ..User::default() };
            tokens.insert(token.as_str().into(), Arc::new(Authenticated::new(user.authenticated())));
        }
        Ok(Tokens(tokens))
    }

    pub fn get(&self, token: &str) -> Option<&Arc<Authenticated>> {
        self.0.get(token)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One CSV record with `"` quotes; `None`: a quote is not closed.
fn csv_record(line: &str) -> Option<Vec<String>> {
    let mut columns = Vec::new();
    let mut column = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                column.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(std::mem::take(&mut column).trim().to_owned()),
            other => column.push(other),
        }
    }
    columns.push(column.trim().to_owned());
    (!quoted).then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_files_are_refused_with_their_line() {
        assert_eq!(
            Tokens::parse("a,b\n").err().unwrap().to_string(),
            "line 1 has 2 columns, at least 3 (token, user, uid) are needed"
        );
        assert!(Tokens::parse("a,b,c,\"d\n").is_err());
        assert!(Tokens::parse("\n").unwrap().get("").is_none());
    }
}
