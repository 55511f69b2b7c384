//! An example of a LinkedIn archive ("Get a copy of your data"), for trying the page that logs activities from
//! one (WB-8). Its people are the market's: some are in the CRM, some are not.

use std::path::Path;

use anyhow::{Context as _, Result};
use shared::clock::Millis;

use super::{DAY, HOUR, MINUTE, Side, csv, nth, one, whole};
use crate::people::Member;

/// The file's name in the folder of the state.
const FILE: &str = "linkedin-archive.zip";
/// The member whose archive it is.
const MEMBER: &str = "Sol Seller";
const MEMBER_URL: &str = "https://www.linkedin.com/in/sol-seller";

/// Numbers of connections, of conversations with them, and of invitations to others.
const CONNECTIONS: usize = 40;
const CONVERSATIONS: usize = 24;
const INVITATIONS: usize = 8;

const SENT: [&str; 4] = [
    "Thank you for connecting. Shall I show you how your forms reach the CRM?",
    "As promised, the prices for your team. The offer stands until the end of the month.",
    "Good to meet you at the trade fair. When would a call suit you?",
    "Your colleague asked for a demo. Would you like to join?",
];
const RECEIVED: [&str; 2] = [
    "Thursday at ten would be fine.",
    "Thank you, I will look at it with our IT.",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Writes the archive into a folder.
///
/// # Errors
/// Returns an error if the file cannot be written, or the market has nobody.
pub(super) fn write(folder: &Path, side: &Side, now: Millis) -> Result<()> {
    let mut people = Vec::new();
    for number in 0..CONNECTIONS + INVITATIONS {
        // Every fifth is nobody that the CRM knows.
        let [contacts, leads, strangers] = side.groups();
        people.push(match number % 5 {
            4 => one(strangers, number)?,
            3 => one(leads, number * 2)?,
            _ => one(contacts, number * 3)?,
        });
    }
    let (connected, invited) = people.split_at(CONNECTIONS);
    let files = [
        ("Connections.csv", connections(side, connected, now)),
        ("messages.csv", messages(connected, now)),
        ("Invitations.csv", invitations(invited, now)),
    ];
    let path = folder.join(FILE);
    std::fs::write(&path, zip(&files)).with_context(|| format!("cannot write {}", path.display()))
}

fn name(person: &Member) -> String {
    let values = &person.typed;
    format!("{} {}", values.first_name, values.last_name)
}

fn address(number: usize) -> String {
    format!("https://www.linkedin.com/in/leadbridge-demo-{number:03}")
}

/// An instant in its parts: the day, and the hour with minute and second.
fn parts(at: Millis) -> (String, String) {
    let text = at.to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
    (part(0, 10), part(11, 19))
}

/// Year, month and day.
fn date(at: Millis) -> (usize, usize, usize) {
    let (day, _) = parts(at);
    let mut numbers = day.split('-').map(|part| part.parse().unwrap_or(1));
    let mut next = || numbers.next().unwrap_or(1);
    (next(), next(), next())
}

fn rows<const N: usize>(header: &str, rows: &[[String; N]]) -> String {
    let cells = rows.iter();
    csv(header, cells.map(|row| row.each_ref().map(String::as_str)))
}

fn connections(side: &Side, people: &[&Member], now: Millis) -> String {
    let all: Vec<[String; 7]> = people
        .iter()
        .enumerate()
        .map(|(number, person)| {
            let values = &person.typed;
            let (year, month, day) = date(now.plus_seconds(-whole(20 + number * 9) * DAY));
            let month = nth(&MONTHS, month.saturating_sub(1));
            [
                values.first_name.clone(),
                values.last_name.clone(),
                address(number),
                // Most members do not let their connections have it.
                if number.is_multiple_of(3) {
                    values.email.clone()
                } else {
                    String::new()
                },
                side.employer(person, values).to_owned(),
                values.title.clone(),
                format!("{day} {month} {year}"),
            ]
        })
        .collect();
    let header = "First Name,Last Name,URL,Email Address,Company,Position,Connected On";
    format!(
        "Notes:\n\"Some of the e-mail addresses are missing: their owners do not share them.\"\n\n{}",
        rows(header, &all)
    )
}

fn messages(people: &[&Member], now: Millis) -> String {
    let mut all = Vec::new();
    for (number, person) in people.iter().take(CONVERSATIONS).enumerate() {
        let begun = now.plus_seconds(-whole(2 + number * 2) * DAY - whole(number % 9) * HOUR);
        let message = |sent: bool, at: Millis, text: &str| {
            let (day, hour) = parts(at);
            let (them, me) = (
                (name(person), address(number)),
                (MEMBER.to_owned(), MEMBER_URL.to_owned()),
            );
            let (from, to) = if sent { (me, them) } else { (them, me) };
            let folder = if sent { "SENT" } else { "INBOX" };
            [
                format!("2-demo{number:03}"),
                String::new(),
                from.0,
                from.1,
                to.0,
                to.1,
                format!("{day} {hour} UTC"),
                String::new(),
                text.to_owned(),
                folder.to_owned(),
            ]
        };
        if number.is_multiple_of(2) {
            let answered = begun.plus_seconds(3 * HOUR + 20 * MINUTE);
            all.push(message(false, answered, nth(&RECEIVED, number / 2)));
        }
        all.push(message(true, begun, nth(&SENT, number)));
    }
    let header = "CONVERSATION ID,CONVERSATION TITLE,FROM,SENDER PROFILE URL,TO,RECIPIENT PROFILE URLS,DATE,SUBJECT,CONTENT,FOLDER";
    rows(header, &all)
}

fn invitations(people: &[&Member], now: Millis) -> String {
    let all: Vec<[String; 7]> = people
        .iter()
        .enumerate()
        .map(|(number, person)| {
            let (year, month, day) = date(now.plus_seconds(-whole(3 + number * 5) * DAY));
            [
                MEMBER.to_owned(),
                name(person),
                format!("{month}/{day}/{:02}, 9:30 AM", year % 100),
                "We met at the trade fair. I would like to stay in touch.".to_owned(),
                "OUTGOING".to_owned(),
                MEMBER_URL.to_owned(),
                address(CONNECTIONS + number),
            ]
        })
        .collect();
    let header = "From,To,Sent At,Message,Direction,inviterProfileUrl,inviteeProfileUrl";
    rows(header, &all)
}

/// The checksum that zips have of their files (CRC-32).
fn checksum(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xEDB8_8320 * (sum & 1))
        })
    });
    !sum
}

fn four(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn two(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes()
}

/// A zip of small files, which are stored as they are.
fn zip(files: &[(&str, String)]) -> Vec<u8> {
    /// Version 2.0, names in UTF-8, not packed, made on the first of January 1980.
    const KIND: [u8; 10] = [20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0];
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let (at, size) = (four(zip.len()), four(text.len()));
        let sum = checksum(text.as_bytes()).to_le_bytes();
        let described = [&KIND[..], &sum, &size, &size, &two(name.len()), &[0, 0]].concat();
        zip.extend(
            [
                &b"PK\x03\x04"[..],
                &described[..],
                name.as_bytes(),
                text.as_bytes(),
            ]
            .concat(),
        );
        directory.extend(
            [
                &b"PK\x01\x02"[..],
                &[20, 0],
                &described[..],
                &[0; 10],
                &at,
                name.as_bytes(),
            ]
            .concat(),
        );
    }
    let (count, start) = (two(files.len()), four(zip.len()));
    let end = [
        &b"PK\x05\x06\0\0\0\0"[..],
        &count,
        &count,
        &four(directory.len()),
        &start,
        &[0, 0],
    ];
    zip.extend(directory);
    zip.extend(end.concat());
    zip
}

#[cfg(test)]
mod tests {
    use shared::clock::Millis;

    use super::{checksum, date, parts, zip};

    #[test]
    fn checksums_are_those_of_zips() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn instants_are_taken_apart() {
        let at = Millis(1_689_894_599_288);
        assert_eq!(parts(at), ("2023-07-20".to_owned(), "23:09:59".to_owned()));
        assert_eq!(date(at), (2023, 7, 20));
    }

    #[test]
    fn a_zip_has_its_directory_where_its_end_says() {
        let made = zip(&[("a.csv", "a,b\n".to_owned()), ("b.csv", "c\n".to_owned())]);
        let end = made.len() - 22;
        assert_eq!(made[end..end + 4], *b"PK\x05\x06");
        assert_eq!(made[end + 10], 2);
        let number = |at: usize| u32::from_le_bytes(made[at..at + 4].try_into().unwrap());
        let (size, start) = (number(end + 12) as usize, number(end + 16) as usize);
        assert_eq!(start + size, end);
        assert_eq!(made[start..start + 4], *b"PK\x01\x02");
        let second = start + 46 + "a.csv".len();
        let local = number(second + 42) as usize;
        assert_eq!(made[local..local + 4], *b"PK\x03\x04");
        assert_eq!(made[local + 30..local + 35], *b"b.csv");
        assert_eq!(made[local + 35..local + 37], *b"c\n");
    }
}
