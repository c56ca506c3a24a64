//! Container logs: reading the CRI log files, from the start, the end or a time, and following
//! them across rotation until the container ends.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use apimachinery::meta;
use apimachinery::status::Status;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderValue, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::inotify;
use serde_json::Value;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::route::{LogOptions, Target};
use super::{Answer, Server};

/// Chunks that may wait for a slow client.
const QUEUE_MAX: usize = 16;
/// Log text sent at once.
const CHUNK_BYTES: usize = 32 << 10;
/// Block size of the search for the last lines.
const TAIL_BLOCK: u64 = 64 << 10;

type Result<T> = std::result::Result<T, Box<Status>>;

impl Server {
    pub async fn logs(&self, target: &Target, options: &LogOptions) -> Result<Answer> {
        let pod = self.pod(target)?;
        let attempt = attempt(&pod, target, options.previous)?;
        let path = self.shared.container_log_path(&pod, &target.container, attempt);
        let since = since(options, self.shared.env.now())?;
        let file = match File::open(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound && options.follow => None,
            Err(error) => {
                return Err(Box::new(Status::internal(format!(
                    "failed to open log file {:?}: {error}",
                    path.display().to_string()
                ))));
            }
        };
        let observed = self.shared.runtime.pod(meta::uid(&pod)).await;
        let running = observed.latest(&target.container).filter(|c| c.attempt == attempt && c.is_running());
        let follow = options.follow.then(|| running.map(|c| c.id.clone())).flatten();
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let reader = Reader { path, file, sender, since, options: options.clone(), sent: 0, partial: false };
        let (shared, env) = (self.shared.clone(), self.shared.env.clone());
        env.spawn(async move {
            if let Err(error) = reader.run(&shared, follow).await {
                tracing::debug!(%error, "log not read to its end");
            }
        });
        let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let data: Bytes = receiver.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(data)), receiver))
        });
        let mut answer = Response::new(StreamBody::new(frames.boxed()).boxed_unsync());
        answer.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
        Ok(answer)
    }
}

/// Which attempt's log is meant; upstream's validateContainerLogStatus.
fn attempt(pod: &Value, target: &Target, previous: bool) -> Result<u32> {
    let (name, pod_name) = (&target.container, meta::name(pod));
    let lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    let status = lists
        .iter()
        .flat_map(|list| pod["status"][*list].as_array().into_iter().flatten())
        .find(|status| status["name"] == name.as_str());
    let bad = |message: String| Err(Box::new(Status::bad_request(message)));
    let Some(status) = status else {
        return bad(format!("container {name:?} in pod {pod_name:?} is not available"));
    };
    let restarts = status["restartCount"].as_u64().unwrap_or(0) as u32;
    let (state, last) = (&status["state"], &status["lastState"]["terminated"]);
    let has_last = last["containerID"].as_str().is_some_and(|id| !id.is_empty());
    if previous {
        // While it waits for its restart, the count is still that of the attempt that ended.
        return match (has_last, state.get("waiting").is_some()) {
            (false, _) => {
                bad(format!("previous terminated container {name:?} in pod {pod_name:?} not found"))
            }
            (true, true) => Ok(restarts),
            (true, false) => Ok(restarts.saturating_sub(1)),
        };
    }
    if state.get("running").is_some() || state.get("terminated").is_some() || has_last {
        return Ok(restarts);
    }
    let reason = state["waiting"]["reason"].as_str().unwrap_or("ContainerCreating");
    let why = match reason {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    };
    bad(format!("container {name:?} in pod {pod_name:?} is waiting to start: {why}"))
}

fn since(options: &LogOptions, now: Timestamp) -> Result<Option<Timestamp>> {
    if let Some(seconds) = options.since_seconds {
        return Ok(now.checked_sub(SignedDuration::from_secs(seconds)).ok());
    }
    if options.since_time.is_empty() {
        return Ok(None);
    }
    options.since_time.parse().map(Some).map_err(|_| {
        Box::new(Status::bad_request(format!("invalid sinceTime {:?}: want RFC 3339", options.since_time)))
    })
}

struct Reader {
    path: PathBuf,
    file: Option<File>,
    sender: mpsc::Sender<Bytes>,
    since: Option<Timestamp>,
    options: LogOptions,
    sent: usize,
    /// The last line was only a part: no time stamp before the next one.
    partial: bool,
}

/// The client is gone, or has what it asked for.
struct Enough;

impl Reader {
    /// Sends the log; with `follow` (the id of the running container) until that container ends.
    async fn run(mut self, shared: &crate::shared::Shared, follow: Option<String>) -> io::Result<()> {
        let watch = match &follow {
            Some(_) => Some(Watch::new(self.path.parent().unwrap_or(Path::new("/")))?),
            None => None,
        };
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = self.file.take() else { return Ok(()) };
        let mut input = BufReader::new(file);
        if let Some(lines) = self.options.tail_lines {
            let start = tail_start(input.get_mut(), lines)?;
            input.seek(SeekFrom::Start(start))?;
        }
        let mut ended = follow.as_ref().map(|id| Box::pin(shared.runtime.wait(id)));
        let mut over = follow.is_none();
        loop {
            if self.drain(&mut input).await.is_err() {
                return Ok(());
            }
            // Rotated: the old file is read to its end, now the new one.
            let current = std::fs::metadata(&self.path).map(|m| m.ino()).ok();
            let ours = input.get_ref().metadata()?.ino();
            if current.is_some_and(|inode| inode != ours) {
                if self.drain(&mut input).await.is_err() {
                    return Ok(());
                }
                input = BufReader::new(File::open(&self.path)?);
                continue;
            }
            if over {
                return Ok(());
            }
            let (Some(watch), Some(end)) = (&watch, &mut ended) else { return Ok(()) };
            tokio::select! {
                biased;
                changed = watch.changed() => changed?,
                () = end => over = true,
                () = self.sender.closed() => return Ok(()),
            }
        }
    }

    /// Sends all whole lines that are there.
    async fn drain(&mut self, input: &mut BufReader<File>) -> std::result::Result<(), Enough> {
        let mut out = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            match input.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) if !line.ends_with(b"\n") => {
                    // Still being written: come back for it.
                    let back = i64::try_from(line.len()).unwrap_or(0);
                    let _ = input.seek_relative(-back);
                    break;
                }
                Ok(_) => self.format(&line, &mut out),
            }
            if out.len() >= CHUNK_BYTES {
                self.send(&mut out).await?;
            }
        }
        self.send(&mut out).await
    }

    async fn send(&mut self, out: &mut Vec<u8>) -> std::result::Result<(), Enough> {
        if let Some(limit) = self.options.limit_bytes {
            out.truncate(limit - self.sent.min(limit));
        }
        if !out.is_empty() {
            self.sent += out.len();
            self.sender.send(Bytes::from(std::mem::take(out))).await.map_err(|_| Enough)?;
        }
        if self.options.limit_bytes.is_some_and(|limit| self.sent >= limit) { Err(Enough) } else { Ok(()) }
    }

    /// `TIME STREAM TAG text`: P marks a part of a line.
    fn format(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (Some(time), Some(_stream), Some(tag), Some(text)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        let stamp = std::str::from_utf8(time).unwrap_or_default();
        if let Some(since) = self.since
            && stamp.parse::<Timestamp>().is_ok_and(|time| time < since)
        {
            return;
        }
        if self.options.timestamps && !self.partial {
            out.extend_from_slice(time);
            out.push(b' ');
        }
        self.partial = tag == b"P";
        out.extend_from_slice(if self.partial { text.strip_suffix(b"\n").unwrap_or(text) } else { text });
    }
}

/// Where the last `lines` lines of a file begin.
fn tail_start(file: &mut File, lines: usize) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if lines == 0 {
        return Ok(length);
    }
    let mut end = length;
    let mut found = 0;
    while end > 0 {
        let start = end.saturating_sub(TAIL_BLOCK);
        let mut block = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        for (i, byte) in block.iter().enumerate().rev() {
            let at = start + i as u64;
            // The newline at the very end closes the last line.
            if *byte == b'\n' && at + 1 != length {
                found += 1;
                if found == lines {
                    return Ok(at + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

/// Tells when something in a directory was written or made.
struct Watch(AsyncFd<std::os::fd::OwnedFd>);

impl Watch {
    fn new(dir: &Path) -> io::Result<Watch> {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(
            &fd,
            dir,
            inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO,
        )?;
        #[expect(
            deprecated,
            reason = "`register` is unsafe; this descriptor is owned here and never replaced"
        )]
        let fd = AsyncFd::new(fd)?;
        Ok(Watch(fd))
    }

    async fn changed(&self) -> io::Result<()> {
        loop {
            let mut guard = self.0.readable().await?;
            let mut buffer = [0u8; 4096];
            match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut buffer)?)) {
                Ok(result) => return result.map(|_| ()),
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_tail_starts_at_the_right_line() {
        let path = std::env::temp_dir().join(format!("minke-tail-{}", std::process::id()));
        std::fs::write(&path, "one\ntwo\nthree\n").expect("writable");
        let mut file = File::open(&path).expect("there");
        let starts: Vec<u64> =
            [0, 1, 2, 3, 9].iter().map(|n| tail_start(&mut file, *n).expect("read")).collect();
        assert_eq!(starts, [14, 8, 4, 0, 0]);
        std::fs::remove_file(path).expect("removed");
    }

    #[test]
    fn which_attempt_is_meant() {
        let target = Target { namespace: "n".into(), pod: "p".into(), container: "c".into() };
        let pod = |status: Value| {
            let mut status = status;
            status["name"] = json!("c");
            json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}})
        };
        let ended = json!({"terminated": {"containerID": "minke://x"}});
        let waiting = pod(json!({"restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}));
        let message = attempt(&waiting, &target, false).expect_err("nothing ran").message;
        assert_eq!(message, "container \"c\" in pod \"p\" is waiting to start: ContainerCreating");
        let looping = pod(
            json!({"restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}),
        );
        assert_eq!(
            (attempt(&looping, &target, false).ok(), attempt(&looping, &target, true).ok()),
            (Some(2), Some(2))
        );
        let running = pod(json!({"restartCount": 2, "state": {"running": {}}, "lastState": ended}));
        assert_eq!(
            (attempt(&running, &target, false).ok(), attempt(&running, &target, true).ok()),
            (Some(2), Some(1))
        );
        let fresh = pod(json!({"restartCount": 0, "state": {"running": {}}, "lastState": {}}));
        assert!(
            attempt(&fresh, &target, true)
                .expect_err("none")
                .message
                .contains("previous terminated container")
        );
    }
}
