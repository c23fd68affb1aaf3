//! `babyllama watch`: a run's report in the browser, which follows the training.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use experiment::reporting;
use experiment::run::clean;
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

/// Where the page asks for its curves, and whether anything else is new.
const CURVES: &str = "/curves.json";
const NEWS: &str = "/news.json";

/// Asks now and then whether anything but the curves is new, and offers it; where there are no
/// curves yet, takes it at once.
const SCRIPT: &str = include_str!("watch.html");

/// Serves a run's page until a signal arrives.
pub fn watch(args: &WatchArgs) -> anyhow::Result<()> {
    clean::require_run(&args.run)?;
    let interrupt = Interrupt::install().context("cannot install signal handlers")?;
    let folders = [args.run.clone()];
    let page = Watched::new(args.run.clone(), move || Ok(reporting::page(&folders)?));
    let server = Server::bind(args.port, Arc::new(move |path: &str| page.answer(path)))
        .with_context(|| format!("cannot listen on port {} of 127.0.0.1", args.port))
        .hint("name another port with --port, or none")?;
    console::print(format_args!("{} is at {} until Ctrl-C", args.run.display(), server.url()))?;
    let served = server.serve_until(|| interrupt.is_requested());
    served.context("cannot take any further connection").hint("give the same command again")
}

/// A page that is made anew when the files that it is made of change.
struct Watched<F> {
    run: PathBuf,
    make: F,
    state: Mutex<Option<State>>,
}

/// A page as it was made last.
#[derive(Clone)]
struct State {
    stamps: Stamps,
    looked: Instant,
    took: Duration,
    html: Arc<[u8]>,
    curves: Arc<[u8]>,
}

impl<F: Fn() -> anyhow::Result<Page>> Watched<F> {
    fn new(run: PathBuf, make: F) -> Self {
        Self { run, make, state: Mutex::default() }
    }

    /// What is at a path.
    fn answer(&self, path: &str) -> Option<Answer> {
        const JSON: &str = "application/json";
        let get: fn(State) -> Answer = match path {
            "/" => |state| Answer::of("text/html; charset=utf-8", state.html),
            CURVES => |state| Answer::of(JSON, state.curves),
            NEWS => |state| Answer::of(JSON, format!("\"{}\"", state.stamps.rest).into_bytes()),
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
            if state.stamps == Stamps::of(&self.run) {
                return Ok(state.clone());
            }
        }
        // Taken first: what changes meanwhile is seen the next time.
        let (stamps, begun) = (Stamps::of(&self.run), Instant::now());
        let page = (self.make)()?;
        let html = with_script(&page.to_html_following(CURVES));
        let state = State {
            stamps,
            html: html.into_bytes().into(),
            curves: page.curves_json().into_bytes().into(),
            took: begun.elapsed(),
            looked: Instant::now(),
        };
        *kept = Some(state.clone());
        Ok(state)
    }
}

fn with_script(html: &str) -> String {
    let script = SCRIPT.replace("NEWS", NEWS);
    match html.rfind("</body>") {
        Some(end) => format!("{}{script}{}", &html[..end], &html[end..]),
        None => html.to_owned() + &script,
    }
}

/// What files look like, without reading them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamps {
    /// Of the metrics.
    metrics: String,
    /// Of everything else that the page is made of.
    rest: String,
}

impl Stamps {
    fn of(run: &Path) -> Self {
        let models = entries(&run.join("models"));
        let metrics = models.iter().map(|model| model.join("metrics.jsonl"));
        let rest = ["stages", "evaluation"].into_iter().flat_map(|name| entries(&run.join(name)));
        let rest = rest.chain(["recipe.toml", "exposure.json"].map(|name| run.join(name)));
        Self { metrics: stamp(metrics), rest: stamp(rest) }
    }
}

/// The paths in a folder, sorted; none where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// A hash of paths, sizes and times.
fn stamp(paths: impl Iterator<Item = PathBuf>) -> String {
    let mut text = String::new();
    for path in paths {
        let Ok(found) = std::fs::metadata(&path) else { continue };
        let time = found.modified().ok();
        let time = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        text += &format!("{path:?} {} {time:?}\n", found.len());
    }
    base::hash::of_bytes(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    fn body(answer: Answer) -> String {
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    #[test]
    fn a_page_is_made_when_its_files_change() {
        let run = tempfile::tempdir().unwrap();
        let made = Cell::new(0);
        let page = || {
            made.set(made.get() + 1);
            let title = format!("page {}", made.get());
            Ok(Page { title, subtitle: String::new(), sections: Vec::new() })
        };
        let watched = Watched::new(run.path().to_owned(), page);
        let age = || {
            let mut kept = watched.state.lock().unwrap();
            let state = kept.as_mut().unwrap();
            state.looked = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        };
        let get = |path: &str| body(watched.answer(path).unwrap());
        let news = get(NEWS);
        assert!(get("/").contains("page 1") && get("/").contains(NEWS));
        assert_eq!(get(CURVES), "{}");
        age();
        assert!(get("/").contains("page 1"), "nothing changed");
        fs::create_dir_all(run.path().join("models/student")).unwrap();
        fs::write(run.path().join("models/student/metrics.jsonl"), "{}\n").unwrap();
        assert!(get("/").contains("page 1"), "it is fresh");
        age();
        assert!(get("/").contains("page 2"));
        assert_eq!(get(NEWS), news, "metrics alone are no news");
        fs::write(run.path().join("exposure.json"), "{}\n").unwrap();
        age();
        assert_ne!(get(NEWS), news);
        assert_eq!(made.get(), 3);
        assert!(watched.answer("/models/student/metrics.jsonl").is_none());
    }

    #[test]
    fn a_page_that_cannot_be_made_states_why() {
        let watched =
            Watched::new("nowhere".into(), || anyhow::bail!("<b>no run</b>\u{1b}[2J is here"));
        let answer = watched.answer("/").unwrap();
        assert!(answer.status.starts_with("500 "));
        assert_eq!(answer.kind, "text/plain; charset=utf-8");
        assert_eq!(body(answer), "<b>no run</b>\\u{1b}[2J is here\n");
    }
}
