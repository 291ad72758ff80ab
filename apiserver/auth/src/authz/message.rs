//! The text of a refusal, word for word what kubectl users know.

use std::fmt::Write;

use super::attributes::Attributes;

/// What stands behind `… is forbidden: `.
pub fn forbidden(attributes: &Attributes<'_>, reason: &str) -> String {
    let Attributes { user, verb, group, resource, subresource, namespace, path, .. } = attributes;
    let mut text = format!("User {} cannot {verb} ", quoted(&user.name));
    // Writing to a string cannot fail.
    let _ = if attributes.is_resource {
        let combined =
            if subresource.is_empty() { (*resource).to_owned() } else { format!("{resource}/{subresource}") };
        let _ = write!(text, "resource {} in API group {} ", quoted(&combined), quoted(group));
        if namespace.is_empty() {
            write!(text, "at the cluster scope")
        } else {
            write!(text, "in the namespace {}", quoted(namespace))
        }
    } else {
        write!(text, "path {}", quoted(path))
    };
    if !reason.is_empty() {
        text.push_str(": ");
        text.push_str(reason);
    }
    text
}

/// Quoted as Go does it with `%q`.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list of texts as Go prints it with `%q`: `["a" "b"]`.
pub fn quoted_list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|t| quoted(t)).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::User;

    #[test]
    fn the_refusal_names_verb_resource_and_scope() {
        let user = User { name: "system:serviceaccount:default:read-only-user".into(), ..User::default() };
        let pods = Attributes::of_resource(&user, "get", "", "pods");
        assert_eq!(
            forbidden(&Attributes { namespace: "kube-system", name: "x", ..pods }, ""),
            r#"User "system:serviceaccount:default:read-only-user" cannot get resource "pods" in API group "" in the namespace "kube-system""#
        );
        let user = User { name: "a\"\n".into(), ..User::default() };
        let scale = Attributes::of_resource(&user, "update", "apps", "deployments");
        assert_eq!(
            forbidden(&Attributes { subresource: "scale", ..scale }, "because"),
            r#"User "a\"\n" cannot update resource "deployments/scale" in API group "apps" at the cluster scope: because"#
        );
        assert_eq!(
            forbidden(&Attributes::of_path(&User::anonymous(), "get", "/metrics"), ""),
            r#"User "system:anonymous" cannot get path "/metrics""#
        );
        assert_eq!(quoted_list(&["a".into(), "é\u{1}".into()]), "[\"a\" \"é\\x01\"]");
    }
}
