//! `babyllama recipe`: the reference of a recipe's keys, and a recipe to begin with.

use std::path::Path;

use corpus::text;
use experiment::outputs::Kind;
use experiment::recipe::{keys, template};
use experiment::{files, outputs};

use crate::args::RecipeCommand;
use crate::console;
use crate::failure::Hint;

/// What the command line asks for.
pub fn recipe(command: &RecipeCommand) -> anyhow::Result<()> {
    match command {
        RecipeCommand::Keys { markdown } => keys(*markdown),
        RecipeCommand::New { corpus, output } => new(corpus.as_deref(), output.as_deref()),
    }
}

/// Prints every key with its default and meaning.
fn keys(markdown: bool) -> anyhow::Result<()> {
    let text = if markdown { keys::to_markdown() } else { keys::to_text() };
    console::print(text.trim_end())
}

/// Prints a commented recipe, or writes it to a file that is not there yet.
fn new(corpus: Option<&Path>, output: Option<&Path>) -> anyhow::Result<()> {
    // The built-in corpus is no folder.
    if let Some(folder) = corpus.filter(|path| *path != Path::new("builtin")) {
        text::corpus_files(folder)?;
    }
    let text = template::new(corpus);
    let Some(path) = output else { return console::print(text.trim_end()) };
    if path.exists() {
        let there = anyhow::anyhow!("{} is there already", path.display());
        return Err(there).hint("name a new file with --output");
    }
    let _output = outputs::prepare_file(path, &[], Kind::Beginning(&text))?;
    files::write_text(path, &text)?;
    let path = path.display();
    console::print(format_args!(
        "The recipe is in {path}; see what it takes with: babyllama plan {path}"
    ))
}
