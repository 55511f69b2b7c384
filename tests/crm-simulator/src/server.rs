//! Sockets: one port a system, each answering https and plain http.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;

use crate::fault::Kind;
use crate::http::{Call, Reply};
use crate::ledger::{self, Entry};
use crate::state::{World, lock};

/// The system behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Salesforce,
    Dataverse,
    LinkedIn,
    Control,
}

/// A body; perhaps one that stops halfway.
pub(crate) struct SimBody {
    data: Option<Bytes>,
    /// After the data: wait a little so that it is sent, then break off.
    cut: Option<Pin<Box<Sleep>>>,
}

impl SimBody {
    fn whole(data: Bytes) -> Self {
        Self {
            data: (!data.is_empty()).then_some(data),
            cut: None,
        }
    }

    fn half(data: &Bytes) -> Self {
        let data = data.slice(..data.len() / 2);
        Self {
            data: Some(data),
            cut: Some(Box::pin(tokio::time::sleep(Duration::from_millis(30)))),
        }
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.cut.as_mut() {
            None => Poll::Ready(None),
            Some(sleep) => {
                std::task::ready!(sleep.as_mut().poll(cx));
                Poll::Ready(Some(Err(io::Error::other("cut off on request"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.cut.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match (&self.data, &self.cut) {
            (_, Some(_)) => hyper::body::SizeHint::default(),
            (data, None) => {
                let length = data.as_ref().map_or(0, Bytes::len);
                hyper::body::SizeHint::with_exact(u64::try_from(length).unwrap_or(0))
            }
        }
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on request")
    }
}

impl std::error::Error for Closed {}

/// Accepts connections until it is stopped.
pub(crate) async fn listen(
    world: Arc<World>,
    system: System,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
            _ = stop.changed() => return,
        };
        let (world, acceptor, stop) = (Arc::clone(&world), acceptor.clone(), stop.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            connection(world, system, stream, acceptor, stop).await;
        });
    }
}

async fn connection(
    world: Arc<World>,
    system: System,
    stream: TcpStream,
    acceptor: TlsAcceptor,
    stop: watch::Receiver<bool>,
) {
    let mut first = [0_u8; 1];
    let secure = matches!(stream.peek(&mut first).await, Ok(1)) && first == [0x16];
    if secure {
        match acceptor.accept(stream).await {
            Ok(stream) => serve(world, system, stream, "https", stop).await,
            Err(error) => tracing::debug!(%error, "handshake failed"),
        }
    } else {
        serve(world, system, stream, "http", stop).await;
    }
}

async fn serve<S>(
    world: Arc<World>,
    system: System,
    stream: S,
    scheme: &'static str,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let world = Arc::clone(&world);
        async move { answer(&world, system, scheme, request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // As the real ones write them over HTTP/1.1; clients that compare exactly exist.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

async fn read(scheme: &str, request: Request<Incoming>) -> Option<Call> {
    let (parts, body) = request.into_parts();
    let host = parts
        .headers
        .get("host")
        .and_then(|host| host.to_str().ok());
    let host = host
        .map(str::to_owned)
        .or_else(|| parts.uri.authority().map(ToString::to_string));
    let body = body.collect().await.ok()?.to_bytes();
    Some(Call {
        method: parts.method.as_str().to_ascii_uppercase(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        base: format!("{scheme}://{}", host.unwrap_or_default()),
        headers: parts.headers,
        body,
    })
}

async fn answer(
    world: &Arc<World>,
    system: System,
    scheme: &str,
    request: Request<Incoming>,
) -> Result<Response<SimBody>, Closed> {
    let call = read(scheme, request).await.ok_or(Closed)?;
    if system == System::Control {
        let reply = crate::control::handle(world, &call).await;
        return response(&reply, &call.method, false).ok_or(Closed);
    }
    let name = name_of(system, &call.path);
    let fault = lock(&world.faults).take(name, &call);
    if let Some(fault) = fault
        .as_ref()
        .filter(|fault| fault.delay_ms > 0 || fault.kind == Kind::Slow)
    {
        let wait = if fault.delay_ms == 0 {
            1000
        } else {
            fault.delay_ms
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    let kind = fault.as_ref().map(|fault| fault.kind);
    let reply = match (kind, &fault) {
        (Some(Kind::Status), Some(fault)) => fault.reply(),
        (Some(Kind::Drop), _) => Reply::empty(0),
        (Some(Kind::Garbage), _) => Reply::text(
            200,
            "text/html;charset=UTF-8",
            "<!DOCTYPE html><html><head><title>Maintenance</title></head><body>We will be back soon.</body></html>",
        ),
        _ => {
            if kind == Some(Kind::ExpiredToken) {
                expire(world, system, &call);
            }
            let reply = run(world, system, &call);
            if call.method != "GET" {
                world.changed.notify_one();
            }
            reply
        }
    };
    let silent = matches!(kind, Some(Kind::LostReply | Kind::Drop));
    lock(&world.ledger).push(Entry {
        seq: 0,
        at_ms: world.clock.now_ms(),
        system: name,
        method: call.method.clone(),
        template: ledger::template(name, &call.path),
        path: call.path.clone(),
        status: if silent { 0 } else { reply.status },
        bytes_in: call.body.len(),
        bytes_out: if silent { 0 } else { reply.body.len() },
        fault: fault.as_ref().map(crate::fault::Fault::label),
        parts: reply.parts.clone(),
    });
    if silent {
        return Err(Closed);
    }
    response(&reply, &call.method, kind == Some(Kind::Truncate)).ok_or(Closed)
}

fn name_of(system: System, path: &str) -> &'static str {
    match system {
        System::Salesforce => "salesforce",
        System::Dataverse if path.starts_with("/api/") => "dataverse",
        System::Dataverse => "entra",
        System::LinkedIn => "linkedin",
        System::Control => "control",
    }
}

/// Lets the system act.
pub(crate) fn run(world: &World, system: System, call: &Call) -> Reply {
    let now = world.clock.now_ms();
    match system {
        System::Salesforce => lock(&world.salesforce).handle(call, now, &world.signer),
        System::Dataverse => lock(&world.dataverse).handle(call, now, &world.signer),
        System::LinkedIn => lock(&world.linkedin).handle(call, now),
        System::Control => Reply::empty(404),
    }
}

fn expire(world: &World, system: System, call: &Call) {
    let Some(token) = call.bearer() else { return };
    match system {
        System::Salesforce => lock(&world.salesforce).auth.expire(Some(token)),
        System::Dataverse => lock(&world.dataverse).auth.expire(Some(token)),
        System::LinkedIn => lock(&world.linkedin).auth.expire(Some(token)),
        System::Control => 0,
    };
}

fn response(reply: &Reply, method: &str, cut: bool) -> Option<Response<SimBody>> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name.as_str(), value.as_str());
    }
    if method == "HEAD" {
        return response.body(SimBody::whole(Bytes::new())).ok();
    }
    if cut && reply.body.len() > 1 {
        response = response.header("content-length", reply.body.len());
        return response.body(SimBody::half(&reply.body)).ok();
    }
    response.body(SimBody::whole(reply.body.clone())).ok()
}
