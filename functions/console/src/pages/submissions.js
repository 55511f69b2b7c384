// The list of submissions with search, filters and state (LG-8).

import { api, get, link, session } from "./api.js";
import { badge } from "./directory.js";
import {
	action,
	announce,
	asProblem,
	button,
	card,
	confirmed,
	el,
	field,
	hint,
	input,
	note,
	p,
	refuse,
	row,
	said,
	select,
	table,
	tag,
	time,
} from "./dom.js";
import { exporter, utc } from "./export.js";
import { searched } from "./list.js";
import { savedViews } from "./views.js";
import { many, t } from "./words.js";

/** @typedef {import("./api.js").Api["Summary"]} Summary */

export const SOURCES = { linkedin: "LinkedIn", website: "Website", google_ads: "Google Ads" };

// The states of a submission: colour, label, description.
export const STATES = {
	received: ["", "Received", "It is stored and is about to be written to the CRM."],
	processing: ["", "In progress", "It is being written to the CRM."],
	waiting: ["warn", "Waiting", "Something stands in its way for a while; it goes on by itself."],
	needs_attention: ["bad", "Needs attention", "It cannot go on until somebody does the next step below."],
	held_test: ["warn", "Test lead, held", "The source marked it as a test, so it is held back from the CRM."],
	created: ["good", "Lead created", "A lead was created in the CRM."],
	attached: ["good", "Joined a lead", "It joined a lead that was in the CRM already."],
	withdrawn: ["", "Withdrawn", "The person withdrew it at the source; its answers are deleted here."],
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
	if (lead) return badge({ label: "Lead", url: lead.url, id: lead.id }, sender);
	if (state === "held_test") return "Release it, if it is to become a lead";
	if (next_step) return [next_step, error && hint(error.replaceAll("_", " "))];
	return "–";
};

// The states in which one can be sent again, or released.
const SENDABLE = ["received", "waiting", "needs_attention", "held_test"];

// A box that selects a submission, where there is something to do with it.
/** @param {Summary} submission */
const box = ({ id, state, sender }) =>
	SENDABLE.includes(state)
		? el(
				"label",
				{ class: "check" },
				input("chosen", { type: "checkbox", value: id, "data-state": state }),
				el("span", { class: "unseen" }, t("Select: {name}", { name: sender ?? t("No e-mail address") })),
			)
		: "–";

/** @param {Summary[]} items */
export const submissionRows = (items, caption = "The submissions that were found", selectable = false) =>
	table(
		caption,
		[...(selectable ? [t("Select")] : []), "From", "Form", "Received", "State", "Lead or next step"],
		items.map((submission) => [
			...(selectable ? [box(submission)] : []),
			link("submission", said(submission.sender ?? "No e-mail address"), null, { id: submission.id }),
			[said(submission.form), hint(SOURCES[submission.source], submission.campaign && [" · ", said(submission.campaign)])],
			time(submission.received_at),
			[stateTag(submission.state), submission.test && submission.state !== "held_test" && [" ", tag("", "Test")]],
			summed(submission),
		]),
	);

/** @type {[string, (submission: Summary) => any][]} */
const COLUMNS = [
	["Id", ({ id }) => id],
	["From", ({ sender }) => sender],
	["Form", ({ form }) => form],
	["Form id", ({ form_id }) => form_id],
	["Source", ({ source }) => SOURCES[source] ?? source],
	["Campaign", ({ campaign }) => campaign],
	["State", ({ state }) => STATES[state]?.[1] ?? state],
	["Test", ({ test }) => (test ? "Yes" : "No")],
	["Received (UTC)", ({ received_at }) => utc(received_at)],
	["Finished (UTC)", ({ finished_at }) => utc(finished_at)],
	["Lead", ({ lead }) => lead?.id],
	["Lead’s address", ({ lead }) => lead?.url],
	["Error", ({ error }) => error],
	["Next step", ({ next_step }) => next_step],
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

// Actions on the submissions that are selected in `results`; `read` reads them again.
function bulk(results, read) {
	const told = el("div");
	const boxes = () => /** @type {HTMLInputElement[]} */ ([...results().querySelectorAll("input[name=chosen]")]);
	const chosen = (test) => {
		const held = ({ dataset }) => dataset.state === "held_test";
		const found = boxes().filter((box) => box.checked && held(box) === test);
		if (!found.length)
			refuse(
				test ? t("No held test lead is selected.") : t("Nothing that can be sent again is selected."),
				t("Select submissions in the list first."),
			);
		return found.map(({ value }) => value);
	};
	// One after the other: each by itself is sent or refused.
	const send = async (ids, include_test) => {
		const refused = [];
		for (const id of ids) {
			try {
				await api("POST", `/submissions/${id}/send-again`, { include_test });
			} catch (error) {
				refused.push([id, asProblem(error).detail]);
			}
		}
		const sent = ids.length - refused.length;
		const text = many(sent, "{n} submission is sent again.", "{n} submissions are sent again.");
		await read()().catch(() => {});
		told.replaceChildren(
			note(refused.length ? "warn" : "good", text),
			...refused.map(([id, detail]) => note("bad", p(link("submission", said(id), null, { id }), ": ", detail))),
		);
		announce(text);
	};
	const [again, againPlace] = action(t("Send the selected again"), async () => send(chosen(false), false));
	const [release, releasePlace] = action(t("Release the selected test leads"), async () => {
		const ids = chosen(true);
		confirmed(
			many(ids.length, "Release {n} test lead", "Release {n} test leads"),
			t("They are written to your CRM as any other lead is."),
			t("Release them"),
			async () => () => send(ids, true),
		);
	});
	const all = button(t("Select all that can be sent"), () => {
		for (const box of boxes()) box.checked = true;
	});
	return [row(all, again, release), againPlace, releasePlace, told];
}

export async function submissionsPage(view) {
	const asked = (name) => view.query.get(name) ?? "";
	const administrator = session.role === "administrator";

	// Forms known from the configuration, the address and the results.
	const forms = select("form", [["", "Any"]], "");
	const offer = (id, name) => {
		if (!id) return;
		const known = [...forms.options].find((option) => option.value === id);
		if (!known) forms.append(el("option", { value: id }, name));
		else if (known.text === id) known.text = name;
	};
	if (administrator) for (const { id, name } of (await get("/forms")).items) offer(id, name);
	if (asked("form")) offer(asked("form"), asked("form"));
	forms.value = asked("form");

	const choice = (name, label, options) => field(label, select(name, [["", "Any"], ...options], asked(name)));
	const day = (name, label) => field(label, input(name, { type: "date", value: asked(name) }));
	const list = { view, path: "/submissions", names: NAMES, given, one: "submission", many: "submissions" };
	const { search, results, read } = await searched({
		...list,
		rows: (items) => {
			for (const { form_id, form } of items) offer(form_id, form);
			return submissionRows(items, undefined, administrator);
		},
		controls: [
			field("Text", input("q", { type: "search", maxlength: 200, value: asked("q") }), "In answers, form, campaign or ids."),
			choice(
				"state",
				"State",
				Object.entries(STATES).map(([value, [, label]]) => [value, label]),
			),
			choice("source", "Source", Object.entries(SOURCES)),
			field("Form", forms),
			day("from", "Received from"),
			day("to", "Received until"),
		],
	});
	const again = () =>
		confirmed(
			"Send all again",
			"Every submission that needs attention is sent to the CRM again. Those whose next step is not done come back here.",
			"Send all again",
			async () => {
				const sent = await sendAll();
				announce(`${sent} sent again.`);
				return read;
			},
		);
	const failed = asked("state") === "needs_attention";
	return [
		administrator && failed && row(button("Send all again", again)),
		card("Search", search, savedViews(view, "submissions", NAMES)),
		card(
			"Found",
			results,
			administrator &&
				bulk(
					() => results,
					() => read,
				),
			exporter({ ...list, columns: COLUMNS }),
		),
		!administrator && p(hint("Administrators send submissions again and change how they are mapped.")),
	];
}
