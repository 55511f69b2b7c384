// The words of the pages: every text is known in German, nothing is left over, and no text is left out.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import ts from "typescript";

import german from "../src/pages/de.js";
import { many, meant, speak, t } from "../src/pages/words.js";

const PAGES = new URL("../src/pages/", import.meta.url);
const ROOT = new URL("../../../", import.meta.url);

// Pages whose texts are not wrapped yet, or not in German.
const NOT_YET = new Set([]);

const NAMES = readdirSync(PAGES).filter((name) => name.endsWith(".js") && name !== "de.js");
const SOURCES = NAMES.map((name) => {
	const text = readFileSync(new URL(name, PAGES), "utf8");
	return { name, tree: ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true) };
});

const blanksOf = (text) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();

function* nodesOf(node) {
	yield node;
	const children = [];
	ts.forEachChild(node, (child) => void children.push(child));
	for (const child of children) yield* nodesOf(child);
}

const calledName = (node) => (ts.isIdentifier(node.expression) ? node.expression.text : (node.expression.name?.text ?? ""));

// The literals that an expression can be.
function literalsOf(node) {
	if (!node) return [];
	if (ts.isStringLiteralLike(node)) return [node.text];
	if (ts.isConditionalExpression(node)) return [...literalsOf(node.whenTrue), ...literalsOf(node.whenFalse)];
	return [];
}

// A page's title and its group, and a list's words for one and for several: they are asked for where they are shown.
function isNamed(name, node) {
	if (!ts.isPropertyAssignment(node) || !ts.isStringLiteralLike(node.initializer)) return false;
	const key = node.name.text;
	return key === "one" || key === "many" || (name === "app.js" && (key === "title" || key === "group"));
}

/** Each use of a text: its key, the English text, and whether it is a plural. */
function usesOf({ name, tree }) {
	const uses = [];
	for (const node of nodesOf(tree)) {
		const line = tree.getLineAndCharacterOfPosition(node.getStart()).line + 1;
		const at = `${name}:${line}`;
		if (isNamed(name, node)) uses.push({ at, key: node.initializer.text, text: node.initializer.text });
		if (!ts.isCallExpression(node)) continue;
		const called = calledName(node);
		const [first, second, third, fourth] = node.arguments;
		if (called === "t") for (const text of literalsOf(first)) uses.push({ at, key: text, text, values: second });
		if (called === "meant" && first) uses.push({ at, key: `${first.text}|${second.text}`, text: first.text });
		if (called === "many" && third) uses.push({ at, key: third.text, text: third.text, one: second.text, values: fourth });
	}
	return uses;
}

const USES = SOURCES.filter(({ name }) => name !== "words.js").flatMap((source) =>
	usesOf(source).map((use) => ({ ...use, name: source.name })),
);

test("every text has a German one with the same blanks", () => {
	assert.ok(USES.length > 1000, String(USES.length));
	for (const { name, at, key, text, one } of USES) {
		if (NOT_YET.has(name)) continue;
		const said = german[key];
		assert.ok(said, `${at}: “${key}” has no German text`);
		assert.equal(Array.isArray(said), one !== undefined, `${at}: “${key}” is a plural in one language alone`);
		for (const form of [said].flat()) {
			assert.deepEqual(blanksOf(form), blanksOf(text), `${at}: “${form}”`);
			// A text that is part of another keeps its spaces.
			assert.equal(/^\s|\s$/.test(form), /^\s|\s$/.test(text), `${at}: “${form}”`);
		}
		if (one !== undefined) assert.equal(said.length, 2, `${at}: ${key}`);
	}
});

test("every blank gets a value", () => {
	for (const { at, text, one, values } of USES) {
		if (values && (!ts.isObjectLiteralExpression(values) || values.properties.some(ts.isSpreadAssignment))) continue;
		const given = new Set(values?.properties.map((property) => `{${property.name.text}}`));
		if (one !== undefined) given.add("{n}");
		for (const blank of blanksOf(text)) assert.ok(given.has(blank), `${at}: “${text}” gets no ${blank}`);
		for (const blank of given) assert.ok(blanksOf(text).includes(blank), `${at}: “${text}” has no ${blank}`);
	}
});

// The texts of the functions, as far as they stand in one literal.
function functionTexts() {
	const texts = new Set();
	for (const folder of ["shared", "functions"])
		for (const file of readdirSync(new URL(folder, ROOT), { recursive: true })) {
			if (!String(file).endsWith(".rs") || String(file).includes("node_modules")) continue;
			const source = readFileSync(new URL(`${folder}/${file}`, ROOT), "utf8").replace(/\\\n\s*/g, "");
			for (const [, text] of source.matchAll(/"((?:[^"\\]|\\.)*)"/g)) texts.add(text.replaceAll('\\"', '"'));
			// A quote in a character or a comment turns literals inside out.
			for (const [, text] of source.matchAll(/^\s*"((?:[^"\\]|\\.)*)",?$/gm)) texts.add(text);
			for (const [, text] of source.matchAll(/format!\(\s*"((?:[^"\\]|\\.)*)"/g)) texts.add(text);
		}
	return texts;
}

test("every German text is used, by a page or for a text of the API", () => {
	const used = new Set(USES.map(({ key }) => key));
	const rest = Object.keys(german).filter((key) => !used.has(key));
	assert.ok(rest.length > 20, "the API's texts are translated");
	const texts = functionTexts();
	for (const key of rest) assert.ok(texts.has(key), `nobody shows “${key}”`);
});

// Names, and words of files and protocols, which are the same in every language.
const SAME = new Set([
	"API",
	"CRM",
	"EUR",
	"Google Ads",
	"InMail",
	"JavaScript",
	"Leadbridge",
	"LinkedIn",
	"LinkedIn Member",
	"Microsoft Dynamics 365 Sales",
	"Salesforce",
	"{} – Leadbridge",
	"English",
	"Deutsch",
	"Authorization: Bearer …",
	"-H 'authorization: Bearer API_TOKEN'",
	// Classes
	"bad number",
	"good number",
]);
// The columns and folders of a LinkedIn archive.
const OF_FILES = new Set(["archive-read.js"]);
// Code for people to copy with its examples, names of fields as forms send them, and codes of regions.
const CODE = {
	"form.js": new Set(["SAMPLES", "htmlSnippet", "scriptSnippet", "curlSnippet"]),
	"lead-settings.js": new Set(["REGIONS"]),
	"mapping.js": new Set(["COMMON"]),
};
// The arguments of these are no texts: names of events, keys, attributes, selectors, paths.
const TECHNICAL =
	/^(?:addEventListener|append|closest|createElement(?:NS)?|get|getAttribute|has|includes|keepLanguage|namedItem|querySelector(?:All)?|set|split|svg|api)$/;
const ATTRIBUTES = new Set(["class", "d", "points", "viewBox", "autocomplete"]);

function isTechnical(node) {
	let [part, parent] = [node, node.parent];
	while (ts.isConditionalExpression(parent) || ts.isParenthesizedExpression(parent) || ts.isBinaryExpression(parent)) {
		if (ts.isBinaryExpression(parent) && /^[!=]==$/.test(parent.operatorToken.getText())) return true;
		[part, parent] = [parent, parent.parent];
	}
	if (ts.isImportDeclaration(parent) || ts.isElementAccessExpression(parent)) return true;
	if (ts.isPropertyAssignment(parent)) return parent.name === part || ATTRIBUTES.has(parent.name.text);
	if (ts.isNewExpression(parent)) return true;
	if (!ts.isCallExpression(parent)) return false;
	const called = calledName(parent);
	if (called === "el" && (parent.arguments[0] === part || literalsOf(parent.arguments[0])[0] === "code")) return true;
	return /^(?:t|meant|many)$/.test(called) || TECHNICAL.test(called);
}

// Part of a declaration of this name in this file.
function isCode(name, node) {
	for (let at = node; at; at = at.parent) if (at.name && CODE[name]?.has(at.name.text)) return true;
	return false;
}

// A word with a capital, or several words.
const isText = (text) => /^\P{L}*\p{Lu}\p{Ll}/u.test(text) || /\p{L}{2,}[,:]? \p{L}{2,}/u.test(text);

test("no text is shown without being asked for in the user's language", () => {
	const found = [];
	for (const { name, tree } of SOURCES) {
		if (NOT_YET.has(name)) continue;
		for (const node of nodesOf(tree)) {
			const template = ts.isTemplateExpression(node);
			if (!template && !ts.isStringLiteralLike(node)) continue;
			const text = template ? node.head.text + node.templateSpans.map(({ literal }) => `{}${literal.text}`).join("") : node.text;
			if (!isText(text) || SAME.has(text) || isTechnical(node) || isNamed(name, node.parent)) continue;
			if (isCode(name, node)) continue;
			if (OF_FILES.has(name) && text === text.toLowerCase()) continue;
			const line = tree.getLineAndCharacterOfPosition(node.getStart()).line + 1;
			found.push(`${name}:${line} shows “${text}”`);
		}
	}
	assert.deepEqual(found, [], "texts without t()");
});

// The names of the API's texts, and the calls that show what they are given.
const OF_API = /^(?:detail|message|next_step|step)$|_note$/;
const SHOWING = /^(?:el|field|hint|li|note|p|strong|tag)$/;

// The names of the values that an expression can be.
function namesOf(node) {
	if (ts.isIdentifier(node)) return [node.text];
	if (ts.isPropertyAccessExpression(node)) return [node.name.text];
	if (ts.isConditionalExpression(node)) return [...namesOf(node.whenTrue), ...namesOf(node.whenFalse)];
	if (ts.isBinaryExpression(node)) {
		const isCondition = node.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken;
		return [...(isCondition ? [] : namesOf(node.left)), ...namesOf(node.right)];
	}
	return ts.isArrayLiteralExpression(node) ? node.elements.flatMap(namesOf) : [];
}

test("no text of the API is shown without being asked for in the user's language", () => {
	const found = [];
	for (const { name, tree } of SOURCES)
		for (const node of nodesOf(tree)) {
			if (!ts.isCallExpression(node) || !SHOWING.test(calledName(node))) continue;
			const line = tree.getLineAndCharacterOfPosition(node.getStart()).line + 1;
			for (const shown of node.arguments.flatMap(namesOf)) if (OF_API.test(shown)) found.push(`${name}:${line}: ${shown}`);
		}
	assert.deepEqual(found, []);
});

test("runs and what they count have words", () => {
	const read = (file) => readFileSync(new URL(file, ROOT), "utf8");
	const [, titles] = /fn title\(self\)(.*?)\n {4}\}/s.exec(read("shared/domain/src/run.rs"));
	const named = [...titles.matchAll(/=> "([^"]+)"/g)].map(([, title]) => title);
	assert.ok(named.length > 3, String(named));
	for (const title of named) assert.ok(german[title], `the run “${title}” has no German title`);
	const words = readFileSync(new URL("import-runs.js", PAGES), "utf8");
	const folder = "functions/crm-import/src/";
	const files = readdirSync(new URL(folder, ROOT)).filter((name) => name.endsWith(".rs"));
	const counted = files.flatMap((name) => [...read(folder + name).matchAll(/\brun\.count\(\s*"(\w+)"/g)].map(([, kind]) => kind));
	assert.ok(counted.length > 3, String(counted));
	for (const kind of counted) assert.match(words, new RegExp(`^\t${kind}: \\(n\\) =>`, "m"));
});

test("what a finger points at is large, however its selector is written elsewhere", () => {
	const styles = readFileSync(new URL("app.css", PAGES), "utf8");
	const coarse = styles.slice(styles.indexOf("@media (pointer: coarse)"));
	const large = [...coarse.matchAll(/([^{}]+)\{\s+padding-top: 0\.65rem/g)].flatMap(([, selectors]) => selectors.trim().split(/,\s+/));
	for (const selector of ["#pages a", ".tabs a", "summary", "td > details > summary"]) assert.ok(large.includes(selector), selector);
});

test("numbers, dates and names of regions are in the language of the pages", () => {
	for (const { name, tree } of SOURCES)
		for (const node of nodesOf(tree)) {
			if (!ts.isNewExpression(node) || !node.expression.getText().startsWith("Intl.")) continue;
			assert.notEqual(node.arguments[0]?.getText(), "undefined", `${name}: ${node.getText()}`);
		}
});

test("texts have values in their blanks, plurals by the language, and meanings", () => {
	assert.equal(t("{n} found", { n: 3 }), "3 found");
	assert.equal(many(1, "{n} person", "{n} people"), "1 person");
	assert.equal(many(1200, "{n} person", "{n} people").replace(/\D/, ""), "1200 people");
	assert.equal(meant("State", "of an address"), "State");
	const node = { a: "link" };
	assert.deepEqual(t("See {link}.", { link: node }), ["See ", node, "."]);
	speak("de", german);
	assert.equal(t("{label}: copied", { label: "ID" }), "ID: kopiert");
	assert.equal(many(1, "{n} person", "{n} people"), "1 Person");
	assert.equal(many(0, "{n} person", "{n} people"), "0 Personen");
	assert.equal(meant("State", "of an address"), "Bundesland oder Region");
	assert.equal(t("State"), "Status");
	assert.equal(t("constructor"), "constructor", "no text of ours");
	assert.equal(t("No {unknown} text"), "No {unknown} text");
	speak("en", {});
});

test("a text of the API is recognised with its blanks filled", () => {
	const known = { "The field {field} is required.": "Das Feld {field} ist erforderlich.", "The field {field}": "Feld {field}" };
	speak("de", known);
	assert.equal(t("The field last name is required."), "Das Feld last name ist erforderlich.");
	assert.equal(t("The field (e.g. $&) is required."), "Das Feld (e.g. $&) ist erforderlich.");
	assert.equal(t("Another text is as it was."), "Another text is as it was.");
	// Other people's words in it do not hold the page up.
	speak("de", { "{method} {path} changes the data of {contract}, as {what}.": "{method} {path} {contract} {what}" });
	const long = `POST /${" changes the data of , as ".repeat(1000)}`;
	const began = performance.now();
	assert.equal(t(long), long);
	assert.ok(performance.now() - began < 1000, String(performance.now() - began));
	speak("en", {});
	assert.equal(t("The field last name is required."), "The field last name is required.");
});
