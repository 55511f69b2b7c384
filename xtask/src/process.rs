//! Running programs: in the foreground, with their output read, and in the background.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The folder for the tools, state and logs of local runs; nothing in it is worth saving.
pub(crate) fn scratch() -> PathBuf {
    root().join(".leadbridge")
}

/// The folder cargo builds into.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// `PATH` with the tools that `cargo xtask setup` installed in front.
pub(crate) fn path_with_tools() -> OsString {
    let mut path = scratch().join("venv/bin").into_os_string();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

/// A program that `cargo xtask setup` installed.
pub(crate) fn tool(name: &str) -> Result<Command> {
    let program = scratch().join("venv/bin").join(name);
    ensure!(
        program.exists(),
        "{name} is not installed; run `cargo xtask setup` first"
    );
    let mut command = Command::new(program);
    command.current_dir(root()).env("PATH", path_with_tools());
    Ok(command)
}

/// `cargo` in the workspace. The variables that the outer `cargo run` set for this program
/// would make the inner one build things again.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(arguments);
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
        {
            command.env_remove(name);
        }
    }
    command
}

/// Builds the workspace's programs, and its tests too: so cargo chooses the features that tests are run with, and
/// nothing is compiled twice.
pub(crate) fn build() -> Result<()> {
    succeed(&mut cargo([
        "build",
        "--quiet",
        "--workspace",
        "--all-targets",
    ]))
}

/// Runs a command to its end; anything but success is an error.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("failed to start {}", shown(command)))?;
    ensure!(status.success(), "{} ended with {status}", shown(command));
    Ok(())
}

/// Runs a command to its end and returns its standard output.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", shown(command)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{} ended with {}\n{text}{}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

/// Runs a command to its end, shows its output as it comes and returns it too,
/// with whether the command succeeded.
pub(crate) fn watch(command: &mut Command) -> Result<(bool, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {}", shown(command)))?;
    let (sender, lines) = mpsc::channel();
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    for pipe in pipes.into_iter().flatten() {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                if sender
                    .send(String::from_utf8_lossy(&line).into_owned())
                    .is_err()
                {
                    break;
                }
            }
        });
    }
    drop(sender);
    let mut text = String::new();
    for line in lines {
        println!("{line}");
        text.push_str(&line);
        text.push('\n');
    }
    Ok((child.wait()?.success(), text))
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// A program in the background, in a process group of its own. Its id is stored in a file, so that a later
/// run of this tool can end the programs of an earlier one.
pub(crate) struct Daemon {
    name: String,
    keep: bool,
}

impl Daemon {
    /// Starts `command`, with its output in `.leadbridge/log/<name>.log`.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        Self::stop(name)?;
        fs::create_dir_all(scratch().join("run"))?;
        fs::create_dir_all(scratch().join("log"))?;
        let log = File::create(Self::log(name))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start {}", shown(command)))?;
        fs::write(
            pid_file(name),
            format!("{} {}", child.id(), started(child.id())),
        )?;
        // Reaps it, so that its end shows.
        thread::spawn(move || {
            let mut child = child;
            child.wait()
        });
        Ok(Self {
            name: name.to_owned(),
            keep: false,
        })
    }

    /// The file for a program's output.
    pub(crate) fn log(name: &str) -> PathBuf {
        scratch().join("log").join(format!("{name}.log"))
    }

    /// Leaves the program running when this tool ends.
    pub(crate) fn keep(mut self) {
        self.keep = true;
    }

    /// The process id of a program of that name, if it runs.
    pub(crate) fn running(name: &str) -> Option<u32> {
        let text = fs::read_to_string(pid_file(name)).ok()?;
        let (id, since) = text.split_once(' ')?;
        let id = id.parse().ok()?;
        // Ids are used again: the same one with another start is another program.
        (!since.is_empty() && started(id) == since).then_some(id)
    }

    /// Ends the program of that name and all it started, if it runs.
    pub(crate) fn stop(name: &str) -> Result<()> {
        if let Some(id) = Self::running(name) {
            signal("TERM", id)?;
            let deadline = Instant::now() + Duration::from_secs(10);
            while Self::running(name).is_some() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(50));
            }
            // The rest of the group, if any, has no work to finish.
            signal("KILL", id)?;
        }
        match fs::remove_file(pid_file(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Waits until `ready` gives a value, and fails early when the program ends.
    pub(crate) fn wait<T>(&self, seconds: u64, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(value) = ready() {
                return Ok(value);
            }
            let ended = Self::running(&self.name).is_none();
            if ended || Instant::now() > deadline {
                let log = fs::read_to_string(Self::log(&self.name)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().rev().take(20).collect();
                let tail: Vec<&str> = lines.into_iter().rev().collect();
                let what = if ended {
                    "ended"
                } else {
                    "was not ready in time"
                };
                bail!("{} {what}; its last lines:\n{}", self.name, tail.join("\n"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = Self::stop(&self.name)
        {
            println!("{} could not be ended: {error:#}", self.name);
        }
    }
}

fn pid_file(name: &str) -> PathBuf {
    scratch().join("run").join(format!("{name}.pid"))
}

/// The start time of a process, in the kernel's ticks; empty if there is none or it has ended.
fn started(id: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name, in brackets, may hold spaces: the fields are counted from its end.
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .map_or(vec![], |(_, rest)| rest.split(' ').collect());
    match (fields.first(), fields.get(19)) {
        (Some(&state), Some(&ticks)) if state != "Z" => ticks.to_owned(),
        _ => String::new(),
    }
}

fn signal(name: &str, group: u32) -> Result<()> {
    Command::new("kill")
        .args(["-s", name, "--", &format!("-{group}")])
        .stderr(Stdio::null())
        .status()
        .context("failed to start kill")?;
    Ok(())
}

/// Fails with a clear message when a port is taken.
pub(crate) fn port_is_free(port: u16, option: &str) -> Result<()> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) => bail!("port {port} cannot be used ({error}); choose another with {option}"),
    }
}

/// True if something listens on a port.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A small HTTP/1.1 client for loopback addresses: returns the status and the body of the answer.
pub(crate) fn http(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(u16, String)> {
    let rest = url
        .strip_prefix("http://")
        .with_context(|| format!("not an http address: {url}"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).with_context(|| format!("failed to reach {host}"))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n"
    )?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "content-length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("no HTTP answer")?;
    Ok((
        status,
        answer
            .split_once("\r\n\r\n")
            .map_or(String::new(), |(_, body)| body.to_owned()),
    ))
}
