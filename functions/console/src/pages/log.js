// Logs an activity with a person or company (WB-1, WB-6, WB-8).

import { api, get, link } from "./api.js";
import { KINDS, signInNote } from "./activities.js";
import { COMPANIES, PEOPLE, fieldName, placeOf } from "./directory.js";
import { announce, card, el, field, form, group, input, local, p, Refusal, refuse, select, submit } from "./dom.js";
import { nextItems, picker } from "./list.js";
import { t } from "./words.js";

// With whom an activity can be: the name in the API, and the kind of entry that is searched or described.
const TARGETS = {
	profile: { label: t("A person whom we know"), kind: PEOPLE },
	company: { label: t("A company that we know"), kind: COMPANIES },
	person: { label: t("Somebody new"), kind: PEOPLE, fields: ["external_id", "emails", "first_name", "last_name", "company"] },
	organization: { label: t("A new company"), kind: COMPANIES, fields: ["name", "website", "external_id"] },
};
const EXPLAINED = {
	external_id: t("It tells who they are: two of one name stay two."),
	emails: t("One of their own. Several with commas between them."),
};

// The kinds that have a title, and its label.
const TITLED = { inmail: t("Subject"), smart_link_view: t("Title of what was viewed") };

// The default for this one, by the user's own settings and the administrator's.
/** @param {import("./api.js").Api["KindLogging"]} one */
const unsaid = ({ logged, decided_by }) =>
	decided_by === "seat_holder"
		? logged
			? t("As in your settings: yes")
			: t("As in your settings: no")
		: logged
			? t("As the administrator has set: yes")
			: t("As the administrator has set: no");

const NOT_LOGGED = {
	activity: t("It is not logged to the CRM, so nothing is kept of it."),
	thread: t("You have chosen that its thread is not logged to the CRM, so nothing is kept of it."),
	seat_holder: t("Your settings say that activities of this kind are not logged to the CRM, so nothing is kept of it."),
	administrator: t("The administrator has switched off that activities of this kind are logged, so nothing is kept of it."),
};

/** @param {import("./api.js").Api["EntrySummary"]} entry */
const offered = ({ id, name, record, in_crm }) => [
	id,
	[name || t("(no name)"), record.title, record.company, placeOf(record), !in_crm && t("not matched")].filter(Boolean).join(" · "),
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
		label: kind === PEOPLE ? t("Person") : t("Company"),
		asks: t("Name or e-mail address"),
		explained: t("Words of the name, or the beginning of the address."),
		chosen: chosen && offered(chosen),
		nothing: t("Nobody is found"),
		none: t("No {one} of the directory has such a name. Choose “{other}” above.", { one: t(kind.one), other }),
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
		fields.map((name) => field(name === "external_id" ? t("Profile address") : fieldName(name), input(name), EXPLAINED[name])),
	);
}

// What the form says of the target, as the API takes it.
function targetOf(target, fields) {
	const { kind, fields: names } = TARGETS[target];
	if (!names) {
		const id = fields.namedItem(target).value;
		if (!id)
			refuse(
				t("No {one} is chosen.", { one: t(kind.one) }),
				t("Search by name or e-mail address, then choose from the list."),
				target,
			);
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
	const titled = field(t("Title"), title);
	const logged = select(
		"log_to_crm",
		[
			["default", ""],
			["yes", t("Yes")],
			["no", t("No: nothing is kept of it")],
		],
		"default",
	);
	const name = () => {
		titled.hidden = !(kinds.value in TITLED);
		titled.querySelector("label").textContent = TITLED[kinds.value] ?? t("Title");
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
		if (Number.isNaN(occurred_at)) refuse(t("The time is missing."), t("Say when it happened."), "occurred_at");
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
				t("It was logged before you changed it; only the answer was lost."),
				t("Look at it among your activities. To log another one, open this page again."),
			);
		if (outcome === "refused") throw new Refusal(problem);
		if (outcome === "not_logged") return NOT_LOGGED[decided_by];
		await view.go("activity", { id });
		announce(t("It is logged."));
	};
	return [
		p(link("activities", t("All my activities"))),
		told,
		card(
			t("What you did"),
			form(
				[
					group(t("With whom"), field(t("It was with"), targets, t("Companies take notes only.")), who),
					field(t("Kind"), kinds),
					field(t("When"), input("occurred_at", { type: "datetime-local", required: true, value: local(new Date()) })),
					titled,
					field(t("Text"), el("textarea", { name: "text", rows: 6 }), t("Messages, InMails and notes need one.")),
					field(t("Log it to the CRM"), logged),
					p(link("my-settings", t("Choose what is logged of each kind"))),
				],
				[submit(t("Log it"))],
				log,
			),
		),
	];
}
