// The search over everything: pages, people, companies, submissions.

import { get, link } from "./api.js";
import { COMPANIES, PEOPLE } from "./directory.js";
import { announce, check, el, hint, li, newId, number } from "./dom.js";
import { many, t } from "./words.js";

const WAIT_MS = 250;
// The shortest text that is looked for, the most results of a kind, and the most parts of a list that are read for them.
const SHORTEST = 2;
const MOST = 5;
const MOST_PARTS = 3;

const entries = (kind) => ({
	title: kind === PEOPLE ? t("People") : t("Companies"),
	path: kind.path,
	list: kind.list,
	row: ({ id, name, record }) => [kind.entry, id, name || t("(no name)"), record.company ?? record.city],
});
const KINDS = [
	entries(PEOPLE),
	entries(COMPANIES),
	{
		title: t("Submissions"),
		path: "/submissions",
		list: "submissions",
		row: ({ id, sender, form }) => ["submission", id, sender ?? t("No e-mail address"), form],
	},
];

async function found({ path }, q, isOver) {
	const items = [];
	let next;
	for (let part = 0; part < MOST_PARTS && items.length < MOST && (next || !part) && !isOver(); part++) {
		const wish = new URLSearchParams({ q, limit: String(MOST) });
		if (next) wish.set("cursor", next);
		const answer = await get(`${path}?${wish}`);
		items.push(...answer.items);
		next = answer.next;
	}
	return { items: items.slice(0, MOST), more: Boolean(next) || items.length > MOST };
}

function section(title, links, ...more) {
	const id = newId();
	return el(
		"div",
		null,
		el("p", { id, class: "hint" }, title),
		links.length > 0 &&
			el(
				"ul",
				{ "aria-labelledby": id },
				links.map((a) => li(a)),
			),
		more,
	);
}

/**
 * Makes a box search while somebody types.
 * @param {HTMLElement} around the box and its results
 * @param {HTMLInputElement} box
 * @param {HTMLElement} results
 * @param {{ name: string, title: string, group?: string }[]} pages those that the user may open
 * @param {{ on: boolean }} slash whether the key leads to the box
 */
export function searchEverything(around, box, results, pages, slash) {
	let round = 0;
	let timer;
	const close = () => {
		round += 1;
		clearTimeout(timer);
		results.replaceChildren();
	};
	const look = async () => {
		const mine = ++round;
		const isOver = () => mine !== round || !around.isConnected;
		const q = box.value.trim();
		if (q.length < SHORTEST) return results.replaceChildren();
		const words = q.toLowerCase();
		const named = pages.filter(({ title, group }) => `${group ?? ""} ${title}`.toLowerCase().includes(words));
		const places = KINDS.map(({ title }) => section(title, [], hint("…")));
		results.replaceChildren(
			...(named.length
				? [
						section(
							t("Pages"),
							named.map(({ name, title }) => link(name, title)),
						),
					]
				: []),
			...places,
			check("slash", t("The key / leads here"), slash.on, null, { onchange: ({ target }) => (slash.on = target.checked) }),
		);
		await Promise.all(
			KINDS.map(async (kind, index) => {
				const all = () =>
					link(
						kind.list,
						t("All that is found"),
						{ "aria-label": t("All that is found: {title}", { title: kind.title }) },
						{ q },
					);
				let shown;
				try {
					const { items, more } = await found(kind, q, isOver);
					const links = items.map((item) => {
						const [entry, id, text, about] = kind.row(item);
						return link(
							entry,
							[el("bdi", null, text), about && el("span", { class: "hint" }, " ", el("bdi", null, about))],
							null,
							{ id },
						);
					});
					shown = section(
						kind.title,
						more ? [...links, all()] : links,
						!links.length && hint(more ? t("Nothing so far.") : t("Nothing.")),
					);
				} catch (error) {
					shown = section(kind.title, [], hint(error.problem ? t(error.problem.detail) : t("This could not be searched.")));
				}
				if (!isOver()) places[index].replaceWith(shown);
			}),
		);
		if (isOver()) return;
		const count = results.querySelectorAll("a").length;
		announce(many(count, "{n} result", "{n} results"));
	};
	const later = () => {
		round += 1;
		clearTimeout(timer);
		timer = setTimeout(look, WAIT_MS);
	};
	box.addEventListener("input", later);
	around.addEventListener("submit", (event) => {
		event.preventDefault();
		const first = results.querySelector("a");
		if (first) first.click();
		else look();
	});
	around.addEventListener("keydown", (event) => {
		if (event.key === "Escape") {
			if (!results.childElementCount) return;
			event.preventDefault();
			close();
			box.focus();
		}
		const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
		if (!step) return;
		const stops = [box, ...results.querySelectorAll("a")];
		const to = stops[stops.indexOf(/** @type {any} */ (document.activeElement)) + step];
		if (!to) return;
		event.preventDefault();
		to.focus();
	});
	around.addEventListener("focusout", ({ relatedTarget }) => {
		if (relatedTarget instanceof Node && around.contains(relatedTarget)) return;
		close();
	});
	if (box.value) look();
}
