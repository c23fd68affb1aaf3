//! `babyllama watch`: a report in the browser, which follows what it is about.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use experiment::reporting::{stamp, stamp_of};
use report::Page;

use crate::args::WatchArgs;
use crate::console;
use crate::failure::Hint;
use crate::interrupt::Interrupt;
use crate::server::{Answer, Server};

/// How old a page may be that is given again without a look at the files.
const FRESH: Duration = Duration::from_secs(1);

/// A page that takes long to make is made so seldom that this share of the time goes to it.
const SHARE: u32 = 4;

/// Seconds between two requests to a store on a server.
const ASK_EVERY: u64 = 10;

/// The paths of a page's requests: for its curves, for whether anything else is new, and for
/// everything else.
const CURVES: &str = "/curves.json";
const NEWS: &str = "/news.json";
const PARTS: &str = "/parts.html";

/// Asks now and then whether anything but the curves is new, and takes it.
const SCRIPT: &str = include_str!("watch.html");

/// Serves the page about a folder until a signal arrives.
pub fn watch(args: &WatchArgs) -> anyhow::Result<()> {
    let interrupt = Interrupt::install().context("cannot install signal handlers")?;
    let (folder, folders) = (args.run.clone(), [args.run.clone()]);
    let page =
        Watched::new(move || stamp_of_folder(&folder), move || super::report::page(&folders));
    // What has no page is refused before anything is served.
    page.state()?;
    let server = Server::bind(args.port, Arc::new(move |path: &str| page.answer(path)))
        .with_context(|| format!("cannot listen on port {} of 127.0.0.1", args.port))
        .hint("name another port with --port, or none")?;
    console::print(format_args!("{} is at {} until Ctrl-C", args.run.display(), server.url()))?;
    let served = server.serve_until(|| interrupt.is_requested());
    served.context("cannot take any further connection").hint("give the same command again")
}

/// What everything that the page about a folder is made of looks like.
fn stamp_of_folder(folder: &Path) -> String {
    let files: Option<Vec<PathBuf>> = sweep::report::files(folder);
    match files {
        None => stamp(folder),
        Some(files) if files.is_empty() => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            (now.unwrap_or_default().as_secs() / ASK_EVERY).to_string()
        }
        Some(files) => stamp_of(files),
    }
}

/// A page that is made anew when what it is made of changes.
struct Watched<S, F> {
    stamp: S,
    make: F,
    state: Mutex<Option<State>>,
}

/// A page as it was made last.
#[derive(Clone)]
struct State {
    stamp: String,
    looked: Instant,
    took: Duration,
    /// Another one wherever the page has something new but the points of curves.
    news: String,
    html: Arc<[u8]>,
    curves: Arc<[u8]>,
    parts: Arc<[u8]>,
}

impl<S: Fn() -> String, F: Fn() -> anyhow::Result<Page>> Watched<S, F> {
    fn new(stamp: S, make: F) -> Self {
        Self { stamp, make, state: Mutex::default() }
    }

    /// What is at a path.
    fn answer(&self, path: &str) -> Option<Answer> {
        const JSON: &str = "application/json";
        const HTML: &str = "text/html; charset=utf-8";
        let get: fn(State) -> Answer = match path {
            "/" => |state| Answer::of(HTML, state.html),
            PARTS => |state| Answer::of(HTML, state.parts),
            CURVES => |state| Answer::of(JSON, state.curves),
            NEWS => |state| Answer::of(JSON, format!("\"{}\"", state.news).into_bytes()),
            _ => return None,
        };
        Some(match self.state() {
            Ok(state) => get(state),
            Err(error) => Answer {
                status: "500 Internal Server Error",
                kind: "text/plain; charset=utf-8",
                body: console::visible(&format!("{error:#}\n")).into_bytes().into(),
            },
        })
    }

    /// The page as it is now. Requests at the same time wait for one making of it.
    fn state(&self) -> anyhow::Result<State> {
        let mut kept = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = &mut *kept {
            if state.looked.elapsed() < FRESH.max(SHARE * state.took) {
                return Ok(state.clone());
            }
            state.looked = Instant::now();
            if state.stamp == (self.stamp)() {
                return Ok(state.clone());
            }
        }
        // Taken first: what changes meanwhile is seen the next time.
        let (stamp, begun) = ((self.stamp)(), Instant::now());
        let page = (self.make)()?;
        let parts = page.without_points();
        // When it was made is no news.
        let timeless = Page { subtitle: String::new(), ..parts.clone() };
        let news = base::hash::of_bytes(timeless.to_html_following(CURVES).as_bytes());
        let state = State {
            stamp,
            html: with_script(&page.to_html_following(CURVES), &news).into_bytes().into(),
            curves: page.curves_json().into_bytes().into(),
            parts: parts.to_html_following(CURVES).into_bytes().into(),
            news,
            took: begun.elapsed(),
            looked: Instant::now(),
        };
        *kept = Some(state.clone());
        Ok(state)
    }
}

fn with_script(html: &str, news: &str) -> String {
    let script = SCRIPT.replace("NEWS", NEWS).replace("PARTS", PARTS).replace("KNOWN", news);
    match html.rfind("</body>") {
        Some(end) => format!("{}{script}{}", &html[..end], &html[end..]),
        None => html.to_owned() + &script,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use report::page::{Axis, Block, Curves, Section, Series};

    use super::*;

    fn body(answer: Answer) -> String {
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// A page with a table's text and one point of a curve.
    fn page(text: &str, value: f64) -> Page {
        let x = Axis::ALL.map(|_| vec![1.0]);
        let curves = Curves {
            title: "Loss".into(),
            caption: String::new(),
            is_log: false,
            is_measured: false,
            series: vec![Series { name: "m".into(), place: 0, x, y: vec![value] }],
            figure: None,
        };
        let blocks = vec![Block::Text(text.to_owned()), Block::Curves(curves)];
        let sections = vec![Section { title: "Results".into(), blocks }];
        let subtitle = format!("made at {value}");
        Page { title: "run".into(), subtitle, sections }
    }

    #[test]
    fn a_page_is_made_when_what_it_is_made_of_changes() {
        let (stamp, text, value) = (Cell::new(1), Cell::new("first"), Cell::new(7.5));
        let made = Cell::new(0);
        let watched = Watched::new(
            || stamp.get().to_string(),
            || {
                made.set(made.get() + 1);
                Ok(page(text.get(), value.get()))
            },
        );
        let age = || {
            let mut kept = watched.state.lock().unwrap();
            let state = kept.as_mut().unwrap();
            state.looked = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        };
        let get = |path: &str| body(watched.answer(path).unwrap());
        let news = get(NEWS);
        assert!(get("/").contains("first") && get("/").contains(NEWS));
        assert!(get("/").contains(news.trim_matches('"')), "a page knows which it is");
        assert!(get(CURVES).contains("7.5"));
        value.set(6.5);
        age();
        assert!(get(CURVES).contains("7.5"), "no file changed");
        stamp.set(2);
        assert!(get(CURVES).contains("7.5"), "it is fresh");
        age();
        assert!(get(CURVES).contains("6.5"));
        assert_eq!(get(NEWS), news, "points of curves and the time are no news");
        text.set("second");
        stamp.set(3);
        age();
        assert_ne!(get(NEWS), news);
        let parts = get(PARTS);
        assert!(parts.contains("second") && parts.contains("id=\"loss\""), "{parts}");
        assert!(!parts.contains("6.5]"), "its points are elsewhere");
        assert_eq!(made.get(), 3);
        assert!(watched.answer("/models/student/metrics.jsonl").is_none());
    }

    #[test]
    fn a_page_that_cannot_be_made_states_why() {
        let watched = Watched::new(String::new, || anyhow::bail!("<b>no run</b>\u{1b}[2J is here"));
        let answer = watched.answer("/").unwrap();
        assert!(answer.status.starts_with("500 "));
        assert_eq!(answer.kind, "text/plain; charset=utf-8");
        assert_eq!(body(answer), "<b>no run</b>\\u{1b}[2J is here\n");
    }
}
