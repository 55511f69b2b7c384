// The export of a list into a file of separated values, page by page (LG-8).

import { get } from "./api.js";
import { announce, button, el, note, number, run } from "./dom.js";
import { wishOf } from "./list.js";
import { locale, t } from "./words.js";

// The most items of a page of the API.
const PAGE = "200";
// By this a spreadsheet knows that the file is UTF-8.
const MARK = "\uFEFF";
// Spreadsheets part cells by a semicolon where the comma is for decimals.
const SEPARATOR = new Intl.NumberFormat(locale).format(1.5).includes(",") ? ";" : ",";

// The start of a formula, of the cell or of what a spreadsheet with other separators takes for one. The apostrophe
// before it makes it a text.
const FORMULA = /(^|[;,\t\n]|\r(?!\n))(?=(?:(?![\r\n])[\s\p{C}])*[=+\-@＝＋－＠])|^(?=[\t\r\n])/gu;

// A number of the API, as an amount of money: what is below zero is no formula.
const NUMBER = /^-?\d+(\.\d+)?$/;

export function cell(value) {
	const plain = String(value ?? "");
	const text = NUMBER.test(plain) ? plain : plain.replace(FORMULA, "$1'");
	return `"${text.replaceAll('"', '""')}"`;
}
const line = (values) => `${values.map(cell).join(SEPARATOR)}\r\n`;

// A time as spreadsheets read it, in UTC.
export const utc = (ms) => (ms == null ? "" : new Date(ms).toISOString().slice(0, 19).replace("T", " "));

function keep(name, parts) {
	const address = URL.createObjectURL(new Blob(parts, { type: "text/csv;charset=utf-8" }));
	el("a", { href: address, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/**
 * Saves a table that is at hand as a file.
 * @param {string} name
 * @param {any[]} columns each a title and the value of an item
 * @param {any[]} items
 */
export function saved(name, columns, items) {
	const titles = line(columns.map(([title]) => title));
	keep(name, [MARK + titles, ...items.map((item) => line(columns.map(([, of]) => of(item))))]);
	announce(t("Saved as {name}.", { name }));
}

/**
 * The button that exports what a search finds, with the way to stop it. An export that fails goes on from where it was.
 * @param {object} wish
 * @param {any} wish.view
 * @param {string} wish.path the list in the API
 * @param {string[]} wish.names the parameters of the search
 * @param {(name: string, value: string) => string | number} [wish.given] the API's value of a parameter
 * @param {string} wish.one
 * @param {string} wish.many
 * @param {[string, (item: any) => any][]} wish.columns
 */
export function exporter({ view, path, names, given, one, many, columns }) {
	const place = el("div");
	const beside = el("div", { class: "row" });
	const counted = (count) => `${number(count)} ${t(count === 1 ? one : many)}`;
	// What an export that failed has read.
	let kept = null;
	const work = async () => {
		const asked = String(wishOf(view, names, given));
		const mine = kept?.asked === asked ? kept : { asked, parts: [MARK + line(columns.map(([head]) => head))], cursor: null, count: 0 };
		kept = null;
		let stopped = false;
		const state = el("span", { class: "number" });
		const stop = button(t("Stop"), () => {
			stopped = true;
		});
		const tell = () => (state.textContent = t("{counted} so far", { counted: counted(mine.count) }));
		tell();
		beside.replaceChildren(state, stop);
		try {
			do {
				const wish = new URLSearchParams(asked);
				wish.set("limit", PAGE);
				if (mine.cursor) wish.set("cursor", mine.cursor);
				const { items, next } = await get(`${path}?${wish}`);
				if (view.signal.aborted) return;
				mine.parts.push(items.map((item) => line(columns.map(([, of]) => of(item)))).join(""));
				mine.cursor = next;
				mine.count += items.length;
				tell();
			} while (mine.cursor && !stopped);
		} catch (error) {
			kept = mine;
			node.textContent = t("Go on exporting");
			throw error;
		} finally {
			if (stop === document.activeElement) node.focus();
			beside.replaceChildren();
		}
		node.textContent = TITLE;
		const name = `${many}-${utc(Date.now()).slice(0, 10)}.csv`;
		const said = mine.cursor
			? t("The export is stopped; nothing was saved.")
			: mine.count
				? t("{counted} saved as {name}.", { counted: counted(mine.count), name })
				: t("There is nothing to export.");
		if (!mine.cursor && mine.count) keep(name, mine.parts);
		place.replaceChildren(note(mine.cursor || !mine.count ? "" : "good", said));
		announce(said);
	};
	const TITLE = t("Export as CSV");
	const node = button(TITLE, () => run(node, place, work));
	return el("div", null, el("div", { class: "row" }, node, beside), place);
}
