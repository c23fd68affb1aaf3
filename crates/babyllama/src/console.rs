//! What a person reads: results on standard output, and on standard error how things go.
//!
//! `println!` and `eprintln!` panic when nobody can be told. Here a reader who has seen enough (`|
//! head`) is no failure, and a lost terminal does not end a training run.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Prints a line of a command's result.
pub fn print(line: impl Display) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    }
}

/// Tells how things go.
pub fn note(line: impl Display) {
    // With standard error gone there is nobody left to complain to.
    let _ = writeln!(io::stderr(), "{line}");
}
