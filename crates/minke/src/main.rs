//! The program: configuration, certificates and the list of services.
//!
//! One file plays several parts, chosen by how it is called: the command line, the daemon, the
//! supervisor of a node's containers, and the tools of the image it carries.

mod data_dir;
mod datastore;
mod down;
mod images;
mod instance;
mod neighbours;
mod options;
mod snapshot;
mod store_command;
mod store_socket;
mod toolbox;
mod up;

use clap::Parser;
use options::{Command, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a shell shows for a program that SIGPIPE ended: 128 + 13.
const ENDED_BY_SIGPIPE: i32 = 141;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // Before anything else is set up: these are small processes.
    match args.get(1).map(String::as_str) {
        Some("supervisor") => runtime::supervisor::main(std::env::args_os()),
        _ if args.first().is_some_and(|name| name.ends_with("toolbox")) => {
            std::process::exit(toolbox::main(&args[1..]));
        }
        _ => {}
    }
    if let Err(message) = run(Options::parse_from(args)) {
        // What the server says carries its own beginning.
        let prefix = if message.starts_with("Error from server") { "" } else { "error: " };
        eprintln!("{prefix}{message}");
        std::process::exit(1);
    }
}

/// `minke get pods | head -1`: the standard library panics where other programs end by SIGPIPE, whose
/// default action would also hit sockets that a peer closed.
fn end_quietly_when_nobody_reads() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to std") && text.contains("Broken pipe") {
            std::process::exit(ENDED_BY_SIGPIPE);
        }
        report(panic);
    }));
}

fn run(options: Options) -> Result<(), String> {
    match options.command {
        Command::Up(up) => up::run(&up),
        Command::Server(server) => up::run(&server.into_up()),
        Command::Store(command) => store_command::run(&command),
        Command::Down(down) => down::run(&down),
        Command::Kubeconfig(kubeconfig) => print_kubeconfig(&kubeconfig.data.data_dir),
        Command::Image(image) => images::run(&image),
        Command::Kubectl(verb) => {
            end_quietly_when_nobody_reads();
            cli::run(verb)
        }
    }
}

fn print_kubeconfig(data_dir: &std::path::Path) -> Result<(), String> {
    let path = data_dir::DataDir::kubeconfig_path(data_dir);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!("no cluster was started with {}: {} ({error})", data_dir.display(), path.display())
    })?;
    print!("{text}");
    Ok(())
}
