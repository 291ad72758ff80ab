//! Shuffle sharding: a flow's hash deals it a hand of queues, and a request goes to the emptiest of them.
//!
//! Two flows share all queues of their hands only with the odds of drawing the same hand twice from the deck, so a
//! heavy flow leaves nearly every other flow a queue of its own.

use smallvec::SmallVec;

/// Queues of a hand. The hash has entropy for at most 15 of 16 or more.
pub type Hand = SmallVec<[u32; 16]>;

/// How much of a hash a deal may use.
const HASH_BITS_MAX: f64 = 60.0;

/// Deals hands of one size from one deck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dealer {
    deck: u32,
    hand: u32,
}

/// How many bits of hash a hand needs; validation refuses more than 60.
pub fn entropy_bits(deck: u32, hand: u32) -> f64 {
    f64::from(deck).log2() * f64::from(hand)
}

impl Dealer {
    /// `None` where a hand cannot be dealt: no cards, more cards than the deck has, or too little entropy.
    pub fn new(deck: u32, hand: u32) -> Option<Self> {
        (hand > 0 && hand <= deck && entropy_bits(deck, hand) <= HASH_BITS_MAX).then_some(Dealer { deck, hand })
    }

    pub fn deck(&self) -> u32 {
        self.deck
    }

    pub fn hand(&self) -> u32 {
        self.hand
    }

    /// Distinct cards, every hand equally likely for a random hash: the digits of the hash in the bases deck,
    /// deck - 1, … are the positions of the cards among those that are left.
    pub fn deal(&self, mut hash: u64) -> Hand {
        let mut sorted = Hand::new();
        let mut hand = Hand::new();
        for dealt in 0..self.hand {
            let left = u64::from(self.deck - dealt);
            let mut card = (hash % left) as u32;
            hash /= left;
            // The position among the cards that are left is that in the deck, behind the smaller ones dealt before.
            let mut at = 0;
            while at < sorted.len() && sorted[at] <= card {
                card += 1;
                at += 1;
            }
            sorted.insert(at, card);
            hand.push(card);
        }
        hand
    }
}

/// The hash of a flow: what its FlowSchema is, and what tells its flows apart.
pub fn flow_hash(schema_seed: u64, distinguisher: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(distinguisher.as_bytes(), schema_seed)
}

/// The seed of a FlowSchema's flows.
pub fn schema_seed(name: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn what_can_be_dealt() {
        for (deck, hand, ok) in
            [(64, 6, true), (128, 8, true), (1, 1, true), (2, 3, false), (8, 0, false), (0, 0, false), (128, 9, false)]
        {
            assert_eq!(Dealer::new(deck, hand).is_some(), ok, "{deck} {hand}");
        }
    }

    #[test]
    fn hands_are_even() {
        // All ordered hands of 2 of 4 come up equally often over a full range of hashes.
        let dealer = Dealer::new(4, 2).unwrap();
        let mut seen = HashMap::new();
        for hash in 0..12 * 100 {
            *seen.entry(dealer.deal(hash)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 12);
        assert!(seen.values().all(|count| *count == 100));
    }

    proptest! {
        #[test]
        fn cards_are_distinct_and_in_the_deck(hash: u64, deck in 1u32..200, hand in 1u32..16) {
            let Some(dealer) = Dealer::new(deck, hand) else { return Ok(()) };
            let mut cards = dealer.deal(hash).to_vec();
            prop_assert!(cards.iter().all(|card| *card < deck));
            cards.sort_unstable();
            cards.dedup();
            prop_assert_eq!(cards.len(), hand as usize);
        }
    }
}
