// The list of submissions with search, filters and state (LG-8).

import { api, get, link, session } from "./api.js";
import { badge } from "./directory.js";
import { announce, card, confirmed, el, field, hint, input, p, row, said, select, table, tag, time, button } from "./dom.js";
import { exporter, utc } from "./export.js";
import { searched } from "./list.js";
import { savedViews } from "./views.js";
import { t } from "./words.js";

/** @typedef {import("./api.js").Api["Summary"]} Summary */

export const SOURCES = { linkedin: "LinkedIn", website: t("Website"), google_ads: "Google Ads" };

// The states of a submission: colour, label, description.
export const STATES = {
	received: ["", t("Received"), t("It is stored and is about to be written to the CRM.")],
	processing: ["", t("In progress"), t("It is being written to the CRM.")],
	waiting: ["warn", t("Waiting"), t("Something stands in its way for a while; it goes on by itself.")],
	needs_attention: ["bad", t("Needs attention"), t("It cannot go on until somebody does the next step below.")],
	held_test: ["warn", t("Test lead, held"), t("The source marked it as a test, so it is held back from the CRM.")],
	created: ["good", t("Lead created"), t("A lead was created in the CRM.")],
	attached: ["good", t("Joined a lead"), t("It joined a lead that was in the CRM already.")],
	withdrawn: ["", t("Withdrawn"), t("The person withdrew it at the source; its answers are deleted here.")],
};
export const stateTag = (state) => tag(STATES[state]?.[0], STATES[state]?.[1] ?? state);

const NAMES = ["q", "state", "source", "form", "from", "to"];
const DAY = 24 * 60 * 60 * 1000;

// A day of the address, `2026-05-31`, as the API's time: `to` ends with the day.
function given(name, value) {
	if (name !== "from" && name !== "to") return value;
	const [year, month, day] = value.split("-").map(Number);
	const start = new Date(year, month - 1, day + (name === "to" ? 1 : 0)).getTime();
	return Number.isNaN(start) ? "" : start;
}

/** @param {Summary} submission */
const summed = ({ error, next_step, lead, sender, state }) => {
	if (lead) return badge({ label: t("Lead"), url: lead.url, id: lead.id }, sender);
	if (state === "held_test") return t("Release it, if it is to become a lead");
	if (next_step) return [t(next_step), error && hint(error.replaceAll("_", " "))];
	return "–";
};

/** @param {Summary[]} items */
export const submissionRows = (items, caption = t("The submissions that were found")) =>
	table(
		caption,
		[t("From"), t("Form"), t("Received"), t("State"), t("Lead or next step")],
		items.map((submission) => [
			link("submission", said(submission.sender ?? t("No e-mail address")), null, { id: submission.id }),
			[said(submission.form), hint(SOURCES[submission.source], submission.campaign && [" · ", said(submission.campaign)])],
			time(submission.received_at),
			[stateTag(submission.state), submission.test && submission.state !== "held_test" && [" ", tag("", t("Test"))]],
			summed(submission),
		]),
	);

/** @type {[string, (submission: Summary) => any][]} */
const COLUMNS = [
	[t("Id"), ({ id }) => id],
	[t("From"), ({ sender }) => sender],
	[t("Form"), ({ form }) => form],
	[t("Form id"), ({ form_id }) => form_id],
	[t("Source"), ({ source }) => SOURCES[source] ?? source],
	[t("Campaign"), ({ campaign }) => campaign],
	[t("State"), ({ state }) => STATES[state]?.[1] ?? state],
	[t("Test"), ({ test }) => (test ? t("Yes") : t("No"))],
	[t("Received (UTC)"), ({ received_at }) => utc(received_at)],
	[t("Finished (UTC)"), ({ finished_at }) => utc(finished_at)],
	[t("Lead"), ({ lead }) => lead?.id],
	[t("Lead’s address"), ({ lead }) => lead?.url],
	[t("Error"), ({ error }) => error],
	[t("Next step"), ({ next_step }) => next_step],
];

// Sends all submissions that need attention again, in batches.
async function sendAll() {
	let sent = 0;
	for (;;) {
		const { count, more } = await api("POST", "/failed-writes/send-again");
		sent += count;
		if (!more || !count) return sent;
	}
}

export async function submissionsPage(view) {
	const asked = (name) => view.query.get(name) ?? "";
	const administrator = session.role === "administrator";

	// Forms known from the configuration, the address and the results.
	const forms = select("form", [["", t("Any")]], "");
	const offer = (id, name) => {
		if (!id) return;
		const known = [...forms.options].find((option) => option.value === id);
		if (!known) forms.append(el("option", { value: id }, name));
		else if (known.text === id) known.text = name;
	};
	if (administrator) for (const { id, name } of (await get("/forms")).items) offer(id, name);
	if (asked("form")) offer(asked("form"), asked("form"));
	forms.value = asked("form");

	const choice = (name, label, options) => field(label, select(name, [["", t("Any")], ...options], asked(name)));
	const day = (name, label) => field(label, input(name, { type: "date", value: asked(name) }));
	const list = { view, path: "/submissions", names: NAMES, given, one: "submission", many: "submissions" };
	const { search, results, read } = await searched({
		...list,
		rows: (items) => {
			for (const { form_id, form } of items) offer(form_id, form);
			return submissionRows(items);
		},
		controls: [
			field(t("Text"), input("q", { type: "search", maxlength: 200, value: asked("q") }), t("In answers, form, campaign or ids.")),
			choice(
				"state",
				t("State"),
				Object.entries(STATES).map(([value, [, label]]) => [value, label]),
			),
			choice("source", t("Source"), Object.entries(SOURCES)),
			field(t("Form"), forms),
			day("from", t("Received from")),
			day("to", t("Received until")),
		],
	});
	const again = () =>
		confirmed(
			t("Send all again"),
			t("Every submission that needs attention is sent to the CRM again. Those whose next step is not done come back here."),
			t("Send all again"),
			async () => {
				const sent = await sendAll();
				announce(t("{sent} sent again.", { sent }));
				return read;
			},
		);
	const failed = asked("state") === "needs_attention";
	return [
		administrator && failed && row(button(t("Send all again"), again)),
		card(t("Search"), search, savedViews(view, "submissions", NAMES)),
		card(t("Found"), results, exporter({ ...list, columns: COLUMNS })),
		!administrator && p(hint(t("Administrators send submissions again and change how they are mapped."))),
	];
}
