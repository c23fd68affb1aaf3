//! One color for each model, the same in all figures of a page.

use std::collections::HashMap;

use super::style::Ink;

/// The order of the models of a page, by which each has its color and its marker in every figure.
///
/// ```
/// use report::figures::Palette;
///
/// let palette = Palette::of(["teacher", "student"]);
/// assert_eq!((palette.place("student"), palette.place("unknown")), (1, 2));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    places: HashMap<String, usize>,
}

impl Palette {
    /// Names in their order. One that comes again keeps its first place.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::default().with(names)
    }

    /// The palette with the names of a figure that it does not have yet behind its own.
    pub(crate) fn with<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut places = self.places.clone();
        for name in names {
            let next = places.len();
            places.entry(name.to_owned()).or_insert(next);
        }
        Self { places }
    }

    /// The place of a name, counted from 0; of one that it does not have the next one.
    pub fn place(&self, name: &str) -> usize {
        self.places.get(name).copied().unwrap_or(self.places.len())
    }

    /// The color of a name.
    pub(crate) fn ink(&self, name: &str) -> Ink {
        Ink::of_series(self.place(name))
    }

    /// The marker of a name, which is another one when its color comes again.
    pub(crate) fn marker(&self, name: &str) -> usize {
        let place = self.place(name);
        place + Ink::cycle(place)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::canvas::MARKERS;
    use super::*;

    #[test]
    fn color_and_marker_together_are_of_one_name() {
        let names: Vec<String> = (0..72).map(|number| format!("model {number}")).collect();
        let palette = Palette::of(names.iter().map(String::as_str));
        let look = |name: &String| (palette.ink(name).to_css(), palette.marker(name) % MARKERS);
        assert_eq!(names.iter().map(look).collect::<BTreeSet<_>>().len(), names.len());
    }
}
