//! Where each certificate lives in a PKI directory. The names are kubeadm's (`/etc/kubernetes/pki`) where it has one;
//! the store's authority and certificates are in `store/`, as etcd's are in `etcd/` there.

use std::path::{Path, PathBuf};

/// A PKI directory.
#[derive(Clone, Debug)]
pub struct Layout {
    dir: PathBuf,
}

/// A certificate and its private key.
#[derive(Clone, Debug)]
pub struct Pair {
    /// PEM, readable by everybody.
    pub cert: PathBuf,
    /// PEM, readable by the owner only.
    pub key: PathBuf,
}

impl Pair {
    fn at(dir: &Path, name: &str) -> Self {
        Self { cert: dir.join(format!("{name}.crt")), key: dir.join(format!("{name}.key")) }
    }

    /// Whether both files are there.
    pub fn exists(&self) -> bool {
        self.cert.exists() && self.key.exists()
    }
}

impl Layout {
    /// The layout under `dir`; nothing is read or made.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory of the store's certificates.
    pub fn store_dir(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// Authority for what clients of the API see: the serving certificate and client certificates.
    pub fn ca(&self) -> Pair {
        Pair::at(&self.dir, "ca")
    }

    /// The front-ends' serving certificate.
    pub fn apiserver(&self) -> Pair {
        Pair::at(&self.dir, "apiserver")
    }

    /// Client certificate of the cluster's administrator (`system:masters`).
    pub fn admin(&self) -> Pair {
        Pair::at(&self.dir, "admin")
    }

    /// Signs service-account tokens.
    pub fn service_account_key(&self) -> PathBuf {
        self.dir.join("sa.key")
    }

    /// Verifies service-account tokens.
    pub fn service_account_public_key(&self) -> PathBuf {
        self.dir.join("sa.pub")
    }

    /// Authority of the store: nothing it signs is valid as an API client.
    pub fn store_ca(&self) -> Pair {
        Pair::at(&self.store_dir(), "ca")
    }

    /// A store member, as server and as peer.
    pub fn member(&self, name: &str) -> Pair {
        Pair::at(&self.store_dir(), name)
    }

    /// A front-end as the store's client.
    pub fn front_end(&self) -> Pair {
        Pair::at(&self.store_dir(), "front-end")
    }

    /// `kuorum ctl` as the store's client.
    pub fn operator(&self) -> Pair {
        Pair::at(&self.store_dir(), "operator")
    }
}
