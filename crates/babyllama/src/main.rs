//! The command line: the only part of babyllama that prints, draws progress or reads arguments.

mod advice;
mod args;
mod commands;
mod console;
mod device;
mod failure;
mod interrupt;
mod progress;
mod server;

use std::process::ExitCode;

use anyhow::Context;
use builtin_corpus::BuiltinSettings;
use corpus::TokenizerSettings;
use experiment::encode::EncodeJob;
use experiment::evaluation::loss::HeldoutText;

use args::{
    Cli, Command, CorpusCommand, DeviceArgs, EvaluateCommand, RecipeCommand, TokenizerCommand,
    TokensCommand,
};
use failure::Failure;

fn main() -> ExitCode {
    interrupt::survive_file_limits();
    let done = args::parse().and_then(|Cli { command, threads, quiet, device }| {
        console::set_quiet(quiet);
        in_thread_pool(threads, || guarded(|| dispatch(&command, threads, &device)))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::from(&error);
            console::note(&failure);
            ExitCode::from(failure.code)
        }
    }
}

/// Runs a command on a pool of the asked number of threads, 0 meaning one per core.
fn in_thread_pool(
    threads: u16,
    command: impl FnOnce() -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.into())
        .build()
        .context("cannot start threads")?;
    pool.install(command)
}

/// Runs a command that may lose its device, which ends here as an error.
fn guarded(command: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    engine::fault::catch(command).unwrap_or_else(|fault| Err(fault.into()))
}

fn dispatch(command: &Command, threads: u16, device: &DeviceArgs) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => commands::run::run(args, device),
        Command::Status(args) => commands::runs::status(args),
        Command::Watch(args) => commands::watch::watch(args),
        Command::List(args) => commands::runs::list(args),
        Command::Compare(args) => commands::runs::compare_runs(args),
        Command::Report(args) => commands::report::report(args),
        Command::Clean(args) => commands::runs::clean(args),
        Command::CacheTeachers(args) => commands::run::cache_teachers(args, device),
        Command::Plan(args) => commands::plan::plan(args, device),
        Command::Recipe(RecipeCommand::Keys { markdown }) => commands::recipe::keys(*markdown),
        Command::Recipe(RecipeCommand::New { corpus, output }) => {
            commands::recipe::new(corpus.as_deref(), output.as_deref())
        }
        Command::Corpus(CorpusCommand::Clean { sources, output, replace }) => {
            commands::corpus::clean(sources, output, *replace)
        }
        Command::Corpus(CorpusCommand::Stats { paths, tokenizer }) => {
            commands::corpus::stats(paths, tokenizer.as_deref())
        }
        Command::Corpus(CorpusCommand::Readability { paths, documents, json }) => {
            commands::readability::readability(paths, *documents, json.as_deref())
        }
        Command::Corpus(CorpusCommand::WriteBuiltin {
            output,
            words,
            validation_words,
            pairs,
            seed,
            replace,
        }) => {
            let settings = BuiltinSettings {
                words: *words,
                validation_words: *validation_words,
                pairs_per_paradigm: *pairs,
                seed: *seed,
            };
            commands::corpus::write_builtin(output, settings, *replace)
        }
        Command::Tokenizer(TokenizerCommand::Train {
            paths,
            output,
            vocab_size,
            min_frequency,
            mask_token,
            sentinels,
            begin_token,
            replace,
        }) => commands::tokenizer::train(
            paths,
            output,
            &TokenizerSettings {
                vocab_size: *vocab_size,
                min_frequency: *min_frequency,
                mask_token: *mask_token,
                sentinels: *sentinels,
                begin_token: *begin_token,
            },
            *replace,
        ),
        Command::Tokens(TokensCommand::Encode {
            paths,
            tokenizer,
            output,
            field,
            begin_of_text,
            end_of_text,
        }) => commands::tokens::encode_all(&EncodeJob {
            sources: paths.clone(),
            tokenizer: tokenizer.clone(),
            field: field.clone(),
            begin_of_text: *begin_of_text,
            end_of_text: *end_of_text,
            output: output.clone(),
        }),
        Command::Pretrain(args) => commands::train::train(&args.train, args.request(), device),
        Command::Distill(args) => commands::train::train(&args.train, args.request(), device),
        Command::Evaluate(EvaluateCommand::Loss {
            common,
            data,
            raw_tokens,
            clean,
            sequence_length,
        }) => {
            let text = HeldoutText {
                data,
                raw_tokens: *raw_tokens,
                clean: *clean,
                sequence_length: *sequence_length,
            };
            commands::evaluate::loss::loss(common, text, device)
        }
        Command::Evaluate(EvaluateCommand::Blimp { common, data, rules, backend, output }) => {
            let method = eval::Method { rules: (*rules).into(), backend: (*backend).into() };
            commands::evaluate::choices::blimp(common, data, method, output.as_deref(), device)
        }
        Command::Evaluate(EvaluateCommand::Ewok { common, data, variant, backend, output }) => {
            let (variant, backend, output) = (*variant, (*backend).into(), output.as_deref());
            commands::evaluate::choices::ewok(common, data, variant, backend, output, device)
        }
        Command::Evaluate(EvaluateCommand::FilterEwok { data, vocabulary, output }) => {
            commands::evaluate::ewok_filter::filter(data, vocabulary, output)
        }
        Command::Evaluate(EvaluateCommand::All(args)) => commands::evaluate::all::all(args, device),
        Command::Evaluate(EvaluateCommand::Aoa(args)) => {
            commands::evaluate::ages::ages(args, device)
        }
        Command::Evaluate(EvaluateCommand::Challenge(args)) => {
            commands::evaluate::challenge::challenge(args, device)
        }
        Command::Evaluate(EvaluateCommand::Compare(args)) => {
            commands::evaluate::compare::compare(args)
        }
        Command::Finetune(args) => commands::finetune::finetune(args, device),
        Command::Sweep(command) => commands::sweep::sweep(command, threads, device),
        Command::Generate(args) => commands::generate::generate(args, device),
        Command::Export(args) => commands::export::export(args, device),
        Command::Bench(args) => commands::bench::bench(args, device),
        Command::Check(args) => commands::check::check(args, device),
    }
}
