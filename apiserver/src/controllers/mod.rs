//! Controllers that run inside a front-end, and which of them `--controllers` selects.

pub mod namespace;

/// The controllers that exist here.
pub const KNOWN: &[&str] = &["namespace-controller"];

/// Old short names that kube-controller-manager still takes.
const ALIASES: &[(&str, &str)] = &[("namespace", "namespace-controller")];

/// A parsed `--controllers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    all: bool,
    on: Vec<String>,
    off: Vec<String>,
}

impl Selection {
    /// Reads `*`, names and `-name`; an unknown name is an error.
    pub fn parse(items: &[String]) -> Result<Self, String> {
        let mut selection = Selection::default();
        for item in items.iter().map(|i| i.trim()).filter(|i| !i.is_empty()) {
            let (name, list) = match item.strip_prefix('-') {
                Some(name) => (name, &mut selection.off),
                None => (item, &mut selection.on),
            };
            if name == "*" {
                selection.all |= !item.starts_with('-');
                continue;
            }
            let name = ALIASES.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new);
            if !KNOWN.contains(&name) {
                return Err(format!("{name:?} is not in the list of known controllers ({})", KNOWN.join(", ")));
            }
            list.push(name.to_owned());
        }
        Ok(selection)
    }

    pub fn enabled(&self, name: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|n| n == name);
        named(&self.on) || (self.all && !named(&self.off))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections() {
        let parse = |items: &[&str]| Selection::parse(&items.iter().map(|s| s.to_string()).collect::<Vec<_>>());
        for (items, want) in [
            (&["*"][..], true),
            (&["-*"], false),
            (&[], false),
            (&["namespace"], true),
            (&["*", "-namespace-controller"], false),
        ] {
            assert_eq!(parse(items).unwrap().enabled("namespace-controller"), want, "{items:?}");
        }
        assert!(parse(&["nonsense"]).is_err());
    }
}
