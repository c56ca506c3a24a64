//! The command line: kubectl-shaped verbs and their output.
