//! Reads the command line: help without the flags that a command has no use for, and errors in the
//! two lines of every other error.

use std::ffi::OsString;
use std::fmt::Display;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Parser};
use experiment::recipe::suggestion;

use super::Cli;
use crate::console;
use crate::failure::{Hint, WrongUsage};

/// Commands that run no model; of a command with a blank, the second below the first.
const WITHOUT_MODELS: [&str; 22] = [
    "status",
    "watch",
    "list",
    "compare",
    "report",
    "clean",
    "recipe",
    "corpus",
    "tokenizer",
    "tokens",
    "evaluate compare",
    "evaluate filter-ewok",
    "sweep create",
    "sweep status",
    "sweep stop",
    "sweep enqueue",
    "sweep retry",
    "sweep best",
    "sweep export",
    "sweep import",
    "sweep check",
    "help",
];

/// Global flags about where models run.
const DEVICE_FLAGS: [&str; 3] = ["device", "precision", "no_graphs"];

/// The command line of this process. Help and version are printed, and end it.
///
/// # Errors
/// [`WrongUsage`] with what is wrong and what to do.
pub fn parse() -> anyhow::Result<Cli> {
    let words: Vec<OsString> = std::env::args_os().collect();
    match Cli::try_parse_from(&words) {
        Ok(cli) => Ok(cli),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            console::print(help(&words).to_string().trim_end())?;
            std::process::exit(0)
        }
        Err(error) if !error.use_stderr() => error.exit(),
        // Without any argument the help is the answer.
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        Err(error) => {
            let (cause, advice) = in_two_lines(&error, &words);
            Err(WrongUsage(cause)).hint(advice)
        }
    }
}

/// The help of a command line: that of the command that its words name, long unless `-h` is among
/// them.
fn help(words: &[OsString]) -> impl Display {
    let mut command = command_for_help();
    for word in words.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(inner) = command.find_subcommand(word).filter(|_| word != "help") {
            command = inner.clone();
        }
    }
    match words.iter().any(|word| word == "-h") {
        true => command.render_help(),
        false => command.render_long_help(),
    }
}

/// The definition with the device's flags hidden where they mean nothing; to be shown, not to parse
/// with.
fn command_for_help() -> Command {
    let mut command = Cli::command();
    // Global flags reach the subcommands by that.
    command.build();
    for path in WITHOUT_MODELS {
        let mut names = path.split(' ');
        if let Some(name) = names.next() {
            command = command.mut_subcommand(name, |found| match names.next() {
                Some(inner) => found.mut_subcommand(inner, without_device),
                None => without_device(found),
            });
        }
    }
    with_unbroken_help(command)
}

/// The paragraphs after the options as one line each, so that they are broken at the width of the
/// terminal.
fn with_unbroken_help(command: Command) -> Command {
    let text = command.get_after_help().map(|help| unbroken(&help.to_string()));
    let command = match text {
        Some(text) => command.after_help(text),
        None => command,
    };
    let names: Vec<String> =
        command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| command.mut_subcommand(name, with_unbroken_help))
}

/// Joins the lines of a paragraph; lines that begin with a space, such as examples, stay.
fn unbroken(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines() {
        let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
        let last = whole.rsplit('\n').next().unwrap_or_default();
        if is_prose(line) && is_prose(last) {
            whole.push(' ');
        } else if !whole.is_empty() {
            whole.push('\n');
        }
        whole.push_str(line);
    }
    whole
}

fn without_device(command: Command) -> Command {
    let has_flag = |flag: &&str| command.get_arguments().any(|known| known.get_id() == *flag);
    let flags: Vec<&str> = DEVICE_FLAGS.into_iter().filter(has_flag).collect();
    let hidden = flags
        .iter()
        .fold(command, |command, flag| command.mut_arg(*flag, |argument| argument.hide(true)));
    let names: Vec<String> =
        hidden.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    names.iter().fold(hidden, |command, name| command.mut_subcommand(name, without_device))
}

/// The cause in one line, and what to do about it.
fn in_two_lines(error: &clap::Error, words: &[OsString]) -> (String, String) {
    let text = error.render().to_string();
    let is_end = ["Usage:", "  tip:", "For more information"];
    let is_cause = |line: &&str| is_end.iter().all(|end| !line.starts_with(end));
    let cause: Vec<&str> = text.lines().take_while(is_cause).map(str::trim).collect();
    let cause = cause.join(" ");
    let cause = cause.strip_prefix("error: ").unwrap_or(&cause).trim().to_owned();
    let mut advice: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("tip: "))
        .map(str::to_owned)
        .collect();
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand)
        && advice.is_empty()
    {
        advice.extend(nearest(name));
    }
    advice.push(format!("see `{} --help`", command_of(words)));
    (cause, advice.join("; "))
}

fn nearest(name: &str) -> Option<String> {
    let command = Cli::command();
    let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    let found = suggestion(name, known);
    found.starts_with("did you mean").then_some(found)
}

/// The command that the words name: `babyllama evaluate blimp`.
fn command_of(words: &[OsString]) -> String {
    let mut command = Cli::command();
    let mut names = vec!["babyllama".to_owned()];
    for word in words.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(inner) = command.find_subcommand(word) {
            names.push(inner.get_name().to_owned());
            command = inner.clone();
        }
    }
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> (String, String) {
        let words = ["babyllama"].into_iter().chain(line.split_whitespace());
        let words: Vec<_> = words.map(OsString::from).collect();
        in_two_lines(&Cli::try_parse_from(&words).unwrap_err(), &words)
    }

    #[test]
    fn paragraphs_of_help_are_broken_by_the_terminal_alone() {
        let text =
            "One sentence\nof two lines.\n\nExamples:\n  babyllama run x\n      --quiet\nEnd.";
        let joined =
            "One sentence of two lines.\n\nExamples:\n  babyllama run x\n      --quiet\nEnd.";
        assert_eq!(unbroken(text), joined);
        let mut open = vec![command_for_help()];
        while let Some(command) = open.pop() {
            let help = command.get_after_help().map(|help| help.to_string()).unwrap_or_default();
            assert_eq!(unbroken(&help), help, "{}", command.get_name());
            open.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn a_misspelt_command_gets_the_nearest() {
        let (cause, advice) = refused("rnu x");
        assert_eq!(cause, "unrecognized subcommand 'rnu'");
        assert_eq!(advice, "did you mean `run`?; see `babyllama --help`");
        assert!(refused("evaluat").1.contains("evaluate"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_in_one_line() {
        let (cause, advice) = refused("evaluate blimp models/a");
        assert!(cause.ends_with("were not provided: --data <FOLDER>"), "{cause}");
        assert_eq!(advice, "see `babyllama evaluate blimp --help`");
        let (cause, advice) = refused("evaluate blimp a --data b --rules 2025");
        assert!(cause.contains("'2025'") && cause.contains("[possible values: 2023, 2024]"));
        assert!(advice.ends_with("see `babyllama evaluate blimp --help`"), "{advice}");
        let (cause, advice) = refused("run r.toml --outptu x");
        assert_eq!(cause, "unexpected argument '--outptu' found");
        assert!(advice.contains("'--output'"), "{advice}");
    }

    #[test]
    fn help_has_only_flags_that_mean_something() {
        let help = |line: &str| {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            help(&words).to_string()
        };
        for without in ["corpus clean --help", "help recipe keys", "evaluate compare x --help"] {
            let text = help(&format!("babyllama {without}"));
            assert!(!text.contains("--device") && text.contains("--threads"), "{text}");
        }
        for with in ["run --help", "help generate", "evaluate blimp --help"] {
            assert!(help(&format!("babyllama {with}")).contains("--device"), "{with}");
        }
        let (long, short) = (help("babyllama run --help"), help("babyllama run -h"));
        assert!(long.contains("Examples:") && long.len() > short.len());
        // Hidden is not refused: scripts may give them to every command.
        let line = ["babyllama", "corpus", "stats", "x", "--device", "cpu"];
        assert!(Cli::try_parse_from(line).is_ok());
    }
}
