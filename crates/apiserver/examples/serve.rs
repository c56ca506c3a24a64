//! An API server without nodes, in memory: `serve [address] [kubeconfig file]`. For trying clients.

use apiserver::{ApiServer, Config};
use std::os::unix::fs::OpenOptionsExt;
use store::{Memory, Store};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:6443".into()).parse()?;
    let file = args.next().unwrap_or_else(|| "kubeconfig".into());
    let env = env::Env::system();
    let clock_env = env.clone();
    let clock: store::Clock = std::sync::Arc::new(move || clock_env.now().as_millisecond());
    let store = Store::new(Memory::new(clock.clone()), clock)?;
    let config = Config { listen: Some(address), ..Config::default() };
    let server = ApiServer::start(config, store, env).await?;
    let kubeconfig = server.kubeconfig("admin", &["system:masters"])?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    std::io::Write::write_all(&mut options.open(&file)?, kubeconfig.as_bytes())?;
    println!("serving on {:?}; kubeconfig in {file}", server.local_addr());
    tokio::signal::ctrl_c().await?;
    server.stop().await;
    Ok(())
}
