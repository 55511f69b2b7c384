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

const BLANK = /\{(\w+)\}/;

/**
 * The texts with blanks, for texts of the API whose blanks are filled already; made when the first of those is shown.
 * @type {{ key: string, start: string, names: string[], expression: RegExp }[] | null}
 */
let patterns = null;

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
	patterns = null;
}

// The fewest letters of a text beside its blanks that tell it from others.
const TELLING = 12;
// The longest text that is compared with them, in characters: one with much of other people's words in it would take long.
const MOST = 1000;
const escaped = (text) => text.replace(/[$()*+.?[\\\]^{|}]/g, "\\$&");

function patternsOf(texts) {
	const found = Object.keys(texts).flatMap((key) => {
		const parts = key.split(BLANK);
		const fixed = parts.filter((_, at) => at % 2 === 0);
		if (parts.length < 2 || fixed.join("").replace(/\P{L}/gu, "").length < TELLING) return [];
		const expression = new RegExp(`^${fixed.map(escaped).join("(.+)")}$`, "s");
		return [{ key, start: parts[0], names: parts.filter((_, at) => at % 2), expression }];
	});
	// Of several that a text fits, the one with the most words of its own.
	const own = ({ key }) => key.replace(/\{\w+\}/g, "").length;
	return found.sort((one, other) => own(other) - own(one));
}

/**
 * A text of the API with names or numbers in it, in the user's language; as it is where no text with blanks fits.
 * @param {string} text
 */
function recognised(text) {
	if (text.length > MOST) return text;
	patterns ??= patternsOf(words);
	for (const { key, start, names, expression } of patterns) {
		const values = text.startsWith(start) && expression.exec(text)?.slice(1);
		const said = words[key];
		if (!values || typeof said !== "string") continue;
		const word = (value) => (typeof words[value] === "string" ? words[value] : value);
		return filled(said, Object.fromEntries(names.map((name, at) => [name, word(values[at])])));
	}
	return text;
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
 * The text in the user's language, with values for its blanks: `t("Signed in as {name}", { name })`. A text of the API may
 * have its blanks filled already; one that is not known stays as it is.
 * @param {string} text
 * @param {Record<string, any>} [values]
 * @returns {any}
 */
export function t(text, values) {
	if (!values && typeof text === "string" && !Object.hasOwn(words, text)) return recognised(text);
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
