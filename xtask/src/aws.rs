//! Deploying the template to an emulator of AWS: packaging, the stack, and the settings made afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process::{path_with_tools, read, root, succeed, tool};

/// The folders of functions/, which are also packages, binaries and functions.
pub(crate) fn functions() -> Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(root().join("functions"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// An emulator, reached at one address.
pub(crate) struct Emulator {
    pub(crate) endpoint: String,
    pub(crate) region: String,
}

/// The stack and where its packages are kept.
const STACK: &str = "leadbridge";
const BUCKET: &str = "leadbridge-artifacts";

impl Emulator {
    /// The AWS command line, at this emulator and with the credentials emulators take.
    pub(crate) fn cli(&self) -> Result<Command> {
        let mut command = tool("aws")?;
        command
            .args([
                "--endpoint-url",
                &self.endpoint,
                "--region",
                &self.region,
                "--output",
                "json",
            ])
            // `cloudformation deploy` puts the template into the bucket by a client of its own.
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_PAGER", "");
        Ok(command)
    }

    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let text = read(self.cli()?.args(arguments))?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("aws {arguments:?} answered no JSON"))
    }

    /// Puts packages into the bucket and creates or updates the stack. `binaries` finds a
    /// function's program, `public_url` the address they are reached by. Returns the stack's outputs.
    pub(crate) fn deploy(
        &self,
        work: &Path,
        binaries: impl Fn(&str) -> PathBuf,
        parameters: &[(&str, String)],
        public_url: impl FnOnce(&Outputs) -> Result<String>,
    ) -> Result<Outputs> {
        fs::create_dir_all(work)?;
        let packages = work.join("packages");
        fs::create_dir_all(&packages)?;
        for name in functions()? {
            package(&binaries(&name), &packages.join(format!("{name}.zip")))?;
        }
        // A second deployment finds the bucket.
        let _ = self.ask(&["s3api", "create-bucket", "--bucket", BUCKET]);
        succeed(
            self.cli()?
                .args(["s3", "cp", "--quiet", "--recursive"])
                .arg(&packages)
                .arg(format!("s3://{BUCKET}/")),
        )?;
        let template = packaged(
            &fs::read_to_string(root().join("template.yaml"))?,
            parameters,
        )?;
        let file = work.join("template.yaml");
        fs::write(&file, template)?;

        let outputs = self.apply(&file, parameters)?;
        // The functions get their public address as a variable, and it is known only now: an
        // emulator serves the API elsewhere than AWS does.
        let mut again: Vec<(&str, String)> = parameters.to_vec();
        again.push(("PublicUrl", public_url(&outputs)?));
        self.apply(&file, &again)
    }

    /// The address at which an emulator serves an HTTP API.
    pub(crate) fn api_address(&self, outputs: &Outputs) -> Result<String> {
        Ok(format!(
            "{}/_aws/execute-api/{}/$default",
            self.endpoint,
            outputs.get("ApiId")?
        ))
    }

    /// Gives a function an address of its own, for emulators without HTTP APIs.
    pub(crate) fn function_address(&self, function: &str) -> Result<String> {
        let name = format!("{STACK}-{function}");
        let create = [
            "lambda",
            "create-function-url-config",
            "--auth-type",
            "NONE",
            "--function-name",
            &name,
        ];
        let find = [
            "lambda",
            "get-function-url-config",
            "--function-name",
            &name,
        ];
        let answer = self.ask(&create).or_else(|_| self.ask(&find))?;
        let url = answer
            .get("FunctionUrl")
            .and_then(Value::as_str)
            .context("the function got no URL")?;
        Ok(url.trim_end_matches('/').to_owned())
    }

    fn apply(&self, template: &Path, parameters: &[(&str, String)]) -> Result<Outputs> {
        let mut command = self.cli()?;
        command
            .args([
                "cloudformation",
                "deploy",
                "--stack-name",
                STACK,
                "--template-file",
            ])
            .arg(template)
            .args([
                "--capabilities",
                "CAPABILITY_IAM",
                "CAPABILITY_AUTO_EXPAND",
                "--no-fail-on-empty-changeset",
                // A template of this size is read from a bucket.
                "--s3-bucket",
                BUCKET,
            ])
            .arg("--parameter-overrides");
        for (name, value) in parameters {
            command.arg(format!("{name}={value}"));
        }
        if let Err(error) = read(&mut command) {
            let events = self.ask(&[
                "cloudformation",
                "describe-stack-events",
                "--stack-name",
                STACK,
                "--query",
                "StackEvents[?contains(ResourceStatus,`FAILED`)].[LogicalResourceId,ResourceStatusReason]",
            ]);
            // There are none where the stack was never begun.
            let events = events.unwrap_or_default();
            bail!("the stack was not deployed: {events}\n{error:#}");
        }
        let stacks = self.ask(&["cloudformation", "describe-stacks", "--stack-name", STACK])?;
        let list = stacks
            .pointer("/Stacks/0/Outputs")
            .and_then(Value::as_array)
            .context("the stack has no outputs")?;
        let text = |item: &Value, key: &str| {
            item.get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Ok(Outputs(
            list.iter()
                .map(|item| (text(item, "OutputKey"), text(item, "OutputValue")))
                .collect(),
        ))
    }
}

/// The stack's outputs, by name.
pub(crate) struct Outputs(Vec<(String, String)>);

impl Outputs {
    pub(crate) fn get(&self, name: &str) -> Result<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .with_context(|| format!("the stack has no output {name}"))
    }
}

/// The template as `sam package` would write it: with the packages' addresses in place of folders.
///
/// Numbers given by a parameter become literals: ministack hands them on as text, which its
/// own queue poller then cannot compare.
fn packaged(template: &str, parameters: &[(&str, String)]) -> Result<String> {
    let mut replaced = 0;
    let lines = template.lines().map(|line| {
        if let Some((indent, name)) = line.split_once("CodeUri: functions/") {
            replaced += 1;
            format!("{indent}CodeUri: s3://{BUCKET}/{name}.zip\n")
        } else if let Some((indent, name)) = line.split_once("MaximumConcurrency: !Ref ") {
            let value = parameters
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.as_str());
            format!("{indent}MaximumConcurrency: {}\n", value.unwrap_or("10"))
        } else {
            format!("{line}\n")
        }
    });
    let text: String = lines.collect();
    ensure!(
        replaced == functions()?.len(),
        "template.yaml has {replaced} functions, functions/ another number"
    );
    Ok(text)
}

/// A package for the `provided` runtimes: the program, without debug information, as `bootstrap`.
fn package(binary: &Path, zip: &Path) -> Result<()> {
    ensure!(binary.exists(), "{} was not built", binary.display());
    let folder = zip.with_extension("");
    fs::create_dir_all(&folder)?;
    let bootstrap = folder.join("bootstrap");
    succeed(Command::new("strip").arg("-o").arg(&bootstrap).arg(binary))?;
    let script = "import sys, zipfile\n\
        entry = zipfile.ZipInfo('bootstrap')\n\
        entry.external_attr = 0o755 << 16\n\
        with zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_STORED) as archive:\n    \
            archive.writestr(entry, open(sys.argv[1], 'rb').read())\n";
    succeed(
        Command::new("python3")
            .args(["-c", script])
            .arg(&bootstrap)
            .arg(zip)
            .env("PATH", path_with_tools()),
    )?;
    Ok(fs::remove_dir_all(folder)?)
}
