//! Changes of membership and leadership, on the leader.

use std::{collections::BTreeMap, time::Duration};

use openraft::{
    ChangeMembers,
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, Fatal, InitializeError, RaftError},
};

use crate::{
    node::{AdminError, Node, leader_of},
    ports::{LogId, Member, NodeId, StateMachine},
    types::TypeConfig,
};

/// A learner this many entries behind is not given a vote: until it has caught up, it could not help to commit.
const PROMOTE_LAG_MAX: u64 = 5000;

impl<M: StateMachine> Node<M> {
    /// Whether this member belongs to a cluster (has a log or has voted).
    ///
    /// # Errors
    /// [`AdminError::Stopped`].
    pub async fn is_initialized(&self) -> Result<bool, AdminError> {
        self.raft().is_initialized().await.map_err(|_| AdminError::Stopped)
    }

    /// Makes a new cluster of these voters. Every initial member calls it with the same map; on a member that belongs
    /// to a cluster it does nothing.
    ///
    /// # Errors
    /// [`AdminError::Refused`] when this member is not among them.
    pub async fn initialize(&self, members: BTreeMap<NodeId, Member>) -> Result<(), AdminError> {
        match self.raft().initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(error)) => Err(AdminError::Refused(error.to_string())),
            Err(RaftError::Fatal(_)) => Err(AdminError::Stopped),
        }
    }

    /// Adds a member without a vote, which then receives the log. Returns when it is in the membership.
    ///
    /// # Errors
    /// [`AdminError::Refused`] when there is a member of that id or name, or another change is under way.
    pub async fn add_learner(&self, id: NodeId, member: Member) -> Result<(), AdminError> {
        {
            let status = self.status();
            let status = status.borrow();
            let members = &status.membership.membership.members;
            if members.contains_key(&id) || members.values().any(|known| known.name == member.name) {
                return Err(AdminError::Refused(format!("{:?} is a member already", member.name)));
            }
        }
        self.change(ChangeMembers::AddNodes([(id, member)].into()), true).await
    }

    /// Gives a learner a vote.
    ///
    /// # Errors
    /// [`AdminError::Refused`] when it is no learner, or far behind.
    pub async fn promote(&self, id: NodeId) -> Result<(), AdminError> {
        let leader = self.raft().metrics();
        let (matched, last, stored) = {
            let metrics = leader.borrow_watched();
            let matched = metrics.replication.as_ref().and_then(|all| all.get(&id).copied()).flatten();
            (matched, metrics.last_log_index, metrics.membership_config.clone())
        };
        if !self.leads() {
            return Err(AdminError::NotLeader(self.leader()));
        }
        if stored.get_node(&id).is_none() {
            return Err(AdminError::Refused(format!("{id:016x} is no member")));
        }
        if stored.voter_ids().any(|voter| voter == id) {
            return Err(AdminError::Refused(format!("{id:016x} has a vote already")));
        }
        let next = |index: Option<u64>| index.map_or(0, |index| index + 1);
        let lag = next(last).saturating_sub(next(matched.map(|id| id.index)));
        if lag > PROMOTE_LAG_MAX {
            return Err(AdminError::Refused(format!("{id:016x} is {lag} entries behind; wait until it has caught up")));
        }
        self.change(ChangeMembers::AddVoterIds([id].into()), true).await
    }

    /// Takes a member out, voter or learner.
    ///
    /// # Errors
    /// [`AdminError::Refused`] when it is no member, or the last voter.
    pub async fn remove(&self, id: NodeId) -> Result<(), AdminError> {
        let status = self.status().borrow().clone();
        let membership = &status.membership.membership;
        if !membership.members.contains_key(&id) {
            return Err(AdminError::Refused(format!("{id:016x} is no member")));
        }
        if !membership.is_voter(id) {
            return self.change(ChangeMembers::RemoveNodes([id].into()), false).await;
        }
        if membership.voters.iter().any(|set| set.len() == 1) {
            return Err(AdminError::Refused("the last voter cannot be removed".into()));
        }
        self.change(ChangeMembers::RemoveVoters([id].into()), false).await
    }

    /// Changes a member's name or addresses.
    ///
    /// # Errors
    /// [`AdminError::Refused`] when it is no member.
    pub async fn update_member(&self, id: NodeId, member: Member) -> Result<(), AdminError> {
        if !self.status().borrow().membership.membership.members.contains_key(&id) {
            return Err(AdminError::Refused(format!("{id:016x} is no member")));
        }
        self.change(ChangeMembers::SetNodes([(id, member)].into()), true).await
    }

    /// Hands leadership to `to` (`None`: the other voter that has the most of the log); resolves when it leads.
    ///
    /// # Errors
    /// [`AdminError::Refused`] when it has no vote, or does not take over in time.
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<(), AdminError> {
        if !self.leads() {
            return Err(AdminError::NotLeader(self.leader()));
        }
        let (voters, replication) = {
            let metrics = self.raft().metrics();
            let metrics = metrics.borrow_watched();
            let voters: Vec<NodeId> = metrics.membership_config.voter_ids().filter(|id| *id != self.id()).collect();
            let replication: BTreeMap<NodeId, Option<LogId>> =
                metrics.replication.iter().flatten().map(|(id, matched)| (*id, matched.map(Into::into))).collect();
            (voters, replication)
        };
        let most = || voters.iter().copied().max_by_key(|id| replication.get(id).copied().flatten());
        let to = match to {
            Some(to) if to == self.id() => return Ok(()),
            Some(to) => Some(to).filter(|to| voters.contains(to)),
            None => most(),
        };
        let to = to.ok_or_else(|| AdminError::Refused("there is no such other voter".into()))?;
        self.raft().trigger().transfer_leader(to).await.map_err(|_| AdminError::Stopped)?;

        let mut changes = self.raft().server_metrics();
        let taken_over = async {
            loop {
                if changes.borrow_and_update().current_leader.is_some_and(|leader| leader != self.id()) {
                    return Ok(());
                }
                changes.changed().await.map_err(|_| AdminError::Stopped)?;
            }
        };
        let timeout: Duration = self.config().election_timeout_max * 2;
        let in_time = tokio::time::timeout(timeout, taken_over).await;
        in_time.unwrap_or_else(|_| Err(AdminError::Refused(format!("{to:016x} has not taken over in {timeout:?}"))))
    }

    /// Builds a snapshot now; it also happens by itself, see [`crate::NodeConfig`]. Returns when it was asked for.
    ///
    /// # Errors
    /// [`AdminError::Stopped`].
    pub async fn snapshot(&self) -> Result<(), AdminError> {
        self.raft().trigger().snapshot().await.map_err(|_| AdminError::Stopped)
    }

    async fn change(&self, change: ChangeMembers<NodeId, Member>, retain: bool) -> Result<(), AdminError> {
        self.raft().change_membership(change, retain).await.map(|_| ()).map_err(admin_error)
    }
}

fn admin_error<R: crate::types::Response>(
    error: RaftError<TypeConfig<R>, ClientWriteError<TypeConfig<R>>>,
) -> AdminError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            AdminError::NotLeader(leader_of(forward.leader_id, forward.leader_node))
        }
        RaftError::APIError(error) => AdminError::Refused(error.to_string()),
        RaftError::Fatal(Fatal::Stopped | Fatal::Panicked | Fatal::StorageError(_)) => AdminError::Stopped,
    }
}
