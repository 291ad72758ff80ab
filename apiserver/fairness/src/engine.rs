//! The parts put together for many threads: the plan by which requests are classified, the levels with their queues.
//!
//! A request reads the plan without a lock and then takes the lock of its own level, for the time that a few numbers
//! need to be changed in. Changes of the configuration and adjustments take the lock of all levels, then that of each
//! level in turn, never two of these at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::classify::{self, Attributes, Classifier};
use crate::figures::{FlowFigures, LevelFigures};
use crate::queue_set::{Key, Left, QueueSet, Reason, State, Woken};
use crate::retry_after::RetryAfter;
use crate::seats::{self, Claim, Demand, Limits};
use crate::shuffle::{flow_hash, schema_seed};
use crate::spec::{CATCH_ALL, Distinguisher, EXEMPT, FlowSchema, LimitResponse, PriorityLevel};
use crate::work::Work;
use crate::{Nanos, bootstrap};

/// Priority and fairness of one server. `D` is what is known of a request, for dumps.
pub struct Fairness<D> {
    /// Seats of the server.
    seats: u32,
    plan: ArcSwap<Plan<D>>,
    /// By name. Levels that are not wanted any more stay until their last request has gone.
    levels: Mutex<BTreeMap<String, Arc<Level<D>>>>,
    /// [`seats::Adjustment::fair_part`], as bits.
    fair_part: AtomicU64,
}

/// What a request is classified by. Swapped as a whole.
struct Plan<D> {
    classifier: Classifier,
    flows: Vec<Arc<Flow<D>>>,
}

/// A FlowSchema with the level that it leads to.
pub struct Flow<D> {
    pub schema: String,
    /// For the response headers; empty for a mandatory object that does not exist yet.
    pub schema_uid: Bytes,
    pub level_uid: Bytes,
    pub level: Arc<Level<D>>,
    pub figures: Arc<FlowFigures>,
    distinguisher: Option<Distinguisher>,
    seed: u64,
}

/// A priority level.
pub struct Level<D> {
    pub name: String,
    pub(crate) set: Mutex<QueueSet<Queued<D>>>,
    retry_after: RetryAfter,
    exempt: AtomicBool,
    /// Whether it matters which flow a request belongs to.
    has_flows: AtomicBool,
    /// [`Limits::request_max`].
    request_max: AtomicU32,
    /// No longer wanted; its requests are served to the last.
    quiescing: AtomicBool,
    plan: Mutex<LevelPlan>,
}

/// What adjustments know of a level.
struct LevelPlan {
    spec: PriorityLevel,
    limits: Limits,
    demand: Demand,
    target: f64,
}

/// A request in a queue set.
pub(crate) struct Queued<D> {
    pub flow: Arc<Flow<D>>,
    pub detail: D,
}

/// A request that has not been refused. [`Ticket::leave`] must be called once, or its seats are never free again.
#[must_use]
pub struct Ticket<D> {
    flow: Arc<Flow<D>>,
    key: Key,
    arrived: Nanos,
    executing: bool,
}

/// Why a request is not served, and what to tell its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    pub retry_after_seconds: u32,
}

impl<D> Fairness<D> {
    /// Begins with the mandatory objects alone: everybody but the exempt shares all seats.
    pub fn new(seats: u32) -> Self {
        let plan = Plan { classifier: Classifier::default(), flows: Vec::new() };
        let fairness = Fairness {
            seats,
            plan: ArcSwap::from_pointee(plan),
            levels: Mutex::default(),
            fair_part: AtomicU64::default(),
        };
        fairness.configure(0, Vec::new(), Vec::new());
        fairness
    }

    pub fn seats(&self) -> u32 {
        self.seats
    }

    /// The flow of a request. Always one: a request that no schema matches goes to the last resort, `catch-all`.
    pub fn classify(&self, request: &Attributes<'_>) -> Option<Arc<Flow<D>>> {
        let plan = self.plan.load();
        let found = plan.classifier.find(request).and_then(|number| plan.flows.get(number));
        found.or_else(|| plan.flows.iter().rev().find(|flow| flow.schema == CATCH_ALL)).cloned()
    }

    /// Takes over a configuration. Schemas whose level is not among `levels` match nothing; mandatory objects that are
    /// missing are taken as they must be.
    pub fn configure(&self, now: Nanos, mut levels: Vec<PriorityLevel>, mut schemas: Vec<FlowSchema>) {
        for must in bootstrap::priority_levels().iter().filter(|level| level.mandatory) {
            if !levels.iter().any(|level| level.metadata.name == must.name) {
                levels.extend(PriorityLevel::from_json(&must.object).ok());
            }
        }
        schemas
            .retain(|schema| levels.iter().any(|l| l.metadata.name == schema.spec.priority_level_configuration.name));
        for must in bootstrap::flow_schemas().iter().filter(|schema| schema.mandatory) {
            if !schemas.iter().any(|schema| schema.metadata.name == must.name) {
                schemas.extend(FlowSchema::from_json(&must.object).ok());
            }
        }
        classify::order(&mut schemas);
        let mut all = self.levels.lock();
        let uids: HashMap<String, Bytes> =
            levels.iter().map(|l| (l.metadata.name.clone(), Bytes::from(l.metadata.uid.clone()))).collect();
        for level in all.values().filter(|level| !uids.contains_key(&level.name)) {
            level.quiescing.store(true, Ordering::Relaxed);
        }
        for spec in levels {
            match all.get(&spec.metadata.name) {
                Some(level) => level.respecify(spec),
                None => drop(all.insert(spec.metadata.name.clone(), Arc::new(Level::new(now, spec)))),
            }
        }
        all.retain(|_, level| !level.quiescing.load(Ordering::Relaxed) || !level.set.lock().is_idle());
        self.divide(&all);
        self.adjust_levels(now, &all);
        let before = self.plan.load_full();
        let flow = |schema: &FlowSchema| {
            let level = all.get(&schema.spec.priority_level_configuration.name)?;
            let uid = uids.get(&level.name).cloned().unwrap_or_default();
            Some(Arc::new(Flow::new(schema, level.clone(), uid, &before.flows)))
        };
        let flows: Vec<_> = schemas.iter().filter_map(flow).collect();
        self.plan.store(Arc::new(Plan { classifier: Classifier::new(schemas.iter()), flows }));
    }

    /// Moves seats to where they are wanted. To be called every [`ADJUSTMENT_PERIOD`].
    pub fn adjust(&self, now: Nanos) {
        let mut all = self.levels.lock();
        let before = all.len();
        all.retain(|_, level| !level.quiescing.load(Ordering::Relaxed) || !level.set.lock().is_idle());
        if all.len() < before {
            self.divide(&all);
        }
        self.adjust_levels(now, &all);
    }

    fn divide(&self, all: &BTreeMap<String, Arc<Level<D>>>) {
        let specs: Vec<PriorityLevel> = all.values().map(|level| level.plan.lock().spec.clone()).collect();
        let limits = seats::divide(self.seats, &specs.iter().collect::<Vec<_>>());
        for (level, limits) in all.values().zip(limits) {
            level.plan.lock().limits = limits;
            level.request_max.store(limits.request_max, Ordering::Relaxed);
        }
    }

    fn adjust_levels(&self, now: Nanos, all: &BTreeMap<String, Arc<Level<D>>>) {
        let claim = |level: &Arc<Level<D>>| {
            let (seen, current) = {
                let mut set = level.set.lock();
                (set.observe(now), set.seats_max())
            };
            let mut plan = level.plan.lock();
            plan.demand.observe(seen);
            Claim { limits: plan.limits, demand: plan.demand, exempt: level.is_exempt(), current }
        };
        let claims: Vec<Claim> = all.values().map(claim).collect();
        let adjusted = seats::adjust(&claims);
        self.fair_part.store(adjusted.fair_part.to_bits(), Ordering::Relaxed);
        for ((level, limit), target) in all.values().zip(adjusted.limits).zip(adjusted.targets) {
            let response = {
                let mut plan = level.plan.lock();
                plan.target = target;
                plan.spec.response
            };
            let mut woken = Woken::new();
            level.set.lock().configure(now, response, limit, &mut woken);
            woken.into_iter().for_each(Waker::wake);
        }
    }

    /// All levels by name, for dumps and figures.
    pub(crate) fn levels(&self) -> Vec<Arc<Level<D>>> {
        self.levels.lock().values().cloned().collect()
    }

    /// The flows of the plan, in order.
    pub(crate) fn flows(&self) -> Vec<Arc<Flow<D>>> {
        self.plan.load().flows.clone()
    }

    pub(crate) fn fair_part(&self) -> f64 {
        f64::from_bits(self.fair_part.load(Ordering::Relaxed))
    }
}

/// How often [`Fairness::adjust`] is to be called.
pub const ADJUSTMENT_PERIOD: Nanos = 10 * crate::SECOND;

impl<D> Flow<D> {
    /// Figures go on from those of the same schema and level `before`.
    fn new(schema: &FlowSchema, level: Arc<Level<D>>, level_uid: Bytes, before: &[Arc<Flow<D>>]) -> Self {
        let name = &schema.metadata.name;
        let same = before.iter().find(|flow| flow.schema == *name && flow.level.name == level.name);
        Flow {
            schema: name.clone(),
            schema_uid: Bytes::from(schema.metadata.uid.clone()),
            level_uid,
            figures: same.map_or_else(Arc::default, |flow| flow.figures.clone()),
            distinguisher: schema.spec.distinguisher_method.as_ref().map(|method| method.kind),
            seed: schema_seed(name),
            level,
        }
    }

    /// What tells the flows of this schema apart, of a user's request in a namespace.
    pub fn distinguisher<'a>(&self, user: &'a str, namespace: &'a str) -> &'a str {
        match self.distinguisher {
            Some(_) if !self.level.has_flows.load(Ordering::Relaxed) => "",
            Some(Distinguisher::ByUser) => user,
            Some(Distinguisher::ByNamespace) => namespace,
            None => "",
        }
    }

    /// A request of this flow arrives.
    pub fn arrive(
        self: &Arc<Self>,
        now: Nanos,
        work: Work,
        distinguisher: &str,
        detail: D,
    ) -> Result<Ticket<D>, Refusal> {
        let exempt = self.level.is_exempt();
        // What watchers take behind an exempt request keeps nobody waiting.
        let work = if exempt { Work::seats(work.initial_seats) } else { work };
        self.figures.seats.observe(u64::from(work.seats_max()));
        let hash = if exempt { 0 } else { flow_hash(self.seed, distinguisher) };
        let mut woken = Woken::new();
        let arrived = {
            let queued = Queued { flow: self.clone(), detail };
            self.level.set.lock().arrive(now, work, hash, queued, &mut woken)
        };
        woken.into_iter().for_each(Waker::wake);
        match arrived {
            Ok((key, state)) => {
                let executing = state == State::Executing;
                let mut ticket = Ticket { flow: self.clone(), key, arrived: now, executing: false };
                if executing {
                    ticket.begin(now);
                }
                Ok(ticket)
            }
            Err(reason) => Err(self.refused(now, reason)),
        }
    }

    fn refused(&self, now: Nanos, reason: Reason) -> Refusal {
        self.figures.refused(reason);
        Refusal { reason, retry_after_seconds: self.level.retry_after.refused(now) }
    }
}

impl<D> Level<D> {
    fn new(now: Nanos, spec: PriorityLevel) -> Self {
        let level = Level {
            name: spec.metadata.name.clone(),
            set: Mutex::new(QueueSet::new(now, spec.response, 0)),
            retry_after: RetryAfter::default(),
            exempt: AtomicBool::new(spec.response == LimitResponse::Exempt),
            has_flows: AtomicBool::new(spec.has_flows()),
            request_max: AtomicU32::default(),
            quiescing: AtomicBool::default(),
            plan: Mutex::new(LevelPlan { spec, limits: Limits::default(), demand: Demand::default(), target: 0.0 }),
        };
        debug_assert_eq!(level.is_exempt(), level.name == EXEMPT);
        level
    }

    fn respecify(&self, spec: PriorityLevel) {
        self.quiescing.store(false, Ordering::Relaxed);
        self.has_flows.store(spec.has_flows(), Ordering::Relaxed);
        self.plan.lock().spec = spec;
    }

    pub fn is_exempt(&self) -> bool {
        self.exempt.load(Ordering::Relaxed)
    }

    pub fn is_quiescing(&self) -> bool {
        self.quiescing.load(Ordering::Relaxed)
    }

    /// Most seats of one request; 0 for no limit of the level.
    pub fn request_seats_max(&self) -> u32 {
        self.request_max.load(Ordering::Relaxed)
    }

    /// Gives seats back whose time is over; returns when to do so again, if that is needed.
    pub fn release(&self, now: Nanos) -> Option<Nanos> {
        let mut woken = Woken::new();
        let again = self.set.lock().release(now, &mut woken);
        woken.into_iter().for_each(Waker::wake);
        again
    }

    pub(crate) fn figures(&self) -> LevelFigures {
        let plan = self.plan.lock();
        LevelFigures { limits: plan.limits, demand: plan.demand, target: plan.target }
    }
}

impl<D> Ticket<D> {
    pub fn flow(&self) -> &Arc<Flow<D>> {
        &self.flow
    }

    /// Whether the request may be served. Once true, always.
    pub fn is_executing(&self) -> bool {
        self.executing
    }

    /// As [`Ticket::is_executing`]; if not, `waker` is woken when it may be.
    pub fn poll(&mut self, now: Nanos, waker: &Waker) -> bool {
        if !self.executing && self.flow.level.set.lock().poll(self.key, waker) == State::Executing {
            self.begin(now);
        }
        self.executing
    }

    fn begin(&mut self, now: Nanos) {
        self.executing = true;
        self.flow.figures.began((!self.flow.level.is_exempt()).then(|| now.saturating_sub(self.arrived)));
    }

    /// The request has been served, or gives up for `reason` while it waits. `Executed::release`: somebody is to call
    /// [`Level::release`] at that time.
    pub fn leave(self, now: Nanos, reason: Reason, watch: bool) -> Departure {
        let mut woken = Woken::new();
        let left = self.flow.level.set.lock().leave(now, self.key, reason, &mut woken);
        woken.into_iter().for_each(Waker::wake);
        match left {
            Some((Left::Executed { executed, release }, _)) => {
                self.flow.figures.executed(executed, watch);
                Departure::Executed { release }
            }
            Some((Left::Waiting { waited }, _)) => {
                self.flow.figures.gave_up(waited);
                Departure::Refused(self.flow.refused(now, reason))
            }
            None => Departure::Executed { release: None },
        }
    }
}

/// How a request left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    Executed { release: Option<Nanos> },
    Refused(Refusal),
}

#[cfg(test)]
mod tests;
