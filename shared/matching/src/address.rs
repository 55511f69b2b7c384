//! Addresses in normal form.

use std::borrow::Cow;

use compact_str::CompactString;

use crate::tables::{addresses, states};
use crate::text;

/// The place of a person or company, from a record's address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// House number, with its letter; 0 if there is none.
    pub(crate) number: u64,
    /// The street's name without its kind (`road`) and without a direction (`north`), joined.
    pub(crate) street: CompactString,
    /// The line of the street as it is written, without the number.
    pub(crate) line: CompactString,
    /// The rest of the address: building, suburb.
    pub(crate) extra: CompactString,
    pub(crate) city: CompactString,
    pub(crate) state: Option<&'static str>,
    /// A state that is in no list, folded.
    pub(crate) other_state: CompactString,
    pub(crate) postcode: CompactString,
    pub(crate) country: Option<&'static str>,
}

impl Place {
    pub(crate) fn new(
        street: &str,
        city: &str,
        state: &str,
        postcode: &str,
        country: Option<&'static str>,
    ) -> Self {
        let mut place = Self {
            country,
            ..Self::default()
        };
        place.read_street(street);
        place.city = city_name(&text::fold(city)).into();
        let state = text::fold(state);
        place.state = states::state(country, &state);
        if place.state.is_none() {
            place.other_state = state.into();
        }
        place.postcode = post_code(postcode).into();
        place
    }

    fn read_street(&mut self, street: &str) {
        let street = text::cut(street);
        if street.is_empty() {
            return;
        }
        // The line with the number is the street, in any position.
        let mut lines: Vec<String> = street
            .split([',', '\n', ';', '|'])
            .map(text::fold)
            .filter(|line| !line.is_empty())
            .collect();
        if lines.is_empty() {
            return;
        }
        // A line with only a number belongs to the line after it.
        if lines.len() > 1 && lines.first().is_some_and(|line| is_number(line)) {
            let number = lines.remove(0);
            if let Some(line) = lines.first_mut() {
                *line = format!("{number} {line}");
            }
        }
        let at = lines
            .iter()
            .position(|line| line.starts_with(|c: char| c.is_ascii_digit()))
            .or_else(|| {
                lines.iter().position(|line| {
                    line.ends_with(|c: char| c.is_ascii_digit())
                        && !line.split(' ').any(addresses::unit_word)
                })
            })
            .unwrap_or(0);
        let main = lines.remove(at);
        let mut name: Vec<Cow<'_, str>> = Vec::new();
        let mut kinds: Vec<Cow<'_, str>> = Vec::new();
        let mut number = None;
        let mut words = main.split(' ').peekable();
        while let Some(word) = words.next() {
            if addresses::unit_word(word) && (number.is_some() || !name.is_empty()) {
                // The number of the flat is dropped with it.
                if words
                    .peek()
                    .is_some_and(|next| is_number(next) || next.len() == 1)
                {
                    words.next();
                }
                continue;
            }
            if number.is_none() && is_number(word) {
                number = Some(word);
            } else if let Some(kind) = addresses::street_word(word) {
                kinds.push(kind.into());
            } else if let Some((rest, _)) = addresses::street_ending(word) {
                name.push(rest.into());
            } else if let Some(number) = addresses::ordinal(word) {
                name.push(number.to_string().into());
            } else {
                name.push(word.into());
            }
        }
        if name.is_empty() {
            name = kinds;
        }
        self.number = number.map_or(0, |number| text::hash(b'#', number.trim_start_matches('0')));
        self.street = name.concat().into();
        let words = main.split(' ').filter(|word| Some(*word) != number);
        self.line = words.collect::<String>().into();
        lines.retain(|line| !line.split(' ').any(addresses::unit_word));
        self.extra = lines.concat().replace(' ', "").into();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.street.is_empty()
            && self.city.is_empty()
            && self.state.is_none()
            && self.other_state.is_empty()
            && self.postcode.is_empty()
            && self.country.is_none()
    }
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.len() <= 6
        && !["st", "nd", "rd", "th"].iter().any(|end| {
            word.strip_suffix(end)
                .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        })
}

fn city_name(folded: &str) -> String {
    let whole = addresses::city(folded).unwrap_or(folded);
    let mut name = String::with_capacity(whole.len());
    for word in whole.split(' ') {
        name.push_str(addresses::city_word(word).unwrap_or(word));
    }
    name
}

/// Normalises a postal code to letters and digits; of an American code of nine digits only the first five,
/// and without leading zeros, which spreadsheets drop.
fn post_code(text: &str) -> String {
    let text = text::cut(text);
    let text = match text.split_once('-') {
        Some((five, four)) if five.trim().len() == 5 && four.trim().len() == 4 => five,
        _ => text,
    };
    let code: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(12)
        .collect();
    code.trim_start_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::Place;

    fn place(street: &str, postcode: &str) -> Place {
        Place::new(street, "Saint Louis", "Missouri", postcode, Some("US"))
    }

    #[test]
    fn streets_are_written_in_many_ways() {
        let plain = place("12 Main Street", "");
        for street in [
            "12 Main St.",
            "12 MAIN ST, Suite 4",
            "Main Street 12",
            "Building C, 12 Main St",
            "12\nMain Street",
        ] {
            let other = place(street, "");
            assert_eq!(
                (&other.street, other.number),
                (&plain.street, plain.number),
                "{street}"
            );
        }
        let german = Place::new("Hauptstraße 5", "", "", "", Some("DE"));
        assert_eq!(
            Place::new("Hauptstr. 5", "", "", "", Some("DE")).street,
            german.street
        );
        assert_eq!(
            place("7 Fifth Avenue", "").street,
            place("7 5th Ave", "").street
        );
        assert_ne!(place("12 Oak St", "").street, plain.street);
    }

    #[test]
    fn codes_lose_what_spreadsheets_drop() {
        for (a, b) in [
            ("62701-1234", "62701"),
            ("01226", "1226"),
            ("EC1A 1BB", "ec1a1bb"),
        ] {
            assert_eq!(place("", a).postcode, place("", b).postcode, "{a} {b}");
        }
        let written = Place::new("", "St. Louis", "MO", "", Some("US"));
        let spelled = Place::new("", "Saint Louis", "Missouri", "", Some("US"));
        assert_eq!(
            (&written.city, written.state),
            (&spelled.city, spelled.state)
        );
    }
}
