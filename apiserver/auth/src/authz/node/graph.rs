//! What leads from an object to nodes: pods, and the volumes that claims are bound to.

use std::collections::{BTreeSet, HashMap};

use parking_lot::RwLock;

use super::references::{PodReferences, VolumeReferences};

/// Kinds of objects that a node may see because of what runs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Referenced {
    Pod,
    Secret,
    ConfigMap,
    ServiceAccount,
    ResourceClaim,
    /// PersistentVolumeClaim
    Claim,
    /// PersistentVolume
    Volume,
    /// VolumeAttachment
    Attachment,
    /// ResourceSlice
    Slice,
}

/// Kept up by the changes of pods, volumes, attachments and slices. Every question is a few look-ups.
#[derive(Default)]
pub struct Graph {
    state: RwLock<State>,
}

/// `<namespace>/<name>`, or `<name>` for cluster-scoped objects.
type Key = Box<str>;
type Node = Box<str>;

#[derive(Default)]
struct State {
    pods: HashMap<Key, Pod>,
    /// The nodes whose pods refer to an object, each with the number of references.
    used_on: HashMap<(Referenced, Key), HashMap<Node, usize>>,
    volumes: HashMap<Key, VolumeReferences>,
    /// The volumes that need a secret.
    volumes_of_secret: HashMap<Key, BTreeSet<Key>>,
    /// Attachments and slices name their node.
    direct: HashMap<(Referenced, Key), Node>,
}

struct Pod {
    node: Node,
    references: Vec<(Referenced, Key)>,
}

pub(super) fn key(namespace: &str, name: &str) -> Key {
    if namespace.is_empty() { name.into() } else { [namespace, "/", name].concat().into() }
}

impl Graph {
    /// A pod that is bound to a node. What a pod refers to never shrinks, so it is told only when that may have grown.
    pub fn put_pod(&self, namespace: &str, name: &str, node: &str, references: &PodReferences) {
        let references: Vec<(Referenced, Key)> =
            references.names().map(|(kind, referred)| (kind, key(namespace, referred))).collect();
        let mut state = self.state.write();
        state.remove_pod(&key(namespace, name));
        for reference in &references {
            *state.used_on.entry(reference.clone()).or_default().entry(node.into()).or_default() += 1;
        }
        state.pods.insert(key(namespace, name), Pod { node: node.into(), references });
    }

    pub fn remove_pod(&self, namespace: &str, name: &str) {
        self.state.write().remove_pod(&key(namespace, name));
    }

    pub fn put_volume(&self, name: &str, references: VolumeReferences) {
        let mut state = self.state.write();
        state.remove_volume(name);
        for secret in &references.secrets {
            state.volumes_of_secret.entry(secret.clone()).or_default().insert(name.into());
        }
        state.volumes.insert(name.into(), references);
    }

    pub fn remove_volume(&self, name: &str) {
        self.state.write().remove_volume(name);
    }

    /// An attachment or a slice, with the node that it names; an empty one: none.
    pub fn put_direct(&self, kind: Referenced, name: &str, node: &str) {
        let mut state = self.state.write();
        if node.is_empty() {
            state.direct.remove(&(kind, name.into()));
        } else {
            state.direct.insert((kind, name.into()), node.into());
        }
    }

    /// Forgets all pods (or volumes, attachments, slices), before they are told anew.
    pub fn clear(&self, kind: Referenced) {
        let mut state = self.state.write();
        match kind {
            Referenced::Pod => {
                state.pods.clear();
                state.used_on.clear();
            }
            Referenced::Volume => {
                state.volumes.clear();
                state.volumes_of_secret.clear();
            }
            kind => state.direct.retain(|(of, _), _| *of != kind),
        }
    }

    /// Whether something that runs on a node needs the object.
    pub fn leads_to(&self, kind: Referenced, namespace: &str, name: &str, node: &str) -> bool {
        let state = self.state.read();
        let key = key(namespace, name);
        match kind {
            Referenced::Pod => state.pods.get(&key).is_some_and(|pod| &*pod.node == node),
            Referenced::Attachment | Referenced::Slice => state.direct.get(&(kind, key)).is_some_and(|n| &**n == node),
            Referenced::Volume => state.volume_leads_to(&key, node),
            Referenced::Secret => {
                let volumes = state.volumes_of_secret.get(&key);
                let by_volume = volumes.into_iter().flatten().any(|volume| state.volume_leads_to(volume, node));
                by_volume || state.used(kind, key, node)
            }
            _ => state.used(kind, key, node),
        }
    }
}

#[cfg(test)]
impl Graph {
    /// How many pods and referenced objects are known.
    pub(super) fn state_for_tests(&self) -> (usize, usize) {
        let state = self.state.read();
        (state.pods.len(), state.used_on.len())
    }
}

impl State {
    fn used(&self, kind: Referenced, key: Key, node: &str) -> bool {
        self.used_on.get(&(kind, key)).is_some_and(|nodes| nodes.contains_key(node))
    }

    fn volume_leads_to(&self, volume: &str, node: &str) -> bool {
        self.volumes.get(volume).is_some_and(|v| self.used(Referenced::Claim, v.claim.clone(), node))
    }

    fn remove_pod(&mut self, key: &str) {
        let Some(pod) = self.pods.remove(key) else { return };
        for reference in pod.references {
            let Some(nodes) = self.used_on.get_mut(&reference) else { continue };
            if let Some(count) = nodes.get_mut(&pod.node) {
                *count -= 1;
                if *count == 0 {
                    nodes.remove(&pod.node);
                }
            }
            if nodes.is_empty() {
                self.used_on.remove(&reference);
            }
        }
    }

    fn remove_volume(&mut self, name: &str) {
        let Some(volume) = self.volumes.remove(name) else { return };
        for secret in volume.secrets {
            if let Some(volumes) = self.volumes_of_secret.get_mut(&secret) {
                volumes.remove(name);
                if volumes.is_empty() {
                    self.volumes_of_secret.remove(&secret);
                }
            }
        }
    }
}
