//! What `recipe` understands.

use std::path::PathBuf;

use clap::Subcommand;

use super::output_path;

#[derive(Debug, Subcommand)]
pub enum RecipeCommand {
    /// List every key of a recipe with its default and meaning.
    Keys {
        /// Write Markdown, as in docs/RECIPE.md.
        #[arg(long)]
        markdown: bool,
    },
    /// Write a commented recipe to begin with: two teachers, a student and its twin without
    /// teachers.
    #[command(after_help = "\
Examples:
  babyllama recipe new --corpus data/babylm_10M --output my-recipe.toml
  babyllama recipe new")]
    New {
        /// The folder of text to train on [default: the built-in corpus].
        #[arg(long, value_name = "FOLDER")]
        corpus: Option<PathBuf>,
        /// The file to write, which must not be there yet [default: print it].
        #[arg(long, value_name = "FILE", value_parser = output_path())]
        output: Option<PathBuf>,
    },
}
