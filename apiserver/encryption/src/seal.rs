//! What a value was sealed with, as a small number that is kept with every object.

use parking_lot::RwLock;

/// What a value was sealed with. [`Seal::PLAIN`]: with nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seal(pub u8);

impl Seal {
    pub const PLAIN: Seal = Seal(0);
    /// Anything beyond the numbers: never equal to what is written now, so rewritten once more than needed.
    pub const OTHER: Seal = Seal(u8::MAX);
}

/// The numbers of this process.
#[derive(Default)]
pub struct Seals(RwLock<Vec<String>>);

impl Seals {
    /// The number of what `identity` (prefix and key) names.
    pub fn of(&self, identity: &str) -> Seal {
        let find = |known: &[String]| known.iter().position(|k| k == identity).map(number);
        if let Some(seal) = find(&self.0.read()) {
            return seal;
        }
        let mut known = self.0.write();
        find(&known).unwrap_or_else(|| {
            if known.len() + 1 >= usize::from(Seal::OTHER.0) {
                return Seal::OTHER;
            }
            known.push(identity.to_owned());
            number(known.len() - 1)
        })
    }
}

fn number(index: usize) -> Seal {
    u8::try_from(index + 1).map_or(Seal::OTHER, Seal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_identities_have_equal_numbers() {
        let seals = Seals::default();
        let first = seals.of("a");
        assert_ne!(first, Seal::PLAIN);
        assert_eq!(seals.of("a"), first);
        assert_ne!(seals.of("b"), first);
        for i in 0..300 {
            seals.of(&i.to_string());
        }
        assert_eq!(seals.of("one too many"), Seal::OTHER);
        assert_eq!(seals.of("a"), first);
    }
}
