//! The set of kinds that are served, by group, version and resource.
//!
//! A registry never changes: when a CustomResourceDefinition comes or goes, a new one is made from the old one's
//! kinds (shared, not copied) and swapped in. Look-ups borrow their keys and allocate nothing.

use std::sync::Arc;

use kuorum_schema::{Schema, catalog};

use crate::builtin::GROUP_VERSIONS;
use crate::kind::Kind;
use crate::row::KindRow;

/// A row without a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the catalog has no type for {0}/{1} {2}")]
pub struct UnknownKind(pub &'static str, pub &'static str, pub &'static str);

/// One API group, as `/apis` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Empty for the core group.
    pub name: String,
    /// `groupPriorityMinimum`: larger comes first.
    pub priority: i32,
    /// The preferred version first.
    pub versions: Vec<GroupVersion>,
}

/// One version of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVersion {
    pub version: String,
    /// `v1`, `apps/v1`
    pub api_version: String,
    /// `versionPriority`: larger comes first.
    pub priority: i32,
}

/// An immutable set of kinds with its indexes.
pub struct Registry {
    /// Groups in discovery order, kinds of a version by plural.
    kinds: Vec<Arc<Kind>>,
    groups: Vec<Group>,
    /// Positions in `kinds`, ordered by (group, version, plural).
    by_resource: Vec<u32>,
    /// Positions in `kinds`, ordered by (group, version, kind).
    by_kind: Vec<u32>,
}

impl Registry {
    /// All built-in kinds, with their schemas from the catalog.
    ///
    /// # Errors
    /// A row names a kind that the catalog lacks: a defect of the build.
    pub fn builtin() -> Result<Self, UnknownKind> {
        Self::with_schemas(|row| {
            catalog().kind(row.group, row.version, row.kind).ok_or(UnknownKind(row.group, row.version, row.kind))
        })
    }

    fn with_schemas(schema: impl Fn(&KindRow) -> Result<Arc<Schema>, UnknownKind>) -> Result<Self, UnknownKind> {
        let mut groups: Vec<Group> = Vec::new();
        let mut kinds = Vec::new();
        for gv in GROUP_VERSIONS {
            let api_version =
                if gv.group.is_empty() { gv.version.to_owned() } else { format!("{}/{}", gv.group, gv.version) };
            let version = GroupVersion { version: gv.version.to_owned(), api_version, priority: gv.version_priority };
            match groups.last_mut().filter(|g| g.name == gv.group) {
                Some(group) => group.versions.push(version),
                None => groups.push(Group {
                    name: gv.group.to_owned(),
                    priority: gv.group_priority,
                    versions: vec![version],
                }),
            }
            for row in gv.kinds {
                kinds.push(Arc::new(Kind::new(*row, schema(row)?)));
            }
        }
        Ok(Self::new(groups, kinds))
    }

    /// A registry of `kinds`; both lists in discovery order. The later of two kinds with one name is not found.
    pub fn new(groups: Vec<Group>, kinds: Vec<Arc<Kind>>) -> Self {
        let mut by_resource: Vec<u32> = (0..kinds.len() as u32).collect();
        let mut by_kind = by_resource.clone();
        by_resource.sort_by(|&a, &b| resource_key(&kinds[a as usize]).cmp(&resource_key(&kinds[b as usize])));
        by_kind.sort_by(|&a, &b| kind_key(&kinds[a as usize]).cmp(&kind_key(&kinds[b as usize])));
        Registry { kinds, groups, by_resource, by_kind }
    }

    /// The kind of `/apis/<group>/<version>/<plural>` (group `""`: `/api`).
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.find(&self.by_resource, resource_key, (group, version, plural))
    }

    /// The kind of an object's `apiVersion` and `kind`.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Kind>> {
        self.find(&self.by_kind, kind_key, (group, version, kind))
    }

    fn find<'a>(
        &'a self,
        index: &[u32],
        key: fn(&Kind) -> (&str, &str, &str),
        wanted: (&str, &str, &str),
    ) -> Option<&'a Arc<Kind>> {
        let at = index.partition_point(|&i| key(&self.kinds[i as usize]) < wanted);
        let kind = &self.kinds[*index.get(at)? as usize];
        (key(kind) == wanted).then_some(kind)
    }

    /// Every kind, groups in discovery order, kinds of a version by plural.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.iter()
    }

    /// The kinds that are read from and written to the store, one for each storage prefix (the stored version's).
    pub fn stored(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.iter().filter(|kind| kind.row.is_stored() && kind.row.storage.is_none())
    }

    /// The kind in whose version objects of `kind` are stored: itself, or its sibling.
    pub fn storage_of<'a>(&'a self, kind: &'a Arc<Kind>) -> &'a Arc<Kind> {
        match kind.row.storage {
            None => kind,
            Some((group, version, name)) => self.kind(group, version, name).unwrap_or(kind),
        }
    }

    /// The kinds of one group version, by plural.
    pub fn of_version<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<Kind>> {
        self.kinds.iter().filter(move |kind| kind.row.group == group && kind.row.version == version)
    }

    /// All groups, the core group (`""`) first, in discovery order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }
}

fn resource_key(kind: &Kind) -> (&str, &str, &str) {
    (kind.row.group, kind.row.version, kind.row.plural)
}

fn kind_key(kind: &Kind) -> (&str, &str, &str) {
    (kind.row.group, kind.row.version, kind.row.kind)
}
