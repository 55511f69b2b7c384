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
import { SOURCES, STATES, stateTag } from "./submission-states.js";
import { t } from "./words.js";

/** @typedef {import("./api.js").Api["Detail"]} Detail */

const OPEN = ["received", "processing", "waiting"];
const SENDABLE = ["received", "waiting", "needs_attention"];

const OUTCOMES = {
	mapped: ["good", t("Kept as it came")],
	adjusted: ["warn", t("Repaired to fit")],
	left_out: ["bad", t("Left out")],
	unmapped: ["", t("No mapping")],
	filled_in: ["warn", t("Filled in")],
};
const KINDS = { consent: t("Consent"), hidden: t("Hidden field"), context: t("Known from the source") };
const WRITES = { create_lead: t("The lead was created"), fill_lead: t("The lead was updated"), delete_lead: t("The lead was deleted") };

const any = (list) => list.flatMap((text, index) => [index > 0 && ", ", said(text)]);

/** @param {Detail} detail */
function arrived({ form, source, campaign, submitted_at, response_id, origin, answers, mapping, received_at, withdrawn_at, test }) {
	const shown =
		answers &&
		table(
			t("What arrived"),
			[t("Form field"), t("Answer"), t("Kind")],
			answers.map((answer) => [
				said(answer.name),
				answer.value ? said(answer.value) : t("(empty)"),
				[KINDS[answer.kind] ?? t("Answer"), answer.note && hint(answer.note)],
			]),
		);
	return step(
		"",
		t("It arrived"),
		received_at,
		facts([
			[t("Form"), said(form)],
			[t("Source"), SOURCES[source]],
			[t("Campaign"), campaign && said(campaign)],
			[t("Test"), test && t("Yes, says the source")],
			[t("Sent by the person"), submitted_at && time(submitted_at)],
			[t("The source’s id"), said(response_id)],
			...Object.entries(origin.details ?? {}).map(([name, value]) => [said(name.replaceAll("_", " ")), said(value)]),
		]),
		answers
			? mapping.length
				? el("details", null, el("summary", null, t("Its {n} answers as they arrived", { n: number(answers.length) })), shown)
				: shown
			: p(withdrawn_at ? t("Its answers are deleted.") : t("Its answers are not fetched yet.")),
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
		t("It was mapped"),
		null,
		row(counts),
		table(
			t("How each field was mapped"),
			[t("Form field"), t("Answer"), t("Lead field"), t("What became of it")],
			mapping.map(({ name, lead_field, outcome, reason }) => [
				said(name),
				values.get(name) ? said(values.get(name)) : "–",
				lead_field ? said(lead_field) : "–",
				[
					tag(...OUTCOMES[outcome]),
					reason && hint(said(reason)),
					outcome === "unmapped" && session.role === "administrator" && p(link("mapping", t("Map this field"))),
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
		state === "attached" ? t("It matched a lead") : t("It was matched with the CRM’s leads"),
		null,
		p(said(reason)),
		facts([
			[t("Strategy"), said(strategy_name)],
			[t("Always a new lead"), always_create_lead && t("Yes")],
			[
				t("Compared"),
				compared.length > 0 &&
					any(compared.map(({ lead_field, present }) => (present ? lead_field : t("{field} (no value)", { field: lead_field })))),
			],
			[t("Leads that matched"), number(matching_leads)],
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
			lead && action !== "delete_lead" && p(badge({ label: t("Lead"), url: lead.url, id: lead.id }, sender)),
			facts([
				[t("Fields written"), fields.length > 0 && any(fields)],
				[t("Contact"), action === "create_lead" && (lead?.contact_id ?? (orphaned && t("None: the lead stands alone")))],
			]),
		),
	);

/** @param {Detail} detail */
const scored = ({ points, lead_score }) =>
	lead_score == null
		? null
		: step(
				"",
				t("It was scored"),
				null,
				p(
					t("{points} points for this submission; the lead’s score is {score}.", {
						points: number(points),
						score: number(lead_score),
					}),
				),
			);

/** @param {Detail} detail */
function problems({ failures, state }) {
	const over = ["created", "attached", "withdrawn"].includes(state);
	return problemSteps(failures, over ? "" : state === "needs_attention" ? "bad" : "warn");
}

/** @param {Detail} detail */
function ended({ finished_at, withdrawn_at, due_at, state, attempts }) {
	if (withdrawn_at) return step("", t("It was withdrawn"), withdrawn_at);
	if (finished_at) return step("good", t("Done"), finished_at);
	if (OPEN.includes(state) && due_at)
		return step(
			"",
			t("Next"),
			null,
			p(
				attempts > 0
					? t("Looked at again by {time}, after {attempts} tries.", { time: time(due_at), attempts: number(attempts) })
					: t("Looked at again by {time}.", { time: time(due_at) }),
			),
		);
	return null;
}

export async function submissionPage(view) {
	const id = view.query.get("id");
	if (!id) return [p(t("No submission is named in the address. {link}", { link: link("submissions", t("Search for submissions")) }))];
	const path = `/submissions/${encodeURIComponent(id)}`;
	const body = el("div");
	let found;
	let drawn;

	const send = (include_test) => async () => {
		draw(await api("POST", `${path}/send-again`, include_test ? { include_test } : undefined));
		moveTo(body.querySelector("h2"));
		announce(t("It is sent again."));
	};
	const release = () =>
		confirmed(t("Release the test lead"), t("It is written to your CRM as any other lead is."), t("Release it"), async () => {
			await send(true)();
		});
	const acts = ({ state }) =>
		session.role !== "administrator"
			? []
			: state === "held_test"
				? [button(t("Release test lead"), release, null)]
				: SENDABLE.includes(state)
					? action(t("Send again"), send(false), state === "needs_attention" ? null : "second")
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
				t("Where it stands"),
				p(stateTag(state), " ", lead && badge({ label: t("Lead"), url: lead.url, id: lead.id }, sender)),
				p(STATES[state]?.[2]),
				stuck && problem && problemNote(problem, state === "waiting" ? "warn" : "bad"),
				stuck && problem?.field && hint(t("Field: {field}", { field: said(problem.field) })),
				row(acts(detail)),
			),
			card(
				t("Its way"),
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
	return [p(link("submissions", t("All submissions"))), body];
}
