//! What a held-out loss is measured on. Losses compare only where text, tokenizer and the length
//! of the sequences are the same.

use std::path::Path;

use model::Architecture;
use report::format::by_reason;
use serde::{Deserialize, Serialize};
use train::TrainSettings;

use crate::stage::Record;

/// What a held-out loss is measured on, as far as it is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldOut {
    /// A hash of the names and contents of the text's files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// The content hash of the tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tokenizer: Option<String>,
    /// The hash of the file with the text's tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<String>,
    /// The fingerprint of the stage that made text, tokenizer and tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stage: Option<String>,
    /// Tokens of a sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sequence_length: Option<u64>,
    /// Tokens of all sequences, as the loss counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) predicted: Option<u64>,
    /// How tokens are hidden, of models that predict hidden ones; none of those that predict the
    /// next token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hidden: Option<String>,
}

/// Why two losses do not compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    text: bool,
    tokenizer: bool,
    tokens: bool,
    sequences: bool,
    predicted: bool,
    hidden: bool,
    is_unknown: bool,
}

impl HeldOut {
    /// The file with it in the folder of a training outside a run.
    pub(crate) const FILE: &str = "held_out.json";

    /// Of prepared data, by the records of the stages that made it.
    pub(crate) fn of_records<'a>(record: impl Fn(&str) -> Option<&'a Record>) -> Self {
        let is_text =
            |path: &Path| path.parent().is_some_and(|it| it.ends_with("corpus/validation"));
        let text = record("corpus").map(|corpus| {
            let files = corpus.outputs().filter(|(path, _)| is_text(path));
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into();
            files.map(|(path, hash)| (name(path), hash.to_owned())).collect::<Vec<(String, _)>>()
        });
        let tokens = record("tokens");
        let file = tokens.and_then(|tokens| {
            let mut files = tokens.outputs();
            files.find(|(path, _)| path.ends_with("tokens/validation.bin"))
        });
        Self {
            text: text.and_then(|files| text_of(files, false)),
            tokens: file.map(|(_, hash)| hash.to_owned()),
            stage: tokens.map(|tokens| tokens.fingerprint().to_owned()),
            ..Self::default()
        }
    }

    /// Why a loss on this does not compare with one on `other`; `None` where it does.
    pub(crate) fn difference(&self, other: &Self) -> Option<Difference> {
        let both = |of: fn(&Self) -> &Option<String>| of(self).as_ref().zip(of(other).as_ref());
        let differs = |of| both(of).map(|(one, other)| one != other);
        let (text, tokenizer) = (differs(|it| &it.text), differs(|it| &it.tokenizer));
        let (tokens, stage) = (differs(|it| &it.tokens), differs(|it| &it.stage));
        let numbers = |of: fn(&Self) -> Option<u64>| {
            of(self).zip(of(other)).is_some_and(|(one, other)| one != other)
        };
        let (sequences, hidden) = (numbers(|it| it.sequence_length), self.hidden != other.hidden);
        let is_same = [tokens, stage].contains(&Some(false))
            || text == Some(false) && tokenizer == Some(false);
        let found = Difference {
            text: !is_same && text == Some(true),
            tokenizer: !is_same && tokenizer == Some(true),
            tokens: !is_same && tokens == Some(true) && text.or(tokenizer).is_none(),
            sequences,
            predicted: is_same && !sequences && !hidden && numbers(|it| it.predicted),
            hidden,
            is_unknown: false,
        };
        let is_known = is_same || found.text || found.tokenizer || found.tokens;
        let found = Difference { is_unknown: !is_known, ..found };
        (found != Difference::default()).then_some(found)
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            (self.text, "another held-out text"),
            (self.tokenizer, "another tokenizer"),
            (self.tokens, "another text or tokenizer"),
            (self.sequences, "sequences of another length"),
            (self.predicted, "another number of tokens"),
            (self.hidden, "of tokens that are hidden in another way, or of all"),
            (self.is_unknown, "whether its text and tokenizer are the same is not recorded"),
        ];
        let parts: Vec<&str> = parts.iter().filter(|(is, _)| *is).map(|(_, text)| *text).collect();
        write!(formatter, "{}", parts.join(", "))
    }
}

/// How a model's held-out tokens are hidden; none of one that predicts the next token.
pub(crate) fn hidden_by(architecture: Architecture, settings: &TrainSettings) -> Option<String> {
    if architecture.is_causal() {
        return None;
    }
    let settings = match architecture.is_encoder_decoder() {
        true => serde_json::json!({ "spans": settings.spans.unwrap_or_default() }),
        false => serde_json::json!({ "masked": settings.masked.unwrap_or_default() }),
    };
    Some(settings.to_string())
}

/// How the tokens are hidden that a model predicts, in words; none of one that predicts the next
/// token.
pub(crate) fn hidden_in_words(
    architecture: Architecture,
    settings: &TrainSettings,
) -> Option<String> {
    if architecture.is_causal() {
        return None;
    }
    let (share, span, read) = match architecture.is_encoder_decoder() {
        true => {
            let spans = settings.spans.unwrap_or_default();
            (spans.share, spans.span, String::new())
        }
        false => {
            let masked = settings.masked.unwrap_or_default();
            let percent = |share: f64| format!("{:.3} %", 100.0 * share).replace(".000", "");
            let (replace, keep) = (percent(masked.replace), percent(masked.keep));
            let read = format!(
                "; in place of {replace} of them it reads random tokens, and {keep} as they are"
            );
            (masked.share, masked.span, read)
        }
    };
    let spans = if span > 1.0 { format!(", in spans of {span} on average") } else { String::new() };
    Some(format!("a share of {share}{spans}{read}"))
}

/// How the held-out tokens of a run's model are hidden, as [`hidden_by`]: by its section of the
/// recipe and the family of its weights, where that is known.
pub(crate) fn hidden_of_section(
    section: Option<&toml::Value>,
    family: Option<Architecture>,
) -> Option<String> {
    let named = section.and_then(|section| section.get("architecture")?.as_str());
    let family = family.or_else(|| Architecture::named(named?))?;
    let train = section.and_then(|section| section.get("train")).cloned();
    let settings = train.and_then(|train| train.try_into::<TrainSettings>().ok());
    hidden_by(family, &settings.unwrap_or_default())
}

/// A hash of the names and contents of a text's files, in any order; none of no files.
pub(crate) fn text_of(mut files: Vec<(String, String)>, is_cleaned: bool) -> Option<String> {
    files.sort();
    let text = serde_json::json!([files, is_cleaned]).to_string();
    (!files.is_empty()).then(|| base::hash::of_bytes(text.as_bytes()))
}

/// Sets of losses that compare with each other, by their places: the largest set first, otherwise
/// in their order.
pub(crate) fn groups(all: &[&HeldOut]) -> Vec<Vec<usize>> {
    grouped(0..all.len(), |one, other| all[one].difference(all[other]).is_none())
}

/// Places in groups of those that are the same as the first of their group: the largest group
/// first, otherwise in their order.
pub(crate) fn grouped(
    places: impl IntoIterator<Item = usize>,
    is_same: impl Fn(usize, usize) -> bool,
) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for place in places {
        match groups.iter_mut().find(|group| is_same(group[0], place)) {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

/// What losses need to have in common.
pub(crate) const RULE: &str =
    "Held-out losses compare only on the same text with the same tokenizer and sequences";

/// A sentence on the losses that do not compare with those of a group, with the reasons; empty
/// where all do. `are` is what they are for that, such as `left out are`.
pub(crate) fn apart(are: &str, names: &[&str], all: &[&HeldOut], group: &[usize]) -> String {
    let Some(&first) = group.first() else { return String::new() };
    let others = names.iter().enumerate().filter(|(index, _)| !group.contains(index));
    let others = others.map(|(index, name)| {
        let why = all[first].difference(all[index]).unwrap_or_default();
        ((*name).to_owned(), why.to_string())
    });
    let parts: Vec<String> =
        by_reason(others).into_iter().map(|(names, why)| format!("{names} ({why})")).collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("{RULE}: {are} {}.", parts.join("; ")),
    }
}

/// The letter of a group, counted from 0.
pub(crate) fn letter(group: usize) -> String {
    match u8::try_from(group) {
        Ok(number @ ..26) => char::from(b'a' + number).to_string(),
        _ => format!("z{}", group - 25),
    }
}

/// A letter for each loss, which those have in common that compare, and a sentence on them; empty
/// where all do. What has no loss has no letter.
pub(crate) fn letters(all: &[Option<&HeldOut>]) -> (Vec<String>, String) {
    let mut letters = vec![String::new(); all.len()];
    let (places, with_loss): (Vec<usize>, Vec<&HeldOut>) =
        all.iter().enumerate().filter_map(|(place, one)| Some((place, (*one)?))).unzip();
    let groups = groups(&with_loss);
    if groups.len() < 2 {
        return (letters, String::new());
    }
    let mut reasons = Vec::new();
    for (group, members) in groups.iter().enumerate() {
        let letter = letter(group);
        members.iter().for_each(|&member| letters[places[member]].clone_from(&letter));
        let (base, own) = (with_loss[groups[0][0]], with_loss[members[0]]);
        reasons.extend(base.difference(own).map(|why| (letter, why.to_string())));
    }
    let parts: Vec<String> =
        by_reason(reasons).into_iter().map(|(letters, why)| format!("{letters}: {why}")).collect();
    (letters, format!("{RULE}, here those of one letter. Against a, {}.", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use train::settings::MaskedSettings;

    use super::*;

    fn held_out(text: &str, tokenizer: &str) -> HeldOut {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        HeldOut { text: some(text), tokenizer: some(tokenizer), ..HeldOut::default() }
    }

    #[test]
    fn losses_compare_on_the_same_text_with_the_same_tokenizer() {
        let base = held_out("a", "t");
        let why = |other: &HeldOut| base.difference(other).map(|found| found.to_string());
        assert_eq!(why(&base), None);
        assert_eq!(why(&held_out("b", "t")).unwrap(), "another held-out text");
        let both = "another held-out text, another tokenizer";
        assert_eq!(why(&held_out("b", "u")).unwrap(), both);
        assert!(why(&held_out("a", "")).unwrap().ends_with("is not recorded"));
        assert!(why(&HeldOut::default()).unwrap().ends_with("is not recorded"));
        assert!(HeldOut::default().difference(&HeldOut::default()).is_some(), "nothing is known");
        let long = HeldOut { sequence_length: Some(128), ..base.clone() };
        let short = HeldOut { sequence_length: Some(64), ..base.clone() };
        let sequences = "sequences of another length";
        assert_eq!(long.difference(&short).unwrap().to_string(), sequences);
        let some = HeldOut { predicted: Some(9), ..base.clone() };
        let all = HeldOut { predicted: Some(64), ..base.clone() };
        assert_eq!(all.difference(&some).unwrap().to_string(), "another number of tokens");
        let hidden = |share: f64| {
            let masked = Some(MaskedSettings { share, ..MaskedSettings::default() });
            let settings = TrainSettings { masked, ..TrainSettings::default() };
            HeldOut { hidden: hidden_by(Architecture::LTG_BERT, &settings), ..all.clone() }
        };
        let otherwise = "of tokens that are hidden in another way, or of all";
        assert_eq!(hidden(0.15).difference(&some).unwrap().to_string(), otherwise);
        assert_eq!(hidden(0.15).difference(&hidden(0.3)).unwrap().to_string(), otherwise);
        assert_eq!(hidden(0.15).difference(&hidden(0.15)), None);
        assert_eq!(hidden_by(Architecture::GPT2, &TrainSettings::default()), None);
        assert_eq!(long.difference(&base), None);
        let tokens = |hash: &str| HeldOut { tokens: Some(hash.to_owned()), ..HeldOut::default() };
        assert_eq!(tokens("x").difference(&tokens("x")), None);
        let other = tokens("x").difference(&tokens("y")).unwrap().to_string();
        assert_eq!(other, "another text or tokenizer");
    }

    #[test]
    fn what_does_not_compare_is_named_with_its_reason() {
        let all = [held_out("a", "t"), held_out("b", "t"), held_out("b", "t"), held_out("", "")];
        let all: Vec<&HeldOut> = all.iter().collect();
        let groups = groups(&all);
        assert_eq!(groups, [vec![1, 2], vec![0], vec![3]]);
        let text = apart("left out are", &["m", "n", "o", "p"], &all, &groups[0]);
        let end = "left out are m (another held-out text); p (whether its text and tokenizer are \
                   the same is not recorded).";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(apart("left out are", &["n", "o"], &all[1..3], &[0, 1]), "");
        let names = ["0", "1", "2", "3", "4", "5", "6", "7"];
        let many: Vec<&HeldOut> = [&[all[0]][..], &[all[1]; 7]].concat();
        let text = apart("left out are", &names, &many, &[0]);
        assert!(
            text.ends_with("are 1, 2, 3, 4, 5, 6 and 1 more (another held-out text)."),
            "{text}"
        );
        let some = [Some(all[0]), None, Some(all[1]), Some(all[2])];
        let (letters, text) = letters(&some);
        assert_eq!(letters, ["b", "", "a", "a"]);
        assert!(text.ends_with("Against a, b: another held-out text."), "{text}");
        assert_eq!(super::letters(&some[2..]), (vec![String::new(); 2], String::new()));
    }
}
