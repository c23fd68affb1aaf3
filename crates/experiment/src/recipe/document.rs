//! A recipe as it was written: TOML values, and for each key the line or the override it came from.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use base::input_file;
use documented::DocumentedFields;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Table, Value};

use super::decode::decode;
use super::error::{Fault, Place, RecipeError, join, suggestion};

/// The keys of a recipe that stand outside any table; an override may begin with one of them or
/// with a model's name.
pub(super) const TOP_LEVEL_KEYS: [&str; 7] =
    ["name", "seed", "precision", "corpus", "tokenizer", "models", "evaluate"];

/// The table of values for all models that do not set them. It is no part of the resolved recipe.
pub(super) const DEFAULTS: &str = "defaults";

/// Tables of a model of which an override may set a key for all models at once.
pub(super) const MODEL_TABLES: [&str; 2] = ["train", "distill"];

/// Bytes of a recipe; what is beyond is no recipe.
const LARGEST_RECIPE: u64 = 16 << 20;

/// A parsed recipe with the origin of each of its values.
pub(super) struct Document {
    path: PathBuf,
    pub(super) table: Table,
    /// By dotted key. A key without an entry belongs to its parent's.
    places: BTreeMap<String, Place>,
    /// Whether a run stored it, with every default written out.
    pub(super) is_resolved: bool,
}

/// What a recipe that a run stored begins with.
pub(crate) const RESOLVED: &str = "# Resolved, with every default written out.";

impl Document {
    /// Reads and parses a recipe.
    pub(super) fn read(path: &Path) -> Result<Self, RecipeError> {
        let read = |path: &Path| {
            let mut text = String::new();
            // Read again where an error is traced to its cause, as a pipe cannot be.
            let file = input_file::open_regular(path)?;
            file.take(LARGEST_RECIPE).read_to_string(&mut text).map(|_| text)
        };
        let text =
            read(path).map_err(|source| RecipeError::Read { path: path.to_path_buf(), source })?;
        Self::parse(path, &text)
    }

    /// Parses a recipe's text; `path` is for messages.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, RecipeError> {
        let at = |line| Place::File { path: path.to_path_buf(), line: Some(line) };
        let syntax = |error: toml::de::Error| RecipeError::Syntax {
            place: at(line_of(text, error.span().map_or(0, |span| span.start))),
            message: error.message().lines().collect::<Vec<_>>().join("; "),
        };
        let mut places = BTreeMap::new();
        let spans = DeTable::parse(text).map_err(syntax)?;
        each_key(spans.get_ref(), "", &mut |key, offset| {
            places.insert(key, at(line_of(text, offset)));
        });
        let table = text.parse().map_err(syntax)?;
        let is_resolved = text.starts_with(RESOLVED);
        Ok(Self { path: path.to_path_buf(), table, places, is_resolved })
    }

    /// An empty document, for commands that take everything from their flags.
    pub(super) fn empty() -> Self {
        Self {
            path: PathBuf::from("the command line"),
            table: Table::new(),
            places: BTreeMap::new(),
            is_resolved: false,
        }
    }

    /// Applies `a.b=value` as given to `--set`. A first word that is no top-level key but a model's
    /// name stands for `models.NAME`.
    pub(super) fn apply_override(&mut self, text: &str) -> Result<(), RecipeError> {
        let (key, value) = split_override(text)?;
        let keys = self.full_keys(key).map_err(|problem| refuse(text, problem))?;
        let origin = format!("--set {text}");
        keys.iter().try_for_each(|key| self.set(key, value.clone(), &origin))
    }

    /// Gives every model the values of `[defaults]` that it does not set itself: those of its shape
    /// unless it starts from a folder, those of `distill` if it has that table, `train` and
    /// `seeds` always.
    pub(super) fn apply_defaults(&mut self) -> Result<(), RecipeError> {
        let Some(defaults) = self.table.remove(DEFAULTS) else { return Ok(()) };
        let not_a_table = |key: &str| Fault::invalid(key, "is a value, not a table");
        let Value::Table(defaults) = defaults else {
            return Err(self.locate(not_a_table(DEFAULTS)));
        };
        let known = super::model::ModelKeys::FIELD_NAMES;
        if let Some(part) = defaults.keys().find(|part| !known.contains(&part.as_str())) {
            let hint = suggestion(part, known.iter().copied());
            let hint = format!("it has the keys of a model: {hint}");
            return Err(self.locate(Fault::UnknownKey { key: join(DEFAULTS, part), hint }));
        }
        for name in self.model_names().into_iter().map(str::to_owned).collect::<Vec<_>>() {
            let key = join("models", &name);
            let Some(model) = self.table_at(&key) else { continue };
            let (has_distill, starts_from) =
                (model.contains_key("distill"), model.contains_key("from"));
            for (part, value) in &defaults {
                let applies = match part.as_str() {
                    "distill" => has_distill,
                    "train" | "seeds" => true,
                    _ => !starts_from,
                };
                if applies {
                    self.fill(&join(&key, part), value, &join(DEFAULTS, part))?;
                }
            }
        }
        Ok(())
    }

    /// Sets a value where there is none; of a table, what is missing in it. `from` is the key that
    /// the value has in the document.
    fn fill(&mut self, key: &str, value: &Value, from: &str) -> Result<(), RecipeError> {
        match (value, self.value_at(key)) {
            (Value::Table(inner), None | Some(Value::Table(_))) => {
                inner.iter().try_for_each(|(part, value)| {
                    self.fill(&join(key, part), value, &join(from, part))
                })
            }
            (_, Some(_)) => Ok(()),
            (_, None) => {
                let place = self.place(from);
                self.set(key, value.clone(), "")?;
                self.places.insert(key.to_string(), place);
                Ok(())
            }
        }
    }

    /// The value at a dotted key.
    pub(super) fn value_at(&self, key: &str) -> Option<&Value> {
        let (first, rest) =
            key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
        let mut value = self.table.get(first)?;
        for part in rest.iter().flat_map(|rest| rest.split('.')) {
            value = value.as_table()?.get(part)?;
        }
        Some(value)
    }

    fn table_at(&self, key: &str) -> Option<&Table> {
        self.value_at(key).and_then(Value::as_table)
    }

    /// Applies `key=value` to a table whose name the caller knows.
    pub(super) fn apply_override_below(
        &mut self,
        table: &str,
        text: &str,
    ) -> Result<(), RecipeError> {
        let (key, value) = split_override(text)?;
        self.set(&join(table, key), value, &format!("--set {text}"))
    }

    /// Sets the value at a dotted key, making the tables on the way. A part such as `phases[1]` is
    /// an entry of a list that is there, counted from 0. `origin` is what messages will quote.
    pub(super) fn set(&mut self, key: &str, value: Value, origin: &str) -> Result<(), RecipeError> {
        let place = Place::CommandLine(origin.to_string());
        let (parents, last) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table = &mut self.table;
        let mut path = String::new();
        let locate = |fault| RecipeError::Fault { place: place.clone(), fault };
        for part in parents.split('.').filter(|part| !part.is_empty()) {
            let (name, indices) = split_indices(part);
            path = join(&path, name);
            if !table.contains_key(name) && indices.is_empty() {
                self.places.insert(path.clone(), place.clone());
            }
            let entry = match indices.is_empty() {
                true => table.entry(name).or_insert_with(|| Value::Table(Table::new())),
                false => entry_of_list(table, &mut path, name, &indices).map_err(locate)?,
            };
            let problem = match entry.is_array() {
                true => "is a list; an entry of it is [0], [1] and so on after its name",
                false => "is a value, not a table",
            };
            let fault = || locate(Fault::invalid(path.clone(), problem));
            table = entry.as_table_mut().ok_or_else(fault)?;
        }
        match split_indices(last) {
            (_, indices) if indices.is_empty() => drop(table.insert(last.to_string(), value)),
            (name, indices) => {
                path = join(&path, name);
                *entry_of_list(table, &mut path, name, &indices).map_err(locate)? = value;
            }
        }
        self.places.retain(|other, _| !is_within(other, key));
        self.places.insert(key.to_string(), place);
        Ok(())
    }

    /// Gives the keys below others the places of those below one.
    pub(super) fn copy_places(&mut self, from: &str, to: impl Iterator<Item = String>) {
        let below: Vec<(String, Place)> = self
            .places
            .iter()
            .filter(|(key, _)| *key == from || is_within(key, from))
            .map(|(key, place)| (key[from.len()..].to_owned(), place.clone()))
            .collect();
        for to in to {
            let copied = below.iter().map(|(rest, place)| (format!("{to}{rest}"), place.clone()));
            self.places.extend(copied);
        }
    }

    /// Takes a table or value out; nothing happens when it is not there.
    pub(super) fn remove(&mut self, key: &str) {
        let (parents, last) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table = &mut self.table;
        for part in parents.split('.').filter(|part| !part.is_empty()) {
            match table.get_mut(part).and_then(Value::as_table_mut) {
                Some(inner) => table = inner,
                None => return,
            }
        }
        table.remove(last);
    }

    /// Takes out everything but one model and the seed.
    pub(super) fn keep_model(&mut self, name: &str) -> Result<(), RecipeError> {
        let models = self.table.get_mut("models").and_then(Value::as_table_mut);
        let Some(model) = models.and_then(|models| models.remove(name)) else {
            let (path, hint) = (self.path.clone(), suggestion(name, self.model_names()));
            return Err(RecipeError::NoModel { name: name.to_owned(), path, hint });
        };
        self.table.retain(|key, _| ["seed", "precision", DEFAULTS].contains(&key));
        self.table
            .insert("models".to_string(), Table::from_iter([(name.to_string(), model)]).into());
        Ok(())
    }

    /// Names of the models, in the file's order.
    pub(super) fn model_names(&self) -> Vec<&str> {
        let models = self.table.get("models").and_then(Value::as_table);
        models.map(|models| models.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    /// The document as a typed value.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, RecipeError> {
        decode(&self.table).map_err(|fault| self.locate(fault))
    }

    /// Adds to a fault the place where its key was written.
    pub(super) fn locate(&self, fault: Fault) -> RecipeError {
        RecipeError::Fault { place: self.place(fault.key()), fault }
    }

    /// Where a key was written, or else the table that it belongs to.
    pub(super) fn place(&self, key: &str) -> Place {
        let mut key = key;
        loop {
            if let Some(place) = self.places.get(key) {
                return place.clone();
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return Place::File { path: self.path.clone(), line: None },
            }
        }
    }

    /// The keys that an override's key stands for: its own, that of a model that it names, or, for
    /// a table that models have, that of every model.
    fn full_keys(&self, key: &str) -> Result<Vec<String>, String> {
        let first = key.split('.').next().unwrap_or(key);
        let models = self.model_names();
        if TOP_LEVEL_KEYS.contains(&first) || first == DEFAULTS {
            Ok(vec![key.to_string()])
        } else if models.contains(&first) {
            Ok(vec![join("models", key)])
        } else if MODEL_TABLES.contains(&first) {
            let has_table = |name: &&str| {
                first == "train" || self.value_at(&format!("models.{name}.{first}")).is_some()
            };
            let of_model = |name| format!("models.{name}.{key}");
            let keys: Vec<String> = models.into_iter().filter(has_table).map(of_model).collect();
            match keys.is_empty() {
                true => Err(format!("no model of the recipe has a table `{first}`")),
                false => Ok(keys),
            }
        } else {
            let known = TOP_LEVEL_KEYS.into_iter().chain([DEFAULTS]).chain(MODEL_TABLES);
            let hint = suggestion(first, known.chain(models));
            Err(format!("`{first}` is neither a key of the recipe nor a model's name; {hint}"))
        }
    }
}

/// A part of a dotted key such as `phases[1]`, as its name and the places in lists.
fn split_indices(part: &str) -> (&str, Vec<usize>) {
    let Some((name, rest)) = part.split_once('[') else { return (part, Vec::new()) };
    let indices = rest.strip_suffix(']').map(|rest| rest.split("][").map(str::parse).collect());
    match indices {
        Some(Ok(indices)) => (name, indices),
        _ => (part, Vec::new()),
    }
}

/// The entry of a list in a table, whose key is added to `path`, the list's.
fn entry_of_list<'a>(
    table: &'a mut Table,
    path: &mut String,
    name: &str,
    indices: &[usize],
) -> Result<&'a mut Value, Fault> {
    let not_there = |path: &str| Fault::invalid(path, "is not a list of the recipe");
    let mut value = table.get_mut(name).ok_or_else(|| not_there(path))?;
    for &index in indices {
        let list = value.as_array_mut().ok_or_else(|| not_there(path))?;
        let count = list.len();
        let beyond = format!("has no entry [{index}]: it has {count}, counted from 0");
        value = list.get_mut(index).ok_or_else(|| Fault::invalid(&**path, beyond))?;
        path.push_str(&format!("[{index}]"));
    }
    Ok(value)
}

fn refuse(text: &str, problem: impl Into<String>) -> RecipeError {
    RecipeError::Override { text: text.to_string(), problem: problem.into() }
}

fn split_override(text: &str) -> Result<(&str, Value), RecipeError> {
    let (key, value) = text.split_once('=').ok_or_else(|| refuse(text, "should read key=value"))?;
    let key = key.trim();
    if key.split('.').any(str::is_empty) {
        return Err(refuse(
            text,
            format!("`{key}` is not a dotted key such as student.train.epochs"),
        ));
    }
    Ok((key, parse_value(value.trim())))
}

/// The text as a TOML value, or, when it is none (a bare word, a path), as a string.
pub fn parse_value(text: &str) -> Value {
    ValueDeserializer::parse(text)
        .and_then(Value::deserialize)
        .unwrap_or_else(|_| Value::String(text.to_string()))
}

/// Whether a dotted key is `outer` or below it.
fn is_within(key: &str, outer: &str) -> bool {
    key.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Line of a byte offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count()
}

/// Calls `visit` with each dotted key and the byte offset where it is written.
fn each_key(table: &DeTable<'_>, parent: &str, visit: &mut impl FnMut(String, usize)) {
    for (key, value) in table.iter() {
        let path = join(parent, key.get_ref());
        visit(path.clone(), key.span().start);
        each_inner_key(value.get_ref(), &path, visit);
    }
}

fn each_inner_key(value: &DeValue<'_>, path: &str, visit: &mut impl FnMut(String, usize)) {
    match value {
        DeValue::Table(table) => each_key(table, path, visit),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                visit(path.clone(), item.span().start);
                each_inner_key(item.get_ref(), &path, visit);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = 'x'\n\n[models.small]\nhidden_size = \
     4\n[models.small.train]\nlists = [\n  1,\n  [2,\n   3],\n]\n";

    fn document() -> Document {
        Document::parse(Path::new("r.toml"), TEXT).unwrap()
    }

    fn place(document: &Document, key: &str) -> String {
        document.place(key).to_string()
    }

    #[test]
    fn every_value_knows_its_line() {
        let document = document();
        assert_eq!(place(&document, "name"), "r.toml:1");
        assert_eq!(place(&document, "models.small.hidden_size"), "r.toml:4");
        assert_eq!(place(&document, "models.small.train"), "r.toml:5");
        assert_eq!(place(&document, "models.small.train.lists[1][1]"), "r.toml:9");
        assert_eq!(place(&document, "models.small.train.absent.deeper"), "r.toml:5");
        assert_eq!(place(&document, "corpus.words"), "r.toml");
    }

    #[test]
    fn overrides_replace_values_and_their_places() {
        let mut document = document();
        document.apply_override("small.train.lists = [7]").unwrap();
        document.apply_override("small.distill.teachers=['a']").unwrap();
        document.apply_override("corpus.source=data/babylm_10M").unwrap();
        assert_eq!(document.table["models"]["small"]["train"]["lists"], parse_value("[7]"));
        assert_eq!(document.table["corpus"]["source"], Value::String("data/babylm_10M".into()));
        assert_eq!(
            place(&document, "models.small.train.lists[1][1]"),
            "--set small.train.lists = [7]"
        );
        assert_eq!(place(&document, "models.small.distill"), "--set small.distill.teachers=['a']");
        assert_eq!(place(&document, "models.small.train"), "r.toml:5");
        document.remove("models.small.distill");
        document.remove("models.nobody.distill");
        assert!(document.table["models"]["small"].get("distill").is_none());
    }

    #[test]
    fn overrides_reach_into_lists() {
        let mut document = document();
        let phases = "small.train.phases=[{epochs = 1}, {epochs = 2, name = 'last'}]";
        document.apply_override(phases).unwrap();
        document.apply_override("small.train.phases[1].epochs=5").unwrap();
        document.apply_override("train.phases[0].sam.rho=0.1").unwrap();
        document.apply_override("small.train.lists[1][0]=9").unwrap();
        let train = &document.table["models"]["small"]["train"];
        assert_eq!(
            train["phases"],
            parse_value("[{epochs = 1, sam = {rho = 0.1}}, {epochs = 5, name = 'last'}]")
        );
        assert_eq!(train["lists"], parse_value("[1, [9, 3]]"));
        let key = "models.small.train.phases[1]";
        let origin = "--set small.train.phases[1].epochs=5";
        assert_eq!(place(&document, &format!("{key}.epochs")), origin);
        assert_eq!(place(&document, &format!("{key}.name")), format!("--set {phases}"));
        assert_eq!(place(&document, "models.small.train.lists[1][1]"), "r.toml:9");
        let mut message = |key: &str| {
            let text = format!("{key}=1");
            let message = document.apply_override(&text).unwrap_err().to_string();
            message.strip_prefix(&format!("--set {text}: ")).unwrap().to_owned()
        };
        let list = "`models.small.train.phases`";
        assert_eq!(
            message("small.train.phases[2].epochs"),
            format!("{list} has no entry [2]: it has 2, counted from 0")
        );
        assert_eq!(
            message("small.train.groups[0].decay"),
            "`models.small.train.groups` is not a list of the recipe"
        );
        assert_eq!(
            message("small.train.phases.1.epochs"),
            format!("{list} is a list; an entry of it is [0], [1] and so on after its name")
        );
    }

    #[test]
    fn values_are_toml_or_else_text() {
        assert_eq!(parse_value("3e-4"), Value::Float(3e-4));
        assert_eq!(parse_value("12"), Value::Integer(12));
        assert_eq!(parse_value("true"), Value::Boolean(true));
        assert_eq!(parse_value("\"2024\""), Value::String("2024".into()));
        assert_eq!(parse_value("batchmean"), Value::String("batchmean".into()));
        assert_eq!(parse_value("1\nb = 2"), Value::String("1\nb = 2".into()));
        assert_eq!(parse_value(""), Value::String(String::new()));
    }

    #[test]
    fn bad_overrides_are_refused_with_the_reason() {
        let mut document = document();
        let mut message = |text: &str| document.apply_override(text).unwrap_err().to_string();
        assert_eq!(message("epochs"), "--set epochs: should read key=value");
        assert_eq!(message("=3"), "--set =3: `` is not a dotted key such as student.train.epochs");
        assert_eq!(
            message("small..x=3"),
            "--set small..x=3: `small..x` is not a dotted key such as student.train.epochs"
        );
        assert_eq!(
            message("smal.train.epochs=3"),
            "--set smal.train.epochs=3: `smal` is neither a key of the recipe nor a model's \
             name; did you mean `small`?"
        );
        assert_eq!(message("name.first=3"), "--set name.first=3: `name` is a value, not a table");
    }

    #[test]
    fn bad_toml_names_its_line() {
        let refused = |text| Document::parse(Path::new("r.toml"), text).err().unwrap().to_string();
        assert!(refused("a = 1\nb = = 2\n").starts_with("r.toml:2: not valid TOML: "));
        let twice = refused("[models.a]\nx = 1\n[models.b]\n[models.a]\n");
        assert!(
            twice.starts_with("r.toml:4: not valid TOML: ") && twice.contains("duplicate key"),
            "{twice}"
        );
    }
}
