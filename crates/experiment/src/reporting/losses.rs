//! Figures of held-out losses: of those that compare, with what was left out and why.

use eval::{BENCHMARKS, HeldOutLoss};
use report::figures::{Bar, FitPoint, Palette, ScalingPoint, bars, fit, scaling};
use report::page::Block;

use super::found::{Found, FoundScores};
use super::named;
use super::papers::mean_and_deviation;
use crate::held_out::{self, HeldOut, RULE};

/// A line through fewer points shows nothing.
const LINE: usize = 3;

/// A model's name on the page with where it was found.
pub(super) type Named<'a> = (String, &'a Found, &'a FoundScores);

/// A loss with what it is measured on, for a figure.
struct Measured<'a, T> {
    name: String,
    held_out: &'a HeldOut,
    /// A hash of the items that a score beside the loss is of, as far as it is known.
    items: Option<&'a String>,
    value: T,
}

impl<T> Measured<'_, T> {
    fn has_items_of(&self, other: &Self) -> bool {
        self.items.zip(other.items).is_none_or(|(one, other)| one == other)
    }
}

/// Losses that compare with each other, and a sentence on the others.
struct Group<'a, T> {
    members: Vec<&'a T>,
    /// A figure's title with a number where it is not the first of its kind.
    title: String,
    left_out: String,
}

/// The losses of which one figure each is drawn, where enough of them compare for that; otherwise
/// what is missing and why.
fn groups<'a, T>(
    title: &str,
    all: &'a [Measured<'_, T>],
    is_enough: impl Fn(&[&T]) -> bool,
) -> Result<Vec<Group<'a, T>>, Box<Block>> {
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    let measured: Vec<&HeldOut> = all.iter().map(|one| one.held_out).collect();
    let groups: Vec<(Vec<usize>, Vec<usize>)> = held_out::groups(&measured)
        .into_iter()
        .flat_map(|group| {
            let has_same_items = |one: usize, other: usize| all[one].has_items_of(&all[other]);
            let parts = held_out::grouped(group.iter().copied(), has_same_items);
            parts.into_iter().map(move |own| (own, group.clone()))
        })
        .collect();
    let mut enough = Vec::new();
    for (own, of_losses) in &groups {
        let members: Vec<&T> = own.iter().map(|&place| &all[place].value).collect();
        if !is_enough(&members) {
            continue;
        }
        let title = match enough.len() {
            0 => title.to_owned(),
            others => format!("{title}, set {}", others + 1),
        };
        let losses = held_out::apart("left out are", &names, &measured, of_losses);
        let others = of_losses.iter().filter(|place| !own.contains(place));
        let others: Vec<&str> = others.map(|&place| names[place]).collect();
        let left_out = format!("{losses} {}", of_other_items(&others)).trim().to_owned();
        enough.push(Group { members, title, left_out });
    }
    if enough.is_empty() && is_enough(&all.iter().map(|one| &one.value).collect::<Vec<_>>()) {
        let (own, of_losses) = &groups[0];
        let apart = held_out::apart("apart from the others are", &names, &measured, of_losses);
        let items = match own.len() < of_losses.len() {
            true => "Scores compare only on the same items, and those of these are others.",
            false => "",
        };
        let why = format!("{apart} {items}").trim().to_owned();
        let why = if why.is_empty() { format!("{RULE}.") } else { why };
        return Err(Box::new(Block::Missing { what: title.to_owned(), why }));
    }
    Ok(enough)
}

/// A sentence on the models that are left out as their scores are of other items; empty of none.
fn of_other_items<Name: AsRef<str>>(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("Left out, as their items are others: {}.", names.join("; ")),
    }
}

/// A figure with a sentence behind its caption.
fn block(mut figure: report::Figure, sentence: &str) -> Block {
    figure.caption = format!("{} {sentence}", figure.caption).trim().to_owned();
    Block::Figure(figure)
}

/// Each benchmark's score against the held-out loss, with the line of least squares (BabyLlama-2,
/// figure 2).
pub(super) fn fits(named: &[Named<'_>], palette: &Palette) -> Vec<Block> {
    let mut blocks = Vec::new();
    for &benchmark in BENCHMARKS {
        let titles = named
            .iter()
            .filter_map(|(name, _, one)| Some((name, one.title(one.scores.outcome(benchmark)?))));
        let titles: Vec<(&String, String)> = titles.collect();
        let Some(called) = most(titles.iter().map(|(_, title)| title)) else { continue };
        let others = titles.iter().filter(|(_, title)| title != called);
        let others: Vec<String> = others.map(|(name, title)| format!("{name} ({title})")).collect();
        let other_items = of_other_items(&others);
        let point = |(name, found, one): &Named<'_>| {
            let outcome = one.scores.outcome(benchmark)?;
            let y = 100.0 * outcome.result.score;
            if one.title(outcome) != *called {
                return None;
            }
            let (x, model, group) = (one.held_out_loss?, name.clone(), found.name.clone());
            (x.is_finite() && y.is_finite()).then_some(FitPoint { model, group, x, y })
        };
        let points = named.iter().filter_map(|one| {
            let value = point(one)?;
            let items = one.2.items_hash(benchmark);
            Some(Measured { name: one.0.clone(), held_out: &one.2.held_out, items, value })
        });
        let points: Vec<Measured<'_, FitPoint>> = points.collect();
        let title = format!("{called} against held-out loss");
        let y = format!("{called}, percent");
        match groups(&title, &points, |points| points.len() >= LINE) {
            Ok(groups) => blocks.extend(groups.into_iter().map(|group| {
                let points: Vec<FitPoint> = group.members.into_iter().cloned().collect();
                let x = "held-out loss, nats per token";
                let sentences = format!("{} {other_items}", group.left_out);
                block(fit(&group.title, x, &y, &points, palette), sentences.trim())
            })),
            Err(missing) => blocks.push(*missing),
        }
    }
    blocks
}

/// What most scores are called; of equal counts the first.
fn most<'a>(titles: impl Iterator<Item = &'a String> + Clone) -> Option<&'a String> {
    let count = |title: &String| titles.clone().filter(|other| *other == title).count();
    let all: Vec<&String> = titles.clone().collect();
    all.into_iter().rev().max_by_key(|title| count(title))
}

/// A model with the words of its training text and its loss.
struct Trained<'a> {
    model: &'a str,
    words: u64,
    loss: f64,
}

/// Held-out loss against the words of the training text, over runs (BabyLlama-2, figure 3). Models
/// of one name and amount are a point with their standard deviation.
pub(super) fn scalings(all: &[Found], palette: &Palette) -> Vec<Block> {
    let mut trained = Vec::new();
    for found in all {
        for one in &found.scores {
            let number = |key| found.seen(&one.scores.name, key);
            let Some(((words, epochs), loss)) =
                number("words").zip(number("epochs")).zip(one.held_out_loss)
            else {
                continue;
            };
            if epochs > 0.0 && loss.is_finite() {
                let (model, words) = (&one.scores.name[..], (words / epochs).round() as u64);
                let name = named(found, model, all.len() > 1);
                let value = Trained { model, words, loss };
                trained.push(Measured { name, held_out: &one.held_out, items: None, value });
            }
        }
    }
    let has_amounts = |models: &[&Trained<'_>]| {
        let words = models.iter().map(|one| one.words);
        let (least, most) = (words.clone().min(), words.max());
        least.zip(most).is_some_and(|(least, most)| !is_one_amount(least, most))
    };
    let figure = |group: Group<'_, Trained<'_>>| {
        let (x, y) = ("words of the training text", "held-out loss, nats per token");
        let points = points(&group.members);
        block(scaling(&group.title, x, y, &points, palette), &group.left_out)
    };
    match groups("Held-out loss against words", &trained, has_amounts) {
        Ok(groups) => groups.into_iter().map(figure).collect(),
        Err(missing) => vec![*missing],
    }
}

/// Whether two numbers of words are of one amount of text: what is drawn ends with a whole line, so
/// that seeds differ a little.
fn is_one_amount(less: u64, more: u64) -> bool {
    more as f64 <= 1.02 * less as f64
}

/// The means of models of one name and amount.
fn points(models: &[&Trained<'_>]) -> Vec<ScalingPoint> {
    let mut sorted = models.to_vec();
    sorted.sort_by(|a, b| (a.model, a.words).cmp(&(b.model, b.words)));
    let mut amounts: Vec<Vec<&Trained<'_>>> = Vec::new();
    for one in sorted {
        match amounts.last_mut() {
            Some(amount)
                if amount[0].model == one.model && is_one_amount(amount[0].words, one.words) =>
            {
                amount.push(one);
            }
            _ => amounts.push(vec![one]),
        }
    }
    let point = |amount: Vec<&Trained<'_>>| {
        let losses: Vec<f64> = amount.iter().map(|one| one.loss).collect();
        let (loss, deviation) = mean_and_deviation(&losses);
        let words = amount.iter().map(|one| one.words as f64).sum::<f64>() / amount.len() as f64;
        ScalingPoint { series: amount[0].model.to_owned(), words, loss, deviation }
    };
    amounts.into_iter().map(point).collect()
}

/// The source of a text's file, which the challenge's files have with the name of their split.
fn source_of(file: &str) -> &str {
    let splits = [".train", ".dev", ".test"];
    let file = file.strip_suffix(".txt").unwrap_or(file);
    splits.iter().find_map(|split| file.strip_suffix(split)).unwrap_or(file)
}

/// The held-out loss of each source of text.
pub(super) fn sources(named: &[Named<'_>], palette: &Palette) -> Vec<Block> {
    let bars_of = |(name, _, one): &Named<'_>| -> Vec<Bar> {
        let measured = one.scores.measured(&HeldOutLoss);
        let parts = measured.into_iter().flat_map(|measured| measured.parts.iter().skip(1));
        let bar = |part: &eval::Part| Bar {
            row: source_of(&part.name).to_owned(),
            series: name.clone(),
            value: part.value,
            interval: None,
            mark: String::new(),
        };
        parts.map(bar).collect()
    };
    let drawn = named.iter().map(|one| Measured {
        name: one.0.clone(),
        held_out: &one.2.held_out,
        items: None,
        value: bars_of(one),
    });
    let drawn: Vec<Measured<'_, Vec<Bar>>> = drawn.filter(|one| !one.value.is_empty()).collect();
    match groups("Held-out loss by source of text", &drawn, |models| !models.is_empty()) {
        Ok(groups) => groups
            .into_iter()
            .map(|group| {
                let drawn: Vec<Bar> = group.members.into_iter().flatten().cloned().collect();
                block(bars(&group.title, "nats per token", &drawn, palette), &group.left_out)
            })
            .collect(),
        Err(missing) => vec![*missing],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_out(text: &str) -> HeldOut {
        let [text, tokenizer] = [text, "t"].map(|it| Some(it.to_owned()));
        HeldOut { text, tokenizer, ..HeldOut::default() }
    }

    #[test]
    fn a_figure_has_the_losses_that_compare_and_names_the_others() {
        let (one, other) = (held_out("a"), held_out("b"));
        let of = |name: &str, held_out, value: u64| Measured {
            name: name.to_owned(),
            held_out,
            items: None,
            value,
        };
        let all = [of("m", &one, 1), of("n", &other, 2), of("o", &one, 3), of("p", &one, 4)];
        let found = groups("T", &all, |values| values.len() >= 2).ok().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].members, [&1, &3, &4]);
        assert!(found[0].left_out.ends_with("left out are n (another held-out text)."));
        let each = groups("T", &all, |values| !values.is_empty()).ok().unwrap();
        let titles: Vec<&str> = each.iter().map(|group| group.title.as_str()).collect();
        assert_eq!(titles, ["T", "T, set 2"]);
        let missing = groups("T", &all, |values| values.len() >= 4).err().unwrap();
        let Block::Missing { what, why } = *missing else { panic!("a figure is missing") };
        assert_eq!(what, "T");
        assert!(why.contains("apart from the others are n"), "{why}");
        assert!(groups("T", &all[..1], |values| values.len() >= 2).ok().unwrap().is_empty());
    }

    #[test]
    fn sources_have_the_names_of_their_files_without_the_split() {
        let names = ["aochildes", "aochildes.dev", "aochildes.train.txt", "v1.5", "a.txt"];
        assert_eq!(names.map(source_of), ["aochildes", "aochildes", "aochildes", "v1.5", "a"]);
    }

    #[test]
    fn a_figure_has_scores_of_the_same_items() {
        let held_out = held_out("a");
        let [x, y] = ["x", "y"].map(str::to_owned);
        let of = |name: &str, items, value: u64| {
            let items = Some(items);
            Measured { name: name.to_owned(), held_out: &held_out, items, value }
        };
        let all = [of("m", &x, 1), of("n", &y, 2), of("o", &y, 3)];
        let found = groups("T", &all, |values| values.len() >= 2).ok().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].members, [&2, &3]);
        assert_eq!(found[0].left_out, "Left out, as their items are others: m.");
        let missing = groups("T", &all, |values| values.len() >= 3).err().unwrap();
        let Block::Missing { why, .. } = *missing else { panic!("a figure is missing") };
        assert!(why.starts_with("Scores compare only on the same items"), "{why}");
    }

    #[test]
    fn models_of_one_name_and_amount_are_a_point() {
        let trained = |model, words, loss| Trained { model, words, loss };
        // Of amounts that were drawn, of which each ends with a whole line.
        let all = [
            trained("a", 1010, 3.0),
            trained("b", 1000, 1.0),
            trained("a", 1000, 5.0),
            trained("a", 1030, 7.0),
        ];
        let found = points(&all.iter().collect::<Vec<_>>());
        let found: Vec<(&str, f64, f64)> =
            found.iter().map(|point| (point.series.as_str(), point.words, point.loss)).collect();
        assert_eq!(found, [("a", 1005.0, 4.0), ("a", 1030.0, 7.0), ("b", 1000.0, 1.0)]);
    }
}
