//! Names of service accounts as users.

const PREFIX: &str = "system:serviceaccount:";
const GROUP: &str = "system:serviceaccounts";
/// Names are DNS labels and subdomains of at most this length.
const NAMESPACE_CHARS_MAX: usize = 63;
const NAME_CHARS_MAX: usize = 253;

/// `system:serviceaccount:<namespace>:<name>`
pub fn user_name(namespace: &str, name: &str) -> String {
    [PREFIX, namespace, ":", name].concat()
}

/// Namespace and name, of a well-formed name of a service account.
pub fn split_username(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(PREFIX)?.split_once(':')?;
    let label = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    let good = namespace.len() <= NAMESPACE_CHARS_MAX
        && label(namespace)
        && name.len() <= NAME_CHARS_MAX
        && name.split('.').all(label);
    good.then_some((namespace, name))
}

/// The groups of every service account of a namespace.
pub fn group_names(namespace: &str) -> Vec<String> {
    vec![GROUP.to_owned(), format!("{GROUP}:{namespace}")]
}
