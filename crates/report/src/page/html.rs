//! A page as HTML, by a template that escapes every text.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;
use serde_json::json;

use super::{Block, Page};
use crate::Figure;
use crate::figures::file_stem;
use crate::format::{counted, is_unseen, json_escaped, visible};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const UPLOT_SCRIPT: &str = include_str!("../../assets/uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../../assets/uplot/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("../../assets/uplot/LICENSE");

/// A part of the page as the template reads it.
#[derive(Serialize)]
struct Part {
    id: String,
    title: String,
    blocks: Vec<Item>,
}

/// A block as the template reads it: what is absent is empty.
#[derive(Default, Serialize)]
struct Item {
    kind: &'static str,
    id: String,
    title: String,
    text: String,
    /// Markup of our own.
    html: String,
    /// JSON that is safe within a script element.
    data: String,
    samples: Vec<[String; 3]>,
    /// Whether it is the first of figures side by side, and the last.
    opens: bool,
    closes: bool,
}

pub(super) fn write(page: &Page, follow: Option<&str>) -> String {
    let mut ids = Ids::default();
    let parts = page.sections.iter().filter(|section| !section.blocks.is_empty());
    let parts: Vec<Part> = parts
        .map(|section| Part {
            id: ids.unique(&section.title),
            title: visible(&section.title),
            blocks: items(&section.blocks, &mut ids),
        })
        .collect();
    // Those of a page that follows may come later.
    let has_curves =
        follow.is_some() || page.blocks().any(|block| matches!(block, Block::Curves(_)));
    let values = context! {
        title => visible(&page.title),
        subtitle => visible(&page.subtitle),
        parts => Serde(&parts),
        has_curves,
        follow,
        style => STYLE,
        script => SCRIPT,
        uplot_style => UPLOT_STYLE,
        uplot_script => UPLOT_SCRIPT,
        uplot_licence => UPLOT_LICENCE,
    };
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    let written = templates.render_str(TEMPLATE, values);
    // The template is part of the program, and its values are text and lists of text.
    written.unwrap_or_else(|error| unreachable!("the page's template: {error}"))
}

fn items(blocks: &[Block], ids: &mut Ids) -> Vec<Item> {
    let mut items: Vec<Item> = blocks.iter().map(|block| item(block, ids)).collect();
    let drawn: Vec<bool> =
        items.iter().map(|item| ["figure", "curves"].contains(&item.kind)).collect();
    for (index, item) in items.iter_mut().enumerate() {
        item.opens = drawn[index] && (index == 0 || !drawn[index - 1]);
        item.closes = drawn[index] && !drawn.get(index + 1).is_some_and(|next| *next);
    }
    items
}

fn item(block: &Block, ids: &mut Ids) -> Item {
    match block {
        Block::Text(text) => Item { kind: "text", text: visible(text), ..Item::default() },
        Block::Missing { what, why } => {
            Item { kind: "missing", title: visible(what), text: visible(why), ..Item::default() }
        }
        Block::Table { caption, table } => Item {
            kind: "table",
            title: visible(caption),
            html: table.to_html(),
            ..Item::default()
        },
        Block::Pre { title, text } => {
            Item { kind: "pre", title: visible(title), text: visible(text), ..Item::default() }
        }
        Block::Samples(samples) => {
            let rows = samples.iter().map(|sample| {
                [&sample.model, &sample.prompt, &folded(&sample.text)].map(|text| visible(text))
            });
            Item { kind: "samples", samples: rows.collect(), ..Item::default() }
        }
        Block::Figure(figure) => Item {
            kind: "figure",
            id: ids.unique(&figure.name),
            title: visible(&figure.title),
            text: visible(&figure.caption),
            html: figure.svg.clone(),
            data: in_script(&rows(figure)),
            ..Item::default()
        },
        Block::Curves(curves) => Item {
            kind: "curves",
            id: ids.unique(&curves.title),
            title: visible(&curves.title),
            text: visible(&curves.caption),
            html: curves.figure.as_ref().map(|figure| figure.svg.clone()).unwrap_or_default(),
            data: in_script(&curves.to_value()),
            ..Item::default()
        },
    }
}

/// A figure's columns and rows, in the characters of its CSV.
fn rows(figure: &Figure) -> serde_json::Value {
    let shown = |cells: &Vec<String>| cells.iter().map(|cell| visible(cell)).collect::<Vec<_>>();
    let rows: Vec<_> = figure.rows.iter().map(shown).collect();
    json!({ "columns": shown(&figure.columns), "rows": rows })
}

/// JSON of which no text can end the script element around it, or turn the page's source.
fn in_script(value: &serde_json::Value) -> String {
    let is_escaped = |letter: char| matches!(letter, '<' | '>' | '&') || is_unseen(letter);
    json_escaped(&value.to_string(), is_escaped)
}

/// Anchors that are used already.
#[derive(Default)]
struct Ids(BTreeMap<String, usize>);

impl Ids {
    /// The stem of a name, numbered where another has it.
    fn unique(&mut self, name: &str) -> String {
        let stem = file_stem(name);
        let uses = self.0.entry(stem.clone()).or_default();
        *uses += 1;
        // Two hyphens: no stem has them.
        if *uses == 1 { stem } else { format!("{stem}--{uses}") }
    }
}

/// A text in which runs of line feeds have two and a count of the others: what an undertrained
/// model writes would take pages.
fn folded(text: &str) -> String {
    let mut folded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("\n\n\n") {
        let (before, run) = rest.split_at(start);
        let after = run.trim_start_matches('\n');
        let more = run.len() - after.len() - 2;
        folded += &format!("{before}\n\n[{} left out]\n", counted(more as u64, "line feed"));
        rest = after;
    }
    folded + rest
}

#[cfg(test)]
mod tests {
    use super::super::{Curves, Sample, Section, Series};
    use super::*;
    use crate::{Align, Table};

    const HOSTILE: &str =
        "</script></pre><img src=x onerror=\"hit()\">'&amp;{{ 7 * 7 }}\u{202e}\u{0}";

    fn figure(name: &str) -> Figure {
        Figure {
            name: name.to_owned(),
            title: HOSTILE.to_owned(),
            caption: HOSTILE.to_owned(),
            svg: "<svg viewBox=\"0 0 1 1\"></svg>".to_owned(),
            columns: vec![HOSTILE.to_owned()],
            rows: vec![vec![HOSTILE.to_owned()]],
        }
    }

    fn page() -> Page {
        let text = || HOSTILE.to_owned();
        let mut table = Table::new([(HOSTILE, Align::Left)]);
        table.push(vec![text()]);
        let x = [1.0, 2.0];
        let series = vec![Series {
            name: text(),
            place: 6,
            x: [x; 5].map(Vec::from),
            y: vec![1.0, f64::NAN],
        }];
        let curves = Curves {
            title: text(),
            caption: text(),
            is_log: false,
            is_measured: false,
            series,
            figure: Some(figure("loss")),
        };
        let blocks = vec![
            Block::Text(text()),
            Block::Missing { what: text(), why: text() },
            Block::Table { caption: text(), table },
            Block::Figure(figure("fit")),
            Block::Figure(figure("fit")),
            Block::Curves(curves),
            Block::Pre { title: text(), text: text() },
            Block::Samples(vec![Sample { model: text(), prompt: text(), text: text() }]),
        ];
        let sections = vec![
            Section { title: text(), blocks },
            Section { title: "Empty".to_owned(), blocks: Vec::new() },
        ];
        Page { title: text(), subtitle: text(), sections }
    }

    #[test]
    fn runs_of_line_feeds_are_counted() {
        for text in ["", "a\n\nb", "\n", "a\n"] {
            assert_eq!(folded(text), text);
        }
        let text = format!("a{}b\n\n\n", "\n".repeat(38));
        let expected = "a\n\n[36 line feeds left out]\nb\n\n[1 line feed left out]\n";
        assert_eq!(folded(&text), expected);
    }

    #[test]
    fn no_text_becomes_markup() {
        let html = page().to_html();
        assert!(!html.contains("<img") && !html.contains("</pre><") && !html.contains("49"));
        assert!(!html.contains('\u{202e}') && !html.contains('\u{0}'));
        assert!(html.contains("\\u{202e}"), "marks of direction are shown");
        // Every script element that begins is one of ours, and ends where it should.
        let ours = html.matches("<script").count();
        assert_eq!((ours, html.matches("</script>").count()), (5, 5));
        assert!(html.contains("\\u003c/script\\u003e"), "data keeps the text");
    }

    #[test]
    fn anchors_are_unique_and_empty_sections_are_left_out() {
        let html = page().to_html();
        assert!(html.contains("id=\"fit\"") && html.contains("id=\"fit--2\""));
        assert!(!html.contains("Empty"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let html = page().to_html();
        let allowed = ["http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"];
        let rest = allowed.iter().fold(html, |html, address| html.replace(address, ""));
        assert!(!rest.contains("http://") && !rest.contains("https://"));
        assert!(rest.contains("default-src 'none'") && !rest.contains("connect-src"));
        let following = page().to_html_following("/curves.json");
        assert!(following.contains("data-follow=\"&#x2f;curves.json\""));
        assert!(following.contains("connect-src 'self'"));
        let page = page().without_points();
        assert_eq!(page.curves_json().matches("\"series\":[]").count(), 1);
        let html = page.to_html();
        let (before, _) = html.split_once("\" class=\"curves\"").unwrap();
        let anchor = before.rsplit('"').next().unwrap();
        assert!(anchor.starts_with(&file_stem(HOSTILE)), "{anchor}");
    }

    #[test]
    fn curves_are_read_by_their_anchor() {
        let json: serde_json::Value = serde_json::from_str(&page().curves_json()).unwrap();
        let series = &json[file_stem(HOSTILE)]["series"][0];
        assert_eq!(series["y"], json!([1, null]));
        assert_eq!(series["x"]["tokens"], json!([1, 2]));
        assert_eq!(series["color"], json!(null), "the color of text");
    }
}
