//! `babyllama evaluate filter-ewok`: the 2024 pipeline's filter, for a user's own copy of EWoK.

use std::path::Path;

use experiment::evaluation::ewok_filter;
use report::{Align, Table};

use crate::console;

/// Writes the questions all of whose words are in a list, a file for each domain.
pub fn filter(data: &Path, vocabulary: &Path, output: &Path) -> anyhow::Result<()> {
    let kept = ewok_filter::filter(data, vocabulary, output)?;
    let heads = [("domain", Align::Left), ("questions", Align::Right), ("kept", Align::Right)];
    let mut table = Table::new(heads);
    for domain in &kept {
        let counts = [domain.questions, domain.kept].map(|count| count.to_string());
        table.push([domain.name.clone()].into_iter().chain(counts).collect());
    }
    let questions: usize = kept.iter().map(|domain| domain.questions).sum();
    let all: usize = kept.iter().map(|domain| domain.kept).sum();
    table.push(vec!["all".to_owned(), questions.to_string(), all.to_string()]);
    console::print_table(&table)
}
