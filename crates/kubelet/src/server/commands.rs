//! Exec, attach and port-forward: joins the client's streams with those of the runtime.

use apimachinery::meta;
use apimachinery::status::Status;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use streaming::{
    CHUNK_BYTES, Forward, Negotiated, PortForward, RemoteCommand, Streams, negotiate_command,
    negotiate_port_forward,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::route::{CommandOptions, Target};
use super::{Answer, Server, text};
use crate::runtime::{ExecRequest, Process, Reader};
use crate::shared::Shared;

type Result<T> = std::result::Result<T, Box<Status>>;

impl Server {
    pub fn pod(&self, target: &Target) -> Result<client::Object> {
        self.pods.find(&target.namespace, &target.pod).ok_or_else(|| {
            Box::new(Status::not_found(&apimachinery::gvk::GroupResource::new("", "pods"), &target.pod))
        })
    }

    /// The id of the container, if it runs: what has ended is not found either, as upstream has it.
    async fn running(&self, pod: &Value, container: &str) -> Option<String> {
        let observed = self.shared.runtime.pod(meta::uid(pod)).await;
        observed.latest(container).filter(|found| found.is_running()).map(|found| found.id.clone())
    }

    pub async fn exec(
        &self,
        request: Request<Incoming>,
        target: &Target,
        options: CommandOptions,
    ) -> Result<Answer> {
        let pod = self.pod(target)?;
        let Some(container_id) = self.running(&pod, &target.container).await else {
            return Ok(not_upgraded(&format!("container not found ({:?})", target.container)));
        };
        if options.command.is_empty() {
            return Err(bad("you must specify at least 1 command for the container".into()));
        }
        let shared = self.shared.clone();
        let wanted = streams(&options);
        self.upgraded(request, wanted, move |session| async move {
            let request = ExecRequest {
                container_id,
                command: options.command,
                tty: options.tty,
                stdin: options.stdin,
            };
            let process = shared.runtime.exec(request).await;
            join(&shared, session, process).await;
        })
    }

    pub async fn attach(
        &self,
        request: Request<Incoming>,
        target: &Target,
        options: CommandOptions,
    ) -> Result<Answer> {
        let pod = self.pod(target)?;
        let Some(container_id) = self.running(&pod, &target.container).await else {
            let name = full_name(&pod);
            return Ok(not_upgraded(&format!("container {} not found in pod {name}", target.container)));
        };
        let shared = self.shared.clone();
        self.upgraded(request, streams(&options), move |session| async move {
            let mut process = shared.runtime.attach(&container_id).await;
            if let Ok(process) = &mut process
                && !options.stdin
            {
                process.stdin = None;
            }
            join(&shared, session, process).await;
        })
    }

    /// Answers 101 and runs `work` on what the client then speaks.
    fn upgraded<F>(
        &self,
        mut request: Request<Incoming>,
        wanted: Streams,
        work: impl FnOnce(RemoteCommand) -> F + Send + 'static,
    ) -> Result<Answer>
    where
        F: Future<Output = ()> + Send,
    {
        let (response, negotiated) = match negotiate_command(request.method(), request.headers()) {
            Ok(good) => good,
            Err(refusal) => return Ok(refused(*refusal)),
        };
        let upgrade = hyper::upgrade::on(&mut request);
        let env = self.shared.env.clone();
        self.shared.env.spawn(async move {
            let Ok(io) = upgrade.await else { return };
            match RemoteCommand::start(&env, TokioIo::new(io), &negotiated, wanted).await {
                Ok(session) => work(session).await,
                Err(error) => tracing::debug!(%error, "streams were not opened"),
            }
        });
        Ok(switching(response))
    }

    pub async fn port_forward(
        &self,
        mut request: Request<Incoming>,
        target: &Target,
        ports: &[u16],
    ) -> Result<Answer> {
        let pod = self.pod(target)?;
        let observed = self.shared.runtime.pod(meta::uid(&pod)).await;
        let Some(sandbox) = observed.sandbox.filter(|sandbox| sandbox.ready) else {
            return Ok(not_upgraded(&format!("pod not found ({:?})", full_name(&pod))));
        };
        let (response, negotiated) = match negotiate_port_forward(request.method(), request.headers()) {
            Ok(good) => good,
            Err(refusal) => return Ok(refused(*refusal)),
        };
        let upgrade = hyper::upgrade::on(&mut request);
        let (shared, ports) = (self.shared.clone(), ports.to_vec());
        self.shared.env.spawn(async move {
            let Ok(io) = upgrade.await else { return };
            tunnel(&shared, TokioIo::new(io), &negotiated, &ports, &pod, sandbox.id).await;
        });
        Ok(switching(response))
    }
}

fn bad(message: String) -> Box<Status> {
    Box::new(Status::bad_request(message))
}

/// What clients show after "unable to upgrade connection: "; a Status would be shown differently.
fn not_upgraded(message: &str) -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, message)
}

/// `name_namespace`, as a kubelet calls a Pod.
fn full_name(pod: &Value) -> String {
    format!("{}_{}", meta::name(pod), meta::namespace(pod))
}

fn streams(options: &CommandOptions) -> Streams {
    Streams { stdin: options.stdin, stdout: options.stdout, stderr: options.stderr, tty: options.tty }
}

fn switching(response: Response<()>) -> Answer {
    response.map(|()| Empty::new().boxed_unsync())
}

fn refused(refusal: Response<String>) -> Answer {
    let (parts, body) = refusal.into_parts();
    let mut answer = text(parts.status, &body);
    answer.headers_mut().extend(parts.headers);
    answer
}

/// Copies both ways until the process has ended and its output is read, then tells the outcome.
async fn join(shared: &Shared, mut session: RemoteCommand, process: crate::runtime::Result<Process>) {
    let process = match process {
        Ok(process) => process,
        Err(error) => {
            let text = format!("error executing command in container: {error}");
            return session.finish(Err(Box::new(Status::internal(text)))).await;
        }
    };
    let Process { stdin, stdout, stderr, resize, exit } = process;
    let (mut input, mut resizes) = (
        std::mem::replace(&mut session.stdin, tokio::sync::mpsc::channel(1).1),
        std::mem::replace(&mut session.resize, tokio::sync::mpsc::channel(1).1),
    );
    let writer = stdin.map(|mut stdin| {
        shared.env.spawn(async move {
            while let Some(data) = input.recv().await {
                if stdin.write_all(&data).await.is_err() {
                    break;
                }
            }
            let _ = stdin.shutdown().await;
        })
    });
    let resizer = shared.env.spawn(async move {
        while let Some(size) = resizes.recv().await {
            resize(size.rows, size.columns);
        }
    });
    let output = session.output.clone();
    let out = async {
        copy(stdout, |data| {
            let output = output.clone();
            async move { output.stdout(&data).await }
        })
        .await
    };
    let err = async {
        copy(stderr, |data| {
            let output = output.clone();
            async move { output.stderr(&data).await }
        })
        .await
    };
    let ((), (), code) = tokio::join!(out, err, exit);
    drop(output);
    if let Some(writer) = writer {
        writer.abort();
    }
    resizer.abort();
    session.finish(code.map_err(|error| Box::new(Status::internal(error)))).await;
}

async fn copy<F>(from: Option<Reader>, send: impl Fn(bytes::Bytes) -> F)
where
    F: Future<Output = std::io::Result<()>>,
{
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; CHUNK_BYTES];
    // The client may go; what the process writes is still read, or it would block.
    let mut gone = false;
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(got) if !gone => gone = send(bytes::Bytes::copy_from_slice(&buffer[..got])).await.is_err(),
            Ok(_) => {}
        }
    }
}

async fn tunnel(
    shared: &Shared,
    io: streaming::Upgrade,
    negotiated: &Negotiated,
    ports: &[u16],
    pod: &Value,
    sandbox: String,
) {
    let mut session = PortForward::start(&shared.env, io, negotiated, ports).await;
    let (uid, name) = (meta::uid(pod).to_string(), meta::name(pod).to_string());
    while let Some(forward) = session.accept().await {
        let (shared, sandbox, uid, name) = (shared.clone(), sandbox.clone(), uid.clone(), name.clone());
        let env = shared.env.clone();
        env.spawn(async move {
            match shared.runtime.connect(&sandbox, forward.port).await {
                Ok(stream) => pump(forward, stream).await,
                Err(error) => {
                    let message = format!(
                        "error forwarding port {} to pod {name}, uid {uid}: failed to connect to localhost:{} inside pod: {error}",
                        forward.port, forward.port
                    );
                    forward.close(Some(&message)).await;
                }
            }
        });
    }
}

/// Both directions until both are closed.
async fn pump(mut forward: Forward, stream: tokio::net::TcpStream) {
    let (mut read, mut write) = stream.into_split();
    let mut incoming = std::mem::replace(&mut forward.incoming, tokio::sync::mpsc::channel(1).1);
    let up = async {
        while let Some(data) = incoming.recv().await {
            if write.write_all(&data).await.is_err() {
                break;
            }
        }
        let _ = write.shutdown().await;
    };
    let down = async {
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Ok(got) = read.read(&mut buffer).await {
            if got == 0 || forward.send(&buffer[..got]).await.is_err() {
                break;
            }
        }
    };
    tokio::pin!(up, down);
    let mut sending = true;
    loop {
        tokio::select! {
            biased;
            // Once the Pod has closed its side the connection is over, as upstream has it.
            () = &mut down => break,
            // The client is done sending; the Pod may still answer.
            () = &mut up, if sending => sending = false,
        }
    }
    forward.close(None).await;
}
