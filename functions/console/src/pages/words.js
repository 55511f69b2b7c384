// The words of the pages in the user's language. The English text is the key; other languages are one file each.

/** @type {Record<string, string | string[]>} */
let words = {};
let plurals = new Intl.PluralRules("en");

/**
 * Sets the language of all texts that are asked for from now on.
 * @param {string} tag
 * @param {Record<string, string | string[]>} texts
 */
export function speak(tag, texts) {
	words = texts;
	plurals = new Intl.PluralRules(tag);
}

const BLANK = /\{(\w+)\}/;

/**
 * Puts values into the blanks of a text. A node among the values makes a list of children for `el`.
 * @param {string} text
 * @param {Record<string, any>} [values]
 * @returns {any}
 */
function filled(text, values) {
	if (!values) return text;
	const parts = text.split(BLANK).map((part, at) => (at % 2 ? values[part] : part));
	return parts.some((part) => part instanceof Node || Array.isArray(part)) ? parts : parts.join("");
}

/**
 * The text in the user's language, with values for its blanks: `t("Signed in as {name}", { name })`.
 * @param {string} text
 * @param {Record<string, any>} [values]
 * @returns {any}
 */
export function t(text, values) {
	const said = words[text];
	return filled(typeof said === "string" ? said : text, values);
}

/**
 * The text for a number of things, which is its blank `{n}`: `many(n, "{n} person", "{n} people")`. Another
 * language has its forms under the English plural, in the order one, other.
 * @param {number} n
 * @param {string} one
 * @param {string} other
 * @param {Record<string, any>} [values]
 * @returns {any}
 */
export function many(n, one, other, values) {
	const [first, second] = Array.isArray(words[other]) ? words[other] : [one, other];
	return filled(plurals.select(n) === "one" ? first : second, { n: n.toLocaleString(), ...values });
}
