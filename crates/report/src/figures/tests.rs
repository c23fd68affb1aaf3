//! What holds for every figure, with rows of every kind.

use std::collections::{HashMap, HashSet};

use resvg::usvg::roxmltree::{Document, Node};

use super::*;
use crate::Best;

/// Names that try to end an attribute, an element or a line, or to turn the text.
const HOSTILE: [&str; 6] = [
    "</text><script>alert(1)</script>",
    "\"><image href='http://example.org/x.png'/>",
    "a\u{0}\u{1b}[31m\nb\u{202e}c\u{ffff}",
    "&lt;&#x3c; ]]> <!-- ${x} {{ y }}",
    "long long long long long long long long long long long long long long long long long",
    "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字",
];

/// Values of every kind for `count` rows.
fn values(kind: &str, count: usize) -> Vec<f64> {
    let odd = [f64::NAN, f64::INFINITY, -0.0, 1e308, -1e308, 5e-324, 3.0, 2.0, 1e-4];
    let of = |index: usize| match kind {
        "equal" => 3.25,
        "odd" => odd[index % odd.len()],
        _ => 3.0 + libm::sin(index as f64),
    };
    (0..count).map(of).collect()
}

fn every_figure(values: &[f64], names: &[&str], palette: &Palette) -> Vec<Figure> {
    let name = |index: usize| names[index % names.len()].to_owned();
    let rows: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    let axis = |kind| SettingAxis::new(name(kind as usize), kind);
    let axes = [axis(Kind::Linear), axis(Kind::Log), axis(Kind::Names)];
    let settings = |index: usize, value: f64| {
        let third = Some(Setting::Name(name(index))).filter(|_| !index.is_multiple_of(4));
        vec![Some(Setting::Number(value)), Some(Setting::Number(value + 1.0)), third]
    };
    let ending = |index| [Ending::Complete, Ending::Stopped, Ending::Failed][index % 3];
    let curve = |(index, _): (usize, f64)| Curve {
        model: name(index / 2),
        name: name(index / 2),
        is_held_out: index % 2 == 1,
        points: rows.iter().map(|&(step, value)| (step as f64, value)).collect(),
    };
    let few = rows.iter().copied().take(300);
    let lines: Vec<Curve> = few.clone().take(40).map(curve).collect();
    let scores: Vec<ViolinScore> = rows
        .iter()
        .map(|&(index, score)| ViolinScore { model: name(index), seed: index as u64, score })
        .collect();
    let title = names[0];
    vec![
        curves(title, &Axis::log(name(1)), &Axis::linear(name(2)), &lines, palette),
        curves(title, &Axis::linear("step"), &Axis::log("loss"), &lines, palette),
        violin(
            title,
            names[0],
            &names
                .iter()
                .map(|task| Violin { task: (*task).to_owned(), scores: scores.clone() })
                .collect::<Vec<_>>(),
            &few.clone()
                .map(|(index, score)| Mark { task: name(index), model: name(index / 3), score })
                .collect::<Vec<_>>(),
            palette,
        ),
        fit(
            title,
            names[0],
            names[0],
            &rows
                .iter()
                .map(|&(index, y)| FitPoint {
                    model: name(index),
                    group: name(index / 7),
                    x: y * 2.0,
                    y,
                })
                .collect::<Vec<_>>(),
            palette,
        ),
        scaling(
            title,
            names[0],
            names[0],
            &few.clone()
                .map(|(index, loss)| ScalingPoint {
                    series: name(index),
                    words: 1e4 * (index as f64 + loss),
                    loss,
                    deviation: Some(loss / 10.0),
                })
                .collect::<Vec<_>>(),
            palette,
        ),
        parallel(
            title,
            &axes,
            names[0],
            Best::Lowest,
            &rows
                .iter()
                .map(|&(index, result)| ParallelLine {
                    name: name(index),
                    settings: settings(index, result),
                    result,
                })
                .collect::<Vec<_>>(),
        ),
        bars(
            title,
            names[0],
            &few.clone()
                .map(|(index, value)| Bar {
                    row: format!("{}{}", name(index), index / 3),
                    series: name(index),
                    value,
                    interval: Some((value - 1.0, value + 1.0)),
                    mark: "*".to_owned(),
                })
                .collect::<Vec<_>>(),
            palette,
        ),
        history(
            title,
            names[0],
            Best::Highest,
            &few.clone()
                .map(|(index, value)| HistoryTrial {
                    number: index as u64,
                    value: Some(value),
                    ending: ending(index),
                })
                .collect::<Vec<_>>(),
        ),
        importance(
            title,
            &few.clone()
                .map(|(index, value)| ImportanceBar {
                    parameter: name(index),
                    importance: value,
                    deviation: Some(value),
                })
                .collect::<Vec<_>>(),
        ),
        slices(
            title,
            names[0],
            Best::Lowest,
            &axes,
            &few.clone()
                .map(|(index, value)| SlicePoint {
                    number: index as u64,
                    settings: settings(index, value),
                    value,
                    ending: ending(index),
                })
                .collect::<Vec<_>>(),
        ),
        confirm(
            title,
            names[0],
            &few.take(20)
                .map(|(index, value)| Confirmed {
                    label: name(index),
                    search: Some(value),
                    values: values.iter().copied().take(3).collect(),
                    mean: Some(value),
                    deviation: Some(value),
                    is_baseline: index == 0,
                })
                .collect::<Vec<_>>(),
        ),
    ]
}

/// Parses a figure, and checks what holds for each.
fn check(figure: &Figure) {
    let svg = &figure.svg;
    let start = "<svg xmlns=\"http://www.w3.org/2000/svg\" ";
    assert!(svg.starts_with(start), "{svg}");
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    let elements: HashSet<&str> = document
        .descendants()
        .filter(Node::is_element)
        .map(|element| element.tag_name().name())
        .collect();
    let known = ["svg", "title", "polyline", "polygon", "circle", "text"];
    assert!(elements.iter().all(|name| known.contains(name)), "{elements:?}");
    let limits: Vec<f64> = document
        .root_element()
        .attribute("viewBox")
        .unwrap()
        .split(' ')
        .map(|part| part.parse().unwrap())
        .collect();
    for element in document.descendants() {
        for attribute in element.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            assert!(!["id", "class", "style", "href"].contains(&name) && !name.starts_with("on"));
            assert!(!value.contains("NaN") && !value.contains("inf"), "{value}");
            let horizontal = |x: f64| assert!((0.0..=limits[2]).contains(&x), "{name}={value}");
            let vertical = |y: f64| assert!((0.0..=limits[3]).contains(&y), "{name}={value}");
            match name {
                "x" | "cx" => horizontal(value.parse().unwrap()),
                "y" | "cy" => vertical(value.parse().unwrap()),
                "points" => value.split(' ').filter(|pair| !pair.is_empty()).for_each(|pair| {
                    let (x, y) = pair.split_once(',').unwrap();
                    horizontal(x.parse().unwrap());
                    vertical(y.parse().unwrap());
                }),
                "fill" | "stroke" => {
                    assert!(["none", "currentColor"].contains(&value) || value.starts_with('#'));
                }
                _ => {}
            }
        }
    }
    assert!(!svg.contains("#010203"));
    let width = figure.columns.len();
    assert!(figure.rows.iter().all(|row| row.len() == width), "{:?}", figure.columns);
}

#[test]
fn every_figure_is_drawn_of_every_kind_of_rows() {
    for kind in ["usual", "equal", "odd"] {
        for count in [0, 1, 2, 9, 400] {
            for names in [&["a", "b", "c"][..], &HOSTILE] {
                let values = values(kind, count);
                let palette = &Palette::default();
                let figures = every_figure(&values, names, palette);
                figures.iter().for_each(check);
                let again = every_figure(&values, names, palette);
                assert_eq!(figures, again, "the same rows, the same bytes");
                let empty = figures.iter().filter(|figure| figure.svg.contains("no values"));
                let expected = if count == 0 { figures.len() } else { empty.clone().count() };
                assert_eq!(empty.count(), expected, "what has no rows is marked");
            }
        }
    }
}

/// The colors with which a figure's legend, which is drawn last, shows some names.
fn colors(figure: &Figure, names: &[&str]) -> HashMap<String, String> {
    let document = Document::parse(&figure.svg).unwrap();
    let (mut found, mut color) = (HashMap::new(), None);
    for element in document.descendants().filter(Node::is_element) {
        let painted = |name| element.attribute(name).filter(|value| *value != "none");
        if element.has_tag_name("text") {
            let text = element.text().unwrap_or_default().trim();
            if let Some(name) = names.iter().find(|name| **name == text) {
                found.extend(color.clone().map(|color| ((*name).to_owned(), color)));
            }
        } else if let Some(painted) = painted("fill").or(painted("stroke")) {
            color = Some(painted.to_owned());
        }
    }
    found
}

#[test]
fn a_name_has_the_same_color_in_every_figure() {
    // Each figure has other models first, and none has them in the order of the page.
    let page = ["a", "b", "c", "d", "e"];
    let palette = Palette::of(page);
    let orders = [["e", "c", "a"], ["b", "a", "d"], ["d", "e", "b"]];
    let values = values("usual", 40);
    let figures = orders.map(|names| every_figure(&values, &names, &palette));
    // Curves twice, violins, the fit, the scaling and bars.
    let of_models =
        figures.iter().flat_map(|figures| [0, 1, 2, 3, 4, 6].map(|index| &figures[index]));
    let found: Vec<(String, String)> = of_models.flat_map(|figure| colors(figure, &page)).collect();
    for (name, expected) in page.iter().zip(["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"])
    {
        let of_name: Vec<&str> =
            found.iter().filter(|(known, _)| known == name).map(|(_, color)| &color[..]).collect();
        assert!(of_name.len() >= 6, "{name}: {of_name:?}");
        let is_expected = |color: &&&str| color.eq_ignore_ascii_case(expected);
        assert_eq!(
            of_name.iter().filter(is_expected).count(),
            of_name.len(),
            "{name}: {of_name:?}"
        );
    }
}

#[test]
fn rows_of_violins_have_model_and_seed() {
    let score = |seed, score| ViolinScore { model: "m".to_owned(), seed, score };
    let violins = [Violin { task: "rte".into(), scores: vec![score(7, 50.0), score(8, 52.5)] }];
    let marks = [Mark { task: "rte".into(), model: "printed".into(), score: 60.0 }];
    let figure = violin("t", "score", &violins, &marks, &Palette::default());
    let expected = "task,model,seed,score\nrte,m,7,50\nrte,m,8,52.5\nrte,printed,,60\n";
    assert_eq!(figure.to_csv(), expected);
}

#[test]
fn values_without_a_place_are_counted() {
    let trial = |value| HistoryTrial { number: 0, value: Some(value), ending: Ending::Complete };
    let trials = [trial(1.0), trial(f64::NAN), trial(f64::INFINITY)];
    let figure = history("t", "loss", Best::Lowest, &trials);
    assert!(figure.caption.contains("2 values without a place"), "{}", figure.caption);
    assert_eq!(figure.rows.len(), 3);
    let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 1.0), (3.0, -1.0)];
    let curve = Curve { name: "m".into(), model: "m".into(), is_held_out: false, points };
    let figure = curves("t", &Axis::log("step"), &Axis::log("loss"), &[curve], &Palette::default());
    assert!(figure.caption.contains("3 values without a place"), "{}", figure.caption);
}

#[test]
fn a_million_points_are_few() {
    let mut points: Vec<(f64, f64)> =
        (0..1_000_000).map(|step| (step as f64, 3.0 + libm::sin(step as f64))).collect();
    points[600_000].1 = 50.0;
    let curve = Curve { name: "m".into(), model: "m".into(), is_held_out: false, points };
    let figure =
        curves("t", &Axis::linear("step"), &Axis::linear("loss"), &[curve], &Palette::default());
    assert!(figure.rows.len() <= 1000 && figure.svg.len() < 20_000, "{}", figure.svg.len());
    assert!(figure.rows.iter().any(|row| row[3] == "50"), "the peak remains");
}

#[test]
fn legends_of_many_models_are_below_and_name_how_many_are_left_out() {
    let legend = |count: usize, name: &dyn Fn(usize) -> String| {
        let curve = |index| Curve {
            model: name(index),
            name: name(index),
            is_held_out: false,
            points: vec![(0.0, 1.0), (1.0, 2.0)],
        };
        let lines: Vec<Curve> = (0..count).map(curve).collect();
        let figure =
            curves("t", &Axis::linear("step"), &Axis::linear("loss"), &lines, &Palette::default());
        check(&figure);
        figure.svg
    };
    let short = |index: usize| format!("model {index}");
    let (few, many, all) = (legend(14, &short), legend(40, &short), legend(300, &short));
    let height = |svg: &str| svg.split('"').nth(5).unwrap().to_owned();
    assert!(few.contains("model 13<") && !few.contains("more"));
    assert!(many.contains("model 39<") && !many.contains("more"), "all forty are named");
    assert!(height(&many) != height(&few), "{}", height(&many));
    assert!(all.contains("model 58<") && !all.contains("model 59<"));
    assert!(all.contains("and 241 more (CSV)"));
    let long =
        |index: usize| format!("runs-of-the-second-of-march-{index}/teacher-llama-of-the-second");
    let few = legend(3, &long);
    assert!(few.contains(&long(0)) && few.contains(&long(2)), "long names are whole");
}

#[test]
fn bars_name_how_many_series_and_rows_they_leave_out() {
    let bars_of = |rows: usize, series: usize| {
        let of = |index: usize| Bar {
            row: format!("row {}", index / series),
            series: format!("model {}", index % series),
            value: index as f64,
            interval: None,
            mark: String::new(),
        };
        let all: Vec<Bar> = (0..rows * series).map(of).collect();
        let figure = bars("t", "x", &all, &Palette::default());
        check(&figure);
        assert_eq!(figure.rows.len(), rows * series, "the data has all");
        figure
    };
    assert_eq!(bars_of(3, 20).caption, "");
    assert!(bars_of(3, 20).svg.contains("model 19<"));
    let many = bars_of(90, 30);
    assert_eq!(
        many.caption,
        "The first 80 of 90 rows are drawn; the CSV has all. \
         The first 24 of 30 series are drawn; the CSV has all."
    );
    assert!(many.svg.contains("model 23<") && !many.svg.contains("model 24<"));
}

#[test]
fn file_stems_are_safe() {
    let cases = [
        ("Loss against words", "loss-against-words"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "figure"),
        ("漢字", "figure"),
        ("CON", "figure-con"),
        ("com1", "figure-com1"),
        ("a.b:c|d\u{202e}\n", "a-b-c-d"),
    ];
    for (title, expected) in cases {
        assert_eq!(file_stem(title), expected);
    }
    let long = file_stem(&"ab ".repeat(200));
    assert!(long.len() <= LONGEST_STEM && !long.ends_with('-'));
}

/// The names of a fit's points: beside them where there is room, in the legend where there is none,
/// and for a pointer in each case; R² is above the frame, where no name is.
#[test]
fn every_point_of_a_fit_is_named() {
    let point = |(index, x): (usize, f64)| {
        let model = format!("a model of a long name {index}");
        FitPoint { model, group: String::new(), x, y: 50.0 + x }
    };
    let apart: Vec<FitPoint> = [1.0, 2.0, 3.0, 5.0].into_iter().enumerate().map(point).collect();
    let close = [1.0, 1.001, 1.002, 1.003, 1.004, 1.005, 9.0].into_iter().enumerate();
    let close: Vec<FitPoint> = close.map(point).collect();
    for points in [apart, close] {
        let svg = fit("t", "loss", "score", &points, &Palette::default()).svg;
        let document = Document::parse(&svg).unwrap();
        let is = |node: &Node<'_, '_>, tag: &str| node.tag_name().name() == tag;
        let text = |node: Node<'_, '_>| node.text().unwrap_or_default().trim().to_owned();
        let shown: Vec<String> =
            document.descendants().filter(|node| is(node, "text")).map(text).collect();
        let brought: Vec<String> = document
            .descendants()
            .filter(|node| is(node, "title") && node.parent().is_some_and(|it| is(&it, "circle")))
            .map(text)
            .collect();
        assert_eq!(brought.len(), points.len());
        for (point, brought) in points.iter().zip(&brought) {
            assert!(shown.contains(&point.model), "{}: {shown:?}", point.model);
            assert!(brought.starts_with(&format!("{}: loss ", point.model)), "{brought}");
        }
        let height = |node: Node<'_, '_>| node.attribute("y")?.parse::<f64>().ok();
        let texts = || document.descendants().filter(|node| is(node, "text"));
        let share = texts().find(|node| text(*node).starts_with("R²")).and_then(height).unwrap();
        let names = texts().filter(|node| text(*node).starts_with("a model")).filter_map(height);
        // A quarter of a pixel is the unit of a drawing.
        assert!(names.into_iter().all(|name| name > share + 4.0 * 9.0));
    }
}

#[test]
fn rows_are_written_as_csv() {
    let point = |model: &str, y| FitPoint { model: model.into(), group: "a".into(), x: 1.0, y };
    let points = [point("a, \"b\"\nc", 0.1), point("d", f64::NAN)];
    let figure = fit("t", "loss", "score, %", &points, &Palette::default());
    let expected = "model,group,loss,\"score, %\"\n\"a, \"\"b\"\"\nc\",a,1,0.1\nd,a,1,NaN\n";
    assert_eq!(figure.to_csv(), expected);
}

/// Three small figures as they were when they were last looked at. After a change that is meant,
/// look at the new files and put them in place.
#[test]
fn figures_are_drawn_as_before() {
    let golden = [
        ("importance", include_str!("golden/importance.svg")),
        ("confirmed", include_str!("golden/confirmed.svg")),
        ("blimp-against-held-out-loss", include_str!("golden/blimp-against-held-out-loss.svg")),
    ];
    let figures = gallery::gallery();
    for (name, expected) in golden {
        let figure = figures.iter().find(|figure| figure.name == name).unwrap();
        if figure.svg != expected {
            let path = std::env::temp_dir().join(format!("{name}.svg"));
            std::fs::write(&path, &figure.svg).unwrap();
            panic!("{name} is drawn in another way: see {}", path.display());
        }
    }
}
