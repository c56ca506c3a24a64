//! What the runtime reports of one Pod.

use jiff::Timestamp;

/// Everything the runtime knows of one Pod, dead attempts included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    pub sandbox: Option<Sandbox>,
    pub containers: Vec<Container>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    pub id: String,
    /// Its namespaces exist and its network is set up.
    pub ready: bool,
    pub attempt: u32,
    pub ips: Vec<String>,
}

/// One attempt at one container.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    pub id: String,
    pub name: String,
    /// How often the container was restarted before this attempt.
    pub attempt: u32,
    pub image: String,
    /// Digest reference, as `containerStatuses[].imageID` has it.
    pub image_ref: String,
    /// [`crate::plan::definition_hash`] of the container this attempt was made from.
    pub hash: String,
    pub created: Timestamp,
    pub state: State,
    /// Effective uid, gid and supplementary groups of the first process.
    pub user: Option<(i64, i64, Vec<i64>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Created,
    Running { started: Timestamp },
    Exited(Exit),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// 128 + signal if a signal ended it.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, …
    pub reason: String,
    pub message: String,
    pub started: Timestamp,
    pub finished: Timestamp,
}

impl Observed {
    /// The newest attempt at a container.
    pub fn latest(&self, name: &str) -> Option<&Container> {
        self.containers.iter().filter(|c| c.name == name).max_by_key(|c| (c.attempt, c.created))
    }

    /// The attempt before the newest.
    pub fn previous(&self, name: &str) -> Option<&Container> {
        let mut all: Vec<_> = self.containers.iter().filter(|c| c.name == name).collect();
        all.sort_by_key(|c| (c.attempt, c.created));
        all.len().checked_sub(2).map(|i| all[i])
    }

    pub fn any_running(&self) -> bool {
        self.containers.iter().any(Container::is_running)
    }
}

impl Container {
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    pub fn exit(&self) -> Option<&Exit> {
        match &self.state {
            State::Exited(exit) => Some(exit),
            _ => None,
        }
    }
}
