//! What a resource weighs and who watches it: what priority and fairness estimates requests by.

use crate::resource::Resource;

/// Objects whose sizes are looked at.
const SAMPLE_MAX: usize = 32;

impl Resource {
    /// How many objects there are, and about how many bytes of JSON: the average of a sample, spread evenly.
    pub fn stats(&self) -> (u64, u64) {
        let state = self.shared.state.load();
        let objects = state.objects.len() as u64;
        let (mut sampled, mut bytes) = (0u64, 0u64);
        for object in state.objects.sample(SAMPLE_MAX) {
            sampled += 1;
            bytes += object.json().len() as u64;
        }
        (objects, bytes.checked_div(sampled).unwrap_or(0).saturating_mul(objects))
    }

    /// How many watchers a change of this object may concern: those of all objects, of its namespace, and of itself.
    /// Watchers by a field are left out, for the change is not known yet.
    pub fn watchers(&self, namespace: &str, name: &str) -> usize {
        self.shared.hub.watchers(namespace, name)
    }
}
