//! The command line: kubectl-shaped verbs and their output.

use clap::Subcommand;

#[derive(Subcommand)]
pub enum Verb {}

pub fn run(verb: Verb) -> Result<(), String> {
    match verb {}
}
