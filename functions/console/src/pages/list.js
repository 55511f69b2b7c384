// Lists with search and paging; the search is kept in the page's address.

import { get } from "./api.js";
import { announce, button, el, field, form, hint, input, number, p, run, select, showProblem, submit } from "./dom.js";
import { t } from "./words.js";

// The most parts that are read for one page of results: a part may hold no match of the search.
const MOST_PARTS = 8;

// The wait after a keystroke before anything is searched, in milliseconds.
const PAUSE = 250;

// The API's parameters of a search, from those of the page's address.
export function wishOf(view, names, given = (_, value) => value) {
	const wish = new URLSearchParams();
	for (const name of names) {
		const value = view.query.get(name);
		if (value) wish.set(name, String(given(name, value)));
	}
	return wish;
}

/**
 * The next items of a list, and the cursor behind them.
 * @param {string} path
 * @param {Record<string, any>} wish its parameters; those without a value are left out
 * @param {string} [cursor]
 * @param {() => boolean} [over] true once nobody waits for them any more
 * @returns {Promise<{ items: any[], next: string | null }>}
 */
export async function nextItems(path, wish, cursor, over = () => false) {
	const query = new URLSearchParams();
	for (const [name, value] of Object.entries(wish)) if (value) query.set(name, String(value));
	let next = cursor;
	let items = [];
	for (let part = 0; part < MOST_PARTS && !items.length && (next || !part) && !over(); part++) {
		if (next) query.set("cursor", next);
		({ items, next } = await get(`${path}?${query}`));
	}
	return { items, next };
}

/**
 * @param {object} wish
 * @param {any} wish.view
 * @param {string} wish.path the list in the API
 * @param {string[]} wish.names the parameters, each with a control of that name
 * @param {any[]} wish.controls
 * @param {string} wish.one
 * @param {string} wish.many
 * @param {(items: any[]) => HTMLElement} wish.rows a table with a row for each item
 * @param {(name: string, value: string) => string | number} [wish.given] the API's value of a parameter
 * @param {() => HTMLElement} [wish.none] what is shown where nothing is found
 * @returns {Promise<{ search: HTMLFormElement, results: HTMLElement, read: () => Promise<void> }>}
 */
export async function searched({ view, path, names, controls, one, many, rows, given, none = () => p(t("Nothing is found.")) }) {
	const found = el("div");
	const foot = el("div");
	let round = 0;
	const part = async (cursor) => {
		if (!cursor) round += 1;
		const mine = round;
		const over = () => mine !== round || view.signal.aborted;
		const { items, next } = await nextItems(path, Object.fromEntries(wishOf(view, names, given)), cursor, over);
		if (over()) return;
		const table = rows(items);
		const body = cursor && found.querySelector("tbody");
		const first = table.querySelector("a");
		if (body) body.append(...table.querySelectorAll("tbody > tr"));
		else if (items.length) found.replaceChildren(table);
		else found.replaceChildren(next ? p(t("Nothing is found so far.")) : none());
		const count = found.querySelectorAll("tbody > tr").length;
		const counted = `${number(count)} ${t(count === 1 ? one : many)}`;
		announce(next ? t("{counted} so far", { counted }) : counted);
		const place = el("div");
		foot.replaceChildren(
			...(next
				? [
						button(items.length ? t("Show more") : t("Go on searching"), (event) => run(event.target, place, () => part(next))),
						place,
					]
				: []),
		);
		if (cursor) (first ?? foot.querySelector("button"))?.focus();
	};
	const read = () => part();
	const search = form(
		[el("div", { class: "grid" }, controls)],
		[
			submit(t("Search")),
			button(t("Clear"), () => {
				for (const name of names) {
					const control = search.elements.namedItem(name);
					if (control instanceof HTMLInputElement || control instanceof HTMLSelectElement) control.value = "";
				}
				search.requestSubmit();
			}),
		],
		async (fields) => {
			view.replace(Object.fromEntries(names.map((name) => [name, fields.namedItem(name)?.value.trim()])));
			await read();
		},
	);
	search.setAttribute("role", "search");
	await read();
	return { search, results: el("div", null, found, foot), read };
}

/**
 * A search while somebody types, with a list to choose from.
 * @param {object} wish
 * @param {any} wish.view
 * @param {string} wish.name the name of the list
 * @param {string} wish.label
 * @param {string} wish.asks the label of the search
 * @param {string} wish.explained
 * @param {string[]} [wish.chosen] the value and label that is chosen at first
 * @param {number} [wish.least] the fewest characters that are searched
 * @param {number} [wish.most] the most characters that are searched
 * @param {string} [wish.nothing] the word for an empty list
 * @param {string} wish.none what to do then
 * @param {(q: string, over: () => boolean) => Promise<{ items: string[][], more: boolean }>} wish.find
 */
export function picker({ view, name, label, asks, explained, chosen, least = 1, most = 200, nothing = t("Nothing is found"), none, find }) {
	const list = select(name, chosen ? [chosen] : [["", t("Search first")]], chosen?.[0]);
	const query = input("q", { type: "search", maxlength: most });
	const said = el("div");
	let round = 0;
	const look = async () => {
		round += 1;
		const mine = round;
		const over = () => mine !== round || view.signal.aborted;
		const q = query.value.trim();
		if (q.length < least) return;
		try {
			const { items, more } = await find(q, over);
			if (over()) return;
			const first = items.length ? t("Choose one of {n}", { n: number(items.length) }) : nothing;
			const options = [["", first], ...items];
			// A choice stands while it is offered: the last answer may come after somebody has chosen.
			const kept = list.value;
			list.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
			if (items.some(([value]) => value === kept)) list.value = kept;
			const hints = items.length ? more && t("There may be more: type more of the name.") : none;
			said.replaceChildren(...(hints ? [hint(hints)] : []));
			announce(items.length ? t("{n} found", { n: number(items.length) }) : nothing);
		} catch (error) {
			if (!over()) showProblem(said, error);
		}
	};
	let waiting = 0;
	query.addEventListener("input", () => {
		clearTimeout(waiting);
		waiting = setTimeout(look, PAUSE);
	});
	query.addEventListener("keydown", (event) => {
		// It searches, and does not send the form.
		if (event.key !== "Enter") return;
		event.preventDefault();
		clearTimeout(waiting);
		look();
	});
	return [field(asks, query, explained), field(label, list), said];
}
