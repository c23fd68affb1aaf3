//! What most figures are: one frame with a legend, drawn on a canvas of the usual width.

use super::canvas::{Canvas, Spot};
use super::frame::{Frame, Legend};
use super::note_nothing;
use super::scale::Ruler;
use super::style::{Ink, NORMAL, WIDTH};

/// A figure of one frame while it is drawn.
pub(crate) struct Chart {
    /// What it is drawn on.
    pub(crate) canvas: Canvas,
    /// Where values are.
    pub(crate) frame: Frame,
    legend: Legend,
}

impl Chart {
    /// A chart with its axes, `height` pixels high without a legend below the frame.
    pub(crate) fn new(
        legend: Legend,
        height: f64,
        x: Ruler,
        y: Ruler,
        titles: (&str, &str),
    ) -> Self {
        let lower = (WIDTH - legend.width(), height);
        Self::of_frame(Frame::new((0.0, 0.0), lower, x, y, titles), legend, height)
    }

    /// A chart of a frame that leaves room for the legend.
    pub(crate) fn of_frame(frame: Frame, legend: Legend, height: f64) -> Self {
        let mut canvas = Canvas::new(WIDTH, height + legend.height());
        frame.draw(&mut canvas);
        Self { canvas, frame, legend }
    }

    /// The drawing with its legend, whose signs `sign` draws, and with a note where there are no
    /// values.
    pub(crate) fn finish(
        self,
        has_values: bool,
        sign: impl FnMut(&mut Canvas, usize, Spot),
    ) -> Canvas {
        let Self { mut canvas, frame, legend } = self;
        if !has_values {
            note_nothing(&mut canvas, frame.middle(), NORMAL);
        }
        legend.draw(&mut canvas, (frame.right + 12.0, frame.top), sign);
        canvas
    }
}

/// The sign of a line in a legend.
pub(crate) fn draw_sample(canvas: &mut Canvas, (x, y): Spot, ink: Ink, width: f64) {
    canvas.line(vec![(x - 8.0, y), (x + 8.0, y)], ink, width);
}
