//! What a figure is drawn on: shapes in pixels, which become SVG by `plotters`' backend.

use std::convert::Infallible;

use plotters_backend::text_anchor::{HPos, Pos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontFamily, FontTransform,
};
use plotters_svg::SVGBackend;

use super::style::{Ink, PAGE_COLOR};
use crate::format::in_one_line;

/// By what a drawing is larger than its figure, since the backend has whole pixels only; its
/// `viewBox` scales it down.
const SCALE: f64 = 4.0;
/// Shapes of markers.
pub(crate) const MARKERS: usize = 6;
/// The backend divides the size of a font by this.
const FONT_SCALE: f64 = 1.24;

/// A place in pixels, from the upper left corner.
pub(crate) type Spot = (f64, f64);

/// Which end of a text is at its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// What is drawn, in order.
#[derive(Clone, Debug)]
enum Shape {
    Line { points: Vec<Spot>, ink: Ink, width: f64 },
    Area { points: Vec<Spot>, ink: Ink },
    Circle { center: Spot, radius: f64, ink: Ink, is_filled: bool },
    Text { text: String, at: Spot, anchor: Anchor, size: f64, ink: Ink, is_upright: bool },
}

/// A drawing.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    /// Width and height in pixels.
    pub(crate) size: Spot,
    shapes: Vec<Shape>,
    /// Places with the text that a pointer brings there.
    hints: Vec<(Spot, String)>,
}

/// How near a pointer has to come, in pixels.
const HINT_RADIUS: f64 = 7.0;

impl Canvas {
    /// An empty drawing.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { size: (width, height), shapes: Vec::new(), hints: Vec::new() }
    }

    /// A line through points.
    pub(crate) fn line(&mut self, points: Vec<Spot>, ink: Ink, width: f64) {
        self.shapes.push(Shape::Line { points, ink, width });
    }

    /// A filled polygon.
    pub(crate) fn area(&mut self, points: Vec<Spot>, ink: Ink) {
        self.shapes.push(Shape::Area { points, ink });
    }

    /// A filled rectangle between two corners.
    pub(crate) fn rectangle(&mut self, a: Spot, b: Spot, ink: Ink) {
        self.area(vec![a, (b.0, a.1), b, (a.0, b.1)], ink);
    }

    /// A disk.
    pub(crate) fn dot(&mut self, center: Spot, radius: f64, ink: Ink) {
        self.shapes.push(Shape::Circle { center, radius, ink, is_filled: true });
    }

    /// A circle.
    pub(crate) fn ring(&mut self, center: Spot, radius: f64, ink: Ink) {
        self.shapes.push(Shape::Circle { center, radius, ink, is_filled: false });
    }

    /// A text whose middle line is at the place.
    pub(crate) fn text(&mut self, text: &str, at: Spot, anchor: Anchor, size: f64) {
        self.text_in(text, at, anchor, size, Ink::TEXT);
    }

    /// A text in a color whose middle line is at the place.
    pub(crate) fn text_in(&mut self, text: &str, at: Spot, anchor: Anchor, size: f64, ink: Ink) {
        let text = text.to_owned();
        self.shapes.push(Shape::Text { text, at, anchor, size, ink, is_upright: false });
    }

    /// A text that is read from below.
    pub(crate) fn upright_text(&mut self, text: &str, at: Spot, anchor: Anchor, size: f64) {
        let (text, ink) = (text.to_owned(), Ink::TEXT);
        self.shapes.push(Shape::Text { text, at, anchor, size, ink, is_upright: true });
    }

    /// One of several shapes of about the same size: those of different series.
    pub(crate) fn marker(&mut self, shape: usize, (x, y): Spot, ink: Ink) {
        let r = 4.0;
        match shape % MARKERS {
            0 => self.dot((x, y), r, ink),
            1 => self.rectangle((x - 3.5, y - 3.5), (x + 3.5, y + 3.5), ink),
            2 => self.area(vec![(x, y - 4.5), (x + 4.5, y + 3.5), (x - 4.5, y + 3.5)], ink),
            3 => self.area(vec![(x, y - 5.0), (x + 5.0, y), (x, y + 5.0), (x - 5.0, y)], ink),
            4 => self.area(vec![(x, y + 4.5), (x + 4.5, y - 3.5), (x - 4.5, y - 3.5)], ink),
            _ => {
                self.line(vec![(x - r, y - r), (x + r, y + r)], ink, 2.0);
                self.line(vec![(x - r, y + r), (x + r, y - r)], ink, 2.0);
            }
        }
    }

    /// A text that is shown when a pointer is at a place, and read by programs.
    pub(crate) fn hint(&mut self, at: Spot, text: &str) {
        self.hints.push((at, in_one_line(text)));
    }

    /// The drawing as SVG with a title for those who do not see it.
    pub(crate) fn into_svg(self, title: &str) -> String {
        let (width, height) = self.size;
        let mut drawn = String::new();
        let mut backend =
            SVGBackend::with_string(&mut drawn, (scaled(width) as u32, scaled(height) as u32));
        // Writing to a string does not fail.
        let finished = self.shapes.iter().try_for_each(|shape| draw(&mut backend, shape));
        let _ = finished.and_then(|()| backend.present());
        drop(backend);
        let drawn = finish(&drawn, self.size, title);
        let hints: String = self.hints.iter().map(hint_of).collect();
        match drawn.rfind("</svg>") {
            Some(end) => format!("{}{hints}{}", &drawn[..end], &drawn[end..]),
            None => drawn,
        }
    }
}

/// A circle that is not seen, with its title.
fn hint_of((at, text): &(Spot, String)) -> String {
    let ((x, y), radius) = (place(*at), scaled(HINT_RADIUS));
    format!(
        "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"none\" pointer-events=\"all\">\
         <title>{}</title></circle>\n",
        escaped(text)
    )
}

fn scaled(pixels: f64) -> i32 {
    (pixels * SCALE).round() as i32
}

fn place(spot: Spot) -> (i32, i32) {
    (scaled(spot.0), scaled(spot.1))
}

fn draw(
    backend: &mut SVGBackend<'_>,
    shape: &Shape,
) -> Result<(), DrawingErrorKind<std::io::Error>> {
    match shape {
        Shape::Line { points, ink, width } => {
            let mut path: Vec<(i32, i32)> = points.iter().map(|&spot| place(spot)).collect();
            path.dedup();
            backend.draw_path(path, &Stroke { ink: *ink, width: *width })
        }
        Shape::Area { points, ink } => {
            let path: Vec<(i32, i32)> = points.iter().map(|&spot| place(spot)).collect();
            backend.fill_polygon(path, &Stroke { ink: *ink, width: 1.0 })
        }
        Shape::Circle { center, radius, ink, is_filled } => {
            let style = Stroke { ink: *ink, width: 1.25 };
            backend.draw_circle(place(*center), scaled(*radius) as u32, &style, *is_filled)
        }
        Shape::Text { text, at, anchor, size, ink, is_upright } => {
            let style =
                TextStyle { ink: *ink, anchor: *anchor, size: *size, is_upright: *is_upright };
            backend.draw_text(text, &style, place(*at))
        }
    }
}

/// The backend's text with the page's color, the figure's size and its title. What is replaced are
/// attributes: quotation marks of texts are escaped.
fn finish(drawn: &str, (width, height): Spot, title: &str) -> String {
    let (red, green, blue) = PAGE_COLOR;
    let page_color = format!("\"#{red:02X}{green:02X}{blue:02X}\"");
    let body = drawn.split_once('\n').map_or("", |(_, body)| body);
    let body = body
        .replace(&page_color, "\"currentColor\"")
        .replace(" opacity=\"1\"", "")
        .replace(" \"/>", "\"/>")
        .replace("\n</text>", "</text>");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {} {}\" role=\"img\">\n<title>{}</title>\n{body}",
        scaled(width),
        scaled(height),
        escaped(&in_one_line(title))
    )
}

/// How a shape is drawn.
struct Stroke {
    ink: Ink,
    width: f64,
}

fn color_of(ink: Ink) -> BackendColor {
    BackendColor { alpha: ink.opacity, rgb: ink.color }
}

impl BackendStyle for Stroke {
    fn color(&self) -> BackendColor {
        color_of(self.ink)
    }

    fn stroke_width(&self) -> u32 {
        scaled(self.width).max(1) as u32
    }
}

/// How a text is drawn.
struct TextStyle {
    ink: Ink,
    anchor: Anchor,
    size: f64,
    is_upright: bool,
}

impl BackendTextStyle for TextStyle {
    type FontError = Infallible;

    fn color(&self) -> BackendColor {
        color_of(self.ink)
    }

    fn size(&self) -> f64 {
        self.size * SCALE * FONT_SCALE
    }

    fn transform(&self) -> FontTransform {
        match self.is_upright {
            true => FontTransform::Rotate270,
            false => FontTransform::None,
        }
    }

    fn anchor(&self) -> Pos {
        let across = match self.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        Pos::new(across, VPos::Center)
    }

    fn family(&self) -> FontFamily<'_> {
        FontFamily::SansSerif
    }

    // The SVG backend asks for neither: who shows the text lays it out.
    fn layout_box(&self, _: &str) -> Result<(BackendCoord, BackendCoord), Infallible> {
        Ok(((0, 0), (0, 0)))
    }

    fn draw<E, F: FnMut(i32, i32, BackendColor) -> Result<(), E>>(
        &self,
        _: &str,
        _: BackendCoord,
        _: F,
    ) -> Result<Result<(), E>, Infallible> {
        Ok(Ok(()))
    }
}

/// A text as XML and HTML hold it.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
