// Lists with search and paging; the search is kept in the page's address.

import { get } from "./api.js";
import { announce, button, el, form, p, run, submit } from "./dom.js";

// The most parts that are read for one page of results: a part may hold no match of the search.
const MOST_PARTS = 8;

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
export async function searched({ view, path, names, controls, one, many, rows, given, none = () => p("Nothing is found.") }) {
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
		else found.replaceChildren(next ? p("Nothing is found so far.") : none());
		const count = found.querySelectorAll("tbody > tr").length;
		announce(`${count} ${count === 1 ? one : many}${next ? " so far" : ""}`);
		const place = el("div");
		foot.replaceChildren(
			...(next
				? [button(items.length ? "Show more" : "Go on searching", (event) => run(event.target, place, () => part(next))), place]
				: []),
		);
		if (cursor) (first ?? foot.querySelector("button"))?.focus();
	};
	const read = () => part();
	const search = form(
		[el("div", { class: "grid" }, controls)],
		[
			submit("Search"),
			button("Clear", () => {
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
