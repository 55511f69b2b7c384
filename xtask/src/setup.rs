//! `cargo xtask setup`: tools in folders of their own, at pinned versions.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    browser, clients,
    process::{read, root, scratch, succeed},
};

/// A program the other commands call, the check that it works, and Debian's packages with it.
struct Need {
    what: &'static str,
    check: &'static [&'static str],
    packages: &'static [&'static str],
}

const NEEDS: &[Need] = &[
    Need {
        what: "Python 3 with venv",
        check: &["python3", "-c", "import ensurepip, venv"],
        packages: &["python3", "python3-venv"],
    },
    Need {
        what: "Node.js 20 or later",
        check: &[
            "node",
            "--eval",
            "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)",
        ],
        packages: &["nodejs"],
    },
    Need {
        what: "npm",
        check: &["npm", "--version"],
        packages: &["npm"],
    },
    Need {
        what: "a C compiler",
        check: &["cc", "--version"],
        packages: &["gcc", "libc6-dev"],
    },
    Need {
        what: "a C++ compiler",
        check: &["c++", "--version"],
        packages: &["g++"],
    },
    Need {
        what: "strip",
        check: &["strip", "--version"],
        packages: &["binutils"],
    },
    Need {
        what: "Chromium with its driver",
        check: &["chromedriver", "--version"],
        packages: &["chromium", "chromium-driver"],
    },
];

/// Installs missing tools. A second run only compares stamps.
pub(crate) fn run() -> Result<()> {
    system_packages()?;
    packages()
}

/// Installs the Python and npm packages. Mostly waits for the network, so that it can run beside a compiler.
pub(crate) fn packages() -> Result<()> {
    venv("venv", &root().join("xtask/requirements.txt"))?;
    venv("sam", &root().join("xtask/requirements-sam.txt"))?;
    node_modules(&clients::folder())?;
    node_modules(&browser::folder())?;
    node_modules(&pages())
}

/// The folder with the checks of the pages' JavaScript.
pub(crate) fn pages() -> PathBuf {
    root().join("functions/console")
}

/// Installs missing programs with the system's package manager.
pub(crate) fn system_packages() -> Result<()> {
    let needs = missing();
    if needs.is_empty() {
        return Ok(());
    }
    let names = listed(&needs);
    let packages: Vec<&str> = needs
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    let root_on_debian =
        works(&["apt-get", "--version"]) && read(Command::new("id").arg("-u"))?.trim() == "0";
    if !root_on_debian {
        bail!(
            "missing: {names}. Install them and run this again; on Debian or Ubuntu: sudo apt-get install {}",
            packages.join(" ")
        );
    }
    println!("installing {names}");
    run_quietly(Command::new("apt-get").args(["update", "-qq"]))?;
    run_quietly(
        Command::new("apt-get")
            .args(["install", "-qq", "-y", "--no-install-recommends"])
            .args(&packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    let needs = missing();
    ensure!(
        needs.is_empty(),
        "this system's packages do not bring {}; install what does and run this again",
        listed(&needs)
    );
    Ok(())
}

fn missing() -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| !works(need.check)).collect()
}

fn listed(needs: &[&Need]) -> String {
    let names: Vec<&str> = needs.iter().map(|need| need.what).collect();
    names.join(", ")
}

/// True if a program starts and succeeds.
pub(crate) fn works(command: &[&str]) -> bool {
    let Some((program, arguments)) = command.split_first() else {
        return false;
    };
    Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Fills `.leadbridge/<name>` from the requirement file, each package by its hash. The file names every package,
/// so pip resolves nothing: it would ask for a pin of `boto3` beside that of `boto3[crt]`.
fn venv(name: &str, requirements: &Path) -> Result<()> {
    let folder = scratch().join(name);
    let stamp = folder.join("requirements.stamp");
    let wanted = wanted(requirements)?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    println!("installing Python tools into {}", folder.display());
    fs::create_dir_all(scratch())?;
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--no-deps",
        "-r",
    ]);
    run_quietly(pip.arg(requirements))?;
    succeed(Command::new(folder.join("bin/python")).args(["-m", "pip", "check", "--quiet"]))?;
    Ok(fs::write(stamp, wanted)?)
}

/// Installs a folder's npm packages by its lock file.
fn node_modules(folder: &Path) -> Result<()> {
    let lock = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.leadbridge.stamp");
    let wanted = wanted(&lock)?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    println!("installing npm packages into {}", folder.display());
    let mut npm = Command::new("npm");
    npm.current_dir(folder)
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    run_quietly(&mut npm)?;
    Ok(fs::write(stamp, wanted)?)
}

fn wanted(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))
}

/// Shows a command's output only when it fails.
fn run_quietly(command: &mut Command) -> Result<()> {
    read(command).map(|_| ())
}
