//! A figure as PNG, with a font of its own: the same bytes on every host.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::Figure;
use crate::ReportError;

/// The Latin and Greek letters of DejaVu Sans; its licence is beside it. Other scripts have no
/// letters in a PNG: the SVG has them in the reader's fonts.
const FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans-Latin.ttf");

/// Pixels of a PNG for each of the drawing: about 300 to the inch on a page's width.
const SCALE: f32 = 3.0;

static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    Options { font_family: "DejaVu Sans".to_owned(), fontdb: Arc::new(fonts), ..Options::default() }
});

impl Figure {
    /// The drawing as PNG: black ink on white paper.
    ///
    /// # Errors
    /// When `svg` is no drawing, or too large a one.
    pub fn to_png(&self) -> Result<Vec<u8>, ReportError> {
        self.to_png_in("#000000", (255, 255, 255))
    }

    /// The drawing as PNG in a color of ink on a color of paper.
    pub(super) fn to_png_in(&self, ink: &str, paper: (u8, u8, u8)) -> Result<Vec<u8>, ReportError> {
        let refuse = |reason: String| ReportError::Drawing { name: self.name.clone(), reason };
        let svg = self.svg.replace("\"currentColor\"", &format!("\"{ink}\""));
        let tree = Tree::from_str(&svg, &OPTIONS).map_err(|error| refuse(error.to_string()))?;
        let size = tree.size().to_int_size();
        let side = |pixels: u32| (pixels as f32 * SCALE).round() as u32;
        let mut pixels = Pixmap::new(side(size.width()), side(size.height()))
            .ok_or_else(|| refuse("it is too large".to_owned()))?;
        let (red, green, blue) = paper;
        pixels.fill(resvg::tiny_skia::Color::from_rgba8(red, green, blue, 255));
        resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
        pixels.encode_png().map_err(|error| refuse(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{FitPoint, Palette, fit};

    fn figure() -> Figure {
        let point = |x: f64| FitPoint { model: format!("m{x}"), group: String::new(), x, y: x };
        fit("t", "loss", "score", &[point(1.0), point(2.0)], &Palette::default())
    }

    #[test]
    fn a_figure_becomes_an_image_with_its_text() {
        let png = figure().to_png().unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!((size(16), size(20)), (1920, 1140));
        assert_eq!(png, figure().to_png().unwrap());
        // Without letters the axis has no title.
        let mut other = figure();
        other.svg = other.svg.replace(">score<", "><").replace(">\nscore<", "><");
        assert_ne!(other.svg, figure().svg);
        assert_ne!(png, other.to_png().unwrap());
    }

    #[test]
    fn what_is_no_drawing_is_refused() {
        let figure = Figure { svg: "<svg".into(), ..figure() };
        let message = figure.to_png().unwrap_err().to_string();
        assert!(message.starts_with("cannot draw figure t: "), "{message}");
    }
}
