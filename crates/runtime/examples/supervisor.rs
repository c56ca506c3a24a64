//! The smallest program that can be a supervisor; the tests start it as the product starts itself.
fn main() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == "supervisor") {
        runtime::supervisor::main(args);
    }
    eprintln!("usage: supervisor supervisor --instance NAME --dir DIR < LISTENING-SOCKET");
    std::process::exit(2);
}
