//! The rows of authorization.k8s.io/v1.

use crate::row::KindRow;

const NAMESPACED: KindRow = KindRow { group: "authorization.k8s.io", version: "v1", ..KindRow::NAMESPACED };
const CLUSTER: KindRow = KindRow { group: "authorization.k8s.io", version: "v1", ..KindRow::CLUSTER };

pub const KINDS: &[KindRow] = &[
    KindRow {
        kind: "LocalSubjectAccessReview",
        plural: "localsubjectaccessreviews",
        singular: "localsubjectaccessreview",
        verbs: &["create"],
        ..NAMESPACED
    },
    KindRow {
        kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
        singular: "selfsubjectaccessreview",
        verbs: &["create"],
        ..CLUSTER
    },
    KindRow {
        kind: "SelfSubjectRulesReview",
        plural: "selfsubjectrulesreviews",
        singular: "selfsubjectrulesreview",
        verbs: &["create"],
        ..CLUSTER
    },
    KindRow {
        kind: "SubjectAccessReview",
        plural: "subjectaccessreviews",
        singular: "subjectaccessreview",
        verbs: &["create"],
        ..CLUSTER
    },
];
