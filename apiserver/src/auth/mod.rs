//! Who asks. Authenticators turn credentials into a [`User`].

/// The requesting user, as authenticators describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
}
