//! Which role may call what. The one place that reads a connection's identity.

use kuorum_raft::ports::PeerIdentity;
use tokio::sync::watch;
use tonic::{Request, Status};

use crate::tls::{Identity, Role};

/// Lets a request pass if its connection has one of the roles.
///
/// # Errors
/// PERMISSION_DENIED.
pub fn require<T>(request: &Request<T>, roles: &[Role]) -> Result<(), Status> {
    let Some(identity) = request.extensions().get::<Identity>() else {
        return Err(Status::permission_denied("connection without an identity"));
    };
    match identity.role {
        Some(Role::Local) => Ok(()),
        Some(role) if roles.contains(&role) => Ok(()),
        role => {
            let message = format!("certificate of {:?} has role {role:?}, needed is one of {roles:?}", identity.name);
            Err(Status::permission_denied(message))
        }
    }
}

/// An interceptor for the raft service: only members pass, and consensus learns from the certificate which member it
/// is. Without TLS, on loopback, the message's own word has to do.
#[allow(clippy::result_large_err)]
pub fn raft_only_peers(
    cluster: watch::Receiver<kuorum_raft::Status>,
) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    move |mut request: Request<()>| {
        require(&request, &[Role::Peer])?;
        let name = match request.extensions().get::<Identity>() {
            Some(identity) if identity.role == Some(Role::Peer) => identity.name.clone(),
            _ => claimed(&request, &cluster.borrow()).unwrap_or_default(),
        };
        request.extensions_mut().insert(PeerIdentity { name });
        Ok(request)
    }
}

/// The name of the member that a message says it comes from.
fn claimed(request: &Request<()>, cluster: &kuorum_raft::Status) -> Option<String> {
    let id = request.metadata().get("kuorum-from")?.to_str().ok()?.parse().ok()?;
    cluster.membership.membership.members.get(&id).map(|m| m.name.clone())
}
