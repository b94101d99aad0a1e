//! `/metrics`: how the gateway is doing, as Prometheus reads it. Few labels: routes and classes of answers, never a key, a
//! token or an address.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use super::routes::ROUTES;
use crate::store::Totals;
use crate::tool::prometheus::{head, line};

/// 1xx to 5xx.
const CLASSES: usize = 5;

/// What is counted while it happens.
#[derive(Debug)]
pub(crate) struct Metrics {
    began: Instant,
    /// Of each route, and of what is none; by class.
    answers: Vec<[AtomicU64; CLASSES]>,
    /// Of bodies.
    pub(crate) bytes: AtomicU64,
    /// Bodies that could not be given to their ends.
    pub(crate) broken: AtomicU64,
    /// Connections that there are.
    pub(crate) connections: AtomicU64,
    /// Connections for which there was no room.
    pub(crate) turned_away: AtomicU64,
}

/// What is looked at when somebody asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Versions that are open, those that are followed, and who reads them.
    pub(crate) open: u64,
    pub(crate) followed: u64,
    pub(crate) viewers: u64,
    /// Bytes of objects in memory.
    pub(crate) memory: u64,
    /// Answers that are held back.
    pub(crate) held: u64,
    /// Requests that the store was sent.
    pub(crate) store: Totals,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            answers: (0..=ROUTES.len()).map(|_| Default::default()).collect(),
            bytes: AtomicU64::default(),
            broken: AtomicU64::default(),
            connections: AtomicU64::default(),
            turned_away: AtomicU64::default(),
        }
    }
}

impl Metrics {
    /// An answer of this status has been begun on the route of this path.
    pub(crate) fn answered(&self, route: Option<&'static str>, status: u16) {
        let route = route.and_then(|path| ROUTES.iter().position(|route| route.path == path)).unwrap_or(ROUTES.len());
        let class = usize::from(status / 100).saturating_sub(1).min(CLASSES - 1);
        if let Some(count) = self.answers.get(route).and_then(|classes| classes.get(class)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// The text.
    pub(crate) fn text(&self, now: Now) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
            let name = format!("live_read_{name}");
            head(&mut text, &name, kind, help);
            for (labels, value) in values {
                line(&mut text, &name, labels, value);
            }
        };
        let one = |value: u64| [(String::new(), value)];
        let mut answers = Vec::new();
        for (at, classes) in self.answers.iter().enumerate() {
            let route = ROUTES.get(at).map_or("none", |route| route.path);
            for (class, count) in (1..).zip(classes) {
                let count = count.load(Relaxed);
                if count > 0 {
                    answers.push((format!("{{route=\"{route}\",status=\"{class}xx\"}}"), count));
                }
            }
        }
        family("answers_total", "counter", "Answers by route and class of status.", &answers);
        family(
            "sent_bytes_total",
            "counter",
            "Bytes of bodies that were handed to connections.",
            &one(self.bytes.load(Relaxed)),
        );
        family(
            "broken_answers_total",
            "counter",
            "Answers that broke off: what they gave could not be given to its end.",
            &one(self.broken.load(Relaxed)),
        );
        family("connections", "gauge", "Connections that there are.", &one(self.connections.load(Relaxed)));
        family(
            "connections_turned_away_total",
            "counter",
            "Connections for which there was no room.",
            &one(self.turned_away.load(Relaxed)),
        );
        family("open_objects", "gauge", "Versions of objects that are open here.", &one(now.open));
        family("followed_objects", "gauge", "Those of them that grow and are followed.", &one(now.followed));
        family("viewers", "gauge", "Answers that read an object right now.", &one(now.viewers));
        family(
            "memory_bytes",
            "gauge",
            "Bytes of objects that are held in memory (--memory bounds them).",
            &one(now.memory),
        );
        family("held_answers", "gauge", "Answers that wait for something to come.", &one(now.held));
        let Totals { uploads, reads, lists, others, sent, .. } = now.store;
        let of_store = [("read", reads), ("list", lists), ("upload", uploads), ("other", others)];
        let of_store = of_store.map(|(kind, count)| (format!("{{kind=\"{kind}\"}}"), count));
        family("store_requests_total", "counter", "Requests that the store was sent.", &of_store);
        family("store_sent_bytes_total", "counter", "Bytes of objects that the store was sent.", &one(sent));
        family("up_seconds", "gauge", "How long this program runs.", &one(self.began.elapsed().as_secs()));
        let version = [(format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1)];
        family("build_info", "gauge", "Which program this is.", &version);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_family_has_its_help_and_each_line_is_a_name_and_a_number() {
        let metrics = Metrics::default();
        metrics.answered(Some("/watch"), 206);
        metrics.answered(Some("/watch"), 200);
        metrics.answered(None, 404);
        let now = Now {
            open: 2,
            followed: 1,
            viewers: 7,
            memory: 9,
            held: 0,
            store: Totals { reads: 5, ..Totals::default() },
        };
        let text = metrics.text(now);
        for wanted in [
            "live_read_answers_total{route=\"/watch\",status=\"2xx\"} 2\n",
            "live_read_answers_total{route=\"none\",status=\"4xx\"} 1\n",
            "live_read_viewers 7\n",
            "live_read_store_requests_total{kind=\"read\"} 5\n",
            "# TYPE live_read_sent_bytes_total counter\n",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
        for line in text.lines() {
            let is_comment = line.starts_with("# HELP live_read_") || line.starts_with("# TYPE live_read_");
            let value = line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<u64>().is_ok());
            assert!(is_comment || (line.starts_with("live_read_") && value), "{line}");
        }
    }
}
