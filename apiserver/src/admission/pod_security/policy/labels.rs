//! From the labels of a namespace to its policy.

use super::{Level, LevelVersion, Version};

/// What labels and audit annotations of Pod Security begin with.
pub const PREFIX: &str = "pod-security.kubernetes.io/";

/// What is enforced, recorded in the audit log, and warned about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub enforce: LevelVersion,
    pub audit: LevelVersion,
    pub warn: LevelVersion,
}

/// A label whose value means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelError {
    /// `pod-security.kubernetes.io/enforce`
    pub label: String,
    pub value: String,
    pub why: &'static str,
}

/// What a change of labels does to what is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnforceChange {
    /// Pods that were allowed still are.
    None,
    /// Pods that are there may violate it.
    Stricter,
}

impl Policy {
    /// Everything is allowed.
    pub const PRIVILEGED: Policy = {
        let all = LevelVersion { level: Level::Privileged, version: Version::LATEST };
        Policy { enforce: all, audit: all, warn: all }
    };

    /// The policy that labels (found by `get`) ask for, on top of `self`. A level that cannot be read is enforced as
    /// restricted, and neither recorded nor warned about.
    pub fn with_labels<'a>(mut self, get: impl Fn(&str) -> Option<&'a str>) -> (Self, Vec<LabelError>) {
        let mut errors = Vec::new();
        let modes = [
            ("enforce", &mut self.enforce, Level::Restricted),
            ("audit", &mut self.audit, Level::Privileged),
            ("warn", &mut self.warn, Level::Privileged),
        ];
        for (mode, policy, fallback) in modes {
            let mut read = |suffix: &str, why: &'static str, set: &mut dyn FnMut(&str) -> bool| {
                let label = format!("{PREFIX}{mode}{suffix}");
                if let Some(value) = get(&label)
                    && !set(value)
                {
                    errors.push(LabelError { label, value: value.to_owned(), why });
                }
            };
            read("", "must be one of privileged, baseline, restricted", &mut |value| {
                let level = Level::parse(value);
                policy.level = level.unwrap_or(fallback);
                level.is_some()
            });
            read("-version", "must be \"latest\" or \"v1.x\"", &mut |value| {
                let version = Version::parse(value);
                policy.version = version.unwrap_or(Version::LATEST);
                version.is_some()
            });
        }
        (self, errors)
    }

    pub fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|p| p.level == Level::Privileged)
    }

    /// Whether nothing is said about templates.
    pub fn is_silent(&self) -> bool {
        [self.audit, self.warn].iter().all(|p| p.level == Level::Privileged)
    }

    /// Whether two policies allow the same: versions of the privileged level do not differ.
    pub fn equivalent(&self, other: &Policy) -> bool {
        let same =
            |a: LevelVersion, b: LevelVersion| a == b || (a.level, b.level) == (Level::Privileged, Level::Privileged);
        same(self.enforce, other.enforce) && same(self.audit, other.audit) && same(self.warn, other.warn)
    }

    /// What `self` enforces beyond `old`.
    pub fn change_from(&self, old: &Policy) -> EnforceChange {
        let (new, old) = (self.enforce, old.enforce);
        let relaxed = new.version == old.version && new.level <= old.level;
        if new.level == Level::Privileged || relaxed { EnforceChange::None } else { EnforceChange::Stricter }
    }
}
