//! Minimal pairs in BLiMP's format: two sentences that differ in one grammatical point, from the
//! grammar that writes the text. Paradigms that exist in BLiMP bear its names.

mod agreement;
mod arguments;
mod binding;
mod materials;
mod movement;
mod polarity;

use std::collections::HashSet;

use base::rng::Rng;
use base::stop::{self, ShouldStop, Stopped};
use serde::Serialize;

use super::BuiltinText;
use super::discourse::scene::Scene;
use super::draw::Draw;
use super::grammar::clause::Tense;
use super::registers::finished;
use super::world::World;

/// One minimal pair, with the fields of BLiMP in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The right sentence.
    pub sentence_good: String,
    /// The wrong one, which differs in one point.
    pub sentence_bad: String,
    /// `morphology`, `syntax`, `semantics` or `syntax_semantics`.
    pub field: &'static str,
    /// The phenomenon, such as `anaphor_agreement`.
    pub linguistics_term: &'static str,
    /// The paradigm.
    #[serde(rename = "UID")]
    pub uid: &'static str,
    /// Whether whole sentences are to be compared.
    #[serde(rename = "simple_LM_method")]
    pub simple_lm_method: bool,
    /// Whether a common beginning has the same continuation after it (BLiMP's field).
    pub one_prefix_method: bool,
    /// Whether two beginnings have one continuation (BLiMP's field).
    pub two_prefix_method: bool,
    /// Whether both have the same words (BLiMP's field).
    pub lexically_identical: bool,
    /// Number within the paradigm, from 0.
    pub pair_id: usize,
}

impl Pair {
    /// The pair as one line of JSON, without the line feed.
    pub fn to_json_line(&self) -> String {
        // Text, booleans and a number always make JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Good and bad words, without a capital or a mark.
type Contrast = (String, String);

/// How the two sentences of a paradigm compare: the methods of BLiMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// Only whole sentences compare.
    Sentence,
    /// Both sentences have the same beginning, then a different word.
    OnePrefix,
    /// The sentences have different beginnings, then the same word.
    TwoPrefixes,
}

/// A family of pairs with one contrast.
struct Paradigm {
    uid: &'static str,
    field: &'static str,
    term: &'static str,
    method: Method,
    /// Whether both sentences have the same words, inflection and order apart.
    identical: bool,
    /// The marks that end the sentences.
    marks: (char, char),
    make: fn(&mut Scene) -> Contrast,
}

impl Paradigm {
    const fn new(
        uid: &'static str,
        (field, term): (&'static str, &'static str),
        method: Method,
        identical: bool,
        make: fn(&mut Scene) -> Contrast,
    ) -> Self {
        Self { uid, field, term, method, identical, marks: ('.', '.'), make }
    }

    const fn question(self) -> Self {
        Self { marks: ('?', '?'), ..self }
    }

    fn pair(&self, scene: &mut Scene) -> (String, String) {
        let (good, bad) = (self.make)(scene);
        (finished(&good, self.marks.0), finished(&bad, self.marks.1))
    }

    fn labelled(&self, (sentence_good, sentence_bad): (String, String), pair_id: usize) -> Pair {
        Pair {
            sentence_good,
            sentence_bad,
            field: self.field,
            linguistics_term: self.term,
            uid: self.uid,
            simple_lm_method: true,
            one_prefix_method: self.method == Method::OnePrefix,
            two_prefix_method: self.method == Method::TwoPrefixes,
            lexically_identical: self.identical,
            pair_id,
        }
    }

    /// `count` pairs whose good sentences differ from each other and from what was `heard`, as far
    /// as that can be had.
    fn pairs(
        &self,
        should_stop: ShouldStop<'_>,
        world: &World,
        seed: u64,
        heard: &HashSet<String>,
        count: usize,
    ) -> Result<Vec<Pair>, Stopped> {
        let mut draw = Draw::new(Rng::new(seed, "builtin pairs").at(Rng::new(0, self.uid).bits(0)));
        let mut known: HashSet<String> = HashSet::new();
        let mut pairs = Vec::with_capacity(count);
        for attempt in 0..count * 50 {
            if pairs.len() == count {
                break;
            }
            stop::check(should_stop)?;
            let tense = if draw.chance(60) { Tense::Past } else { Tense::Present };
            let sentences = self.pair(&mut Scene::new(draw.fork(), world, tense));
            let key = letters(&sentences.0);
            let avoidable = attempt < count * 40;
            if sentences.0 == sentences.1
                || repeats_a_name(&sentences.0)
                || known.contains(&key)
                || (avoidable && heard.contains(&key))
            {
                continue;
            }
            known.insert(key);
            pairs.push(self.labelled(sentences, pairs.len()));
        }
        Ok(pairs)
    }
}

/// The characters between sentences.
const MARKS: [char; 5] = ['.', '?', '!', '"', ';'];

/// The [`letters`] of every sentence of texts.
pub(super) fn sentences(
    should_stop: ShouldStop<'_>,
    texts: &[BuiltinText],
) -> Result<HashSet<String>, Stopped> {
    let mut sentences = HashSet::new();
    for text in texts {
        // A sentence may go on in the next part.
        let mut open = String::new();
        for part in text.parts(should_stop) {
            open.push_str(&part?);
            if let Some((whole, rest)) = open.rsplit_once(MARKS) {
                sentences.extend(whole.split(MARKS).map(letters));
                open = rest.to_owned();
            }
        }
        sentences.insert(letters(&open));
    }
    Ok(sentences)
}

/// Every paradigm's name and pairs, all held out from the sentences that are known.
pub(super) fn write(
    should_stop: ShouldStop<'_>,
    world: &World,
    seed: u64,
    heard: &HashSet<String>,
    count: usize,
) -> Result<Vec<(String, Vec<Pair>)>, Stopped> {
    let write = |paradigm: &Paradigm| {
        let pairs = paradigm.pairs(should_stop, world, seed, heard, count)?;
        Ok((paradigm.uid.to_string(), pairs))
    };
    paradigms().map(write).collect()
}

fn paradigms() -> impl Iterator<Item = &'static Paradigm> {
    [
        agreement::PARADIGMS,
        arguments::PARADIGMS,
        binding::PARADIGMS,
        movement::PARADIGMS,
        polarity::PARADIGMS,
    ]
    .into_iter()
    .flatten()
}

/// "Tom knew what Tom had found" is odd for a reason of its own.
fn repeats_a_name(sentence: &str) -> bool {
    let names: Vec<&str> =
        sentence.split(' ').filter(|word| word.starts_with(char::is_uppercase)).collect();
    names.iter().enumerate().any(|(position, name)| names[..position].contains(name))
}

/// What is left of a sentence when spacing, case, marks and the l that stands for I are taken away.
fn letters(sentence: &str) -> String {
    sentence
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .map(|letter| if letter == 'i' { 'l' } else { letter })
        .collect()
}
