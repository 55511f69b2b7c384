// The open opportunities of a person or a company (SV-5).

import { get, link } from "./api.js";
import { badge } from "./directory.js";
import { action, announce, card, day, el, hint, number, row, table } from "./dom.js";
import { locale, t } from "./words.js";

// An amount in its currency; a code that the browser does not know is written behind it.
function money(amount, currency) {
	if (amount == null) return "–";
	if (!currency) return new Intl.NumberFormat(locale).format(amount);
	try {
		return new Intl.NumberFormat(locale, { style: "currency", currency }).format(amount);
	} catch {
		return `${new Intl.NumberFormat(locale).format(amount)} ${currency}`;
	}
}

/** @param {import("./api.js").Api["OpportunityContact"]} contact */
const someone = ({ name, role, profile, record }) => [
	profile ? link("person", name, null, { id: profile.id }) : name,
	role && ` (${role})`,
	" ",
	badge(record, name),
];

/** @param {import("./api.js").Api["OpportunityView"]} one */
const cells = ({ record, name, stage, amount, currency, closes_on, owner, contacts }) => [
	[name || t("(no name)"), " ", badge(record, name)],
	stage?.label ?? "–",
	money(amount, currency),
	day(closes_on),
	owner ? (owner.name ?? owner.id) : "–",
	contacts.length ? contacts.map((contact) => el("div", null, someone(contact))) : "–",
];

/**
 * The section of an entry's page; nothing where there are none.
 * @param {string} path the entry in the API
 */
export async function openOpportunities(path) {
	const read = (cursor) => get(`${path}/opportunities?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
	const { items, total, next } = await read();
	if (!items.length) return null;
	const list = (found) =>
		table(
			t("Open opportunities"),
			[t("Opportunity"), t("Stage"), t("Value"), t("Closes"), t("Owner"), t("Contacts")],
			found.map(cells),
		);
	const shown = list(items);
	const foot = el("div");
	const more = (cursor) => {
		foot.replaceChildren(
			...(cursor
				? [
						row(
							action(t("Show more opportunities"), async () => {
								const page = await read(cursor);
								const rows = list(page.items).querySelectorAll("tbody > tr");
								shown.querySelector("tbody").append(...rows);
								more(page.next);
								// The button that had the focus is gone.
								(rows[0]?.querySelector("a") ?? foot.querySelector("button"))?.focus();
								announce(t("{n} more", { n: number(rows.length) }));
							}),
						),
					]
				: []),
		);
	};
	more(next);
	return card(
		t("Open opportunities"),
		hint(
			t("{total} as of the last import, the furthest stage first. What you see in the CRM is up to your rights there.", {
				total: number(total),
			}),
		),
		shown,
		foot,
	);
}
