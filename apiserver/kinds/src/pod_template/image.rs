//! Container image references: just enough to choose a pull policy.

/// The default of `imagePullPolicy`: `Always` for the tag `latest` (also implied), else `IfNotPresent`.
pub fn default_pull_policy(image: &str) -> &'static str {
    if names_latest(image) { "Always" } else { "IfNotPresent" }
}

fn names_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name_from = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[name_from..].split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => is_repository(image),
    }
}

/// Whether the text could be a repository at all. A reference that cannot be parsed has no tag.
fn is_repository(image: &str) -> bool {
    let (domain, path) = match image.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => ("", image),
    };
    let part = |p: &str| {
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        edge(p.as_bytes().first())
            && edge(p.as_bytes().last())
            && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    domain.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-[]".contains(&b)) && path.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_decides_the_pull_policy() {
        for (image, policy) in [
            ("i", "Always"),
            ("reg:5000/i", "Always"),
            ("repo/i:latest", "Always"),
            ("repo/i:v1", "IfNotPresent"),
            ("repo/i@sha256:aa", "IfNotPresent"),
            ("Not A Name", "IfNotPresent"),
            ("", "IfNotPresent"),
        ] {
            assert_eq!(default_pull_policy(image), policy, "{image}");
        }
    }
}
