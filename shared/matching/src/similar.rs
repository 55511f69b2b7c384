//! How alike two folded words are. Every function is symmetric: the lesser text comes first.

/// Jaro–Winkler similarity, 0 to 1.
pub(crate) fn jaro_winkler(a: &str, b: &str) -> f64 {
    let (a, b) = ordered(a, b);
    strsim::jaro_winkler(a, b)
}

/// Whether one insertion, deletion, substitution or swap of neighbours makes one of the other.
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

/// Optimal string alignment distance, or `None` when the lengths differ by more than `most`.
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

/// The consonants of a word in the order they come, alike ones once, after its first letter: what
/// most typing errors and spellings leave as it was.
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
