//! Project automation. A small dispatcher on the first argument; each command has its own file.

mod bench;
mod bench_api;
mod bench_first;
mod bench_pods;
mod ci;
mod codegen;
mod demo;
mod fuzz;
mod images;
mod prepare;
mod run;
mod tidy;
mod vm;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let result = match command.as_str() {
        "codegen" => codegen::run(&rest),
        "bench" => bench::bench(&rest),
        "ci" => ci::ci(),
        "demo" => demo::demo(),
        "fuzz" => fuzz::fuzz(&rest),
        "images" => images::run(&rest),
        "prepare" => prepare::prepare(),
        "test" => ci::test(),
        "tidy" => tidy::tidy(),
        "vm" => vm::vm(&rest),
        _ => Err(format!(
            "unknown command {command:?}; known: bench, ci, codegen, demo, fuzz, images, prepare, test, tidy, vm"
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
