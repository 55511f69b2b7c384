// Logs an activity with a person or company (WB-1, WB-6, WB-8).

import { api, get, link } from "./api.js";
import { KINDS, signInNote } from "./activities.js";
import { COMPANIES, PEOPLE, fieldName, placeOf } from "./directory.js";
import { announce, card, el, field, form, group, input, local, p, Refusal, refuse, select, submit } from "./dom.js";
import { nextItems, picker } from "./list.js";

// With whom an activity can be: the name in the API, and the kind of entry that is searched or described.
const TARGETS = {
	profile: { label: "A person whom we know", kind: PEOPLE },
	company: { label: "A company that we know", kind: COMPANIES },
	person: { label: "Somebody new", kind: PEOPLE, fields: ["external_id", "emails", "first_name", "last_name", "company"] },
	organization: { label: "A new company", kind: COMPANIES, fields: ["name", "website", "external_id"] },
};
const EXPLAINED = {
	external_id: "It tells who they are: two of one name stay two.",
	emails: "One of their own. Several with commas between them.",
};

// The kinds that have a title, and its label.
const TITLED = { inmail: "Subject", smart_link_view: "Title of what was viewed" };

// The default for this one, by the user's own settings and the administrator's.
/** @param {import("./api.js").Api["KindLogging"]} one */
const unsaid = ({ logged, decided_by }) =>
	`${decided_by === "seat_holder" ? "As in your settings" : "As the administrator has set"}: ${logged ? "yes" : "no"}`;

const NOT_LOGGED = {
	activity: "It is not logged to the CRM, so nothing is kept of it.",
	seat_holder: "Your settings say that activities of this kind are not logged to the CRM, so nothing is kept of it.",
	administrator: "The administrator has switched off that activities of this kind are logged, so nothing is kept of it.",
};

/** @param {import("./api.js").Api["EntrySummary"]} entry */
const offered = ({ id, name, record, in_crm }) => [
	id,
	[name || "(no name)", record.title, record.company, placeOf(record), !in_crm && "not matched"].filter(Boolean).join(" · "),
];

/**
 * A search in the directory.
 * @param {any} view
 * @param {import("./directory.js").Kind} kind
 * @param {import("./api.js").Api["EntrySummary"]} [chosen]
 */
function finder(view, kind, chosen) {
	const other = TARGETS[kind === PEOPLE ? "person" : "organization"].label;
	return picker({
		view,
		name: kind.target,
		label: kind === PEOPLE ? "Person" : "Company",
		asks: "Name or e-mail address",
		explained: "Words of the name, or the beginning of the address.",
		chosen: chosen && offered(chosen),
		nothing: "Nobody is found",
		none: `No ${kind.one} of the directory has such a name. Choose “${other}” above.`,
		find: async (q, over) => {
			const { items, next } = await nextItems(kind.path, { q, limit: 20 }, null, over);
			return { items: items.map(offered), more: next !== null };
		},
	});
}

function details({ fields }) {
	return el(
		"div",
		{ class: "grid" },
		fields.map((name) => field(name === "external_id" ? "Profile address" : fieldName(name), input(name), EXPLAINED[name])),
	);
}

// What the form says of the target, as the API takes it.
function targetOf(target, fields) {
	const { kind, fields: names } = TARGETS[target];
	if (!names) {
		const id = fields.namedItem(target).value;
		if (!id) refuse(`No ${kind.one} is chosen.`, "Search by name or e-mail address, then choose from the list.", target);
		return id;
	}
	const given = {};
	for (const name of names) {
		const text = fields.namedItem(name).value.trim();
		const parts = () => text.split(/[,;]/).map((part) => part.trim());
		if (text) given[name] = name === "emails" ? parts().filter(Boolean) : text;
	}
	return given;
}

export async function logPage(view) {
	const known = ["profile", "company"].find((name) => view.query.get(name));
	const [told, own, chosen] = await Promise.all([
		signInNote(),
		get("/me/settings"),
		known && get(`${TARGETS[known].kind.path}/${encodeURIComponent(view.query.get(known))}`),
	]);
	// The same for every try: an answer that was lost does not log it twice.
	const idempotency_key = crypto.randomUUID();

	const kinds = select("kind", Object.entries(KINDS), "message");
	const title = input("title", { maxlength: 500 });
	const titled = field("Title", title);
	const logged = select(
		"log_to_crm",
		[
			["default", ""],
			["yes", "Yes"],
			["no", "No: nothing is kept of it"],
		],
		"default",
	);
	const name = () => {
		titled.hidden = !(kinds.value in TITLED);
		titled.querySelector("label").textContent = TITLED[kinds.value] ?? "Title";
		logged.options[0].text = unsaid(own.kinds.find(({ kind }) => kind === kinds.value));
	};
	kinds.addEventListener("change", name);

	const targets = select(
		"target",
		Object.entries(TARGETS).map(([value, { label }]) => [value, label]),
		known ?? "profile",
	);
	const who = el("div");
	const ask = (chosen) => {
		const target = TARGETS[targets.value];
		who.replaceChildren(...[target.fields ? details(target) : finder(view, target.kind, chosen)].flat());
		// Companies take notes only.
		for (const option of kinds.options) option.disabled = target.kind === COMPANIES && option.value !== "note";
		if (target.kind === COMPANIES) kinds.value = "note";
		name();
	};
	targets.addEventListener("change", () => ask());
	ask(chosen);

	const log = async (fields) => {
		const target = targets.value;
		const occurred_at = Date.parse(fields.namedItem("occurred_at").value);
		const who = targetOf(target, fields);
		if (Number.isNaN(occurred_at)) refuse("The time is missing.", "Say when it happened.", "occurred_at");
		const item = {
			idempotency_key,
			kind: kinds.value,
			[target]: who,
			occurred_at,
			title: titled.hidden ? "" : title.value,
			text: fields.namedItem("text").value,
			log_to_crm: logged.value,
		};
		/** @type {import("./api.js").Api["ActivityResults"]} */
		const { results } = await api("POST", "/activities", { items: [item] });
		const [{ outcome, id, problem, decided_by }] = results;
		if (problem?.code === "key_reused")
			refuse(
				"It was logged before you changed it; only the answer was lost.",
				"Look at it among your activities. To log another one, open this page again.",
			);
		if (outcome === "refused") throw new Refusal(problem);
		if (outcome === "not_logged") return NOT_LOGGED[decided_by];
		await view.go("activity", { id });
		announce("It is logged.");
	};
	return [
		p(link("activities", "All my activities")),
		told,
		card(
			"What you did",
			form(
				[
					group("With whom", field("It was with", targets, "Companies take notes only."), who),
					field("Kind", kinds),
					field("When", input("occurred_at", { type: "datetime-local", required: true, value: local(new Date()) })),
					titled,
					field("Text", el("textarea", { name: "text", rows: 6 }), "Messages, InMails and notes need one."),
					field("Log it to the CRM", logged),
					p(link("my-settings", "Choose what is logged of each kind")),
				],
				[submit("Log it")],
				log,
			),
		),
	];
}
