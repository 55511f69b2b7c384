//! Similarity of two folded words. Every function is symmetric: the lesser text comes first.

/// Jaro–Winkler similarity, 0 to 1, of the first 64 letters.
///
/// Jaro looks for each letter of one word in a window of the other; a word of 64 letters has a bit for
/// each, so the window is a mask and the search one instruction.
pub(crate) fn jaro_winkler(a: &str, b: &str) -> f64 {
    let (a, b) = ordered(a, b);
    let (a, b) = (first_64(a), first_64(b));
    if a.is_empty() || b.is_empty() {
        return f64::from(u8::from(a.len() == b.len()));
    }
    // The positions of each letter in `b`; letters that are not a to z or 0 to 9 share a place.
    let mut places = [0_u64; 37];
    for (at, letter) in b.iter().enumerate() {
        if let Some(place) = places.get_mut(class(*letter)) {
            *place |= 1 << at;
        }
    }
    let reach = (a.len().max(b.len()) / 2).saturating_sub(1);
    let (mut used, mut matched) = (0_u64, 0_u64);
    for (at, letter) in a.iter().enumerate() {
        let from = at.saturating_sub(reach);
        let to = (at + reach).min(63);
        let window = (u64::MAX << from) & (u64::MAX >> (63 - to));
        let free = places.get(class(*letter)).copied().unwrap_or_default() & window & !used;
        if free != 0 {
            used |= free & free.wrapping_neg();
            matched |= 1 << at;
        }
    }
    let common = f64::from(matched.count_ones());
    if matched == 0 {
        return 0.0;
    }
    let mut swapped = 0_u32;
    let (mut of_a, mut of_b) = (matched, used);
    while of_a != 0 {
        let (i, j) = (
            of_a.trailing_zeros() as usize,
            of_b.trailing_zeros() as usize,
        );
        swapped += u32::from(a.get(i) != b.get(j));
        of_a &= of_a - 1;
        of_b &= of_b - 1;
    }
    let jaro = (common / a.len() as f64
        + common / b.len() as f64
        + (common - f64::from(swapped / 2)) / common)
        / 3.0;
    if jaro <= 0.7 {
        return jaro;
    }
    let prefix = a.iter().zip(b).take(4).take_while(|(a, b)| a == b).count();
    (jaro + 0.1 * prefix as f64 * (1.0 - jaro)).min(1.0)
}

/// As [`jaro_winkler`], or 0 if it is surely less than `least`: most compared words share too few letters,
/// which is faster to detect.
pub(crate) fn jaro_winkler_from(least: f64, a: &str, b: &str) -> f64 {
    let (x, y) = (first_64(a), first_64(b));
    if x.is_empty() || y.is_empty() {
        return jaro_winkler(a, b);
    }
    let letters = y
        .iter()
        .fold(0_u64, |letters, letter| letters | 1 << class(*letter));
    // No more letters of one word can match than the other contains.
    let common = x
        .iter()
        .filter(|letter| letters & (1 << class(**letter)) != 0)
        .count() as f64;
    let prefix = 0.1 * x.iter().zip(y).take(4).take_while(|(a, b)| a == b).count() as f64;
    // A common beginning raises a similarity above 0.7.
    let jaro = if least > 0.7 {
        ((least - prefix) / (1.0 - prefix)).max(0.7)
    } else {
        least
    };
    let of_shared = common / x.len() as f64 + (common / y.len() as f64).min(1.0);
    let most = (of_shared + 1.0) / 3.0;
    if most < jaro - 1e-9 {
        return 0.0;
    }
    jaro_winkler(a, b)
}

fn first_64(word: &str) -> &[u8] {
    word.as_bytes()
        .get(..word.len().min(64))
        .unwrap_or_default()
}

const fn class(letter: u8) -> usize {
    match letter {
        b'a'..=b'z' => (letter - b'a') as usize,
        b'0'..=b'9' => (letter - b'0') as usize + 26,
        _ => 36,
    }
}

/// True if one insertion, deletion, substitution or swap of neighbours turns one word into the other.
pub(crate) fn one_edit(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (a, b) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if b.len() - a.len() > 1 {
        return false;
    }
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take(a.len() - start)
        .take_while(|(a, b)| a == b)
        .count();
    let (left, right) = (a.len() - start - end, b.len() - start - end);
    match (left, right) {
        (0 | 1, 1) | (0, 0) => true,
        (2, 2) => a.get(start) == b.get(start + 1) && a.get(start + 1) == b.get(start),
        _ => false,
    }
}

/// Optimal string alignment distance, or `None` if the lengths differ by more than `most`.
pub(crate) fn edits(a: &str, b: &str, most: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let (a, b) = ordered(a, b);
    Some(strsim::osa_distance(a, b)).filter(|edits| *edits <= most)
}

fn ordered<'a>(a: &'a str, b: &'a str) -> (&'a str, &'a str) {
    if a <= b { (a, b) } else { (b, a) }
}

/// The consonants of a word in order, repeated ones once, after its first letter: the part that most typing
/// errors and spelling variants leave unchanged.
pub(crate) fn skeleton(word: &str) -> String {
    let mut skeleton = String::with_capacity(8);
    let mut last = '\0';
    for (at, c) in word.chars().filter(|c| *c != ' ').enumerate() {
        let class = match c {
            'b' | 'p' => 'p',
            'c' | 'k' | 'q' | 'g' | 'x' => 'k',
            'd' | 't' => 't',
            'f' | 'v' | 'w' => 'f',
            's' | 'z' => 's',
            'm' | 'n' => 'n',
            'l' | 'r' | 'j' => c,
            'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'h' => {
                if at == 0 {
                    'a'
                } else {
                    last = '\0';
                    continue;
                }
            }
            other => other,
        };
        if class != last {
            skeleton.push(class);
            last = class;
        }
        if skeleton.len() >= 6 {
            break;
        }
    }
    skeleton
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{edits, jaro_winkler, jaro_winkler_from, one_edit, skeleton};

    proptest! {
        #[test]
        fn letters_compared_by_bits_are_as_a_library_compares_them(a in "[a-e0-3]{0,40}", b in "[a-e0-3]{0,40}") {
            let (x, y) = if a <= b { (&a, &b) } else { (&b, &a) };
            prop_assert!((jaro_winkler(&a, &b) - strsim::jaro_winkler(x, y)).abs() < 1e-9);
        }

        #[test]
        fn only_words_that_are_less_alike_are_passed_over(a in "[a-d]{0,12}", b in "[a-g]{0,12}", least in 0.5..1.0) {
            let like = jaro_winkler(&a, &b);
            let seen = jaro_winkler_from(least, &a, &b);
            prop_assert!(seen.to_bits() == like.to_bits() || seen == 0.0 && like < least, "{} {}", seen, like);
        }

        #[test]
        fn it_does_not_matter_which_word_is_the_first(a in "[a-e]{0,70}", b in "[a-e]{0,70}") {
            prop_assert_eq!(jaro_winkler(&a, &b).to_bits(), jaro_winkler(&b, &a).to_bits());
            prop_assert_eq!(one_edit(&a, &b), one_edit(&b, &a));
            prop_assert_eq!(edits(&a, &b, 2), edits(&b, &a, 2));
        }

        #[test]
        fn one_edit_is_an_edit_distance_of_at_most_one(a in "[ab]{0,8}", b in "[ab]{0,8}") {
            prop_assert_eq!(one_edit(&a, &b), strsim::osa_distance(&a, &b) <= 1);
        }
    }

    #[test]
    fn spellings_of_a_name_share_a_skeleton() {
        for (a, b) in [
            ("meyer", "meier"),
            ("kathryn", "catherin"),
            ("filip", "phillip"),
            ("stephen", "steven"),
        ] {
            let same = skeleton(a) == skeleton(b);
            // `ph` sounds like `f`, which the letters alone do not show.
            assert_eq!(same, !a.contains("ph") && !b.contains("ph"), "{a} {b}");
        }
        assert_ne!(skeleton("miller"), skeleton("smith"));
    }
}
