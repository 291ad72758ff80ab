use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::shuffle::{Dealer, flow_hash};
use crate::{MILLISECOND, SECOND};

fn queued(queues: u32, hand: u32, length_max: usize) -> LimitResponse {
    LimitResponse::Queue { dealer: Dealer::new(queues, hand).unwrap(), length_max }
}

/// A queue set with its clock; requests are numbered.
struct Bench {
    set: QueueSet<u32>,
    now: Nanos,
    woken: Woken,
}

impl Bench {
    fn new(response: LimitResponse, seats: u32) -> Self {
        Bench { set: QueueSet::new(0, response, seats), now: 0, woken: Woken::new() }
    }

    fn arrive(&mut self, number: u32, flow: &str, work: Work) -> Result<(Key, State), Reason> {
        self.set.arrive(self.now, work, flow_hash(1, flow), number, &mut self.woken)
    }

    fn leave(&mut self, key: Key) -> Option<(Left, u32)> {
        self.set.leave(self.now, key, Reason::Cancelled, &mut self.woken)
    }

    fn is_executing(&self, key: Key) -> bool {
        self.set.state(key) == State::Executing
    }

    /// Whether the sums are those of the parts.
    fn check(&self) {
        let (mut executing, mut waiting, mut seats_executing, mut seats_waiting) = (0, 0, 0, 0);
        self.set.each(|shown| {
            let seats = u64::from(shown.work.seats_max());
            if shown.started.is_some() {
                executing += 1;
                seats_executing += seats;
            } else {
                waiting += 1;
                seats_waiting += seats;
            }
        });
        let lingering: u64 = self.set.lingering.iter().map(|Reverse(own)| u64::from(own.seats)).sum();
        assert_eq!((executing, waiting), (self.set.executing, self.set.waiting));
        assert_eq!(seats_executing + lingering, self.set.seats_in_use);
        assert_eq!(seats_waiting, self.set.seats_waiting);
        let (mut in_use, mut length, mut active) = (0, 0, 0);
        self.set.each_queue(|_, queue| {
            in_use += queue.seats_in_use;
            length += queue.len();
            active += usize::from(!queue.is_empty() || queue.executing > 0);
        });
        assert_eq!((length, active), (self.set.waiting, self.set.queues.active()));
        if !matches!(self.set.response, LimitResponse::Exempt | LimitResponse::Reject) {
            assert!(in_use <= self.set.seats_in_use);
        }
    }
}

#[test]
fn a_full_level_queues_and_a_full_queue_refuses() {
    let mut bench = Bench::new(queued(1, 1, 2), 1);
    let (first, state) = bench.arrive(1, "a", Work::ONE).unwrap();
    assert_eq!(state, State::Executing);
    let (second, state) = bench.arrive(2, "a", Work::ONE).unwrap();
    assert_eq!(state, State::Waiting);
    let (third, _) = bench.arrive(3, "a", Work::ONE).unwrap();
    assert_eq!(bench.arrive(4, "a", Work::ONE), Err(Reason::QueueFull));
    bench.now += MILLISECOND;
    let (left, number) = bench.leave(first).unwrap();
    assert_eq!((left, number), (Left::Executed { executed: MILLISECOND, release: None }, 1));
    assert!(bench.is_executing(second) && !bench.is_executing(third));
    // The third gives up; its place is free.
    assert_eq!(bench.leave(third), Some((Left::Waiting { waited: MILLISECOND }, 3)));
    assert_eq!(bench.leave(third), None, "a key is good for one leave");
    let (last, _) = bench.arrive(5, "a", Work::ONE).unwrap();
    bench.leave(second);
    assert!(bench.is_executing(last));
    bench.check();
    assert_eq!(bench.set.totals(), Totals { dispatched: 3, rejected: 2, timed_out: 0, cancelled: 1 });
}

#[test]
fn reject_and_exempt() {
    let mut reject = Bench::new(LimitResponse::Reject, 2);
    let (first, _) = reject.arrive(1, "a", Work::ONE).unwrap();
    reject.arrive(2, "a", Work::ONE).unwrap();
    assert_eq!(reject.arrive(3, "a", Work::ONE), Err(Reason::ConcurrencyLimit));
    reject.leave(first);
    assert!(reject.arrive(4, "a", Work::ONE).is_ok());
    assert_eq!(reject.arrive(5, "a", Work::seats(5)), Err(Reason::ConcurrencyLimit));
    let mut alone = Bench::new(LimitResponse::Reject, 2);
    assert!(alone.arrive(1, "a", Work::seats(5)).is_ok(), "wider than the level: alone");
    assert_eq!(alone.arrive(2, "a", Work::ONE), Err(Reason::ConcurrencyLimit));
    let mut exempt = Bench::new(LimitResponse::Exempt, 0);
    for number in 0..1000 {
        assert_eq!(exempt.arrive(number, "a", Work::seats(10)).unwrap().1, State::Executing);
    }
    exempt.check();
}

#[test]
fn a_level_without_seats_keeps_its_requests() {
    let mut jail = Bench::new(queued(4, 1, 10), 0);
    let (key, state) = jail.arrive(1, "a", Work::ONE).unwrap();
    assert_eq!(state, State::Waiting);
    jail.now += SECOND;
    let mut woken = Woken::new();
    jail.set.configure(jail.now, queued(4, 1, 10), 1, &mut woken);
    assert!(jail.is_executing(key), "until it gets some");
}

#[test]
fn a_wide_request_waits_for_its_seats_and_is_not_passed() {
    let mut bench = Bench::new(queued(8, 2, 50), 4);
    let narrow: Vec<Key> = (0..3).map(|number| bench.arrive(number, "a", Work::ONE).unwrap().0).collect();
    let (wide, _) = bench.arrive(3, "b", Work::seats(3)).unwrap();
    let (behind, _) = bench.arrive(4, "c", Work::seats(4)).unwrap();
    assert!(!bench.is_executing(wide));
    bench.now += MILLISECOND;
    bench.leave(narrow[0]);
    assert!(!bench.is_executing(wide) && !bench.is_executing(behind));
    bench.leave(narrow[1]);
    assert!(bench.is_executing(wide) && !bench.is_executing(behind));
    bench.leave(narrow[2]);
    bench.leave(wide);
    assert!(bench.is_executing(behind));
    bench.check();
}

#[test]
fn seats_linger_behind_a_request() {
    let work = Work { initial_seats: 1, final_seats: 3, additional_latency: 5 * MILLISECOND };
    let mut bench = Bench::new(queued(4, 1, 10), 3);
    let (first, _) = bench.arrive(1, "a", work).unwrap();
    let (second, state) = bench.arrive(2, "b", Work::ONE).unwrap();
    assert_eq!(state, State::Waiting, "the final seats are reserved from the beginning");
    let (left, _) = bench.leave(first).unwrap();
    assert_eq!(left, Left::Executed { executed: 0, release: Some(5 * MILLISECOND) });
    bench.check();
    bench.now = 4 * MILLISECOND;
    let mut woken = Woken::new();
    assert_eq!(bench.set.release(bench.now, &mut woken), Some(5 * MILLISECOND));
    assert!(!bench.is_executing(second));
    bench.now = 5 * MILLISECOND;
    assert_eq!(bench.set.release(bench.now, &mut woken), None);
    assert!(bench.is_executing(second));
    // One timer for several.
    let (third, _) = bench.arrive(3, "a", Work { final_seats: 1, ..work }).unwrap();
    let (fourth, _) = bench.arrive(4, "a", Work { final_seats: 1, ..work }).unwrap();
    assert!(matches!(bench.leave(third), Some((Left::Executed { release: Some(_), .. }, _))));
    assert!(matches!(bench.leave(fourth), Some((Left::Executed { release: None, .. }, _))));
    bench.check();
    // More final seats than the level has are reshaped, not refused.
    bench.now += SECOND;
    assert_eq!(bench.set.release(bench.now, &mut woken), None);
    bench.leave(second);
    let (wide, state) = bench.arrive(5, "a", Work { final_seats: 6, ..work }).unwrap();
    assert_eq!(state, State::Executing);
    assert!(
        matches!(bench.leave(wide), Some((Left::Executed { release: Some(until), .. }, _)) if until == bench.now + 10 * MILLISECOND)
    );
    bench.check();
}

#[test]
fn queues_come_and_go_with_the_configuration() {
    let mut bench = Bench::new(queued(64, 1, 50), 1);
    let (first, _) = bench.arrive(0, "first", Work::ONE).unwrap();
    let keys: Vec<Key> = (1..40).map(|n| bench.arrive(n, &format!("flow {n}"), Work::ONE).unwrap().0).collect();
    let count = |bench: &Bench| {
        let mut count = 0;
        bench.set.each_queue(|_, _| count += 1);
        count
    };
    let mut woken = Woken::new();
    bench.set.configure(bench.now, queued(2, 1, 50), 1, &mut woken);
    assert!(count(&bench) > 2, "requests wait in them");
    bench.leave(first);
    for key in keys {
        assert!(bench.leave(key).is_some());
        bench.check();
    }
    assert_eq!(count(&bench), 2);
    bench.set.configure(bench.now, LimitResponse::Reject, 1, &mut woken);
    assert_eq!(count(&bench), 0);
    bench.set.configure(bench.now, queued(70, 1, 50), 1, &mut woken);
    assert_eq!(count(&bench), 70);
    assert!(bench.set.is_idle() && bench.set.seats_in_use() == 0);
}

/// Keeps `flows` busy for a while: each has so many requests in flight or waiting, each of which lasts so long, on so
/// many seats. Returns the seat-time that each flow got.
fn simulate(response: LimitResponse, seats: u32, flows: &[(usize, Nanos, u32)], until: Nanos) -> Vec<f64> {
    let mut bench = Bench::new(response, seats);
    // What is waiting or executing, by key: flow, and when it ends once it executes.
    let mut requests: HashMap<u32, (usize, Option<Nanos>)> = HashMap::new();
    let mut got = vec![0.0; flows.len()];
    let mut wanted: Vec<usize> = flows.iter().map(|(count, ..)| *count).collect();
    while bench.now < until {
        for (flow, (_, _, width)) in flows.iter().enumerate() {
            while wanted[flow] > 0 {
                let arrived = bench.arrive(flow as u32, &format!("flow {flow}"), Work::seats(*width));
                let Ok((key, _)) = arrived else { break };
                requests.insert(key.0, (flow, None));
                wanted[flow] -= 1;
            }
        }
        let mut begun = Vec::new();
        for (key, (flow, end)) in &mut requests {
            if end.is_none() && bench.is_executing(Key(*key)) {
                *end = Some(bench.now + flows[*flow].1);
                begun.push(*key);
            }
        }
        let next = requests.values().filter_map(|(_, end)| *end).min().expect("something executes");
        bench.now = next;
        let done: Vec<u32> = requests.iter().filter(|(_, (_, end))| *end == Some(next)).map(|(key, _)| *key).collect();
        for key in done {
            let (flow, _) = requests.remove(&key).unwrap();
            bench.leave(Key(key)).unwrap();
            got[flow] += flows[flow].1 as f64 * f64::from(flows[flow].2);
            wanted[flow] += 1;
        }
        bench.check();
    }
    let all = until as f64 * f64::from(seats);
    got.into_iter().map(|seat_time| seat_time / all).collect()
}

#[test]
fn flows_get_equal_parts_whatever_they_ask_for() {
    // A queue each: with larger hands a flow gets a part for each of its queues in which something waits.
    let response = queued(64, 1, 1000);
    let near = |part: f64, want: f64| assert!((part - want).abs() < 0.04, "{part}, not {want}");
    // A flood of 300 against 20 that would like all ten seats: half each.
    let parts = simulate(response, 10, &[(300, 10 * MILLISECOND, 1), (20, 10 * MILLISECOND, 1)], 5 * SECOND);
    near(parts[0], 0.5);
    near(parts[1], 0.5);
    // What one does not want is the other's.
    let parts = simulate(response, 10, &[(300, 10 * MILLISECOND, 1), (2, 10 * MILLISECOND, 1)], 5 * SECOND);
    assert!((0.09..=0.2).contains(&parts[1]), "two at a time, each of which may wait for a seat as long as it lasts");
    near(parts[0] + parts[1], 1.0);
    // Long requests are charged for their time, wide ones for their seats.
    let parts = simulate(response, 10, &[(100, 100 * MILLISECOND, 1), (100, 5 * MILLISECOND, 1)], 10 * SECOND);
    near(parts[0], 0.5);
    near(parts[1], 0.5);
    let parts = simulate(response, 10, &[(100, 20 * MILLISECOND, 5), (100, 20 * MILLISECOND, 1)], 10 * SECOND);
    near(parts[0], 0.5);
    near(parts[1], 0.5);
}

#[test]
fn a_victim_does_not_wait_behind_the_flood() {
    let mut bench = Bench::new(queued(128, 6, 50), 10);
    let mut executing: VecDeque<Key> = VecDeque::new();
    let mut waiting: Vec<Key> = Vec::new();
    // A flood that keeps all its queues full, for long enough that what came before it does not count.
    let mut flood = |bench: &mut Bench, executing: &mut VecDeque<Key>| {
        while let Ok((key, state)) = bench.arrive(0, "flood", Work::ONE) {
            if state == State::Executing { executing.push_back(key) } else { waiting.push(key) }
        }
        bench.now += 2 * MILLISECOND;
        bench.leave(executing.pop_front().expect("ten are always executing"));
        let begun: Vec<Key> = waiting.extract_if(.., |key| bench.is_executing(*key)).collect();
        executing.extend(begun);
    };
    for _ in 0..1000 {
        flood(&mut bench, &mut executing);
    }
    assert_eq!((executing.len(), bench.set.waiting()), (10, 299), "six queues of 50, and the one that was just served");
    let (victim, _) = bench.arrive(1, "victim", Work::ONE).unwrap();
    let served = (0..).take_while(|_| {
        flood(&mut bench, &mut executing);
        !bench.is_executing(victim)
    });
    let served = served.count();
    // Its queue is charged as if requests lasted 3 ms, the flood's for what they did: up to two rounds of the seats,
    // where the flood itself waits for thirty.
    assert!(served <= 20, "{served} requests passed it");
}

#[derive(Clone, Debug)]
enum Step {
    Arrive { flow: u8, initial: u32, last: u32, millis: u64 },
    Leave { index: usize },
    Wait { millis: u64 },
    Configure { queues: u32, hand: u32, seats: u32 },
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0u8..6, 1u32..6, 0u32..8, 0u64..8)
            .prop_map(|(flow, initial, last, millis)| Step::Arrive { flow, initial, last, millis }),
        5 => any::<usize>().prop_map(|index| Step::Leave { index }),
        2 => (0u64..20).prop_map(|millis| Step::Wait { millis }),
        1 => (0u32..70, 1u32..5, 0u32..12).prop_map(|(queues, hand, seats)| Step::Configure { queues, hand, seats }),
        1 => Just(Step::Release),
    ]
}

proptest! {
    /// Whatever happens, no seat is lost or given twice, nothing waits while a seat for it is free, and in the end
    /// everybody has been served.
    #[test]
    fn no_seat_is_lost(steps in prop::collection::vec(step(), 1..200)) {
        let mut bench = Bench::new(queued(8, 2, 20), 5);
        let mut alive: Vec<Key> = Vec::new();
        let mut woken = Woken::new();
        for step in steps {
            match step {
                Step::Arrive { flow, initial, last, millis } => {
                    let additional_latency = if last > 0 { millis * MILLISECOND } else { 0 };
                    let work = Work { initial_seats: initial, final_seats: last, additional_latency };
                    alive.extend(bench.arrive(0, &flow.to_string(), work).ok().map(|(key, _)| key));
                }
                Step::Leave { index } if !alive.is_empty() => {
                    let key = alive.swap_remove(index % alive.len());
                    prop_assert!(bench.leave(key).is_some());
                }
                Step::Leave { .. } => {}
                Step::Wait { millis } => bench.now += millis * MILLISECOND,
                Step::Configure { queues: 0, seats, .. } => {
                    bench.set.configure(bench.now, LimitResponse::Reject, seats, &mut woken);
                }
                Step::Configure { queues, hand, seats } => {
                    bench.set.configure(bench.now, queued(queues, hand.min(queues), 20), seats, &mut woken);
                }
                Step::Release => drop(bench.set.release(bench.now, &mut woken)),
            }
            bench.check();
            // Work conserving: if something waits, then the head that is next does not fit.
            let set = &bench.set;
            if set.waiting > 0 && set.seats_in_use < u64::from(set.seats_max) {
                let total = |key: Key| set.entry(key).unwrap().work.total();
                let (_, key) = set.queues.next(total).unwrap();
                prop_assert!(!set.accommodates(set.entry(key).unwrap().work.seats_max()));
            }
        }
        // Everybody leaves who executes, until nobody is left.
        bench.set.configure(bench.now, queued(8, 2, 20), 3, &mut woken);
        while !alive.is_empty() {
            bench.now += SECOND;
            bench.set.release(bench.now, &mut woken);
            let at = alive.iter().position(|key| bench.is_executing(*key));
            prop_assert!(at.is_some(), "somebody executes");
            bench.leave(alive.swap_remove(at.unwrap()));
            bench.check();
        }
        bench.now += SECOND;
        bench.set.release(bench.now, &mut woken);
        prop_assert_eq!((bench.set.seats_in_use, bench.set.seats_waiting, bench.set.queues.active()), (0, 0, 0));
    }

    /// Two flows that always have something waiting never get further apart than their requests in flight.
    #[test]
    fn two_busy_flows_stay_together(first in 1u64..40, second in 1u64..40, seats in 1u32..8) {
        let flows = [(60, first * MILLISECOND, 1), (60, second * MILLISECOND, 1)];
        let until = 4 * SECOND;
        let parts = simulate(queued(64, 1, 1000), seats, &flows, until);
        // Flows that share a queue are one flow.
        let shared = Dealer::new(64, 1).unwrap();
        prop_assume!(shared.deal(flow_hash(1, "flow 0")) != shared.deal(flow_hash(1, "flow 1")));
        let bound = f64::from(seats) * 2.0 * first.max(second) as f64 * MILLISECOND as f64 / until as f64 / f64::from(seats);
        prop_assert!((parts[0] - parts[1]).abs() <= 2.0 * bound + 0.02, "{parts:?}, bound {bound}");
        prop_assert!(parts[0] + parts[1] > 0.95, "seats were idle: {parts:?}");
    }
}
