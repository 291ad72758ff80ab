//! The rows of certificates.k8s.io/v1.

mod csr;
mod pem;
pub mod signers;
mod validate;

use crate::row::{GET_PATCH_UPDATE, KindRow, Subresource, SubresourceRole};

const CLUSTER: KindRow = KindRow { group: "certificates.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[KindRow {
    kind: "CertificateSigningRequest",
    plural: "certificatesigningrequests",
    singular: "certificatesigningrequest",
    short_names: &["csr"],
    subresources: &[
        Subresource { name: "approval", kind: None, verbs: GET_PATCH_UPDATE, role: SubresourceRole::Part },
        Subresource::STATUS,
    ],
    fields: csr::FIELDS,
    hooks: csr::HOOKS,
    ..CLUSTER
}];
