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
	number,
	p,
	refuse,
	row,
	run,
	said,
	select,
	table,
	tag,
	time,
} from "./dom.js";
import { exporter, utc } from "./export.js";
import { searched } from "./list.js";
import { SOURCES, STATES, stateTag } from "./submission-states.js";
import { savedViews } from "./views.js";
import { many, t } from "./words.js";

/** @typedef {import("./api.js").Api["Summary"]} Summary */

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
export const submissionRows = (items, caption = t("The submissions that were found"), selectable = false) =>
	table(
		caption,
		[...(selectable ? [t("Select")] : []), t("From"), t("Form"), t("Received"), t("State"), t("Lead or next step")],
		items.map((submission) => [
			...(selectable ? [box(submission)] : []),
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
	[t("Next step"), ({ next_step }) => t(next_step)],
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
			...refused.map(([id, detail]) => note("bad", p(link("submission", said(id), null, { id }), ": ", t(detail)))),
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
			// One run at a time, after the dialog is closed too.
			async () => () => run(release, releasePlace, () => send(ids, true)),
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
			return submissionRows(items, undefined, administrator);
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
				announce(t("{sent} sent again.", { sent: number(sent) }));
				return read;
			},
		);
	const failed = asked("state") === "needs_attention";
	return [
		administrator && failed && row(button(t("Send all again"), again)),
		card(t("Search"), search, savedViews(view, "submissions", NAMES)),
		card(
			t("Found"),
			results,
			administrator &&
				bulk(
					() => results,
					() => read,
				),
			exporter({ ...list, columns: COLUMNS }),
		),
		!administrator && p(hint(t("Administrators send submissions again and change how they are mapped."))),
	];
}
