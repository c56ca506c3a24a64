//! Runs what must run once while we lead, and ends it before anybody else may begin. Decisions:
//! `controllers::leader_election`.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::Time;
use client::{Client, ObjectRef, Recorder};
use controllers::leader_election::{
    JITTER, LEASE_DURATION, NAMESPACE, RENEW_DEADLINE, RETRY_PERIOD, Step, plan, release, renewal,
};
use env::Env;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Starts the component; its tasks are those of the environment it is given.
pub type Start = Box<dyn Fn(&Env) + Send + Sync>;

/// Who elects, and for what.
pub struct Candidate {
    pub env: Env,
    /// Acts as the component: it may get and update its Lease.
    pub client: Client,
    pub name: &'static str,
    pub identity: String,
    /// The store is this process's own: whoever else holds the Lease is gone.
    pub alone: bool,
    pub start: Start,
}

/// A candidate at work. Dropping it changes nothing.
pub struct Leadership {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Leadership {
    /// Ends the component and, if it led, leaves the Lease to whoever comes next.
    pub async fn resign(self) {
        self.stop.send_replace(true);
        let _slow = tokio::time::timeout(RETRY_PERIOD, self.task).await;
    }
}

/// What was seen of the Lease, and since when it has been so.
struct Seen {
    renewal: (String, String),
    since: Instant,
}

impl Candidate {
    pub fn run(self) -> Leadership {
        let (stop, stopped) = watch::channel(false);
        let env = self.env.clone();
        let task = env.spawn(async move {
            if self.alone { self.lead_alone(stopped).await } else { self.take_part(stopped).await }
        });
        Leadership { stop, task }
    }

    /// Nobody can take the lead away: it is not waited for, and the Lease only shows who leads.
    async fn lead_alone(self, mut stopped: watch::Receiver<bool>) {
        let mut seen = None;
        (self.start)(&self.env);
        loop {
            let renewed = self.renew(&mut seen).await;
            let pause = if renewed { RENEW_DEADLINE } else { RETRY_PERIOD };
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = self.env.sleep(pause) => {}
            }
        }
    }

    async fn take_part(self, mut stopped: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let work = this.clone();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = async { loop { work.term().await } } => {}
        }
        this.give_back().await;
    }

    /// Waits for the lead, and leads until it is lost.
    async fn term(&self) {
        let mut seen = None;
        while !self.renew(&mut seen).await {
            self.env.sleep(self.env.jitter(RETRY_PERIOD, JITTER)).await;
        }
        let (env, group) = self.env.group();
        // Also when this very task is ended.
        let _ends = OnDrop(Some(move || group.end()));
        self.announce(&env);
        (self.start)(&env);
        let mut renewed = self.env.instant();
        loop {
            self.env.sleep(RETRY_PERIOD).await;
            let begun = self.env.instant();
            let deadline = renewed + RENEW_DEADLINE;
            match tokio::time::timeout_at(deadline, self.renew(&mut seen)).await {
                Ok(true) => renewed = begun,
                Ok(false) if self.env.instant() < deadline => {}
                Ok(false) | Err(_) => {
                    tracing::error!("{}: the lead was lost", self.name);
                    return;
                }
            }
        }
    }

    /// Whether we lead now.
    async fn renew(&self, seen: &mut Option<Seen>) -> bool {
        match self.try_renew(seen).await {
            Ok(leads) => leads,
            Err(status) => {
                tracing::debug!("{}: the Lease was not written: {status}", self.name);
                false
            }
        }
    }

    async fn try_renew(&self, seen: &mut Option<Seen>) -> client::Result<bool> {
        let leases = self.leases();
        let lease = leases.get_opt(NAMESPACE, self.name).await?;
        let now = self.env.instant();
        let unchanged = lease.as_deref().map_or(Duration::ZERO, |lease| note(seen, lease, now));
        let step =
            plan(lease.as_deref(), self.name, &self.identity, unchanged, self.alone, Time(self.env.now()));
        match step {
            Step::Wait => return Ok(false),
            Step::Create(lease) => leases.create(NAMESPACE, lease).await?,
            Step::Update(lease) => leases.update(NAMESPACE, self.name, "", lease).await?,
        };
        Ok(true)
    }

    async fn give_back(&self) {
        let leases = self.leases();
        let left = async {
            let lease = leases.get(NAMESPACE, self.name).await?;
            match release(&lease, &self.identity, Time(self.env.now())) {
                Some(lease) => leases.update(NAMESPACE, self.name, "", lease).await.map(|_| ()),
                None => Ok(()),
            }
        };
        if let Ok(Err(status)) = tokio::time::timeout(RETRY_PERIOD, left).await {
            tracing::debug!("{}: the Lease was not given back: {status}", self.name);
        }
    }

    fn leases(&self) -> client::Resource {
        self.client.resource("coordination.k8s.io", "v1", "leases")
    }

    fn announce(&self, env: &Env) {
        let recorder = Recorder::start(env, &self.client, self.name, "");
        let lease = serde_json::json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
        });
        recorder.normal(ObjectRef::of(&lease), "LeaderElection", format!("{} became leader", self.identity));
    }
}

/// Since when the Lease has been as it is.
fn note(seen: &mut Option<Seen>, lease: &Value, now: Instant) -> Duration {
    let (holder, renewed) = renewal(lease);
    match seen {
        Some(seen) if seen.renewal.0 == holder && seen.renewal.1 == renewed => now - seen.since,
        _ => {
            *seen = Some(Seen { renewal: (holder.into(), renewed.into()), since: now });
            Duration::ZERO
        }
    }
}

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

// A leader must have stopped before another one may begin.
const _: () = assert!(RENEW_DEADLINE.as_secs() < LEASE_DURATION.as_secs());
