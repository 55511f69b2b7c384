//! A copy of a state whose company was just made, beside the state: a new state within some hours begins with
//! it at once. It holds what the same program has made, and nothing that anybody did afterwards.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result, ensure};
use shared::clock::Millis;

use super::HOUR;
use crate::Stack;

/// The copy's folder beside the state, and the file in it that says who made it when.
const FOLDER: &str = "company";
const MADE: &str = "made.txt";
/// Seconds for which it is used: the company's last day should be today.
const FRESH: i64 = 6 * HOUR;
/// The table's file, and the others of the state that are copied.
const TABLE: &str = "table.sqlite";
const OTHERS: [&str; 3] = ["simulator.json", "vault.key", "linkedin-archive.zip"];

fn folder(state: &Path) -> Result<PathBuf> {
    let around = state
        .parent()
        .context("the state has no folder around it")?;
    Ok(around.join(FOLDER))
}

/// The program that runs: one that was built anew makes the company anew.
fn program() -> Result<String> {
    let about = std::env::current_exe()?.metadata()?;
    let built = about.modified()?.duration_since(UNIX_EPOCH)?;
    Ok(format!("{} {}", about.len(), built.as_millis()))
}

/// Copies the state of a stack, in place of an earlier copy.
pub(super) fn keep(stack: &Stack, now: Millis) -> Result<()> {
    let state = stack.folder();
    let to = folder(state)?;
    let fresh = to.with_extension("new");
    ensure!(
        !to.exists() || to.join(MADE).exists(),
        "{} is no copy of a state",
        to.display()
    );
    for old in [&to, &fresh] {
        if old.exists() {
            std::fs::remove_dir_all(old)?;
        }
    }
    std::fs::create_dir_all(&fresh)?;
    stack.copy_table(&fresh.join(TABLE))?;
    for name in OTHERS {
        std::fs::copy(state.join(name), fresh.join(name))?;
    }
    std::fs::write(fresh.join(MADE), format!("{}\n{}", program()?, now.0))?;
    Ok(std::fs::rename(&fresh, &to)?)
}

/// Begins a new state with the copy. Returns false where there is none, or it is old or another program's.
pub(super) fn restore(state: &Path, now: Millis) -> Result<bool> {
    let from = folder(state)?;
    let Ok(made) = std::fs::read_to_string(from.join(MADE)) else {
        return Ok(false);
    };
    let (by, at) = made.split_once('\n').unwrap_or_default();
    let age = at.parse().map_or(i64::MAX, |at| now.since(Millis(at)));
    if by != program()? || !(0..FRESH * 1000).contains(&age) {
        return Ok(false);
    }
    std::fs::create_dir_all(state)?;
    // The table makes it a state.
    for name in OTHERS.into_iter().chain([TABLE]) {
        std::fs::copy(from.join(name), state.join(name))?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use shared::clock::Millis;

    use super::{FRESH, MADE, OTHERS, TABLE, folder, program, restore};

    #[test]
    fn a_copy_is_used_while_it_is_fresh_and_of_this_program() {
        let around = tempfile::tempdir().unwrap();
        let state = around.path().join("dev");
        let made = Millis(1_689_894_599_288);
        assert!(!restore(&state, made).unwrap(), "there is none");
        let kept = folder(&state).unwrap();
        std::fs::create_dir(&kept).unwrap();
        for name in OTHERS.into_iter().chain([TABLE]) {
            std::fs::write(kept.join(name), name).unwrap();
        }
        let note = |by: &str| std::fs::write(kept.join(MADE), format!("{by}\n{}", made.0)).unwrap();
        note("1 2");
        assert!(!restore(&state, made).unwrap(), "another program's");
        note(&program().unwrap());
        let old = made.plus_seconds(FRESH);
        assert!(!restore(&state, old).unwrap(), "old");
        assert!(!state.exists());
        assert!(restore(&state, made.plus_seconds(FRESH - 1)).unwrap());
        assert_eq!(std::fs::read_to_string(state.join(TABLE)).unwrap(), TABLE);
    }
}
