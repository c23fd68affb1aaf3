//! Reads a user's own copy of EWoK: the files of the 2024 pipeline, or the official data set as
//! JSON lines or CSV.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::input_file;
use serde_json::{Value, json};

use super::{Domain, EwokItem};
use crate::csv;
use crate::error::EvalError;
use crate::lines::text_lines;

/// An item and the line it came from.
type Row = (usize, EwokItem);

/// Reads the questions of a file, or of all `.jsonl`, `.json` and `.csv` files of a folder; domains
/// are in the order of their names. A row needs the fields `Context1`, `Context2`, `Target1` and
/// `Target2`; its domain is in the field `Domain`, or is the name of the file.
///
/// The pipeline's files have every item twice, the second time swapped. Where they have it once it
/// is doubled here.
///
/// # Errors
/// When a file cannot be read or is damaged, or when only some of its items are followed by their
/// swapped twins.
pub fn read(path: &Path) -> Result<Vec<Domain>, EvalError> {
    let mut domains: BTreeMap<String, Vec<EwokItem>> = BTreeMap::new();
    for file in files(path)? {
        let mut by_domain: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for (domain, row) in rows(&file)? {
            by_domain.entry(domain).or_default().push(row);
        }
        for (domain, rows) in by_domain {
            domains.entry(domain).or_default().extend(questions(&file, rows)?);
        }
    }
    if domains.is_empty() {
        return Err(EvalError::Empty { path: path.to_owned() });
    }
    Ok(domains.into_iter().map(|(name, items)| Domain { name, items }).collect())
}

/// A domain's file as the pipeline of 2024 has it: an item a line, each followed by its swapped
/// twin.
pub fn to_lines(domain: &Domain) -> String {
    let line = |item: &EwokItem| {
        let EwokItem { context1, context2, target1, target2 } = item;
        let fields = json!({
            "Domain": domain.name,
            "Context1": context1,
            "Context2": context2,
            "Target1": target1,
            "Target2": target2,
        });
        format!("{fields}\n")
    };
    domain.items.iter().map(line).collect()
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> EvalError {
    let path = path.to_owned();
    move |cause| EvalError::Io { path, cause }
}

/// The files that [`read`] reads, in their order.
///
/// # Errors
/// When there is none.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, EvalError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let files = input_file::find(path, &["jsonl", "json", "csv"]).map_err(io(path))?.files;
    if files.is_empty() {
        return Err(EvalError::NoItems { path: path.to_owned() });
    }
    Ok(files)
}

/// The rows of a file with their domains.
fn rows(path: &Path) -> Result<Vec<(String, Row)>, EvalError> {
    let bytes = input_file::read(path).map_err(io(path))?;
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let mut rows = Vec::new();
    let mut push = |line: usize, get: &dyn Fn(&str) -> Option<String>| -> Result<(), EvalError> {
        let field = |field: &'static str| {
            get(field).ok_or(EvalError::MissingField { path: path.to_owned(), line, field })
        };
        let item = EwokItem {
            context1: field("Context1")?,
            context2: field("Context2")?,
            target1: field("Target1")?,
            target2: field("Target2")?,
        };
        rows.push((get("Domain").unwrap_or_else(|| name.clone()), (line, item)));
        Ok(())
    };
    if input_file::has_ending(path, &["csv"]) {
        for record in csv::records(path, &bytes)? {
            push(record.line, &|field| record.get(field).map(str::to_owned))?;
        }
    } else {
        for (line, text) in text_lines(path, &bytes)? {
            let object: Value = serde_json::from_str(text).map_err(|cause| EvalError::Json {
                path: path.to_owned(),
                line,
                cause,
            })?;
            push(line, &|field| object.get(field).and_then(Value::as_str).map(str::to_owned))?;
        }
    }
    Ok(rows)
}

/// Every item with its swapped twin behind it.
fn questions(path: &Path, rows: Vec<Row>) -> Result<Vec<EwokItem>, EvalError> {
    let is_twin =
        |pair: &[Row]| matches!(pair, [(_, first), (_, second)] if first.swapped() == *second);
    // By chance an item of the official data may be the twin of the one before it, but not most of
    // them. Neighbours at any place count, so that a missing line does not hide the rest.
    let twins = rows.windows(2).filter(|pair| is_twin(pair)).count();
    let has_twins = 4 * twins > rows.len();
    match rows.chunks(2).find(|pair| !is_twin(pair)) {
        None => Ok(rows.into_iter().map(|(_, item)| item).collect()),
        Some(single) if has_twins => {
            Err(EvalError::NoTwin { path: path.to_owned(), line: single[0].0 })
        }
        Some(_) => {
            Ok(rows.into_iter().flat_map(|(_, item)| [item.clone(), item.swapped()]).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, context: [&str; 2], target: [&str; 2]) -> String {
        let domain =
            if name.is_empty() { String::new() } else { format!("\"Domain\": \"{name}\", ") };
        let [c1, c2] = context;
        let [t1, t2] = target;
        format!(
            "{{{domain}\"Context1\": \"{c1}\", \"Context2\": \"{c2}\", \"Target1\": \"{t1}\", \
             \"Target2\": \"{t2}\"}}\n"
        )
    }

    fn read_files(files: &[(&str, &str)]) -> Result<Vec<Domain>, EvalError> {
        let folder = tempfile::tempdir().unwrap();
        files
            .iter()
            .for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        read(folder.path())
    }

    #[test]
    fn the_pipelines_files_are_read_as_they_are() {
        let first = line("", ["hot", "cold"], ["wait", "drink"]);
        let twin = line("", ["cold", "hot"], ["drink", "wait"]);
        let found = read_files(&[
            ("b.jsonl", &format!("{first}{twin}")),
            ("a.jsonl", &format!("{twin}{first}")),
        ])
        .unwrap();
        assert_eq!(
            found
                .iter()
                .map(|domain| (domain.name.as_str(), domain.items.len()))
                .collect::<Vec<_>>(),
            [("a", 2), ("b", 2)]
        );
        assert_eq!(found[0].items[0], found[1].items[1]);
        assert_eq!(found[1].items[0].context1, "hot");
    }

    #[test]
    fn items_of_one_file_go_to_their_domains_and_are_doubled() {
        let text = [
            line("y", ["hot", "cold"], ["wait", "drink"]),
            line("x", ["open", "shut"], ["in", "out"]),
            line("y", ["wet", "dry"], ["rain", "sun"]),
        ]
        .concat();
        let csv = "Target1,Target2,Domain,Context1,Context2\nwait,drink,y,hot,cold\n\
                   in,out,x,open,shut\nrain,sun,y,wet,dry\n";
        for (name, text) in [("test.jsonl", text.as_str()), ("test.csv", csv)] {
            let found = read_files(&[(name, text)]).unwrap();
            assert_eq!(
                found.iter().map(|domain| domain.name.as_str()).collect::<Vec<_>>(),
                ["x", "y"]
            );
            let targets: Vec<_> = found[1].items.iter().map(|item| item.target1.as_str()).collect();
            assert_eq!(targets, ["wait", "drink", "rain", "sun"]);
            assert_eq!(found[1].items[1], found[1].items[0].swapped());
        }
    }

    #[test]
    fn what_is_written_reads_as_it_was() {
        let text = [
            line("y", ["hot", "cold"], ["wait", "drink"]),
            line("x-z", ["open", "shut"], ["in\\n", "öut"]),
        ];
        let found = read_files(&[("test.jsonl", &text.concat())]).unwrap();
        let files: Vec<_> = found
            .iter()
            .map(|domain| (format!("{}.jsonl", domain.name), to_lines(domain)))
            .collect();
        let files: Vec<_> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(read_files(&files).unwrap(), found);
        assert_eq!((files[0].0, files[0].1.lines().count()), ("x-z.jsonl", 2));
    }

    #[test]
    fn damage_is_named() {
        let first = line("", ["hot", "cold"], ["wait", "drink"]);
        let twin = line("", ["cold", "hot"], ["drink", "wait"]);
        let message = |files: &[(&str, &str)]| read_files(files).unwrap_err().to_string();
        let torn = format!("{first}{twin}{first}{twin}{first}");
        assert!(
            message(&[("a.jsonl", &torn)])
                .contains("a.jsonl, line 5: no line with contexts and targets swapped")
        );
        let other = line("", ["wet", "dry"], ["rain", "sun"]);
        let missing = format!("{other}{}", format!("{first}{twin}").repeat(5));
        assert!(message(&[("a.jsonl", &missing)]).contains("a.jsonl, line 1: no line with"));
        assert!(
            message(&[("a.jsonl", &first.replace("Target2", "Target3"))])
                .contains("line 1: no field `Target2`")
        );
        assert!(message(&[("a.jsonl", &format!("{first}{{"))]).contains("line 2: bad JSON"));
        assert!(
            message(&[("a.csv", "Context1,Context2,Target1\na,b,c\n")])
                .contains("line 2: no field `Target2`")
        );
        assert!(message(&[("a.txt", "")]).contains(".csv file"));
        assert!(message(&[("a.jsonl", "\n")]).contains("is empty"));
    }
}
