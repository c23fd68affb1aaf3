//! What the GPU is to do next. Kernels and products wait here until there are enough of them to be
//! sent together; a sequence that came before is sent as one graph, which costs the host a fraction
//! of starting each by itself.
//!
//! Waiting for the GPU, a copy to or from it, and freeing its memory send what waits first. So
//! no result depends on whether a kernel was launched alone or in a graph.

use std::collections::HashMap;

use super::command::{Command, Kernel, Slot, Streams};
use super::graph::Graph;
use super::multiplication::Multiplication;
use crate::device::LaunchStats;

/// Commands that are sent together: so few that the GPU does not wait long for the host to gather
/// them, and so many that starting their graph is little beside starting them.
const MOST: usize = 32;
/// Commands that are sent together when the GPU has nothing to do because a caller waited for it;
/// then twice as many, up to `MOST`.
const FIRST: usize = 8;
/// Fewer are sent one by one: a graph would gain nothing.
const FEWEST: usize = 4;
/// A sequence that was sent one by one so often is worth a graph when it comes again.
const TRIALS: u32 = 2;
/// Sequences that are remembered. A step of a model with 24 layers has about thirty; texts of many
/// lengths have no end of them.
const REMEMBERED: usize = 1024;
/// Graphs that are kept: each takes memory of the GPU, by others' accounts about 10 KB a kernel
/// (not measured here).
const GRAPHS: usize = 256;

/// The state of a sequence of commands.
enum Known {
    /// The number of times it was sent.
    Sent(u32),
    /// Its graph, and when that was last started.
    Graph(Graph, u64),
    /// The driver makes no graph of it, or does not start it.
    NoGraph,
}

/// Commands in the order of the stream.
pub(super) struct Queue {
    streams: Streams,
    commands: Vec<Command>,
    slots: Vec<Slot>,
    /// What two sequences must have in common to be one graph: everything but the parameters of
    /// kernels. A command's first word is its kernel or its product's plan, both of which stay as
    /// long as the device, and determines how many words it has.
    key: Vec<u64>,
    /// How many commands are sent together now.
    limit: usize,
    known: HashMap<Box<[u64]>, Known>,
    with_graphs: bool,
    launch_stats: LaunchStats,
    /// A failure that could not be reported yet.
    failed: Option<String>,
}

// Safety: the driver's handles may be used from any thread; what the queue holds is its own.
unsafe impl Send for Queue {}

impl Queue {
    pub(super) fn new(streams: Streams, with_graphs: bool) -> Self {
        Self {
            streams,
            commands: Vec::with_capacity(MOST),
            slots: Vec::new(),
            key: Vec::new(),
            limit: FIRST,
            known: HashMap::new(),
            with_graphs,
            launch_stats: LaunchStats::default(),
            failed: None,
        }
    }

    pub(super) fn launch_stats(&self) -> LaunchStats {
        self.launch_stats.clone()
    }

    /// Adds a kernel with its parameters.
    pub(super) fn add_kernel(&mut self, kernel: Kernel, parameters: &[Slot]) {
        let first = self.slots.len();
        self.slots.extend_from_slice(parameters);
        let (x, y, z) = kernel.grid;
        let pair = |high: u32, low: u32| (high as u64) << 32 | low as u64;
        self.key.extend([
            kernel.function as u64,
            pair(x, y),
            pair(z, kernel.threads),
            kernel.shared_bytes as u64,
        ]);
        self.commands.push(Command::Kernel(kernel, first..self.slots.len()));
    }

    /// Adds a product.
    pub(super) fn add_product(&mut self, product: Multiplication) {
        self.key.extend(product.words());
        self.commands.push(Command::Product(product));
    }

    pub(super) fn is_full(&self) -> bool {
        self.commands.len() >= self.limit
    }

    /// Records that the GPU has done everything and is idle.
    pub(super) fn has_run_dry(&mut self) {
        self.limit = FIRST;
    }

    /// Sends everything to the GPU, whose context is current, and is empty afterwards, whether or
    /// not that succeeds.
    ///
    /// # Errors
    /// What the driver or cuBLASLt failed to do. What comes after it is dropped.
    pub(super) fn send(&mut self) -> Result<(), String> {
        if self.is_full() {
            self.limit = (2 * self.limit).min(MOST);
        }
        let sent = match self.failed.take() {
            Some(failed) => Err(failed),
            None => self.send_all(),
        };
        self.commands.clear();
        self.slots.clear();
        self.key.clear();
        sent
    }

    /// Sends everything to the GPU where a failure cannot be reported: the next `send` reports it.
    pub(super) fn send_silently(&mut self) {
        self.failed = self.send().err();
    }

    fn send_all(&mut self) -> Result<(), String> {
        if !self.with_graphs || self.commands.len() < FEWEST {
            return self.send_each();
        }
        let why = match self.known.get_mut(&self.key[..]) {
            Some(Known::Graph(graph, last_used)) => {
                *last_used = self.launch_stats.graphs;
                match graph.start(&self.commands, &self.slots, self.streams.work) {
                    Ok(()) => {
                        self.launch_stats.graphs += 1;
                        self.launch_stats.in_graphs += self.commands.len() as u64;
                        return Ok(());
                    }
                    // Nothing of it has run.
                    Err(why) => why,
                }
            }
            Some(Known::Sent(times)) if *times < TRIALS => {
                *times += 1;
                return self.send_each();
            }
            // The commands first, so that the GPU has something to do meanwhile.
            Some(Known::Sent(_)) => {
                self.send_each()?;
                self.make_graph();
                return Ok(());
            }
            Some(Known::NoGraph) => return self.send_each(),
            None => {
                self.remember();
                return self.send_each();
            }
        };
        self.refuse(why);
        self.send_each()
    }

    /// Makes a graph of what waits, for the next time.
    fn make_graph(&mut self) {
        if self.known.values().filter(|known| matches!(known, Known::Graph(..))).count() >= GRAPHS {
            self.forget_a_graph();
        }
        match Graph::new(&self.commands, &self.slots, self.streams) {
            Ok(graph) => {
                let known = Known::Graph(graph, self.launch_stats.graphs);
                self.known.insert(self.key.as_slice().into(), known);
            }
            Err(why) => self.refuse(why),
        }
    }

    /// Has what waits go alone from now on.
    fn refuse(&mut self, why: String) {
        self.launch_stats.refused.get_or_insert(why);
        self.known.insert(self.key.as_slice().into(), Known::NoGraph);
    }

    /// Lets the graph go that was not started for longest. The driver keeps what is under way.
    fn forget_a_graph(&mut self) {
        let used = self.known.iter().filter_map(|(key, known)| match known {
            Known::Graph(_, last_used) => Some((last_used, key)),
            _ => None,
        });
        let oldest = used.min_by_key(|(last_used, _)| **last_used).map(|(_, key)| key.clone());
        oldest.and_then(|key| self.known.remove(&key));
    }

    /// Remembers a new sequence. When there are too many, those without a graph are forgotten.
    fn remember(&mut self) {
        if self.known.len() >= REMEMBERED {
            self.known.retain(|_, known| matches!(known, Known::Graph(..)));
        }
        self.known.insert(self.key.as_slice().into(), Known::Sent(1));
    }

    fn send_each(&mut self) -> Result<(), String> {
        for command in &self.commands {
            match command {
                Command::Kernel(kernel, parameters) => {
                    kernel.start(&mut self.slots[parameters.clone()], self.streams.work)?;
                }
                Command::Product(product) => product.start(self.streams.work)?,
            }
            self.launch_stats.alone += 1;
        }
        Ok(())
    }

    /// Forgets all sequences and their graphs.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::ptr::null_mut;

    use super::*;

    fn queue() -> Queue {
        Queue::new(Streams { work: null_mut(), capture: null_mut() }, true)
    }

    #[test]
    fn only_so_many_sequences_are_remembered() {
        let mut queue = queue();
        for number in 0..3 * REMEMBERED as u64 {
            queue.key = vec![number, 1];
            queue.remember();
            assert!(queue.known.len() <= REMEMBERED);
            assert!(matches!(queue.known.get(&[number, 1][..]), Some(Known::Sent(1))));
        }
    }

    #[test]
    fn a_failure_that_was_not_reported_is_reported_to_the_next() {
        let mut queue = queue();
        queue.failed = Some("broken".to_owned());
        queue.send_silently();
        assert_eq!(queue.send(), Err("broken".to_owned()));
        assert_eq!(queue.send(), Ok(()));
    }
}
