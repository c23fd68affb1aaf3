//! Text and JSON lines as a token file, as training takes it (`babyllama tokens encode`).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use base::{ShouldStop, input_file};
use corpus::tokenizer::Role;
use corpus::{Text, TokenWriter, Tokenizer, text};
use serde_json::Value;

use crate::error::{Context, ExperimentError, FileContext, Result, refuse};
use crate::observer::Observer;
use crate::outputs::{self, Kind};
use crate::reading::{ReadingProgress, bytes_of};

/// Files with a JSON object in each line, one of whose fields is a document.
const JSON_LINES: [&str; 1] = ["jsonl"];

/// What is encoded, and how.
#[derive(Clone, Debug)]
pub struct EncodeJob {
    /// Files, or folders of text and `.jsonl`.
    pub sources: Vec<PathBuf>,
    /// The tokenizer's file.
    pub tokenizer: PathBuf,
    /// The field of a JSON line that has the text.
    pub field: String,
    /// Whether the token that begins a text stands before each document.
    pub begin_of_text: bool,
    /// Whether the token that ends a text follows each document: a file of text, or a JSON line.
    pub end_of_text: bool,
    /// The token file.
    pub output: PathBuf,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Files of text and JSON lines.
    pub documents: u64,
    /// All tokens.
    pub tokens: u64,
}

/// Encodes all sources, in the order in which they are given and by name within a folder.
///
/// # Errors
/// When a source cannot be read or has nothing to encode, a line has no such field, or the
/// tokenizer has no token that begins or ends a text, where one is asked for.
pub fn encode(job: &EncodeJob, observer: &dyn Observer) -> Result<Encoded> {
    let files = files(&job.sources)?;
    let inputs: Vec<PathBuf> = files.iter().cloned().chain([job.tokenizer.clone()]).collect();
    let _output =
        outputs::prepare_file(&job.output, &inputs, Kind::Beginning(TokenWriter::BEGINNING))?;
    let tokenizer = Tokenizer::load(&job.tokenizer)?;
    let special = |is_asked: bool, role, flag| is_asked.then(|| special(&tokenizer, role, flag));
    let begin = special(job.begin_of_text, Role::Begin, "--begin-of-text").transpose()?;
    let end = special(job.end_of_text, Role::End, "--end-of-text").transpose()?;
    let (vocab_size, hash) = (tokenizer.vocab_size(), tokenizer.content_hash());
    let mut writer = TokenWriter::create(&job.output, vocab_size, &hash)?;
    let mut encoded = Encoded::default();
    let progress = ReadingProgress::begin(observer, "encoding", bytes_of(&files), "");
    let should_stop = || progress.should_stop();
    let mut push = |document: Text<'_>| -> Result<()> {
        let mut before = begin;
        for stretch in tokenizer.encode_texts(&should_stop, &progress.count(vec![document])) {
            let (_, ids) = stretch?;
            // An empty document does not begin.
            if let Some(begin) = before.take_if(|_| !ids.is_empty()) {
                writer.push(&[begin])?;
                encoded.tokens += 1;
            }
            writer.push(&ids)?;
            encoded.tokens += ids.len() as u64;
        }
        writer.push(end.as_slice())?;
        encoded.tokens += end.iter().len() as u64;
        encoded.documents += 1;
        Ok(())
    };
    for file in files {
        if input_file::has_ending(&file, &JSON_LINES) {
            each_document(&should_stop, &file, &job.field, &mut push)?;
        } else {
            push(Text::of_file_unless(&should_stop, file)?.stopping_when(&should_stop))?;
        }
    }
    if encoded.tokens == 0 {
        return refuse("there is nothing to encode").advise("name files with text in them");
    }
    writer.finish()?;
    progress.end();
    Ok(encoded)
}

fn files(sources: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for source in sources {
        if source.is_dir() {
            let endings = [&text::EXTENSIONS[..], &JSON_LINES].concat();
            all.extend(input_file::find(source, &endings).at("read", source)?.files);
        } else {
            all.push(source.clone());
        }
    }
    Ok(all)
}

/// The token of a role, which a flag asks for.
fn special(tokenizer: &Tokenizer, role: Role, flag: &str) -> Result<u32> {
    match tokenizer.role(role) {
        Some((_, id)) => Ok(id),
        None => refuse(format_args!("the tokenizer has no {}", role.key()))
            .advise(format!("leave {flag} out, or name the token in tokenizer_config.json")),
    }
}

/// The documents of a file of JSON lines, one at a time.
fn each_document(
    should_stop: ShouldStop<'_>,
    path: &Path,
    field: &str,
    push: &mut dyn FnMut(Text<'_>) -> Result<()>,
) -> Result<()> {
    let mut lines = BufReader::new(input_file::open_unless(should_stop, path).at("read", path)?);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).at("read", path)? == 0 {
            return Ok(());
        }
        number += 1;
        let bytes = match number {
            1 => input_file::without_byte_order_mark(&line),
            _ => &line[..],
        };
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |problem: String| -> Result<()> {
            refuse(format_args!("{}, line {number}: {problem}", path.display()))
                .advise("mend that line, or name the field of the text with --field")
        };
        match serde_json::from_slice::<Value>(bytes) {
            Err(cause) => return wrong(format!("bad JSON: {cause}")),
            Ok(object) => match object.get(field).and_then(Value::as_str) {
                Some(document) => {
                    push(Text::of("", document)).map_err(ExperimentError::or_interrupted)?
                }
                None => return wrong(format!("no text in a field `{field}`")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use corpus::{TokenFile, TokenizerSettings};

    use super::*;
    use crate::observer::Silent;

    #[test]
    fn text_and_json_lines_become_one_stream() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let text = "The dog sees a cat.\nThe cat sees a dog.\n".repeat(20);
        let settings = TokenizerSettings { vocab_size: 280, ..TokenizerSettings::default() };
        let tokenizer = Tokenizer::train(&[("a.txt".into(), text.clone())], &settings).unwrap();
        tokenizer.save_folder(&path("tokenizer"), 128).unwrap();
        fs::create_dir(path("data")).unwrap();
        fs::write(path("data/a.txt"), &text).unwrap();
        let lines = "\u{feff}{\"text\": \"The dog.\", \"id\": 1}\n\n{\"text\": \"A cat.\"}\n";
        fs::write(path("data/b.jsonl"), lines).unwrap();
        let job = EncodeJob {
            sources: vec![path("data")],
            tokenizer: path("tokenizer/tokenizer.json"),
            field: "text".into(),
            begin_of_text: true,
            end_of_text: true,
            output: path("out/tokens.bin"),
        };
        let encoded = encode(&job, &Silent).unwrap();
        let [begin, end] = ["<s>", "</s>"].map(|token| tokenizer.token_id(token).unwrap());
        let mut expected = Vec::new();
        for document in [&text[..], "The dog.", "A cat."] {
            expected.push(begin);
            expected.extend(tokenizer.encode(document).unwrap());
            expected.push(end);
        }
        assert_eq!(encoded, Encoded { documents: 3, tokens: expected.len() as u64 });
        let file = TokenFile::open(&job.output).unwrap();
        let mut ids = Vec::new();
        file.read(0..file.len(), &mut ids);
        assert_eq!(ids, expected);

        let other = EncodeJob { field: "content".into(), ..job.clone() };
        let message = encode(&other, &Silent).unwrap_err().cause();
        assert!(message.ends_with("b.jsonl, line 1: no text in a field `content`"), "{message}");
        let onto_itself = EncodeJob { output: path("data/a.txt"), ..job };
        assert!(encode(&onto_itself, &Silent).unwrap_err().cause().contains("is read"));
    }
}
