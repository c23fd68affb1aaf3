//! A sequential reader of the counter-based generator, with the choices that a writer needs.

use base::rng::Rng;

/// Random choices in order. Whole numbers only, so that a seed gives the same text on every
/// machine.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    rng: Rng,
    next: u64,
}

impl Draw {
    /// The choices of one stream.
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, next: 0 }
    }

    fn bits(&mut self) -> u64 {
        self.next += 1;
        self.rng.bits(self.next)
    }

    /// A stream of its own, so that one scene's length does not shift the choices of the next.
    pub(crate) fn fork(&mut self) -> Draw {
        let coordinate = self.bits();
        Draw::new(self.rng.at(coordinate))
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((self.bits() as u128 * bound as u128) >> 64) as usize
    }

    /// Uniform in `low..=high`.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One item, all equally likely.
    ///
    /// # Panics
    /// When there is none; the tables of this module are never empty.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// An index below `count`, rank r having a weight of 1 / (r + 2): Zipf's law with a flattened
    /// head.
    pub(crate) fn rank(&mut self, count: usize) -> usize {
        const UNIT: u64 = 1 << 32;
        let weight = |rank: usize| UNIT / (rank as u64 + 2);
        let total: u64 = (0..count).map(weight).sum();
        let mut left = self.below(total as usize) as u64;
        (0..count)
            .find(|&rank| {
                let found = left < weight(rank);
                left = left.saturating_sub(weight(rank));
                found
            })
            .unwrap_or(0)
    }

    /// One item, the earlier ones being the more frequent.
    pub(crate) fn zipf<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.rank(items.len())]
    }

    /// One item, half the time by overall frequency and half the time by what goes with `head`:
    /// every head word has its own favourites, as in real text.
    pub(crate) fn beside<T: Copy>(&mut self, head: &str, items: &[T]) -> T {
        let rank = self.rank(items.len());
        if self.chance(50) {
            return items[rank];
        }
        items[Rng::new(items.len() as u64, head).permutation(items.len())[rank] as usize]
    }

    /// One item, by weight.
    pub(crate) fn weighted<T: Copy>(&mut self, items: &[(usize, T)]) -> T {
        let mut left = self.below(items.iter().map(|item| item.0).sum());
        for &(weight, item) in items {
            if left < weight {
                return item;
            }
            left -= weight;
        }
        items[0].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_fall_as_zipf_says() {
        let mut draw = Draw::new(Rng::new(1, "test"));
        let mut counts = [0usize; 50];
        for _ in 0..20_000 {
            counts[draw.rank(50)] += 1;
        }
        assert!(counts[0] > 3 * counts[6] && counts[0] < 5 * counts[6], "{counts:?}");
        assert!(counts.iter().all(|&count| count > 0));
    }

    #[test]
    fn weights_and_chances_hold() {
        let mut draw = Draw::new(Rng::new(2, "test"));
        let heavy = (0..4000).filter(|_| draw.weighted(&[(3, true), (1, false)])).count();
        assert!((2800..3200).contains(&heavy), "{heavy}");
        let heads = (0..4000).filter(|_| draw.chance(25)).count();
        assert!((850..1150).contains(&heads), "{heads}");
        assert!((0..1000).all(|_| (3..=5).contains(&draw.between(3, 5))));
    }

    #[test]
    fn favourites_depend_on_the_head_word() {
        let items: Vec<usize> = (0..40).collect();
        let favourite = |head: &str| {
            let mut draw = Draw::new(Rng::new(3, "test"));
            let mut counts = [0usize; 40];
            (0..4000).for_each(|_| counts[draw.beside(head, &items)] += 1);
            (3..40).max_by_key(|&item| counts[item]).unwrap()
        };
        assert_ne!(favourite("apple"), favourite("hammer"));
    }
}
