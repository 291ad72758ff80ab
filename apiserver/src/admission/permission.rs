//! What plugins ask the authorizers: may the user of the request do something else as well?

use crate::app::Call;
use crate::auth::authorizer::{Attributes, Decision};

/// `Err` has the authorizers' reason, which may be empty.
pub async fn may(call: &Call<'_>, question: &Attributes<'_>) -> Result<(), String> {
    match call.app.authorization.authorize(question).await {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(refusal) | Decision::NoOpinion(refusal) => Err(refusal.error.unwrap_or(refusal.reason)),
    }
}

/// Whether the user may `verb` for a signer of certificates, or for every signer of its domain (`example.com/*`).
pub async fn may_use_signer(call: &Call<'_>, verb: &str, signer: &str) -> bool {
    for name in signer_names(signer) {
        let signers = Attributes::of_resource(call.user, verb, "certificates.k8s.io", "signers");
        if may(call, &Attributes { version: "*", name: &name, ..signers }).await.is_ok() {
            return true;
        }
    }
    false
}

/// The names under which a signer may be granted.
fn signer_names(signer: &str) -> [String; 2] {
    [signer.to_owned(), format!("{}/*", signer.split('/').next().unwrap_or_default())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signers_are_granted_by_name_or_domain() {
        assert_eq!(signer_names("ex.io/a"), ["ex.io/a", "ex.io/*"]);
        assert_eq!(signer_names("a/b/c"), ["a/b/c", "a/*"]);
    }
}
