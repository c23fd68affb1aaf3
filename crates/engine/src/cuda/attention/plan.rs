//! Which block works on what: the tiles of a call, as its kernels read them.

use std::cmp::Reverse;

use bytemuck::{Pod, Zeroable};

use crate::ops::attention::{AttentionSpan, Heads};

/// `Tile` of `attention.cuh`: queries of one sequence and the keys they see.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tile {
    /// The row of the first query, and how many there are.
    pub query: u32,
    pub queries: u32,
    /// The row of the sequence's first key, or where its rows begin in the table.
    pub key: u32,
    /// How many keys the last query sees.
    pub keys: u32,
    /// How many the first query sees; each next one sees one more, up to `keys`.
    pub visible: u32,
    /// The first key of a tile of keys, counted from the sequence's first.
    pub start: u32,
    /// 1 when the keys' rows are in the table.
    pub gathered: u32,
    pub unused: u32,
}

// Safety: eight words, any of which may have any bits.
unsafe impl Zeroable for Tile {}
// Safety: as for `Zeroable`, and without padding.
unsafe impl Pod for Tile {}

/// The tiles of a call, those with the most work first, so that none of them begins when all others
/// are done.
pub(super) struct Plan {
    pub tiles: Vec<Tile>,
    /// Rows of the keys of sequences whose keys are in several places.
    pub rows: Vec<u32>,
}

impl Plan {
    /// Every sequence's queries, `size` to a tile.
    pub(super) fn of_queries(spans: &[AttentionSpan], heads: &Heads, size: usize) -> Self {
        let mut plan = Self { tiles: Vec::new(), rows: Vec::new() };
        for span in spans {
            let (key, gathered) = plan.keys_of(span);
            for start in (0..span.queries.len()).step_by(size) {
                let count = size.min(span.queries.len() - start);
                plan.tiles.push(Tile {
                    query: (span.queries.start + start) as u32,
                    queries: count as u32,
                    key,
                    keys: heads.visible(span, start + count - 1) as u32,
                    visible: heads.visible(span, start) as u32,
                    gathered,
                    ..Tile::default()
                });
            }
        }
        plan.tiles.sort_by_key(|tile| Reverse(tile.keys));
        plan
    }

    /// Every sequence's keys, `size` to a tile, each with all queries.
    pub(super) fn of_keys(spans: &[AttentionSpan], heads: &Heads, size: usize) -> Self {
        let mut plan = Self { tiles: Vec::new(), rows: Vec::new() };
        for span in spans.iter().filter(|span| !span.queries.is_empty()) {
            let (key, gathered) = plan.keys_of(span);
            plan.tiles.extend((0..span.key_count()).step_by(size).map(|start| Tile {
                query: span.queries.start as u32,
                queries: span.queries.len() as u32,
                key,
                keys: span.key_count() as u32,
                visible: heads.visible(span, 0) as u32,
                start: start as u32,
                gathered,
                unused: 0,
            }));
        }
        let seeing = |tile: &Tile| {
            tile.queries.saturating_sub((tile.start + 1).saturating_sub(tile.visible))
        };
        plan.tiles.sort_by_key(|tile| Reverse(seeing(tile)));
        plan
    }

    /// Where a sequence's keys are: their first row, or their place in the table.
    fn keys_of(&mut self, span: &AttentionSpan) -> (u32, u32) {
        if span.prefix.is_empty() {
            return (span.keys.start as u32, 0);
        }
        let place = self.rows.len() as u32;
        self.rows.extend(
            span.prefix.iter().chain([&span.keys]).cloned().flatten().map(|row| row as u32),
        );
        (place, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(causal: bool) -> Heads {
        Heads { num_heads: 1, num_kv_heads: 1, head_dim: 8, rotary: None, causal, dropout: 0.0 }
    }

    fn span(prefix: &[std::ops::Range<usize>], rows: std::ops::Range<usize>) -> AttentionSpan {
        AttentionSpan { prefix: prefix.to_vec(), queries: rows.clone(), keys: rows }
    }

    /// `(query, queries, key, keys, visible, gathered)`.
    fn of_queries(plan: &Plan) -> Vec<[u32; 6]> {
        let fields = |t: &Tile| [t.query, t.queries, t.key, t.keys, t.visible, t.gathered];
        plan.tiles.iter().map(fields).collect()
    }

    #[test]
    fn queries_are_cut_into_tiles_and_the_longest_come_first() {
        let spans = [span(&[], 0..3), span(&[], 3..8), span(&[0..2, 4..5], 8..9), span(&[], 9..9)];
        let causal = Plan::of_queries(&spans, &heads(true), 4);
        assert_eq!(
            of_queries(&causal),
            [[7, 1, 3, 5, 5, 0], [3, 4, 3, 4, 1, 0], [8, 1, 0, 4, 4, 1], [0, 3, 0, 3, 1, 0]]
        );
        assert_eq!(causal.rows, [0, 1, 4, 8]);
        let both_ways = Plan::of_queries(&spans[..2], &heads(false), 4);
        assert_eq!(
            of_queries(&both_ways),
            [[3, 4, 3, 5, 5, 0], [7, 1, 3, 5, 5, 0], [0, 3, 0, 3, 3, 0]]
        );
    }

    #[test]
    fn keys_are_cut_into_tiles_and_the_most_seen_come_first() {
        let spans = [span(&[], 0..3), span(&[], 3..8), span(&[], 8..8)];
        let fields = |t: &Tile| [t.query, t.queries, t.key, t.keys, t.visible, t.start];
        let tiles = |causal| {
            Plan::of_keys(&spans, &heads(causal), 4).tiles.iter().map(fields).collect::<Vec<_>>()
        };
        assert_eq!(tiles(true), [[3, 5, 3, 5, 1, 0], [0, 3, 0, 3, 1, 0], [3, 5, 3, 5, 1, 4]]);
        assert_eq!(tiles(false), [[3, 5, 3, 5, 5, 0], [3, 5, 3, 5, 5, 4], [0, 3, 0, 3, 3, 0]]);
    }

    #[test]
    fn cached_keys_are_seen_by_all_queries() {
        let cached = AttentionSpan { prefix: vec![], queries: 0..2, keys: 0..7 };
        assert_eq!(
            of_queries(&Plan::of_queries(&[cached], &heads(true), 64)),
            [[0, 2, 0, 7, 6, 0]]
        );
    }
}
