//! Authenticators: from credentials to a [`User`](crate::user::User).
