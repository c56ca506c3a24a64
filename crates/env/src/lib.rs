//! The one door to everything non-deterministic: wall clock, monotonic time, randomness, tasks.
//! Everything else takes an [`Env`]; direct use of the clock, of `rand` or of `tokio::spawn` is
//! banned by clippy, so that a seeded, single-threaded, virtual-time run stays possible.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use ring::rand::SecureRandom;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

/// Cheap to clone; one per process (or per simulated cluster).
#[derive(Clone)]
pub struct Env {
    clock: Clock,
    random: Random,
    group: Option<Group>,
}

/// Tasks that can be ended together: those that an [`Env`] of [`Env::group`] spawned, and those they
/// spawned in turn. Blocking work is not among them.
#[derive(Clone, Default)]
pub struct Group(Arc<Mutex<Tasks>>);

#[derive(Default)]
struct Tasks {
    running: Vec<AbortHandle>,
    ended: bool,
}

impl Group {
    fn add(&self, task: AbortHandle) {
        let mut tasks = self.0.lock().expect("no holder of the tasks panics");
        if tasks.ended {
            task.abort();
            return;
        }
        if tasks.running.len() == tasks.running.capacity() {
            // Looked through each time the list would grow: a constant share of every spawn.
            tasks.running.retain(|task| !task.is_finished());
        }
        tasks.running.push(task);
    }

    /// Ends them all, and whatever they may still spawn.
    pub fn end(&self) {
        let mut tasks = self.0.lock().expect("no holder of the tasks panics");
        tasks.ended = true;
        tasks.running.drain(..).for_each(|task| task.abort());
    }
}

#[derive(Clone)]
enum Clock {
    System,
    /// Wall time that follows tokio's (paused) clock from a fixed start.
    Virtual {
        wall: Timestamp,
        started: Instant,
    },
}

#[derive(Clone)]
enum Random {
    System(Arc<ring::rand::SystemRandom>),
    Seeded(Arc<Mutex<u64>>),
}

impl Env {
    /// The real world.
    pub fn system() -> Env {
        Env {
            clock: Clock::System,
            random: Random::System(Arc::new(ring::rand::SystemRandom::new())),
            group: None,
        }
    }

    /// A repeatable world for tests and simulation: use it inside a runtime with paused time.
    pub fn seeded(seed: u64, wall: Timestamp) -> Env {
        Env {
            clock: Clock::Virtual { wall, started: Instant::now() },
            random: Random::Seeded(Arc::new(Mutex::new(seed))),
            group: None,
        }
    }

    /// The same world, with tasks that can be ended together.
    pub fn group(&self) -> (Env, Group) {
        let group = Group::default();
        (Env { group: Some(group.clone()), ..self.clone() }, group)
    }

    /// Wall-clock time, for anything that is stored or shown.
    pub fn now(&self) -> Timestamp {
        match &self.clock {
            Clock::System => Timestamp::now(),
            Clock::Virtual { wall, started } => wall
                .checked_add(jiff::SignedDuration::try_from(started.elapsed()).unwrap_or_default())
                .unwrap_or(*wall),
        }
    }

    /// Monotonic time, for intervals and deadlines.
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Runs a task until it ends. A panic stays inside the task and shows in its handle.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = tokio::spawn(future);
        if let Some(group) = &self.group {
            group.add(task.abort_handle());
        }
        task
    }

    /// Runs a blocking piece of work (disk, mounts) off the async threads.
    pub fn spawn_blocking<F, R>(&self, work: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        tokio::task::spawn_blocking(work)
    }

    pub fn fill_random(&self, bytes: &mut [u8]) {
        match &self.random {
            Random::System(random) => random.fill(bytes).expect("the kernel's random source answers"),
            Random::Seeded(state) => {
                let mut state = state.lock().expect("no holder of the random state panics");
                for chunk in bytes.chunks_mut(8) {
                    chunk.copy_from_slice(&split_mix(&mut state).to_le_bytes()[..chunk.len()]);
                }
            }
        }
    }

    pub fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Uniform in `0..bound`; 0 if `bound` is 0.
    pub fn random_below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { ((u128::from(self.random_u64()) * u128::from(bound)) >> 64) as u64 }
    }

    /// `duration` lengthened by up to `factor` of itself, as client-go's wait.Jitter.
    pub fn jitter(&self, duration: Duration, factor: f64) -> Duration {
        duration.mul_f64(1.0 + factor * (self.random_below(1 << 32) as f64 / (1u64 << 32) as f64))
    }

    /// An RFC 4122 version 4 UUID, as `metadata.uid` has it.
    pub fn uuid(&self) -> String {
        let mut b = [0u8; 16];
        self.fill_random(&mut b);
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// A name suffix as the API server generates it: no vowels, no look-alikes.
    pub fn name_suffix(&self, length: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length).map(|_| char::from(ALPHABET[self.random_below(ALPHABET.len() as u64) as usize])).collect()
    }

    /// `bytes` random bytes in lower-case hex.
    pub fn hex(&self, bytes: usize) -> String {
        let mut buffer = vec![0; bytes];
        self.fill_random(&mut buffer);
        buffer.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough for simulation.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn seeded_worlds_repeat() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a timestamp");
        let (a, b) = (Env::seeded(7, start), Env::seeded(7, start));
        assert_eq!(a.uuid(), b.uuid());
        a.sleep(Duration::from_secs(90)).await;
        assert_eq!(a.now().to_string(), "2026-01-01T00:01:30Z");
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_ends_with_all_its_tasks() {
        let (env, group) = Env::system().group();
        let (alive, mut dead) = tokio::sync::watch::channel(());
        let inner = env.clone();
        env.spawn(async move {
            let alive = alive;
            inner.spawn(async move {
                let _held = alive;
                std::future::pending::<()>().await;
            });
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        group.end();
        assert!(dead.changed().await.is_err(), "the task's task is gone");
        let late = env.spawn(std::future::pending::<()>());
        assert!(late.await.expect_err("ended").is_cancelled(), "nothing begins afterwards");
    }

    #[test]
    fn uuids_are_version_4() {
        let uuid = Env::system().uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
    }
}
