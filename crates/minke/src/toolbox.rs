//! The tools in the image that the program carries: enough for a first Pod and for tests, without
//! a shell.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const USAGE: &str = "\
usage: toolbox COMMAND
  web [--port N] [--text TEXT]   serve a page on port N (default 8080) until told to stop
  echo TEXT...                   print the text
  sleep SECONDS|infinity         wait
  exit CODE                      end with this code
  memory MIB                     take this much memory and hold it
  cpu [SECONDS]                  keep one processor busy
  tick [MILLISECONDS]            print a rising number every so often (default 100)
  env                            print the environment
  cat FILE...                    print files
  get URL                        fetch http://host:port/path and print the body
";

/// Longest request the page server reads.
const REQUEST_BYTES: usize = 8 << 10;
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs one tool; its exit code.
pub fn main(args: &[String]) -> i32 {
    // First of all: process 1 of a namespace is not ended by a signal that it does not handle.
    end_on_signals();
    let rest: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    let result = match args.first().map(String::as_str) {
        Some("web") => web(&rest),
        Some("echo") => {
            println!("{}", rest.join(" "));
            Ok(0)
        }
        Some("sleep") => sleep(&rest),
        Some("exit") => rest.first().unwrap_or(&"0").parse().map_err(|_| "exit wants a number".to_string()),
        Some("memory") => memory(&rest),
        Some("cpu") => cpu(&rest),
        Some("tick") => tick(&rest),
        Some("env") => {
            for (name, value) in std::env::vars() {
                println!("{name}={value}");
            }
            Ok(0)
        }
        Some("cat") => cat(&rest),
        Some("get") => get(&rest),
        _ => Err(USAGE.to_string()),
    };
    match result {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            2
        }
    }
}

/// Ends the process with 0 on SIGTERM and with 130 on SIGINT.
fn end_on_signals() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    for (signal, code) in [(SIGTERM, 0), (SIGINT, 130)] {
        // Without the handler the tool still works; it is then ended by SIGKILL.
        let _ =
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::new(AtomicBool::new(true)));
    }
}

fn option<'a>(args: &[&'a str], name: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| *arg == name)?;
    args.get(at + 1).copied()
}

fn web(args: &[&str]) -> Result<i32, String> {
    let port: u16 = match option(args, "--port") {
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no port"))?,
        None => 8080,
    };
    let text = option(args, "--text").unwrap_or("Hello from a Pod").to_string();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let listener = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        .or_else(|_| TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
        .map_err(|error| format!("port {port}: {error}"))?;
    println!("serving on port {port}");
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let page =
            format!("<!doctype html><title>{text}</title><h1>{text}</h1><p>This is {}.</p>\n", host.trim());
        std::thread::spawn(move || answer(stream, &page));
    }
    Ok(0)
}

fn answer(mut stream: TcpStream, page: &str) {
    let _ = stream.set_read_timeout(Some(READ_TIMEOUT));
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") && request.len() < REQUEST_BYTES {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(got) => request.extend_from_slice(&buffer[..got]),
        }
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_string();
    println!("{line}");
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
}

fn sleep(args: &[&str]) -> Result<i32, String> {
    match args.first() {
        Some(&"infinity") | None => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        Some(text) => {
            let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
            std::thread::sleep(Duration::from_secs_f64(seconds.max(0.0)));
            Ok(0)
        }
    }
}

fn memory(args: &[&str]) -> Result<i32, String> {
    let mib: usize = args.first().and_then(|text| text.parse().ok()).ok_or("memory wants a number of MiB")?;
    let mut held: Vec<Vec<u8>> = Vec::new();
    for _ in 0..mib {
        // Written to, so that the kernel really gives it.
        held.push(vec![1; 1 << 20]);
    }
    println!("holding {} MiB", held.len());
    sleep(&[])
}

fn cpu(args: &[&str]) -> Result<i32, String> {
    let seconds: Option<u64> = args.first().and_then(|text| text.parse().ok());
    if let Some(seconds) = seconds {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(seconds));
            std::process::exit(0);
        });
    }
    let mut x = 1u64;
    loop {
        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

fn tick(args: &[&str]) -> Result<i32, String> {
    let pause: u64 = match args.first() {
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no number of milliseconds"))?,
        None => 100,
    };
    for number in 0u64.. {
        println!("{number}");
        std::thread::sleep(Duration::from_millis(pause));
    }
    Ok(0)
}

fn cat(args: &[&str]) -> Result<i32, String> {
    for path in args {
        let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        std::io::stdout().write_all(&bytes).map_err(|error| error.to_string())?;
    }
    Ok(0)
}

fn get(args: &[&str]) -> Result<i32, String> {
    let url = args.first().ok_or("get wants a URL")?;
    let rest = url.strip_prefix("http://").ok_or("only http:// is known")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let target = if host.contains(':') { host.to_string() } else { format!("{host}:80") };
    let address: SocketAddr = target.parse().map_err(|_| format!("{target:?} is no address and port"))?;
    let mut stream =
        TcpStream::connect_timeout(&address, READ_TIMEOUT).map_err(|error| format!("{target}: {error}"))?;
    let _ = stream.set_read_timeout(Some(READ_TIMEOUT));
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        .map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    print!("{body}");
    Ok(i32::from(!head.starts_with("HTTP/1.1 2") && !head.starts_with("HTTP/1.0 2")))
}
