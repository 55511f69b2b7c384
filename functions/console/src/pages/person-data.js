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
import { language, many, t } from "./words.js";

const KINDS = {
	submission: [t("Form response"), t("Form responses")],
	profile: [t("Entry of the directory"), t("Entries of the directory")],
	activity: [t("Activity"), t("Activities")],
	crm_copy: [t("Copy of a CRM record"), t("Copies of CRM records")],
	list_entry: [t("Entry of a list"), t("Entries of lists")],
	crm_write: [t("Change in the CRM"), t("Changes in the CRM")],
	seat: [t("Seat"), t("Seats")],
	audit_entry: [t("Entry of the audit log"), t("Entries of the audit log")],
};
// The kinds that a receipt counts.
const COUNTED = {
	submissions: t("Form responses"),
	attachments: t("Their parts in a lead's score"),
	claims: t("Claims of a lead"),
	profiles: t("Entries of the directory"),
	matches: t("Matches"),
	links: t("Links to CRM records"),
	activities: t("Activities"),
	crm_copies: t("Copies of CRM records"),
	match_keys: t("Match keys"),
	list_entries: t("Entries of lists"),
	crm_writes: t("Values of changes in the CRM"),
	audit_entries: t("Entries of the audit log"),
};
const STATES = { running: ["warn", t("Erasing")], confirming: ["warn", t("Erased; looked through once more")], done: ["good", t("Done")] };
const CONFIRMATION = "erase";

function save(name, type, text) {
	const address = URL.createObjectURL(new Blob([text], { type }));
	el("a", { href: address, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
const pretty = (value) => JSON.stringify(value, null, 2);
const today = () => new Date().toISOString().slice(0, 10);

const crmLink = (crm) =>
	crm &&
	(crm.url
		? el("a", { href: crm.url, rel: "noreferrer" }, t("{object} in the CRM", { object: crm.object }))
		: t("{object} {id} in the CRM", { object: crm.object, id: crm.id }));

// An item's kind and reason, for the page and for the file.
/** @param {import("./api.js").Api["PersonItem"]} item */
const told = (item) =>
	facts([
		[t("Id"), item.id],
		[t("Why it is stored"), t(item.reason)],
		[t("How long"), t(item.kept)],
		[t("On erasure"), t(item.on_erasure)],
		["CRM", crmLink(item.crm)],
	]);

/** @param {import("./api.js").Api["PersonItem"]} item */
const shownItem = (item) =>
	el(
		"li",
		null,
		el("h3", null, KINDS[item.kind][0]),
		told(item),
		el("details", null, el("summary", null, t("Everything that is stored")), el("pre", null, pretty(item.data))),
	);

// A document that can be read without Leadbridge. It is made of elements with texts, so that no text becomes markup.
function readable(report) {
	const file = document.implementation.createHTMLDocument(t("Data about a person"));
	const body = [
		el("h1", null, t("Data about a person")),
		p(t("Looked up in Leadbridge on {at}.", { at: report.at })),
		report.items.map((item) => [el("h2", null, KINDS[item.kind][0]), told(item), el("pre", null, pretty(item.data))]),
		el("h2", null, t("Not looked through")),
		el(
			"ul",
			null,
			report.limits.map((limit) => el("li", null, t(limit))),
		),
	];
	file.documentElement.lang = language;
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
	dialog(t("Erase this person's data"), (close) =>
		form(
			[
				note(
					"warn",
					t(
						"Everything that the report lists is deleted, and cannot be brought back. Imports, files and programs no longer bring the person in.",
					),
				),
				p(t("Records of the CRM stay: they are yours, and are deleted there.")),
				field(t("Type “{word}” to confirm", { word: CONFIRMATION }), input("confirm", { required: true, autocapitalize: "none" })),
			],
			[submit(t("Erase"), "danger"), cancel(close)],
			async (fields) => {
				if (fields.confirm.value.trim() !== CONFIRMATION)
					refuse(t("An erasure cannot be undone."), t("Type the word {word}.", { word: CONFIRMATION }), "confirm");
				await api("POST", "/privacy/erasures", { person, confirm: CONFIRMATION });
				close();
				await started();
			},
		),
	);
}

function counts(erased) {
	const rows = Object.entries(erased).map(([kind, count]) => [COUNTED[kind] ?? kind, number(count)]);
	return rows.length ? table(t("Erased items"), [t("Kind"), t("Erased")], rows) : p(t("Nothing was found to erase."));
}

/** @param {import("./api.js").Api["ErasureView"]} erasure */
const shownErasure = (erasure) =>
	el(
		"li",
		null,
		el("h3", null, time(erasure.asked_at), " ", tag(...STATES[erasure.state])),
		facts([
			[t("Asked for by"), erasure.asked_by],
			[t("Receipt after"), erasure.ends_after && time(erasure.ends_after)],
			[t("Ended"), erasure.receipt && time(erasure.receipt.finished_at)],
			[t("Keyed hashes that stay"), number(erasure.tombstones)],
		]),
		counts(erasure.erased),
		el(
			"details",
			null,
			el("summary", null, t("What stays, and why")),
			el(
				"ul",
				null,
				erasure.stays.map((text) => el("li", null, t(text))),
			),
		),
		erasure.receipt &&
			row(button(t("Save the receipt"), () => save(`erasure-${erasure.id}.json`, "application/json", pretty(erasure.receipt)))),
	);

export async function personDataPage(view) {
	const found = el("div");
	const list = el("div");
	let open = false;
	const load = async () => {
		/** @type {import("./api.js").Api["ErasureList"]} */
		const { items } = await get("/privacy/erasures");
		open = items.some(({ state }) => state !== "done");
		list.replaceChildren(items.length ? el("ul", { class: "plain" }, items.map(shownErasure)) : p(t("Nobody's data was erased yet.")));
	};
	// The erasure of the items found has begun: their place says so, and links to its progress.
	const started = async () => {
		const text = t("The erasure has begun. How far it is stands below, at Erasures.");
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
		const title = many(items.length, "{n} item", "{n} items");
		const all = Object.entries(KINDS).flatMap(([kind]) => items.filter((item) => item.kind === kind));
		const parts = [
			!report.complete && note("warn", t("The search was stopped: there may be more.")),
			items.length === 0 && p(report.complete ? t("Nothing is stored about this person.") : t("Nothing was found so far.")),
			items.length > 0 &&
				row(
					button(t("Save as JSON"), () => save(`person-${today()}.json`, "application/json", pretty(report))),
					button(t("Save as HTML"), () => save(`person-${today()}.html`, "text/html;charset=utf-8", readable(report))),
				),
			all.length > 0 && el("ul", { class: "plain" }, all.map(shownItem)),
			el(
				"details",
				null,
				el("summary", null, t("What is not looked through")),
				el(
					"ul",
					null,
					report.limits.map((limit) => el("li", null, t(limit))),
				),
			),
			row(button(t("Erase this person's data"), () => erase(person, started), "danger")),
		];
		found.replaceChildren(card(title, parts));
	};
	const search = form(
		[
			field(t("E-mail addresses"), lines("emails", [], { rows: 2 }), t("One in each line.")),
			field(
				t("Phone numbers"),
				lines("phones", [], { rows: 2 }),
				t("With their country code; with a name, only that person's items are found."),
			),
			field(t("Profile addresses"), lines("profile_urls", [], { rows: 2 }), t("Such as https://www.linkedin.com/in/ada.")),
			field(t("Name"), input("name", { maxlength: 500 }), t("Alone it finds people of the same name too.")),
		],
		[submit(t("Search"))],
		async (fields) => {
			const person = given(fields);
			const report = { at: new Date().toISOString(), person, items: [], limits: [], complete: false };
			let stopped = false;
			const state = el("span", { class: "number" });
			found.replaceChildren(
				row(
					state,
					button(t("Stop"), () => {
						stopped = true;
					}),
				),
			);
			try {
				let cursor = null;
				do {
					state.textContent = t("{n} items so far", { n: number(report.items.length) });
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
			announce(t("{n} items found.", { n: number(report.items.length) }));
		},
	);
	await load();
	poll(view.signal, () => open, load);
	return [
		card(
			t("Find a person"),
			hint(t("Everything that Leadbridge stores about somebody. What you type is sent to Leadbridge and not stored.")),
			search,
		),
		found,
		card(t("Erasures"), list),
	];
}
