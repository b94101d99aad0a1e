//! Connections, no more than there is room for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::Admin;

/// Connections at one time.
const MOST: usize = 64;
/// How long the head of a request may take, also of the next one on a connection.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may be there: nothing that is asked takes long.
const LONGEST: Duration = Duration::from_secs(300);
/// The longest head.
const HEAD_BYTES: usize = 16 << 10;

/// Answers until the future is dropped.
pub(super) async fn run(admin: Arc<Admin>, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(MOST));
    loop {
        // Whoever comes when it is full waits in the system's queue.
        let Ok(seat) = room.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("a connection cannot be taken: {error}");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let admin = admin.clone();
        tokio::spawn(async move {
            let _seat = seat;
            let service = service_fn(move |request| {
                let admin = admin.clone();
                async move { Ok::<_, Infallible>(admin.answer(request).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
            drop(timeout(LONGEST, http.serve_connection(TokioIo::new(stream), service)).await);
        });
    }
}
