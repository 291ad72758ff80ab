//! The debugging dumps: tables of comma-separated, aligned columns, as kube-apiserver writes them.

use crate::Nanos;
use crate::engine::Fairness;

/// What a dump shows of a request.
pub trait Describe {
    fn describe(&self) -> Description;
}

/// A request in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    pub user: String,
    pub verb: String,
    pub path: String,
    pub namespace: String,
    pub name: String,
    /// `apps/v1`
    pub api_version: String,
    pub resource: String,
    pub subresource: String,
}

/// `/debug/api_priority_and_fairness/dump_priority_levels`
pub fn priority_levels<D>(fairness: &Fairness<D>) -> String {
    let mut table = Table::new(&[
        "PriorityLevelName",
        "ActiveQueues",
        "IsIdle",
        "IsQuiescing",
        "WaitingRequests",
        "ExecutingRequests",
        "DispatchedRequests",
        "RejectedRequests",
        "TimedoutRequests",
        "CancelledRequests",
    ]);
    for level in fairness.levels() {
        let set = level.set.lock();
        let mut active = 0;
        set.each_queue(|_, queue| active += usize::from(!queue.is_empty()));
        let totals = set.totals();
        table.row(vec![
            level.name.clone(),
            active.to_string(),
            set.is_idle().to_string(),
            level.is_quiescing().to_string(),
            set.waiting().to_string(),
            set.executing().to_string(),
            totals.dispatched.to_string(),
            totals.rejected.to_string(),
            totals.timed_out.to_string(),
            totals.cancelled.to_string(),
        ]);
    }
    table.finish()
}

/// `/debug/api_priority_and_fairness/dump_queues`
pub fn queues<D>(fairness: &Fairness<D>) -> String {
    let mut table = Table::new(&[
        "PriorityLevelName",
        "Index",
        "PendingRequests",
        "ExecutingRequests",
        "SeatsInUse",
        "NextDispatchR",
        "InitialSeatsSum",
        "MaxSeatsSum",
        "TotalWorkSum",
    ]);
    for level in fairness.levels() {
        level.set.lock().each_queue(|at, queue| {
            table.row(vec![
                level.name.clone(),
                at.to_string(),
                queue.len().to_string(),
                queue.executing.to_string(),
                queue.seats_in_use.to_string(),
                queue.next_dispatch_r.to_string(),
                queue.initial_seats.to_string(),
                queue.seats_max.to_string(),
                queue.work.to_string(),
            ]);
        });
    }
    table.finish()
}

/// Of a request that still waits: Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// `/debug/api_priority_and_fairness/dump_requests`, with the requests themselves if `details` are asked for. `time`
/// writes a time of this crate as a date.
pub fn requests<D: Describe>(fairness: &Fairness<D>, details: bool, time: &dyn Fn(Nanos) -> String) -> String {
    let mut columns = vec![
        "PriorityLevelName",
        "FlowSchemaName",
        "QueueIndex",
        "RequestIndexInQueue",
        "FlowDistingsher",
        "ArriveTime",
        "InitialSeats",
        "FinalSeats",
        "AdditionalLatency",
        "StartTime",
    ];
    if details {
        columns.extend(["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"]);
    }
    let mut table = Table::new(&columns);
    for level in fairness.levels() {
        let mut rows = Vec::new();
        level.set.lock().each(|shown| {
            let flow = &shown.detail.flow;
            let description = shown.detail.detail.describe();
            let index = |index: Option<usize>| index.map_or("-1".to_owned(), |index| index.to_string());
            let mut row = vec![
                level.name.clone(),
                flow.schema.clone(),
                index(shown.queue.map(|queue| queue as usize)),
                index(shown.place),
                flow.distinguisher(&description.user, &description.namespace).to_owned(),
                time(shown.arrived),
                shown.work.initial_seats.to_string(),
                shown.work.final_seats.to_string(),
                go_duration(shown.work.additional_latency),
                shown.started.map_or_else(|| NEVER.to_owned(), time),
            ];
            if details {
                let d = description;
                row.extend([d.user, d.verb, d.path, d.namespace, d.name, d.api_version, d.resource, d.subresource]);
            }
            rows.push((shown.queue.map_or(u32::MAX, |queue| queue), shown.place.unwrap_or(usize::MAX), row));
        });
        // By queue: those that wait, in order, then those that execute; requests without a queue last.
        rows.sort_by_key(|(queue, place, _)| (*queue, *place));
        rows.into_iter().for_each(|(_, _, row)| table.row(row));
    }
    table.finish()
}

/// As Go prints a short duration: `0s`, `5ms`, `1.5ms`, `2.5s`.
fn go_duration(nanos: Nanos) -> String {
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{}ms", nanos as f64 / 1e6),
        _ => format!("{}s", nanos as f64 / 1e9),
    }
}

/// Rows whose cells are aligned: each is followed by a comma, but for the last, and columns are eight wide at least.
struct Table {
    rows: Vec<Vec<String>>,
}

const COLUMN_WIDTH_MIN: usize = 8;

impl Table {
    fn new(columns: &[&str]) -> Self {
        Table { rows: vec![columns.iter().map(|column| column.to_string()).collect()] }
    }

    fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn finish(mut self) -> String {
        let last = self.rows[0].len() - 1;
        self.rows.iter_mut().flat_map(|row| &mut row[..last]).for_each(|cell| cell.push(','));
        let width = |column: usize| {
            let widest = self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            (widest + 1).max(COLUMN_WIDTH_MIN)
        };
        let widths: Vec<usize> = (0..last).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            for (cell, width) in row.iter().zip(&widths) {
                out.push_str(cell);
                out.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
            }
            out.push_str(&row[last]);
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["PriorityLevelName", "Index", "Last"]);
        table.row(vec!["a".into(), "1".into(), "x".into()]);
        assert_eq!(table.finish(), "PriorityLevelName, Index,  Last\na,                 1,      x\n");
    }

    #[test]
    fn durations() {
        for (nanos, text) in
            [(0, "0s"), (500, "500ns"), (5_000_000, "5ms"), (12_500_000, "12.5ms"), (2_000_000_000, "2s")]
        {
            assert_eq!(go_duration(nanos), text);
        }
    }
}
