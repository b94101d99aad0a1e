//! Listening, with TLS or without, and a task for each connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// A client that does not get on with its handshake is not waited for.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Binds, and gives the address that it really is.
pub async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves connections for ever, by TLS if `tls` is given.
pub async fn serve<H, F, B, E>(listener: TcpListener, tls: Option<TlsAcceptor>, handle: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: fmt::Display + Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: those in use come back.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("cannot set TCP_NODELAY: {error}");
        }
        let (handle, tls) = (handle.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => connection(stream, handle).await,
                Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, handle).await,
                    Ok(Err(error)) => tracing::debug!("handshake: {error}"),
                    Err(_) => tracing::debug!("handshake: not done within {} s", HANDSHAKE.as_secs()),
                },
            }
        });
    }
}

async fn connection<S, H, F, B, E>(stream: S, handle: H)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<B>, E>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: fmt::Display + Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handle)).await {
        tracing::debug!("connection: {error}");
    }
}
