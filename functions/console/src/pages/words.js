// The words of the pages in the user's language. The English text is the key; each other language is a file of its own,
// which is loaded before anything that imports this.

/** @typedef {Record<string, string | [string, string]>} Texts the texts of a language, plurals as one and other */

/** The languages of the pages, by their own names. */
export const LANGUAGES = { en: "English", de: "Deutsch" };
const isOffered = (tag) => Object.hasOwn(LANGUAGES, tag);
const languageOf = (locale) => locale.split("-")[0].toLowerCase();

// The language that was chosen in this browser; none where nothing is kept.
const KEPT = "leadbridge.language";
function chosen() {
	try {
		const tag = localStorage.getItem(KEPT);
		return isOffered(tag) ? tag : null;
	} catch {
		return null;
	}
}

/**
 * Keeps the choice of a language in this browser, for the next time that a page is loaded.
 * @param {string} tag
 * @throws where the browser keeps nothing
 */
export const keepLanguage = (tag) => localStorage.setItem(KEPT, tag);

const wanted = globalThis.navigator?.languages ?? [];

/** The language of the pages: the one that was chosen, else the first of the browser's that is offered. */
export let language = chosen() ?? wanted.map(languageOf).find(isOffered) ?? "en";

/** The locale of dates and numbers: the browser's own in this language; undefined where the browser wants another language. */
export const locale = wanted.find((tag) => languageOf(tag) === language) ?? chosen() ?? undefined;

/** @type {Texts} */
let words = {};
let plurals = new Intl.PluralRules("en");

/**
 * Sets the language of all texts that are asked for from now on.
 * @param {string} tag
 * @param {Texts} texts
 */
export function speak(tag, texts) {
	words = texts;
	plurals = new Intl.PluralRules(tag);
}

const LOADED = { de: () => import("./de.js") };
if (language !== "en") {
	try {
		speak(language, (await LOADED[language]()).default);
	} catch {
		// English is better than no page.
		language = "en";
	}
}
if (globalThis.document) document.documentElement.lang = language;

const BLANK = /\{(\w+)\}/;

/**
 * Puts values into the blanks of a text. A node or a list among the values makes a list of children for `el`.
 * @param {string} text
 * @param {Record<string, any>} [values]
 * @returns {any}
 */
function filled(text, values) {
	if (!values) return text;
	const parts = text.split(BLANK).map((part, at) => (at % 2 ? values[part] : part));
	return parts.some((part) => part !== null && typeof part === "object") ? parts : parts.join("");
}

/**
 * The text in the user's language, with values for its blanks: `t("Signed in as {name}", { name })`. A text that is not
 * known, such as the API's, stays as it is.
 * @param {string} text
 * @param {Record<string, any>} [values]
 * @returns {any}
 */
export function t(text, values) {
	const said = Object.hasOwn(words, text) ? words[text] : text;
	return filled(typeof said === "string" ? said : text, values);
}

/**
 * The text in one of several meanings that English has for it: `meant("State", "of an address")`. Another language has
 * it under both, with a bar between them.
 * @param {string} text
 * @param {string} meaning
 */
export const meant = (text, meaning) => t(Object.hasOwn(words, `${text}|${meaning}`) ? `${text}|${meaning}` : text);

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
	const [first, second] = Object.hasOwn(words, other) && Array.isArray(words[other]) ? words[other] : [one, other];
	return filled(plurals.select(n) === "one" ? first : second, { n: n.toLocaleString(locale), ...values });
}
