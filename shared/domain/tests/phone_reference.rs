//! Compares our reading of phone numbers with the reference implementation's (LG-5): the same, or left as
//! written with a reason.
//!
//! `src/normalize/phone_reference.tsv` has some hundred numbers; `cargo xtask phones` lets the reference read
//! 100,000 others, into a file that `LEADBRIDGE_PHONE_REFERENCE` names.

#![expect(
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise; its numbers' file is a variable"
)]

use std::fs;

use domain::normalize::phone::{NoPhone, read};

const SOME: &str = include_str!("../src/normalize/phone_reference.tsv");

#[test]
fn numbers_are_read_as_the_reference_implementation_reads_them() {
    let many =
        std::env::var("LEADBRIDGE_PHONE_REFERENCE").map(|path| fs::read_to_string(path).unwrap());
    let numbers = many.as_deref().unwrap_or(SOME);
    let mut wrong = Vec::new();
    for line in numbers.lines() {
        let [region, text, e164, extension, _, valid] = line.split('\t').collect::<Vec<_>>()[..]
        else {
            panic!("{line:?}")
        };
        match read(text, Some(region).filter(|region| *region != "-")) {
            Ok(phone) => {
                if phone.e164 != e164 || phone.extension.as_deref().unwrap_or_default() != extension
                {
                    wrong.push(format!("{line}: read as {}", phone.normal()));
                }
            }
            // An empty result is never right, and a valid number that E.164 has room for must be read.
            Err(why) => {
                let other = !(8..=16).contains(&e164.len()) || why == NoPhone::SaysNothing;
                if !why.is_number() || why.reason().is_empty() || valid == "1" && !other {
                    wrong.push(format!("{line}: not read, {why:?}"));
                }
            }
        }
    }
    let of = numbers.lines().count();
    wrong.truncate(20);
    assert!(wrong.is_empty(), "of {of} numbers:\n{}", wrong.join("\n"));
}
