//! The rows of authentication.k8s.io/v1.

use crate::row::KindRow;

const CLUSTER: KindRow = KindRow { group: "authentication.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "SelfSubjectReview",
        plural: "selfsubjectreviews",
        singular: "selfsubjectreview",
        verbs: &["create"],
        ..CLUSTER
    },
    KindRow { kind: "TokenReview", plural: "tokenreviews", singular: "tokenreview", verbs: &["create"], ..CLUSTER },
];
