//! What whoever runs a writer of many streams may ask it and tell it, over HTTP: stream keys, what is being recorded, figures.
//!
//! | module | job |
//! |---|---|
//! | `routes` | which paths there are, and what each does |
//! | [`gate`] | who may ask |
//! | `api` | the answers |
//! | `asked` | what requests say |
//! | `answer` | a status with JSON or text |
//! | `docs` | what there is, as a page for people |
//! | `metrics` | figures, as Prometheus reads them; pure |
//! | [`register`] | what is being recorded, and what has been |
//! | `listen` | connections |

mod answer;
mod api;
mod asked;
mod docs;
pub mod gate;
mod listen;
mod metrics;
pub mod register;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::ingest::Sessions;
use crate::keys::book::Book;
use gate::Gate;
use register::Register;

/// What is asked about, and told.
#[derive(Debug)]
pub struct Admin {
    /// Who may ask.
    pub gate: Gate,
    /// Stream keys.
    pub book: Book,
    /// What is published.
    pub sessions: Sessions,
    /// What is recorded.
    pub register: Arc<Register>,
}

/// Why nobody can ask.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address} (--admin): {cause}")]
pub struct AdminError {
    address: SocketAddr,
    cause: std::io::Error,
}

/// Listens, and tells where.
///
/// # Errors
/// [`AdminError`].
pub async fn bind(address: SocketAddr) -> Result<TcpListener, AdminError> {
    let failed = |cause| AdminError { address, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    tracing::info!(event = "listening", "administered at http://{local}/");
    Ok(listener)
}

impl Admin {
    /// Answers until the future is dropped.
    pub async fn run(self, listener: TcpListener) {
        listen::run(Arc::new(self), listener).await;
    }
}
