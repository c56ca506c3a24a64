//! The authority itself: writes as transactions, linearizable reads, and who is told what happened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use env::Env;
use futures_util::future::BoxFuture;
use store::{Authority, Condition, Entry, Error, Event, Op, Ranged, Sink, Write};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::channel::{Channel, Repeat, Resolve};
use crate::grpc::{Failure, INVALID_ARGUMENT};
use crate::leases::Leases;
use crate::messages::{self, Compare, KeyValue, RANGE, Range, TXN, TxnAnswer, TxnOp, prefix_end};
use crate::{TlsFiles, compaction, feed, limits};

/// Which cluster, and how.
#[derive(Clone)]
pub struct Config {
    /// `https://HOST:PORT` of the members.
    pub endpoints: Vec<String>,
    pub tls: TlsFiles,
    /// User name and password, for clusters with authentication.
    pub credentials: Option<(String, String)>,
    /// For endpoints that are named; without it they must be addresses.
    pub resolve: Option<Resolve>,
    /// All keys are below it; ends in `/`.
    pub root: String,
    /// How often old revisions are given up, by whichever API server comes first; `None`: never.
    pub compact_interval: Option<Duration>,
}

impl Config {
    pub fn new(endpoints: Vec<String>) -> Config {
        Config {
            endpoints,
            tls: TlsFiles::default(),
            credentials: None,
            resolve: None,
            root: "/registry/".into(),
            compact_interval: Some(limits::COMPACT_INTERVAL),
        }
    }
}

/// What kube-apiserver's values begin with.
const FOREIGN: &[u8] = b"k8s\0";

/// Shared with the tasks.
pub(crate) struct Inner {
    pub env: Env,
    pub config: Config,
    pub channel: Channel,
    leases: Leases,
    /// Linearizable reads of the revision are shared: how many were asked for, and up to which request
    /// the last answer holds.
    asked: AtomicU64,
    answered: Mutex<(u64, u64)>,
    /// What the sink has seen.
    pub reached: AtomicU64,
    /// Revisions of our own writes: their events come without being asked for.
    written: AtomicU64,
    nudging: Mutex<()>,
}

/// See the crate documentation. Dropping it ends its watch.
pub struct Etcd {
    inner: Arc<Inner>,
    initial: std::sync::Mutex<Option<Ranged>>,
    tasks: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Etcd {
    /// Connects and reads everything below the root.
    ///
    /// # Errors
    /// [`Error::Open`] with one sentence: not reachable, credentials that do not fit, or data of
    /// another program.
    pub async fn open(env: &Env, config: Config) -> Result<Arc<Etcd>, Error> {
        let Config { endpoints, tls, credentials, resolve, .. } = &config;
        let channel = Channel::new(env, endpoints, tls, credentials.clone(), resolve.clone());
        let channel = channel.map_err(Error::Open)?;
        let inner = Arc::new(Inner {
            env: env.clone(),
            channel,
            leases: Leases::default(),
            asked: AtomicU64::new(0),
            answered: Mutex::default(),
            reached: AtomicU64::new(0),
            written: AtomicU64::new(0),
            nudging: Mutex::default(),
            config,
        });
        let initial = inner.read_all(&inner.config.root).await;
        let initial = initial.map_err(|failure| Error::Open(format!("etcd cannot be used: {failure}")))?;
        if let Some(entry) = initial.1.iter().find(|entry| entry.value.starts_with(FOREIGN)) {
            return Err(Error::Open(format!(
                "etcd holds the data of a kube-apiserver ({}): minke cannot read it, use another cluster",
                entry.key
            )));
        }
        let initial = std::sync::Mutex::new(Some(initial));
        Ok(Arc::new(Etcd { inner, initial, tasks: std::sync::Mutex::default() }))
    }
}

pub(crate) fn entry(kv: &KeyValue) -> Option<Arc<Entry>> {
    let key: Arc<str> = std::str::from_utf8(&kv.key).ok()?.into();
    // Values are slices of a larger answer, which they would keep alive.
    let value = bytes::Bytes::copy_from_slice(&kv.value);
    Some(Arc::new(Entry::new(key, kv.create_revision, kv.mod_revision, None, value)))
}

fn read_error(failure: Failure) -> Error {
    Error::Io(failure.message)
}

fn write_error(failure: Failure, size: usize) -> Error {
    let Failure { code, message, undone, .. } = failure;
    if message.contains("request is too large") || message.contains("larger than max") {
        return Error::TooLarge { what: "request", size, limit: store::limits::MAX_VALUE };
    }
    if message.contains("database space exceeded") {
        return Error::NoSpace(message);
    }
    if undone || code == INVALID_ARGUMENT { Error::Io(message) } else { Error::Unknown(message) }
}

impl Inner {
    /// Everything below a prefix at one revision, page by page.
    pub async fn read_all(&self, prefix: &str) -> Result<Ranged, Failure> {
        let end = prefix_end(prefix);
        let (mut key, mut revision, mut entries) = (prefix.as_bytes().to_vec(), 0, Vec::new());
        loop {
            let range = Range { key: &key, end: &end, limit: limits::PAGE, revision, ..Range::default() };
            let answer = self.channel.call(RANGE, range.write(), Repeat::Freely).await?;
            let page = messages::Ranged::read(answer)?;
            if revision == 0 {
                revision = page.revision;
            }
            entries.extend(page.kvs.iter().filter_map(entry));
            match page.kvs.last() {
                Some(last) if page.more => {
                    key = last.key.to_vec();
                    key.push(0);
                }
                _ => return Ok((revision, entries)),
            }
        }
    }

    /// etcd's revision, linearizable. Whoever asks while a read is under way shares the next one.
    pub async fn current_revision(&self) -> Result<u64, Failure> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut answered = self.answered.lock().await;
        if answered.0 >= ticket {
            return Ok(answered.1);
        }
        // Everybody who asked up to here asked before this read begins.
        let covers = self.asked.load(Ordering::SeqCst);
        let key = self.sign();
        let range = Range { key: key.as_bytes(), count_only: true, ..Range::default() };
        let answer = self.channel.call(RANGE, range.write(), Repeat::Freely).await?;
        *answered = (covers, messages::Ranged::read(answer)?.revision);
        Ok(answered.1)
    }

    /// A key of our own below the root; writing it makes an event for everybody who watches.
    pub fn sign(&self) -> String {
        format!("{}minke.local/progress", self.config.root)
    }

    async fn commit(&self, write: &Write) -> Result<Arc<Event>, Error> {
        write.check_size()?;
        if !write.key.starts_with(&self.config.root) {
            return Err(Error::Io(format!("key {} is not below {}", write.key, self.config.root)));
        }
        let size = write.key.len() + if let Op::Put { value, .. } = &write.op { value.len() } else { 0 };
        let mut answer = self.transact(write).await;
        if matches!(&answer, Err(failure) if failure.message == "etcdserver: requested lease not found") {
            // It ran out meanwhile.
            self.leases.forget().await;
            answer = self.transact(write).await;
        }
        let answer = answer.map_err(|failure| write_error(failure, size))?;
        let found = answer.kvs.first();
        if !answer.succeeded {
            return Err(match (write.condition, found.and_then(entry)) {
                (_, None) => Error::NotFound(write.key.clone()),
                (Condition::Absent, Some(entry)) => Error::Exists(entry),
                (_, Some(entry)) => Error::Conflict(entry),
            });
        }
        self.written.fetch_max(answer.revision, Ordering::SeqCst);
        let now = self.env.now().as_millisecond();
        Ok(Arc::new(match &write.op {
            Op::Delete => {
                let last = found.and_then(entry).ok_or_else(|| Error::NotFound(write.key.clone()))?;
                Event::delete(answer.revision, last, now)
            }
            Op::Put { value, .. } => {
                let create = found.map_or(answer.revision, |kv| kv.create_revision);
                let new = Entry::new(write.key.clone(), create, answer.revision, None, value.clone());
                // What was there before is told by the watch; writers know it.
                Event::put(Arc::new(new), None, now)
            }
        }))
    }

    async fn transact(&self, write: &Write) -> Result<TxnAnswer, Failure> {
        let key = write.key.as_bytes();
        let compare = match write.condition {
            Condition::Absent => Compare::ModRevision(0),
            // No key has revision 0, and etcd would take it for "not there".
            Condition::Revision(0) => Compare::ModRevision(i64::MAX as u64),
            Condition::Revision(revision) => Compare::ModRevision(revision),
            Condition::Exists => Compare::Exists,
        };
        let success = match &write.op {
            Op::Delete => vec![TxnOp::Delete(messages::delete(key))],
            Op::Put { value, ttl } => {
                let lease = match ttl {
                    Some(ttl) => self.leases.lease(&self.env, &self.channel, *ttl).await?,
                    None => 0,
                };
                let born = Range { key, keys_only: true, ..Range::default() }.write();
                vec![TxnOp::Put(messages::put(key, value, lease)), TxnOp::Range(born)]
            }
        };
        let there = Range { key, ..Range::default() }.write();
        let txn = messages::txn(compare.write(key), success, vec![TxnOp::Range(there)]);
        let answer = self.channel.call(TXN, txn, Repeat::IfUndone).await?;
        // The write may have happened: an answer that cannot be read says nothing about it.
        Ok(TxnAnswer::read(answer)?)
    }

    /// See [`Authority::nudge`].
    async fn make_progress(&self, revision: u64) -> Result<(), Failure> {
        let comes_by_itself = |inner: &Inner| {
            inner.reached.load(Ordering::SeqCst) >= revision
                || inner.written.load(Ordering::SeqCst) >= revision
        };
        // One sign serves all who wait.
        let _one = self.nudging.lock().await;
        if comes_by_itself(self) || self.current_revision().await? < revision || comes_by_itself(self) {
            return Ok(());
        }
        let sign = self.sign();
        let put = TxnOp::Put(messages::put(sign.as_bytes(), b"{}", 0));
        let always = Compare::Always.write(sign.as_bytes());
        self.channel.call(TXN, messages::txn(always, vec![put], Vec::new()), Repeat::IfUndone).await?;
        self.env.sleep(limits::NUDGE_INTERVAL).await;
        Ok(())
    }
}

impl Authority for Etcd {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Arc<Event>, Error>> {
        Box::pin(async move { self.inner.commit(&write).await })
    }

    fn revision(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move { self.inner.current_revision().await.map_err(read_error) })
    }

    fn range(&self, prefix: &str) -> BoxFuture<'_, Result<Ranged, Error>> {
        let prefix = prefix.to_owned();
        Box::pin(async move { self.inner.read_all(&prefix).await.map_err(read_error) })
    }

    fn nudge(&self, revision: u64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.inner.make_progress(revision).await.map_err(read_error) })
    }

    fn shared(&self) -> bool {
        true
    }

    fn connect(&self, sink: Arc<dyn Sink>) -> Result<(), Error> {
        let initial = self.initial.lock().unwrap_or_else(PoisonError::into_inner).take();
        let initial = initial.ok_or_else(|| Error::Open("etcd already has its one sink".into()))?;
        let env = &self.inner.env;
        let mut tasks = vec![env.spawn(feed::run(self.inner.clone(), sink, initial))];
        if let Some(interval) = self.inner.config.compact_interval {
            tasks.push(env.spawn(compaction::run(self.inner.clone(), interval)));
        }
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        Ok(())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(JoinHandle::abort);
    }
}
