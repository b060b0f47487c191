//! What the front end has written about its rings, made into a [`Connection`], or into a message for the back end's `error` node.

use alloc::{format, string::String, vec::Vec};

use abi::blkif::PROTOCOL;

use super::features::{MAX_QUEUES, MAX_RING_ORDER};

/// How a front end wants to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its queues, 1 to [`MAX_QUEUES`].
    pub queues: Vec<Queue>,
    /// It lets its pages stay mapped.
    pub persistent: bool,
}

/// A ring and its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Grant references of the ring's pages, in order; a power of two of them.
    pub ring: Vec<u32>,
    /// The front end's event channel.
    pub port: u32,
}

/// Reads a connection. `read` has the value of a node in the front end's folder.
///
/// # Errors
/// What is missing or wrong, naming the node.
pub fn read(read: impl Fn(&str) -> Option<String>) -> Result<Connection, String> {
    if let Some(other) = read("protocol").filter(|protocol| protocol != PROTOCOL) {
        return Err(format!("protocol {}: only {PROTOCOL} is served here", shown(&other)));
    }
    let number = |name: &str| match read(name) {
        None => Ok(None),
        Some(text) => text.trim().parse::<u32>().map(Some).map_err(|_| format!("{name} {}: not a number", shown(&text))),
    };
    let within = |name: &str, least: u32, most: u32| match number(name)? {
        None => Ok(None),
        Some(value) if (least..=most).contains(&value) => Ok(Some(value)),
        Some(value) => Err(format!("{name} {value}: {least} to {most} are served here")),
    };
    let order = within("ring-page-order", 0, MAX_RING_ORDER)?;
    let count = within("multi-queue-num-queues", 1, MAX_QUEUES)?.unwrap_or(1);
    let needed = |name: String| number(&name)?.ok_or_else(|| format!("{name} is missing"));
    let queue = |folder: &str| {
        let ring = match order {
            None => [needed(format!("{folder}ring-ref"))].into_iter().collect::<Result<_, _>>()?,
            // A ring of one page may be told of in either way.
            Some(0) if read(&format!("{folder}ring-ref0")).is_none() => alloc::vec![needed(format!("{folder}ring-ref"))?],
            Some(order) => (0..1 << order).map(|page| needed(format!("{folder}ring-ref{page}"))).collect::<Result<_, _>>()?,
        };
        Ok(Queue { ring, port: needed(format!("{folder}event-channel"))? })
    };
    let queues = match count {
        1 if read("queue-0/event-channel").is_none() => alloc::vec![queue("")?],
        count => (0..count).map(|index| queue(&format!("queue-{index}/"))).collect::<Result<_, String>>()?,
    };
    Ok(Connection { queues, persistent: number("feature-persistent")?.unwrap_or(0) != 0 })
}

/// A guest's text, cut short and without control characters.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(32).collect();
    format!("\"{}\"", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    fn from(nodes: &[(&str, &str)]) -> Result<Connection, String> {
        read(|name| nodes.iter().find(|(known, _)| *known == name).map(|(_, value)| String::from(*value)))
    }

    #[test]
    fn one_page_one_queue() {
        let nodes = [("ring-ref", "8"), ("event-channel", "5"), ("protocol", "x86_64-abi"), ("feature-persistent", "1")];
        assert_eq!(from(&nodes), Ok(Connection { queues: vec![Queue { ring: vec![8], port: 5 }], persistent: true }));
        assert!(!from(&nodes[..2]).unwrap().persistent);
        let nodes = [("ring-page-order", "0"), ("ring-ref", "8"), ("event-channel", "5")];
        assert_eq!(from(&nodes).unwrap().queues[0].ring, [8]);
    }

    #[test]
    fn several_pages_and_queues() {
        let nodes = [("ring-page-order", "1"), ("ring-ref0", "8"), ("ring-ref1", "9"), ("event-channel", "5")];
        assert_eq!(from(&nodes).unwrap().queues, [Queue { ring: vec![8, 9], port: 5 }]);
        let nodes = [
            ("multi-queue-num-queues", "2"),
            ("queue-0/ring-ref", "1"),
            ("queue-0/event-channel", "2"),
            ("queue-1/ring-ref", "3"),
            ("queue-1/event-channel", "4"),
        ];
        assert_eq!(from(&nodes).unwrap().queues, [Queue { ring: vec![1], port: 2 }, Queue { ring: vec![3], port: 4 }]);
        let one = [("multi-queue-num-queues", "1"), ("ring-ref", "1"), ("event-channel", "2")];
        assert_eq!(from(&one).unwrap().queues.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (nodes, said) in [
            (&[][..], "ring-ref is missing"),
            (&[("ring-ref", "8")], "event-channel is missing"),
            (&[("ring-ref", "x"), ("event-channel", "5")], "ring-ref \"x\": not a number"),
            (&[("ring-ref", "-1"), ("event-channel", "5")], "not a number"),
            (&[("ring-ref", "4294967296"), ("event-channel", "5")], "not a number"),
            (&[("protocol", "x86_32-abi")], "protocol \"x86_32-abi\": only x86_64-abi"),
            (&[("ring-page-order", "4")], "ring-page-order 4: 0 to 3"),
            (&[("ring-page-order", "1"), ("ring-ref", "8"), ("event-channel", "5")], "ring-ref0 is missing"),
            (&[("multi-queue-num-queues", "0")], "multi-queue-num-queues 0: 1 to 4"),
            (&[("multi-queue-num-queues", "4000000000")], "1 to 4"),
            (&[("multi-queue-num-queues", "2"), ("ring-ref", "8"), ("event-channel", "5")], "queue-0/ring-ref is missing"),
        ] {
            let error = from(nodes).unwrap_err();
            assert!(error.contains(said), "{nodes:?}: {error}");
        }
        let error = from(&[("protocol", "\u{1b}[2J\n")]).unwrap_err();
        assert!(!error.contains(['\u{1b}', '\n']), "{error}");
    }

    proptest! {
        #[test]
        fn no_nodes_break_it(values in prop::collection::vec("(|[0-9]{1,12}|-?[a-z0-9]{0,5})", 8)) {
            let names = ["ring-ref", "event-channel", "ring-page-order", "ring-ref0", "ring-ref1", "multi-queue-num-queues", "queue-0/ring-ref", "queue-0/event-channel"];
            let known: Vec<(&str, &str)> = names.iter().copied().zip(values.iter().map(String::as_str)).filter(|(_, value)| !value.is_empty()).collect();
            if let Ok(connection) = from(&known) {
                prop_assert!((1..=MAX_QUEUES as usize).contains(&connection.queues.len()));
                prop_assert!(connection.queues.iter().all(|queue| queue.ring.len().is_power_of_two() && queue.ring.len() <= 8));
            }
        }
    }
}
