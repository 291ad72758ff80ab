//! The server's seats: their division among the levels by shares, and what idle levels lend to busy ones.
//!
//! Numbers of seats are those of kube-apiserver: nominal limits are rounded up, so they may sum to a little more than
//! the server has; lending and borrowing move within that sum.

use crate::demand::Observed;
use crate::spec::{LimitResponse, PriorityLevel};

/// The part of its nominal seats that one request of a level may take.
const REQUEST_PART_MAX: f64 = 0.15;
/// How slowly the smoothed demand falls: half of it in five minutes, at an adjustment every ten seconds.
const SMOOTHING: f64 = 0.977;

/// What a level is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Its share.
    pub nominal: u32,
    /// What it keeps, however idle it is.
    pub min: u32,
    /// What it may have with all that it may borrow.
    pub max: u32,
    /// Most seats of one request, 0 for no limit of the level.
    pub request_max: u32,
}

/// Divides `seats` among levels.
pub fn divide(seats: u32, levels: &[&PriorityLevel]) -> Vec<Limits> {
    let shares: f64 = levels.iter().map(|level| f64::from(level.shares)).sum();
    levels
        .iter()
        .map(|level| {
            // No shares at all: nobody has a seat. (0 / 0 is no number of seats.)
            let part = if shares > 0.0 { f64::from(level.shares) / shares } else { 0.0 };
            let nominal = (f64::from(seats) * part).ceil();
            let percent = |percent: u32| (nominal * f64::from(percent) / 100.0).round();
            let borrowing = level.borrowing_limit_percent.map_or(f64::from(seats), percent);
            let request_max = match level.response {
                LimitResponse::Queue { dealer, .. } => {
                    (nominal * REQUEST_PART_MAX).ceil().min((nominal / f64::from(dealer.hand())).floor()).max(1.0)
                }
                _ => 0.0,
            };
            Limits {
                nominal: nominal as u32,
                // A level that has seats keeps one: without any, its first request would wait for an adjustment.
                min: (nominal - percent(level.lendable_percent)).max(nominal.min(1.0)) as u32,
                max: (nominal + borrowing) as u32,
                request_max: request_max as u32,
            }
        })
        .collect()
}

/// The demand of a level, as far as adjustments look back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    pub average: f64,
    pub deviation: f64,
    /// Most seats that were wanted at once in the last period.
    pub high_watermark: f64,
    pub smoothed: f64,
}

impl Demand {
    pub(crate) fn observe(&mut self, seen: Observed) {
        self.high_watermark = seen.max;
        if !seen.any {
            return;
        }
        (self.average, self.deviation) = (seen.average, seen.deviation);
        let envelope = seen.average + seen.deviation;
        self.smoothed = envelope.max(SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * envelope);
    }
}

/// A level as an adjustment sees it.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub limits: Limits,
    pub demand: Demand,
    pub exempt: bool,
    /// Its limit until now.
    pub current: u32,
}

impl Claim {
    /// What is not taken from it while it uses it: its demand up to its nominal seats. An exempt level has what it
    /// uses, whatever that is.
    fn floor(&self) -> f64 {
        let own = if self.exempt { f64::INFINITY } else { f64::from(self.limits.nominal) };
        self.demand.high_watermark.min(own).max(f64::from(self.limits.min))
    }

    fn target(&self) -> f64 {
        self.floor().max(self.demand.smoothed).max(TARGET_MIN)
    }

    /// This part of its target, within its bounds.
    fn bounded(&self, part: f64) -> f64 {
        (part * self.target()).min(f64::from(self.limits.max)).max(self.floor())
    }
}

/// Targets are divided by.
const TARGET_MIN: f64 = 0.001;

/// The outcome of an adjustment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adjustment {
    /// New limits, as the claims were ordered.
    pub limits: Vec<u32>,
    /// What each level was to have, but for its upper bound.
    pub targets: Vec<f64>,
    /// The part of its target that every level got whose bounds allowed it. 0: not all could keep what they used.
    pub fair_part: f64,
}

/// Divides the nominal seats of all levels anew by what they want.
///
/// Exempt levels take what they use. Of what is left every level gets the same part of its target, as far as its
/// bounds allow: no less than it uses of its own, no more than it may borrow. Where exempt requests use so much that
/// others cannot keep what they use, these keep the same part of what they use beyond their minimum.
pub fn adjust(claims: &[Claim]) -> Adjustment {
    let nominal: f64 = claims.iter().map(|claim| f64::from(claim.limits.nominal)).sum();
    let exempt: f64 = claims.iter().filter(|claim| claim.exempt).map(Claim::floor).sum();
    let left = nominal - exempt;
    let limited: Vec<&Claim> = claims.iter().filter(|claim| !claim.exempt).collect();
    let min: f64 = limited.iter().map(|claim| f64::from(claim.limits.min)).sum();
    let floor: f64 = limited.iter().map(|claim| claim.floor()).sum();
    let enough = left > floor;
    let kept = if floor > min { ((left - min) / (floor - min)).clamp(0.0, 1.0) } else { 0.0 };
    let fair_part = if enough { fair_part(left, &limited) } else { 0.0 };
    let limit = |claim: &Claim| {
        let min = f64::from(claim.limits.min);
        let seats = match (claim.exempt, enough) {
            (true, _) => claim.floor(),
            (false, true) => claim.bounded(fair_part),
            (false, false) => min + (claim.floor() - min) * kept,
        };
        seats.round() as u32
    };
    Adjustment {
        limits: claims.iter().map(limit).collect(),
        targets: claims.iter().map(Claim::target).collect(),
        fair_part,
    }
}

/// The part of their targets that the claims can have of `seats`. What they have at a part is a line between the
/// parts at which one of them meets a bound, so those are tried in order.
fn fair_part(seats: f64, claims: &[&Claim]) -> f64 {
    let total = |part: f64| claims.iter().map(|claim| claim.bounded(part)).sum::<f64>();
    let mut bends: Vec<f64> = claims
        .iter()
        .flat_map(|claim| [claim.floor() / claim.target(), f64::from(claim.limits.max) / claim.target()])
        .collect();
    bends.sort_by(f64::total_cmp);
    let mut part = 0.0;
    for bend in bends {
        let (low, high) = (total(part), total(bend));
        if high >= seats {
            return if high > low { part + (bend - part) * (seats - low) / (high - low) } else { bend };
        }
        part = bend;
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap;
    use proptest::prelude::*;

    fn levels() -> Vec<PriorityLevel> {
        bootstrap::priority_levels().iter().map(|level| PriorityLevel::from_json(&level.object).unwrap()).collect()
    }

    #[test]
    fn the_bootstrap_levels_of_600_seats() {
        let levels = levels();
        let limits = divide(600, &levels.iter().collect::<Vec<_>>());
        for (name, nominal, min, request_max) in [
            ("exempt", 0, 0, 0),
            ("system", 74, 50, 12),
            ("node-high", 98, 73, 15),
            ("leader-election", 25, 25, 4),
            ("workload-high", 98, 49, 15),
            ("workload-low", 245, 24, 37),
            ("global-default", 49, 24, 8),
            ("catch-all", 13, 13, 0),
        ] {
            let at = levels.iter().position(|level| level.metadata.name == name).unwrap();
            assert_eq!(limits[at], Limits { nominal, min, max: nominal + 600, request_max }, "{name}");
        }
    }

    #[test]
    fn odd_divisions() {
        let level = |shares, lendable, borrowing| PriorityLevel {
            metadata: Default::default(),
            shares,
            lendable_percent: lendable,
            borrowing_limit_percent: borrowing,
            response: LimitResponse::Reject,
        };
        let of = |seats, levels: &[PriorityLevel]| -> Vec<(u32, u32, u32)> {
            let limits = divide(seats, &levels.iter().collect::<Vec<_>>());
            limits.iter().map(|l| (l.nominal, l.min, l.max)).collect()
        };
        assert_eq!(of(10, &[level(0, 0, None), level(0, 0, None)]), [(0, 0, 10), (0, 0, 10)], "no shares at all");
        assert_eq!(
            of(10, &[level(0, 0, Some(0)), level(7, 100, Some(50))]),
            [(0, 0, 0), (10, 1, 15)],
            "a jail; one seat stays"
        );
        assert_eq!(of(1, &[level(1, 0, None), level(1000, 0, None)]), [(1, 1, 2), (1, 1, 2)], "rounded up");
    }

    /// Nominal, min, max, wanted now, exempt.
    fn claim((nominal, min, max): (u32, u32, u32), wanted: f64, exempt: bool) -> Claim {
        Claim {
            limits: Limits { nominal, min, max, request_max: 0 },
            demand: Demand { high_watermark: wanted, smoothed: wanted, ..Demand::default() },
            exempt,
            current: nominal,
        }
    }

    #[test]
    fn idle_levels_lend_to_busy_ones() {
        let limits = |claims: &[Claim]| adjust(claims).limits;
        // Nobody wants anything: the lendable seats are everybody's, in proportion to what each keeps.
        assert_eq!(limits(&[claim((50, 50, 150), 0.0, false), claim((50, 50, 150), 0.0, false)]), [50, 50]);
        // The busy one gets what the idle one does not keep.
        assert_eq!(limits(&[claim((50, 10, 150), 0.0, false), claim((50, 40, 150), 300.0, false)]), [10, 90]);
        // But no more than it may borrow.
        assert_eq!(limits(&[claim((50, 10, 150), 0.0, false), claim((50, 40, 60), 300.0, false)])[1], 60);
        // Both busy: each has its own.
        assert_eq!(limits(&[claim((50, 10, 150), 300.0, false), claim((50, 10, 150), 300.0, false)]), [50, 50]);
        // What exempt requests use, others do not have, down to their minima.
        assert_eq!(limits(&[claim((0, 0, 100), 60.0, true), claim((100, 20, 200), 300.0, false)]), [60, 40]);
        assert_eq!(limits(&[claim((0, 0, 100), 500.0, true), claim((100, 20, 200), 300.0, false)]), [500, 20]);
    }

    #[test]
    fn demand_rises_at_once_and_falls_slowly() {
        let mut demand = Demand::default();
        let seen = |average| Observed { average, deviation: 0.0, max: average, any: true };
        demand.observe(seen(100.0));
        assert_eq!(demand.smoothed, 100.0);
        for _ in 0..30 {
            demand.observe(seen(0.0));
        }
        assert!((45.0..55.0).contains(&demand.smoothed), "half after five minutes: {}", demand.smoothed);
        assert_eq!(demand.high_watermark, 0.0);
    }

    proptest! {
        #[test]
        fn seats_are_neither_lost_nor_made(
            levels in prop::collection::vec((1u32..200, 0u32..=100, prop::option::of(0u32..300), 0f64..500.0, 0f64..500.0), 1..12),
            exempt in 0f64..300.0,
        ) {
            let mut claims: Vec<Claim> = levels
                .iter()
                .map(|(nominal, lendable, borrowing, now, smoothed)| {
                    let max = nominal + borrowing.map_or(10_000, |percent| nominal * percent / 100);
                    let mut claim = claim((*nominal, nominal - nominal * lendable / 100, max), now.floor(), false);
                    claim.demand.smoothed = *smoothed;
                    claim
                })
                .collect();
            claims.push(claim((0, 0, 0), exempt.floor(), true));
            let adjusted = adjust(&claims);
            for (claim, limit) in claims.iter().zip(&adjusted.limits).filter(|(claim, _)| !claim.exempt) {
                prop_assert!((claim.limits.min..=claim.limits.max).contains(limit), "{claim:?} {limit}");
            }
            let sum: i64 = adjusted.limits.iter().map(|limit| i64::from(*limit)).sum();
            let all: i64 = claims.iter().map(|claim| i64::from(claim.limits.nominal)).sum();
            let keep: i64 = claims.iter().filter(|c| !c.exempt).map(|claim| i64::from(claim.limits.min)).sum();
            let rounding = claims.len() as i64;
            // Only what exempt requests take beyond everybody's minimum comes on top.
            prop_assert!(sum <= all.max(keep + exempt as i64) + rounding, "{sum} of {all}: {adjusted:?}");
            let lenders_at_max = claims.iter().zip(&adjusted.limits).all(|(c, limit)| c.exempt || *limit == c.limits.max);
            prop_assert!(sum >= all - rounding || lenders_at_max, "{sum} of {all}: {adjusted:?}");
        }
    }
}
