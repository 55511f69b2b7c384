// A submission: its history from the form to the CRM, and the actions on it (LG-8).

import { api, get, link, session } from "./api.js";
import { badge } from "./directory.js";
import {
	action,
	announce,
	button,
	card,
	confirmed,
	el,
	facts,
	hint,
	moveTo,
	number,
	p,
	poll,
	problemNote,
	problemSteps,
	row,
	said,
	step,
	table,
	tag,
	time,
} from "./dom.js";
import { SOURCES, STATES, stateTag } from "./submissions.js";

/** @typedef {import("./api.js").Api["Detail"]} Detail */

const OPEN = ["received", "processing", "waiting"];
const SENDABLE = ["received", "waiting", "needs_attention"];

const OUTCOMES = {
	mapped: ["good", "Kept as it came"],
	adjusted: ["warn", "Repaired to fit"],
	left_out: ["bad", "Left out"],
	unmapped: ["", "No mapping"],
	filled_in: ["warn", "Filled in"],
};
const KINDS = { consent: "Consent", hidden: "Hidden field", context: "Known from the source" };
const WRITES = { create_lead: "The lead was created", fill_lead: "The lead was updated", delete_lead: "The lead was deleted" };

const any = (list) => list.flatMap((text, index) => [index > 0 && ", ", said(text)]);

/** @param {Detail} detail */
function arrived({ form, source, campaign, submitted_at, response_id, origin, answers, mapping, received_at, withdrawn_at, test }) {
	const shown =
		answers &&
		table(
			"What arrived",
			["Form field", "Answer", "Kind"],
			answers.map((answer) => [
				said(answer.name),
				answer.value ? said(answer.value) : "(empty)",
				[KINDS[answer.kind] ?? "Answer", answer.note && hint(answer.note)],
			]),
		);
	return step(
		"",
		"It arrived",
		received_at,
		facts([
			["Form", said(form)],
			["Source", SOURCES[source]],
			["Campaign", campaign && said(campaign)],
			["Test", test && "Yes, says the source"],
			["Sent by the person", submitted_at && time(submitted_at)],
			["The source’s id", said(response_id)],
			...Object.entries(origin.details ?? {}).map(([name, value]) => [said(name.replaceAll("_", " ")), said(value)]),
		]),
		answers
			? mapping.length
				? el("details", null, el("summary", null, `Its ${number(answers.length)} answers as they arrived`), shown)
				: shown
			: p(withdrawn_at ? "Its answers are deleted." : "Its answers are not fetched yet."),
	);
}

/** @param {Detail} detail */
function mapped({ mapping, answers }) {
	if (!mapping.length) return null;
	const values = new Map((answers ?? []).map(({ name, value }) => [name, value]));
	const counts = Object.entries(OUTCOMES).map(([outcome, [kind, text]]) => {
		const count = mapping.filter((report) => report.outcome === outcome).length;
		return count > 0 && tag(kind, `${number(count)} ${text.toLowerCase()}`);
	});
	return step(
		"",
		"It was mapped",
		null,
		row(counts),
		table(
			"How each field was mapped",
			["Form field", "Answer", "Lead field", "What became of it"],
			mapping.map(({ name, lead_field, outcome, reason }) => [
				said(name),
				values.get(name) ? said(values.get(name)) : "–",
				lead_field ? said(lead_field) : "–",
				[
					tag(...OUTCOMES[outcome]),
					reason && hint(said(reason)),
					outcome === "unmapped" && session.role === "administrator" && p(link("mapping", "Map this field")),
				],
			]),
		),
	);
}

/** @param {Detail} detail */
function matched({ decision, state }) {
	if (!decision) return null;
	const { reason, strategy_name, compared, matching_leads, always_create_lead } = decision;
	return step(
		"",
		state === "attached" ? "It matched a lead" : "It was matched with the CRM’s leads",
		null,
		p(said(reason)),
		facts([
			["Strategy", said(strategy_name)],
			["Always a new lead", always_create_lead && "Yes"],
			[
				"Compared",
				compared.length > 0 && any(compared.map(({ lead_field, present }) => (present ? lead_field : `${lead_field} (no value)`))),
			],
			["Leads that matched", number(matching_leads)],
		]),
	);
}

/** @param {Detail} detail */
const written = ({ writes, lead, orphaned, sender }) =>
	writes.map(({ at, action, fields }) =>
		step(
			"good",
			WRITES[action] ?? action.replaceAll("_", " "),
			at,
			lead && action !== "delete_lead" && p(badge({ label: "Lead", url: lead.url, id: lead.id }, sender)),
			facts([
				["Fields written", fields.length > 0 && any(fields)],
				["Contact", action === "create_lead" && (lead?.contact_id ?? (orphaned && "None: the lead stands alone"))],
			]),
		),
	);

/** @param {Detail} detail */
const scored = ({ points, lead_score }) =>
	lead_score == null
		? null
		: step("", "It was scored", null, p(`${number(points)} points for this submission; the lead’s score is ${number(lead_score)}.`));

/** @param {Detail} detail */
function problems({ failures, state }) {
	const over = ["created", "attached", "withdrawn"].includes(state);
	return problemSteps(failures, over ? "" : state === "needs_attention" ? "bad" : "warn");
}

/** @param {Detail} detail */
function ended({ finished_at, withdrawn_at, due_at, state, attempts }) {
	if (withdrawn_at) return step("", "It was withdrawn", withdrawn_at);
	if (finished_at) return step("good", "Done", finished_at);
	if (OPEN.includes(state) && due_at)
		return step("", "Next", null, p("Looked at again by ", time(due_at), attempts > 0 && `, after ${number(attempts)} tries`, "."));
	return null;
}

export async function submissionPage(view) {
	const id = view.query.get("id");
	if (!id) return [p("No submission is named in the address. ", link("submissions", "Search for submissions"))];
	const path = `/submissions/${encodeURIComponent(id)}`;
	const body = el("div");
	let found;
	let drawn;

	const send = (include_test) => async () => {
		draw(await api("POST", `${path}/send-again`, include_test ? { include_test } : undefined));
		moveTo(body.querySelector("h2"));
		announce("It is sent again.");
	};
	const release = () =>
		confirmed("Release the test lead", "It is written to your CRM as any other lead is.", "Release it", async () => {
			await send(true)();
		});
	const acts = ({ state }) =>
		session.role !== "administrator"
			? []
			: state === "held_test"
				? [button("Release test lead", release, null)]
				: SENDABLE.includes(state)
					? action("Send again", send(false), state === "needs_attention" ? null : "second")
					: [];

	/** @param {Detail} detail */
	const draw = (detail) => {
		const text = JSON.stringify(detail);
		// An unchanged page is left alone: the focus may be in it.
		if (text === drawn) return;
		if (found && found.state !== detail.state) announce(STATES[detail.state]?.[1] ?? detail.state);
		[found, drawn] = [detail, text];
		const { state, lead, sender, failures } = detail;
		if (sender) view.entitle(sender);
		const problem = failures.at(-1)?.problem;
		const stuck = state === "needs_attention" || state === "waiting";
		const within = body.contains(document.activeElement);
		body.replaceChildren(
			card(
				"Where it stands",
				p(stateTag(state), " ", lead && badge({ label: "Lead", url: lead.url, id: lead.id }, sender)),
				p(STATES[state]?.[2]),
				stuck && problem && problemNote(problem, state === "waiting" ? "warn" : "bad"),
				stuck && problem?.field && hint("Field: ", said(problem.field)),
				row(acts(detail)),
			),
			card(
				"Its way",
				el(
					"ol",
					{ class: "timeline" },
					[arrived(detail), mapped(detail), matched(detail), problems(detail), written(detail), scored(detail), ended(detail)]
						.flat(9)
						.filter(Boolean),
				),
			),
		);
		if (within) {
			const heading = body.querySelector("h2");
			heading.tabIndex = -1;
			heading.focus();
		}
	};
	const load = async () => draw(await get(path));
	await load();
	poll(view.signal, () => OPEN.includes(found.state), load);
	return [p(link("submissions", "All submissions")), body];
}
