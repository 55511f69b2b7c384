// A person's data: everything that is stored about somebody, its export, and its erasure (OP-3).

import { api, get } from "./api.js";
import {
	announce,
	button,
	cancel,
	card,
	dialog,
	el,
	facts,
	field,
	form,
	hint,
	input,
	lines,
	linesOf,
	note,
	number,
	p,
	poll,
	refuse,
	row,
	submit,
	table,
	tag,
	time,
} from "./dom.js";

const KINDS = {
	submission: ["Form response", "Form responses"],
	profile: ["Entry of the directory", "Entries of the directory"],
	activity: ["Activity", "Activities"],
	crm_copy: ["Copy of a CRM record", "Copies of CRM records"],
	list_entry: ["Entry of a list", "Entries of lists"],
	crm_write: ["Change in the CRM", "Changes in the CRM"],
	seat: ["Seat", "Seats"],
	audit_entry: ["Entry of the audit log", "Entries of the audit log"],
};
// The kinds that a receipt counts.
const COUNTED = {
	submissions: "Form responses",
	attachments: "Their parts in a lead's score",
	claims: "Claims of a lead",
	profiles: "Entries of the directory",
	matches: "Matches",
	links: "Links to CRM records",
	activities: "Activities",
	crm_copies: "Copies of CRM records",
	match_keys: "Match keys",
	list_entries: "Entries of lists",
	crm_writes: "Values of changes in the CRM",
	audit_entries: "Entries of the audit log",
};
const STATES = { running: ["warn", "Erasing"], confirming: ["warn", "Erased; looked through once more"], done: ["good", "Done"] };
const CONFIRMATION = "erase";

function save(name, type, text) {
	const address = URL.createObjectURL(new Blob([text], { type }));
	el("a", { href: address, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
const pretty = (value) => JSON.stringify(value, null, 2);
const today = () => new Date().toISOString().slice(0, 10);

const crmLink = (crm) =>
	crm && (crm.url ? el("a", { href: crm.url, rel: "noreferrer" }, `${crm.object} in the CRM`) : `${crm.object} ${crm.id} in the CRM`);

// An item's kind and reason, for the page and for the file.
/** @param {import("./api.js").Api["PersonItem"]} item */
const told = (item) =>
	facts([
		["Id", item.id],
		["Why it is stored", item.reason],
		["How long", item.kept],
		["On erasure", item.on_erasure],
		["CRM", crmLink(item.crm)],
	]);

/** @param {import("./api.js").Api["PersonItem"]} item */
const shownItem = (item) =>
	el(
		"li",
		null,
		el("h3", null, KINDS[item.kind][0]),
		told(item),
		el("details", null, el("summary", null, "Everything that is stored"), el("pre", null, pretty(item.data))),
	);

// A document that can be read without Leadbridge. It is made of elements with texts, so that no text becomes markup.
function readable(report) {
	const file = document.implementation.createHTMLDocument("Data about a person");
	const body = [
		el("h1", null, "Data about a person"),
		p(`Looked up in Leadbridge on ${report.at}.`),
		report.items.map((item) => [el("h2", null, KINDS[item.kind][0]), told(item), el("pre", null, pretty(item.data))]),
		el("h2", null, "Not looked through"),
		el(
			"ul",
			null,
			report.limits.map((limit) => el("li", null, limit)),
		),
	];
	file.documentElement.lang = "en";
	file.head.prepend(el("meta", { charset: "utf-8" }));
	file.body.append(...body.flat(9));
	return new XMLSerializer().serializeToString(file);
}

const given = (fields) => ({
	emails: linesOf(fields.emails),
	phones: linesOf(fields.phones),
	profile_urls: linesOf(fields.profile_urls),
	name: fields.name.value.trim() || null,
});

function erase(person, started) {
	dialog("Erase this person's data", (close) =>
		form(
			[
				note(
					"warn",
					"Everything that the report lists is deleted, and cannot be brought back. Imports, files and programs no longer bring the person in.",
				),
				p("Records of the CRM stay: they are yours, and are deleted there."),
				field("Type “erase” to confirm", input("confirm", { required: true, autocapitalize: "none" })),
			],
			[submit("Erase", "danger"), cancel(close)],
			async (fields) => {
				if (fields.confirm.value.trim() !== CONFIRMATION)
					refuse("An erasure cannot be undone.", `Type the word ${CONFIRMATION}.`, "confirm");
				await api("POST", "/privacy/erasures", { person, confirm: CONFIRMATION });
				close();
				await started();
			},
		),
	);
}

function counts(erased) {
	const rows = Object.entries(erased).map(([kind, count]) => [COUNTED[kind] ?? kind, number(count)]);
	return rows.length ? table("Erased items", ["Kind", "Erased"], rows) : p("Nothing was found to erase.");
}

/** @param {import("./api.js").Api["ErasureView"]} erasure */
const shownErasure = (erasure) =>
	el(
		"li",
		null,
		el("h3", null, time(erasure.asked_at), " ", tag(...STATES[erasure.state])),
		facts([
			["Asked for by", erasure.asked_by],
			["Receipt after", erasure.ends_after && time(erasure.ends_after)],
			["Ended", erasure.receipt && time(erasure.receipt.finished_at)],
			["Keyed hashes that stay", number(erasure.tombstones)],
		]),
		counts(erasure.erased),
		el(
			"details",
			null,
			el("summary", null, "What stays, and why"),
			el(
				"ul",
				null,
				erasure.stays.map((text) => el("li", null, text)),
			),
		),
		erasure.receipt &&
			row(button("Save the receipt", () => save(`erasure-${erasure.id}.json`, "application/json", pretty(erasure.receipt)))),
	);

export async function personDataPage(view) {
	const found = el("div");
	const list = el("div");
	let open = false;
	const load = async () => {
		/** @type {import("./api.js").Api["ErasureList"]} */
		const { items } = await get("/privacy/erasures");
		open = items.some(({ state }) => state !== "done");
		list.replaceChildren(items.length ? el("ul", { class: "plain" }, items.map(shownErasure)) : p("Nobody's data was erased yet."));
	};
	// The erasure of the items found has begun: their place says so, and links to its progress.
	const started = async () => {
		const text = "The erasure has begun. How far it is stands below, at Erasures.";
		const told = note("good", text);
		found.replaceChildren(told);
		told.tabIndex = -1;
		told.focus();
		announce(text);
		open = true;
		// The dialog is closed, so a problem would show nowhere; it is looked at again while it goes on.
		await load().catch(() => {});
	};
	const show = (person, report) => {
		const { items } = report;
		const title = items.length === 1 ? "1 item" : `${number(items.length)} items`;
		const all = Object.entries(KINDS).flatMap(([kind]) => items.filter((item) => item.kind === kind));
		const parts = [
			!report.complete && note("warn", "The search was stopped: there may be more."),
			items.length === 0 && p(report.complete ? "Nothing is stored about this person." : "Nothing was found so far."),
			items.length > 0 &&
				row(
					button("Save as JSON", () => save(`person-${today()}.json`, "application/json", pretty(report))),
					button("Save as HTML", () => save(`person-${today()}.html`, "text/html;charset=utf-8", readable(report))),
				),
			all.length > 0 && el("ul", { class: "plain" }, all.map(shownItem)),
			el(
				"details",
				null,
				el("summary", null, "What is not looked through"),
				el(
					"ul",
					null,
					report.limits.map((limit) => el("li", null, limit)),
				),
			),
			row(button("Erase this person's data", () => erase(person, started), "danger")),
		];
		found.replaceChildren(card(title, parts));
	};
	const search = form(
		[
			field("E-mail addresses", lines("emails", [], { rows: 2 }), "One in each line."),
			field(
				"Phone numbers",
				lines("phones", [], { rows: 2 }),
				"With their country code; with a name, only that person's items are found.",
			),
			field("Profile addresses", lines("profile_urls", [], { rows: 2 }), "Such as https://www.linkedin.com/in/ada."),
			field("Name", input("name", { maxlength: 500 }), "Alone it finds people of the same name too."),
		],
		[submit("Search")],
		async (fields) => {
			const person = given(fields);
			const report = { at: new Date().toISOString(), person, items: [], limits: [], complete: false };
			let stopped = false;
			const state = el("span", { class: "number" });
			found.replaceChildren(
				row(
					state,
					button("Stop", () => {
						stopped = true;
					}),
				),
			);
			try {
				let cursor = null;
				do {
					state.textContent = `${number(report.items.length)} items so far`;
					/** @type {import("./api.js").Api["PersonReport"]} */
					const answer = await api("POST", "/privacy/search", { person, cursor });
					if (view.signal.aborted) return;
					report.items.push(...answer.items);
					report.limits = answer.limits;
					cursor = answer.next;
				} while (cursor && !stopped);
				report.complete = !cursor;
			} catch (error) {
				found.replaceChildren();
				throw error;
			}
			show(person, report);
			announce(`${number(report.items.length)} items found.`);
		},
	);
	await load();
	poll(view.signal, () => open, load);
	return [
		card(
			"Find a person",
			hint("Everything that Leadbridge stores about somebody. What you type is sent to Leadbridge and not stored."),
			search,
		),
		found,
		card("Erasures", list),
	];
}
