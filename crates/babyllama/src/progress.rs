//! Shows how far a command is: a bar on a terminal, a plain line now and then in a log file.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use report::format::{duration, short};

use crate::console;

/// How often a log file gets a line.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// Work that takes no longer is worth no line.
const SHORT: Duration = Duration::from_secs(2);

/// The speed is that of so long a time before, so that a pause or slower work at the beginning is
/// soon forgotten.
const WINDOW: Duration = Duration::from_secs(300);

/// How far apart moments of it are kept.
const SPACING: Duration = Duration::from_secs(5);

/// How often a bar is drawn anew, per second.
const BAR_RATE: u8 = 10;

/// The progress of one piece of work, on stderr.
pub struct Progress {
    work: Work,
    begun: Instant,
    recent: Recent,
    view: View,
}

/// How much was done when, in the last [`WINDOW`].
struct Recent {
    moments: VecDeque<(Instant, u64)>,
}

impl Recent {
    /// Units per second up to now, of which `done` are done in all.
    fn rate(&mut self, now: Instant, done: u64) -> Option<f64> {
        let is_old = |moment: &(Instant, u64)| now.duration_since(moment.0) >= WINDOW;
        while self.moments.len() > 1 && self.moments.front().is_some_and(is_old) {
            self.moments.pop_front();
        }
        let &(since, before) = self.moments.front()?;
        if self.moments.back().is_none_or(|(last, _)| now.duration_since(*last) >= SPACING) {
            self.moments.push_back((now, done));
        }
        rate(done.saturating_sub(before), now.duration_since(since))
    }
}

/// Units per second.
fn rate(done: u64, elapsed: Duration) -> Option<f64> {
    let rate = done as f64 / elapsed.as_secs_f64();
    (rate.is_finite() && rate > 0.0).then_some(rate)
}

/// What is being done.
struct Work {
    label: String,
    /// What is counted, in the plural: `tokens`.
    unit: String,
    /// 0 when unknown.
    total: u64,
    /// Done before this process began; it does not count for the speed.
    earlier: u64,
}

enum View {
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Progress {
    /// Begins a piece of an experiment's work.
    pub fn of(work: experiment::observer::Work<'_>) -> Self {
        Self::begin(work.label, work.unit, work.total, work.earlier)
    }

    /// Begins work on `total` units (0 when unknown), of which a run that was cut short did
    /// `earlier`.
    pub fn begin(label: &str, unit: &str, total: u64, earlier: u64) -> Self {
        let label = console::visible(label).replace('\n', " ");
        let work = Work { label, unit: unit.to_string(), total, earlier };
        let begun = Instant::now();
        let view = if std::io::stderr().is_terminal() {
            View::Bar(bar(&work))
        } else {
            View::Lines { last: begun }
        };
        let recent = Recent { moments: VecDeque::from([(begun, earlier)]) };
        Self { work, begun, recent, view }
    }

    /// Shows that `done` units are done in all. `note` is what else matters, such as `loss
    /// 4.412`.
    pub fn update(&mut self, done: u64, note: &str) {
        let rate = self.recent.rate(Instant::now(), done);
        match &mut self.view {
            View::Bar(bar) => {
                bar.set_position(done);
                let taken = BAR_COLUMNS + bar_width(columns()) + bar.prefix().chars().count();
                let room = columns().saturating_sub(taken);
                let note = console::visible(note).replace('\n', " ");
                bar.set_message(self.work.message_within(room, done, rate, &note));
            }
            View::Lines { last } if last.elapsed() >= LINE_INTERVAL => {
                *last = Instant::now();
                console::note(self.work.line(done, rate, note));
            }
            View::Lines { .. } => {}
        }
    }

    /// Prints a line without tearing the bar.
    pub fn print(&self, line: &str) {
        match &self.view {
            View::Bar(bar) => bar.suspend(|| console::note(line)),
            View::Lines { .. } => console::note(line),
        }
    }

    /// Ends the work: the bar vanishes and one line stays, unless the work was short and has no
    /// result of its own.
    pub fn finish(self, done: u64, note: &str) {
        self.clear();
        if note.is_empty() && self.begun.elapsed() < SHORT {
            return;
        }
        console::note(self.work.closing_line(done, self.begun.elapsed(), note));
    }
}

impl Progress {
    fn clear(&self) {
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}

/// Work that ends early, by an error or a signal, leaves no rest of its bar either.
impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Columns beside a bar, its label and its message.
const BAR_COLUMNS: usize = 9;

/// Columns of the bar itself.
fn bar_width(columns: usize) -> usize {
    if columns < 100 { 8 } else { 16 }
}

/// The most columns of a bar's label: the beginning of a longer one, often the path of a folder, is
/// left out.
fn label_width(columns: usize) -> usize {
    (columns / 3).min(30)
}

/// Columns of the terminal that bars are drawn in.
fn columns() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| width.0.into())
}

/// The end of a text that is longer than `most`.
fn end_of(text: &str, most: usize) -> String {
    match text.chars().count() {
        count if count > most => {
            format!("…{}", text.chars().skip(count + 1 - most).collect::<String>())
        }
        _ => text.to_owned(),
    }
}

fn bar(work: &Work) -> ProgressBar {
    let width = bar_width(columns());
    let template = if work.total > 0 {
        format!("{{prefix}} {{bar:{width}}} {{percent:>3}} %  {{wide_msg}}")
    } else {
        "{prefix} {spinner} {wide_msg}".to_owned()
    };
    let style =
        ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let target = ProgressDrawTarget::stderr_with_hz(BAR_RATE);
    ProgressBar::with_draw_target(Some(work.total), target)
        .with_style(style)
        .with_prefix(end_of(&work.label, label_width(columns())))
}

impl Work {
    /// A line of a log: `student   42 %  12.3 k tokens/s, 3:20 left, loss 4.412`.
    fn line(&self, done: u64, rate: Option<f64>, note: &str) -> String {
        let share = match self.total {
            0 => format!("{} {}", short(done as f64), self.unit),
            total => format!("{:>3} %", 100 * done.min(total) / total),
        };
        format!("{}  {share}  {}", self.label, self.parts(done, rate, note).join(", "))
    }

    /// Speed, time left and note, as many of them as fit into `room` characters, each whole: a
    /// number of which the end is missing is another one. The speed is the first to be left out.
    fn message_within(&self, room: usize, done: u64, rate: Option<f64>, note: &str) -> String {
        let parts = self.parts(done, rate, note);
        let whole = parts.join(", ");
        if whole.chars().count() <= room {
            return whole;
        }
        let (speed, rest) = match rate {
            Some(_) => parts.split_at(1),
            None => parts.split_at(0),
        };
        let mut message = String::new();
        for part in rest.iter().chain(speed).flat_map(|part| part.split(", ")) {
            let comma = if message.is_empty() { "" } else { ", " };
            if message.chars().count() + comma.len() + part.chars().count() <= room {
                message += &format!("{comma}{part}");
            }
        }
        message
    }

    /// Speed, time left and the note, as far as they are known.
    fn parts(&self, done: u64, rate: Option<f64>, note: &str) -> Vec<String> {
        let mut parts = Vec::new();
        if let Some(rate) = rate {
            parts.push(format!("{} {}/s", short(rate), self.unit));
            if self.total > done {
                parts.push(format!("{} left", duration((self.total - done) as f64 / rate)));
            }
        }
        if !note.is_empty() {
            parts.push(note.to_string());
        }
        parts
    }

    /// What stays: `student  done in 12:34, 12.3 k tokens/s, loss 4.100`. A note that has a speed
    /// has the better one: that of the work alone.
    fn closing_line(&self, done: u64, elapsed: Duration, note: &str) -> String {
        let rate = rate(done.saturating_sub(self.earlier), elapsed);
        let rate = rate.map(|rate| format!("{} {}/s", short(rate), self.unit));
        let rate = rate.filter(|_| !note.contains("/s"));
        let time = format!("done in {}", duration(elapsed.as_secs_f64()));
        let note = Some(note.to_string()).filter(|note| !note.is_empty());
        let parts: Vec<String> = [Some(time), rate, note].into_iter().flatten().collect();
        format!("{}  {}", self.label, parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(total: u64, earlier: u64) -> Work {
        Work { label: "student".into(), unit: "tokens".into(), total, earlier }
    }

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn a_line_says_share_speed_time_left_and_loss() {
        assert_eq!(
            work(40_000, 0).line(10_000, Some(1000.0), "loss 4.412"),
            "student   25 %  1.00 k tokens/s, 0:30 left, loss 4.412"
        );
        assert_eq!(
            work(40_000, 0).line(40_000, Some(4000.0), ""),
            "student  100 %  4.00 k tokens/s"
        );
        assert_eq!(
            work(0, 0).line(10_000, Some(1000.0), ""),
            "student  10.0 k tokens  1.00 k tokens/s"
        );
    }

    #[test]
    fn what_was_done_before_is_no_speed() {
        let begun = Instant::now();
        let mut recent = Recent { moments: VecDeque::from([(begun, 10_000)]) };
        assert_eq!(recent.rate(begun, 10_000), None);
        assert_eq!(recent.rate(begun + TEN, 10_000), None);
        assert_eq!(recent.rate(begun + TEN, 20_000), Some(1000.0));
        assert_eq!(work(40_000, 0).line(10, None, "loss 5.000"), "student    0 %  loss 5.000");
    }

    #[test]
    fn a_pause_and_another_speed_are_forgotten() {
        let begun = Instant::now();
        let mut recent = Recent { moments: VecDeque::from([(begun, 0)]) };
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        for second in 1..=100 {
            recent.rate(at(second), second);
        }
        // A pause of an hour, after which nothing is known, and ten units per second.
        let resumed = 3700;
        assert_eq!(recent.rate(at(resumed), 100), None);
        for second in 1..=2 * WINDOW.as_secs() {
            assert_eq!(recent.rate(at(resumed + second), 100 + 10 * second), Some(10.0));
        }
        assert!(recent.moments.len() as u64 <= WINDOW.as_secs() / SPACING.as_secs() + 2);
    }

    #[test]
    fn a_bar_cuts_no_number() {
        let work = work(40_000, 0);
        let message =
            |room| work.message_within(room, 10_000, Some(1000.0), "loss 4.412, step 12 of 50");
        assert_eq!(message(80), "1.00 k tokens/s, 0:30 left, loss 4.412, step 12 of 50");
        assert_eq!(message(52), "0:30 left, loss 4.412, step 12 of 50");
        assert_eq!(message(35), "0:30 left, loss 4.412");
        assert_eq!(message(20), "0:30 left");
        assert_eq!(message(14), "0:30 left");
        assert_eq!(message(8), "");
        // At 80 columns a student's training has room for its steps and epochs.
        let room = 80 - BAR_COLUMNS - bar_width(80) - "student".len();
        let note = "loss 3.646, step 1112 of 2580, epoch 0.43, cross-entropy 5.788, KL 1.504";
        let long = Work { total: 400_000_000, ..self::work(1, 0) };
        assert_eq!(
            long.message_within(room, 10_000_000, Some(10_000.0), note),
            "10:50:00 left, loss 3.646, step 1112 of 2580, epoch 0.43"
        );
        assert_eq!([80, 40].map(label_width), [26, 13]);
        assert_eq!(end_of("student on pairs", 30), "student on pairs");
        let long = "runs/small/models/student/final on data/blimp_filtered";
        assert_eq!(end_of(long, 30), "…/final on data/blimp_filtered");
    }

    #[test]
    fn the_closing_line_says_how_long_it_took() {
        assert_eq!(
            work(40_000, 0).closing_line(40_000, TEN, "loss 4.1"),
            "student  done in 0:10, 4.00 k tokens/s, loss 4.1"
        );
        assert_eq!(
            work(40_000, 0).closing_line(40_000, TEN, "5.00 k tokens/s, loss 4.1"),
            "student  done in 0:10, 5.00 k tokens/s, loss 4.1"
        );
        assert_eq!(work(0, 0).closing_line(0, TEN, ""), "student  done in 0:10");
    }

    #[test]
    fn a_bar_shows_what_is_done_and_is_gone_at_the_end() {
        for total in [0, 10] {
            let work = work(total, 0);
            let bar = ProgressBar::hidden().with_style(bar(&work).style());
            let mut progress = Progress::begin("student", "tokens", total, 0);
            progress.view = View::Bar(bar.clone());
            progress.update(5, "loss 1");
            progress.print("");
            assert_eq!((bar.position(), bar.is_finished()), (5, false));
            assert!(bar.message().contains("loss 1"), "{}", bar.message());
            progress.finish(10, "");
            assert!(bar.is_finished());
        }
    }
}
