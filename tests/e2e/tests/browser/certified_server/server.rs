//! The certified server of tests/browser, as a process.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, mpsc};
use url::Url;

/// The time limit for the server to report its events.
const PATIENCE: Duration = Duration::from_secs(30);

/// The CRM whose sign-in the server looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Salesforce,
    Entra,
}

impl Shape {
    const fn name(self) -> &'static str {
        match self {
            Self::Salesforce => "salesforce",
            Self::Entra => "entra",
        }
    }
}

/// The folder with the server and its packages.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../browser")
}

/// The server while it runs.
pub(crate) struct Server {
    /// Its address.
    pub(crate) url: Url,
    /// The organisation that its users are in.
    pub(crate) organization: String,
    http: Client,
    io: Mutex<Io>,
    _child: Child,
}

struct Io {
    commands: ChildStdin,
    lines: mpsc::UnboundedReceiver<Value>,
    events: Vec<Value>,
}

impl Io {
    async fn next(&mut self) -> Value {
        tokio::time::timeout(PATIENCE, self.lines.recv())
            .await
            .expect("the server says in time what it does")
            .expect("the server goes on")
    }
}

impl Server {
    /// Starts the server, with one client that may come back to these addresses.
    pub(crate) async fn start(
        shape: Shape,
        client_id: &str,
        client_secret: &str,
        redirect_uris: &[String],
    ) -> Self {
        let mut child = Command::new("node")
            .arg(folder().join("server.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The server's warnings are shown with a test that fails.
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut commands = child.stdin.take().unwrap();
        let options = json!({
            "shape": shape.name(), "client_id": client_id, "client_secret": client_secret,
            "redirect_uris": redirect_uris,
        });
        let line = format!("{options}\n");
        commands.write_all(line.as_bytes()).await.unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                // The library's own notices are no JSON.
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = sender.send(event);
                }
            }
        });
        let mut io = Io {
            commands,
            lines,
            events: Vec::new(),
        };
        let listening = io.next().await;
        assert_eq!(listening["event"], "listening");
        Self {
            url: listening["url"].as_str().unwrap().parse().unwrap(),
            organization: listening["organization"].as_str().unwrap().to_owned(),
            http: Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            io: Mutex::new(io),
            _child: child,
        }
    }

    /// The events at the server since the last call.
    pub(crate) async fn events(&self) -> Vec<Value> {
        self.tell("mark").await
    }

    /// Ends every access token that was given so far, as the end of a session does.
    pub(crate) async fn end_access_tokens(&self) {
        let mut events = self.tell("end-access-tokens").await;
        self.io.lock().await.events.append(&mut events);
    }

    /// Sends a command, and returns all events up to its answer.
    async fn tell(&self, command: &str) -> Vec<Value> {
        let mut io = self.io.lock().await;
        let line = format!("{command}\n");
        io.commands.write_all(line.as_bytes()).await.unwrap();
        loop {
            let event = io.next().await;
            if event["event"] == "done" {
                return std::mem::take(&mut io.events);
            }
            assert_ne!(event["event"], "server_error", "{event}");
            io.events.push(event);
        }
    }

    /// Posts a form unchanged, and returns status and answer.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let url = self.url.join(path).unwrap();
        let answer = self.http.post(url).form(form).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Follows a link as a browser without any cookie, and returns the address that it is sent to.
    pub(crate) async fn redirect(&self, url: Url) -> Url {
        let answer = self.http.get(url).send().await.unwrap();
        let location = answer.headers()[reqwest::header::LOCATION].to_str();
        self.url.join(location.unwrap()).unwrap()
    }
}

/// The events of one name.
pub(crate) fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    found.extend(events.iter().filter(|event| event["event"] == name));
    found
}
