//! The report in a browser: nothing is asked for, every figure is drawn, and hover, zoom, legend
//! and buttons work by real events. Where no Chromium is found these tests pass without a look.
//!
//! `BABYLLAMA_PICTURES=FOLDER` keeps pictures of the page, wide and narrow, light and dark.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::chromium::Chromium;
use super::common::Workspace;
use super::watch::Watching;

/// Starts a browser, or reports that there is none.
pub fn browser() -> Option<Chromium> {
    let found = Chromium::start();
    if found.is_none() {
        eprintln!("skipped: no Chromium is found (Debian's package is called chromium)");
    }
    found
}

/// The first chart, as the page's script has it.
const CHART: &str = "report.charts[0]";

/// Asserts that the page asked for nothing and complained of nothing.
pub fn check_quiet(browser: &Chromium) {
    assert_eq!(browser.problems, Vec::<String>::new());
    let is_own = |address: &&String| address.starts_with("file://") || address.starts_with("data:");
    let others: Vec<_> = browser.requests.iter().filter(|one| !is_own(one)).collect();
    assert!(others.is_empty(), "{others:?}");
    let files = browser.requests.iter().filter(|one| one.starts_with("file://")).count();
    assert_eq!(files, 1, "{:?}", browser.requests);
}

/// Every curve and every figure has something drawn.
pub fn check_drawn(browser: &mut Chromium) {
    browser.until("report.charts.length > 0 && report.charts.every((chart) => chart.plot)");
    let charts = browser.value(
        "report.charts.map(({ plot, figure, data }) => ({ name: figure.id, \
         series: plot.series.length - 1, of: data.series.length, width: plot.bbox.width, \
         ink: plot.ctx.getImageData(0, 0, plot.ctx.canvas.width, plot.ctx.canvas.height) \
             .data.some((value) => value > 0) }))",
    );
    for chart in charts.as_array().unwrap() {
        assert_eq!(chart["series"], chart["of"], "{chart}");
        assert!(chart["width"].as_f64().unwrap() > 100.0 && chart["ink"] == true, "{chart}");
    }
    check_figures(browser);
}

/// Every figure that is no chart has something drawn.
pub fn check_figures(browser: &mut Chromium) {
    let figures = browser.value(
        "[...document.querySelectorAll('figure.drawn')].map((figure) => { \
         const svg = figure.querySelector('svg'); const box = svg.getBoundingClientRect(); \
         return [figure.id, box.width > 100 && box.height > 50, \
             svg.querySelectorAll('path, polygon, polyline, rect, circle, line').length]; })",
    );
    for figure in figures.as_array().unwrap() {
        assert!(figure[1] == true && figure[2].as_u64().unwrap() > 3, "{figure}");
    }
}

fn range(browser: &mut Chromium) -> (f64, f64) {
    let found = browser.value(&format!("[{CHART}.plot.scales.x.min, {CHART}.plot.scales.x.max]"));
    (found[0].as_f64().unwrap(), found[1].as_f64().unwrap())
}

fn check_hover(browser: &mut Chromium) {
    let over = format!("{CHART}.plot.over");
    let place = browser.place(&over, 0.5, 0.5);
    browser.mouse("mouseMoved", place);
    browser.until(&format!("{CHART}.plot.cursor.idx != null"));
    browser.until(&format!(
        "[...{CHART}.plot.root.querySelectorAll('.u-series .u-value')] \
         .every((value) => /[0-9]/.test(value.textContent))"
    ));
}

fn check_zoom(browser: &mut Chromium) {
    let whole = range(browser);
    let over = format!("{CHART}.plot.over");
    let (from, to) = (browser.place(&over, 0.3, 0.5), browser.place(&over, 0.6, 0.5));
    browser.mouse("mouseMoved", from);
    browser.mouse("mousePressed", from);
    for part in 1..=4 {
        let x = from.0 + (to.0 - from.0) * f64::from(part) / 4.0;
        browser.call(
            "Input.dispatchMouseEvent",
            json!({ "type": "mouseMoved", "x": x, "y": to.1, "button": "left", "buttons": 1 }),
        );
    }
    browser.mouse("mouseReleased", to);
    browser.until(&format!("{CHART}.plot.scales.x.min > {}", whole.0));
    let zoomed = range(browser);
    assert!(zoomed.1 < whole.1 && zoomed.1 - zoomed.0 < 0.5 * (whole.1 - whole.0), "{zoomed:?}");
    // Smoothing keeps the place.
    browser.value(
        "{ const s = document.getElementById('smoothing'); s.value = 0.9; \
         s.dispatchEvent(new Event('input')); }",
    );
    assert_eq!(range(browser), zoomed);
    // It moves no measured value.
    let measured = "report.charts.filter((chart) => chart.data.measured)";
    let is_as_measured = format!(
        "{measured}.length > 0 && {measured}.every(({{ plot, data }}) => \
         data.series.every((one, index) => JSON.stringify(one.y) === \
         JSON.stringify(plot.data[index + 1].filter((value) => value !== undefined))))"
    );
    assert_eq!(browser.value(&is_as_measured), true);
    let is_smoothed = "report.charts.some(({ plot, data }) => data.series.some((one, index) => \
         JSON.stringify(one.y) !== \
         JSON.stringify(plot.data[index + 1].filter((value) => value !== undefined))))";
    assert_eq!(browser.value(is_smoothed), true);
    browser.click(&format!("{CHART}.figure.querySelector('.save button:last-child')"));
    browser.until(&format!("{CHART}.plot.scales.x.min <= {}", whole.0));
}

fn check_legend_and_axis(browser: &mut Chromium) {
    browser.click(&format!("{CHART}.plot.root.querySelectorAll('.u-series .u-label')[1]"));
    browser.until(&format!("{CHART}.plot.series[1].show === false"));
    for axis in ["tokens", "seconds", "flops", "epoch", "step"] {
        browser.value(&format!(
            "{{ const a = document.getElementById('axis'); a.value = '{axis}'; \
             a.dispatchEvent(new Event('change')); }}"
        ));
        let last = format!("Math.max(...{CHART}.data.series.map((one) => one.x.{axis}.at(-1)))");
        let factor = if axis == "seconds" { 60 } else { 1 };
        browser.until(&format!(
            "Math.abs({CHART}.plot.data[0].at(-1) * {factor} - {last}) < 1e-6 * (1 + {last})"
        ));
        assert_eq!(
            browser.value(&format!("{CHART}.plot.series[1].show")),
            false,
            "it stays hidden"
        );
    }
}

/// Clicks at the buttons of a figure, and returns the saved files.
pub fn saved(browser: &mut Chromium, figure: &str) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    browser.call("Page.setDownloadBehavior", json!({ "behavior": "allow", "downloadPath": path }));
    let name = browser.value(&format!("{figure}.id"));
    ["svg", "csv"].map(|ending| {
        let label = ending.to_uppercase();
        browser.click(&format!(
            "[...{figure}.querySelectorAll('.save button')] \
             .find((button) => button.textContent === '{label}')"
        ));
        let file = folder.path().join(format!("{}.{ending}", name.as_str().unwrap()));
        let end = Instant::now() + Duration::from_secs(60);
        while !file.is_file() {
            assert!(Instant::now() < end, "{} was not saved", file.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::read_to_string(file).unwrap()
    })
}

/// No part of the page is wider than the window, and what is wider than it scrolls.
pub fn check_narrow(browser: &mut Chromium) {
    browser.dress(375, "dark");
    browser.until("report.charts.every((chart) => chart.plot.width <= 375)");
    let width = browser.value("document.documentElement.scrollWidth");
    assert!(width.as_u64().unwrap() <= 375, "{width}");
    // Labels of drawings are 9 px high at least; what is wider scrolls.
    let labels = browser.value(
        "Math.min(...[...document.querySelectorAll('.drawing svg')].map((svg) => \
         11 * svg.getBoundingClientRect().width / Number(svg.getAttribute('width'))))",
    );
    assert!(labels.as_f64().unwrap() >= 9.0, "{labels}");
    let paper = browser.value("getComputedStyle(document.body).backgroundColor");
    assert_eq!(paper, "rgb(20, 23, 26)");
    // A cell of words has a width in which they can be read, or that of all its words.
    let squeezed = browser.value(
        "[...document.querySelectorAll('.table td:not(.number)')].filter((cell) => { \
         const range = document.createRange(); range.selectNodeContents(cell); \
         return range.getClientRects().length > 1 && cell.getBoundingClientRect().width < 200; }) \
         .map((cell) => cell.textContent)",
    );
    assert_eq!(squeezed, json!([]));
}

/// A finger across the curves zooms them; one along the page scrolls it and leaves them alone.
fn check_touch(browser: &mut Chromium) {
    let over = format!("{CHART}.plot.over");
    let whole = range(browser);
    let (from, to) = (browser.place(&over, 0.3, 0.5), browser.place(&over, 0.6, 0.55));
    browser.swipe(from, to);
    browser.until(&format!("{CHART}.plot.scales.x.min > {}", whole.0));
    let zoomed = range(browser);
    assert!(zoomed.1 < whole.1 && zoomed.1 - zoomed.0 < 0.5 * (whole.1 - whole.0), "{zoomed:?}");
    assert_eq!(browser.value(&format!("{CHART}.plot.select.width")), 0, "no part stays marked");
    let middle = browser.place(&over, 0.5, 0.5);
    browser.value("void (window.before = scrollY)");
    browser.swipe(middle, (middle.0 + 5.0, middle.1 - 200.0));
    browser.until("scrollY > before + 100");
    assert_eq!(range(browser), zoomed);
    // A touch without a way is none of a part.
    let middle = browser.place(&over, 0.5, 0.5);
    browser.swipe(middle, (middle.0 + 3.0, middle.1));
    assert_eq!(range(browser), zoomed);
    browser.click(&format!("{CHART}.figure.querySelector('.save button:last-child')"));
    browser.until(&format!("{CHART}.plot.scales.x.min <= {}", whole.0));
}

/// What the buttons save are the files of `--figures`.
pub fn check_saved(browser: &mut Chromium, workspace: &Workspace, figure: &str) {
    // Files have their names by the headings.
    let name = browser.value(&format!(
        "{figure}.querySelector('h3').textContent.toLowerCase().replace(/[^a-z0-9]+/g, '-')"
    ));
    let name = name.as_str().unwrap();
    let [svg, csv] = saved(browser, figure);
    assert!(svg.starts_with("<svg ") && svg.contains("http://www.w3.org/2000/svg"), "{svg:.200}");
    assert!(csv.lines().count() > 1, "{name}: {csv:.200}");
    assert_eq!(csv, workspace.text(&format!("figures/{name}.csv")), "{name}");
}

/// A page of paper (A4 with Chromium's margins) in pixels.
const PAPER: (u32, u32) = (718, 1047);

/// On paper no legend has values, what a reader would open is open, and every figure is on one page
/// with its heading.
fn check_paper(browser: &mut Chromium) {
    browser.dress(PAPER.0, "light");
    browser.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    browser.value("void window.dispatchEvent(new Event('beforeprint'))");
    browser.until("report.charts.every((chart) => chart.plot)");
    let seen = |selector: &str| {
        format!(
            "[...document.querySelectorAll('{selector}')].filter((one) => \
             one.checkVisibility({{ contentVisibilityAuto: true }}) && \
             one.getBoundingClientRect().height > 0).length"
        )
    };
    let models = browser.value(
        "report.charts.flatMap((chart) => chart.plot.series.slice(1)) \
         .filter((series) => series.show).length",
    );
    assert_eq!(browser.value(&seen(".u-legend .u-value")), 0, "values without a pointer");
    assert_eq!(
        browser.value(&seen(".u-legend .u-label")),
        models,
        "each drawn model's name, no axis"
    );
    assert_eq!(browser.value(&seen("nav, .controls, .save")), 0);
    let recipes = browser.value("document.querySelectorAll('main pre').length");
    assert!(recipes.as_u64().unwrap() > 0);
    assert_eq!(browser.value(&seen("main pre")), recipes, "the recipe is open");
    let figures = browser.value(
        "[...document.querySelectorAll('figure')].map((figure) => { \
         const box = figure.getBoundingClientRect(); \
         return [figure.id, getComputedStyle(figure).breakInside, box.height, \
             Math.max(...[...figure.querySelectorAll('svg, canvas')] \
                 .map((one) => one.getBoundingClientRect().width))]; })",
    );
    for figure in figures.as_array().unwrap() {
        assert_eq!(figure[1], "avoid", "{figure}");
        assert!(figure[2].as_f64().unwrap() <= f64::from(PAPER.1), "a page is too low: {figure}");
        assert!(
            figure[3].as_f64().unwrap() <= f64::from(PAPER.0),
            "a page is too narrow: {figure}"
        );
    }
    let headings = browser.value(
        "[...document.querySelectorAll('h2, figcaption, .caption, thead')] \
         .every((one) => getComputedStyle(one).breakAfter === 'avoid')",
    );
    assert_eq!(headings, true);
    // What follows a table may be on another page, or all tables would ask for one page.
    let ends = browser.value(
        "[...document.querySelectorAll('tbody tr:last-child')] \
         .every((one) => getComputedStyle(one).breakAfter === 'auto')",
    );
    assert_eq!(ends, true);
    // Neither is a caption parted within, nor a table that a page has room for.
    let whole = browser.value(
        "[...document.querySelectorAll('.caption, .table')] \
         .filter((one) => one.querySelectorAll('tr').length < 24) \
         .every((one) => getComputedStyle(one).breakInside === 'avoid')",
    );
    assert_eq!(whole, true);
    browser.value("void window.dispatchEvent(new Event('afterprint'))");
    assert_eq!(browser.value("document.querySelectorAll('main details[open]').length"), 0);
    let printed = browser.call("Page.printToPDF", json!({ "printBackground": true }));
    let bytes = decoded(printed["data"].as_str().unwrap());
    assert!(bytes.starts_with(b"%PDF-") && bytes.len() > 10_000);
    if let Some(folder) = std::env::var_os("BABYLLAMA_PICTURES") {
        fs::write(std::path::Path::new(&folder).join("paper.pdf"), bytes).unwrap();
    }
}

/// Keeps pictures where that is asked for.
pub fn keep_pictures(browser: &mut Chromium, name: &str) {
    let Some(folder) = std::env::var_os("BABYLLAMA_PICTURES") else { return };
    let folder = std::path::PathBuf::from(folder);
    fs::create_dir_all(&folder).unwrap();
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")] {
        browser.dress(width, scheme);
        std::thread::sleep(Duration::from_millis(500));
        let picture = browser.picture();
        fs::write(folder.join(format!("{name}-{width}-{scheme}.png")), decoded(&picture)).unwrap();
    }
}

/// The bytes of base 64.
fn decoded(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|&letter| letter != b'=').map(value).collect();
    let bytes = |group: &[u8]| {
        let bits = group.iter().fold(0u32, |bits, &digit| bits << 6 | u32::from(digit))
            << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(bytes).collect()
}

#[test]
fn the_report_of_a_run_is_drawn_and_works() {
    let Some(mut browser) = browser() else { return };
    let workspace = Workspace::trained();
    browser.dress(1280, "light");
    browser.open(&workspace.path("runs/small/report.html"));
    check_drawn(&mut browser);
    check_colors(&mut browser);
    check_hover(&mut browser);
    check_zoom(&mut browser);
    check_legend_and_axis(&mut browser);
    workspace.babyllama("report runs/small --figures figures").done();
    // A page saves ten files at most before Chromium asks its reader.
    for chart in 0..2 {
        check_saved(&mut browser, &workspace, &format!("report.charts[{chart}].figure"));
    }
    let loss = workspace.text("figures/training-loss.csv");
    assert!(
        loss.starts_with("series,step,epoch,tokens,seconds,flops,value\nteacher,"),
        "{loss:.200}"
    );
    check_saved(&mut browser, &workspace, "document.querySelector('figure.drawn')");
    check_narrow(&mut browser);
    check_touch(&mut browser);
    keep_pictures(&mut browser, "small");
    check_paper(&mut browser);
    check_quiet(&browser);
}

/// The color of each model in the legends of all charts and drawn figures of the page.
const COLORS: &str = "(() => { \
    const hex = (color) => { const c = document.createElement('canvas').getContext('2d'); \
        c.fillStyle = color; return c.fillStyle; }; \
    const all = []; \
    for (const { plot, data, figure } of report.charts) data.series.forEach((one, index) => \
        all.push([one.name, figure.id, hex(plot.series[index + 1].stroke())])); \
    for (const svg of document.querySelectorAll('figure.drawn svg')) { \
        let last = null; const found = {}; \
        for (const e of svg.querySelectorAll('*')) { \
            const paint = [e.getAttribute('fill'), e.getAttribute('stroke')] \
                .find((value) => value && value !== 'none'); \
            if (e.tagName !== 'text') last = paint ?? last; \
            else if (last) found[e.textContent.trim()] = last; } \
        for (const [name, color] of Object.entries(found)) \
            all.push([name, svg.closest('figure').id, hex(color)]); } \
    return all; })()";

/// Charts and figures have one color for each model.
fn check_colors(browser: &mut Chromium) {
    let found = browser.value(COLORS);
    let of = |model: &str| -> Vec<(String, String)> {
        let rows = found.as_array().unwrap().iter().filter(|row| row[0] == model);
        let text = |value: &Value| value.as_str().unwrap().to_lowercase();
        rows.map(|row| (text(&row[1]), text(&row[2]))).collect()
    };
    for (model, color) in [("teacher", "#0072b2"), ("student", "#d55e00")] {
        let places = of(model);
        assert!(places.iter().any(|(id, _)| id == "training-loss"), "{model}: {places:?}");
        assert!(places.iter().any(|(id, _)| id.contains("by-source")), "{model}: {places:?}");
        assert!(places.iter().all(|(_, own)| own == color), "{model}: {places:?}");
    }
}

#[test]
fn a_watched_page_takes_what_is_new_and_keeps_its_zoom() {
    let Some(mut browser) = browser() else { return };
    let workspace = Workspace::new();
    let steps = |count: u64| -> String {
        let line = |step| {
            let tail = format!("\"step\":{step},\"loss\":{step}.5,\"tokens\":1,\"seconds\":1");
            format!("{{\"event\":\"step\",{tail}}}\n")
        };
        (1..=count).map(line).collect()
    };
    workspace.write("runs/live/models/student/metrics.jsonl", steps(50));
    workspace.write("runs/live/recipe.toml", "name = \"live\"\n[models.student]\n");
    let watching = Watching::begin(&workspace, "runs/live");
    browser.dress(1280, "light");
    browser.open_address(&format!("http://127.0.0.1:{}/", watching.port));
    check_drawn(&mut browser);
    browser.value(&format!("void {CHART}.plot.setScale('x', {{ min: 10, max: 20 }})"));
    browser.until(&format!("{CHART}.plot.scales.x.max === 20"));
    browser.value("void (window.mark = report.charts[0].plot)");
    browser.until("document.body.textContent.includes('stands at step 50')");
    // A step more, scores with a text, and a chart that was not there.
    let evaluation =
        "{\"event\":\"evaluation\",\"step\":60,\"epoch\":1,\"cross_entropy\":3.25,\"seconds\":1}\n";
    workspace.write("runs/live/models/student/metrics.jsonl", steps(60) + evaluation);
    let sample = json!({ "prompt": "The little girl", "text": " sang.", "is_greedy": true });
    let scores = json!({ "models": ["student"], "parameters": 1, "held_out_loss": 2.125,
        "perplexity": 8.37, "pairs": {}, "samples": [sample] });
    workspace.write("runs/live/evaluation/student.json", scores.to_string());
    browser.until("document.body.textContent.includes('stands at step 60')");
    browser.until("document.body.textContent.includes('2.125')");
    browser.until("document.querySelector('.samples')?.textContent.includes('sang.')");
    browser.until("report.charts.length > 1 && report.charts.every((chart) => chart.plot)");
    let loss = "report.charts.find((chart) => chart.figure.id === 'training-loss')";
    browser.until(&format!("{loss}.data.series[0].x.step.at(-1) === 60"));
    browser.until(
        "report.charts.some((chart) => chart.figure.id === 'held-out-loss' && \
        chart.data.series[0]?.y[0] === 3.25)",
    );
    let kept = format!(
        "{loss}.plot === mark && mark.scales.x.max === 20 && \
        document.contains(mark.root) && document.querySelectorAll('.controls').length === 1"
    );
    assert_eq!(browser.value(&kept), true, "the chart is the same, with its zoom");
    let [svg, csv] = saved(&mut browser, &format!("{loss}.figure"));
    assert!(svg.starts_with("<svg ") && csv.lines().count() == 61, "{csv:.200}");
    // The next model begins: the curves are drawn anew where the reader has zoomed to, and what is
    // hidden stays so.
    browser.click(&format!("{loss}.plot.root.querySelectorAll('.u-series .u-label')[1]"));
    browser.until(&format!("{loss}.plot.series[1].show === false"));
    workspace.write("runs/live/models/another/metrics.jsonl", steps(20));
    let recipe = "name = \"live\"\n[models.another]\n[models.student]\n";
    workspace.write("runs/live/recipe.toml", recipe);
    browser.until(&format!("{loss}.data.series.length === 2 && {loss}.plot.series.length === 3"));
    let kept = format!(
        "[{loss}.plot.scales.x.min, {loss}.plot.scales.x.max, \
         ...{loss}.plot.series.slice(1).map((one) => [one.label, one.show])]"
    );
    browser.until(&format!("{loss}.plot.scales.x.max === 20"));
    let expected = json!([10, 20, ["another", true], ["student", false]]);
    assert_eq!(browser.value(&kept), expected);
    // A chart without FLOPs is drawn by steps until there are some.
    browser.value(
        "{ const a = document.getElementById('axis'); a.value = 'flops'; \
         a.dispatchEvent(new Event('change')); }",
    );
    browser.until(&format!("{loss}.plot.series[0].label === 'step'"));
    let counted = json!({ "flops": 6e6, "flops_with_teachers": 7e6, "tokens": 60 });
    let counted = json!({ "student": counted });
    workspace.write("runs/live/exposure.json", counted.to_string());
    browser.until(&format!("{loss}.plot.series[0].label.startsWith('FLOPs')"));
    let ends = format!("[{loss}.plot.scales.x.min, {loss}.plot.data[0].at(-1)]");
    assert_eq!(browser.value(&ends), json!([1_100_000, 7_000_000]));
    assert_eq!(browser.problems, Vec::<String>::new());
}

#[test]
fn nothing_of_a_hostile_run_becomes_markup() {
    let Some(mut browser) = browser() else { return };
    let workspace = Workspace::new();
    let name = "</script><img src=x onerror=hit=1>\\\"'\\u202e";
    let folder = "</script><img src=x onerror='hit=1'>\u{202e}";
    let folder = folder.replace('/', "∕");
    let step = |step: u64| {
        format!(
            "{{\"event\":\"step\",\"step\":{step},\"loss\":{step}.5,\"tokens\":1,\"seconds\":1}}\n"
        )
    };
    let log: String = (1..50).map(step).collect();
    workspace.write(&format!("runs/evil/models/{folder}/metrics.jsonl"), &log);
    let recipe = format!(
        "name = \"{name}\"\n[corpus]\nsource = \"<script>hit=1</script>\"\n[models.\"{folder}\"]\n"
    );
    workspace.write("runs/evil/recipe.toml", recipe);
    let text = "</dd><script>hit=1</script>";
    let sample = json!({ "prompt": "<img src=x onerror=hit=1>", "text": text,
        "is_greedy": true });
    let scores = json!({ "models": [folder], "parameters": 1, "held_out_loss": 2.0,
        "perplexity": 7.4, "pairs": {}, "samples": [sample] });
    workspace.write("runs/evil/evaluation/a.json", scores.to_string());
    workspace.babyllama("report runs/evil").done();
    browser.open(&workspace.path("runs/evil/report.html"));
    check_drawn(&mut browser);
    check_hover(&mut browser);
    browser.until("document.body.textContent.includes('</dd><script>hit=1')");
    assert_eq!(browser.value("typeof hit"), "undefined");
    assert_eq!(browser.value("document.querySelectorAll('img').length"), Value::from(0));
    assert_eq!(browser.value("document.body.textContent.includes('\\u202e')"), false);
    let [_, csv] = saved(&mut browser, "report.charts[0].figure");
    assert!(csv.lines().nth(1).unwrap().contains("onerror='hit=1'>"), "{csv:.200}");
    keep_pictures(&mut browser, "evil");
    check_quiet(&browser);
}
