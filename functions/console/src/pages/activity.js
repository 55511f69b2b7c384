// An activity: what was logged, and its way to the CRM (WB-3, WB-7, WB-9).

import { api, get, link } from "./api.js";
import { KINDS, matchNow, SENDABLE, STATES, stateTag, targetLink, targetName, toSignIn } from "./activities.js";
import { badge } from "./directory.js";
import { questionCard } from "./question.js";
import { action, announce, card, el, facts, moveTo, number, p, poll, problemNote, problemSteps, row, said, step, time } from "./dom.js";

/** @typedef {import("./api.js").Api["ActivityDetail"]} Activity */

// The states that it leaves by itself, or by what somebody does elsewhere.
const OPEN = ["planned", "writing", "waiting", "waiting_for_sign_in", "waiting_for_answer", "unresolved"];
const WRITES = {
	create_activity: "It was written to the CRM",
	attach_activity: "It was attached to the record and closed",
};

// The one who decided that it is logged (WB-6).
const DECIDED = {
	activity: "Your choice for this activity",
	seat_holder: "Your settings for its kind",
	administrator: "The administrator’s settings for its kind",
};

// Its counterpart in the CRM.
/** @param {Activity} activity */
const counterpart = (activity) =>
	activity.record && badge({ label: "Activity", url: activity.url, id: activity.record.id }, targetName(activity));

/** @param {Activity} activity */
function ended({ state, finished_at, due_at, attempts }) {
	if (state === "written" && finished_at) return step("good", "Done", finished_at);
	if (due_at)
		return step("", "Next", null, p("Looked at again by ", time(due_at), attempts > 0 && `, after ${number(attempts)} tries`, "."));
	return null;
}

/** @param {Activity} activity */
function standing(activity) {
	const { state, failures, next_step } = activity;
	const problem = failures.at(-1)?.problem;
	const stuck = state === "failed" || state === "waiting" || state === "waiting_for_sign_in";
	return [
		p(stateTag(state), " ", counterpart(activity)),
		p(STATES[state]?.[2]),
		stuck && problem && problemNote(problem, state === "failed" ? "bad" : "warn"),
		state === "unresolved" && p(`Next step: ${next_step}`),
	];
}

export async function activityPage(view) {
	const id = view.query.get("id");
	if (!id) return [p("No activity is named in the address. ", link("activities", "Look at your activities"))];
	const path = `/activities/${encodeURIComponent(id)}`;
	const body = el("div");
	let found;
	let drawn;

	const send = async () => {
		draw(await api("POST", `${path}/send`));
		moveTo(body.querySelector("h2"));
		announce("It is sent again.");
	};

	const answer = async (record) => {
		draw(await api("POST", `${path}/answer`, { record }));
		moveTo(body.querySelector("h2"));
		announce("Your answer is kept.");
	};

	/** @param {Activity} activity */
	const draw = (activity) => {
		const text = JSON.stringify(activity);
		// An unchanged page is left alone: the focus may be in it.
		if (text === drawn) return;
		const { state, kind, title, thread } = activity;
		if (found && found.state !== state) announce(STATES[state]?.[1] ?? state);
		[found, drawn] = [activity, text];
		view.entitle(`${KINDS[kind] ?? kind}: ${targetName(activity)}`);
		const within = body.contains(document.activeElement);
		body.replaceChildren(
			card(
				"Where it stands",
				standing(activity),
				row(
					state === "unresolved" && matchNow(activity),
					state === "waiting_for_sign_in" && toSignIn(),
					SENDABLE.includes(state) && action("Send again", send, state === "failed" ? null : "second"),
				),
			),
			...[activity.question && questionCard(activity.question, answer)].filter(Boolean),
			card(
				"What was logged",
				facts([
					["With", targetLink(activity, said(targetName(activity)))],
					["Kind", KINDS[kind] ?? kind],
					["Happened", time(activity.occurred_at)],
					["Title", title && said(title)],
					["Thread", thread && said(thread)],
					["Logged because of", DECIDED[activity.decided_by]],
					["Text", activity.text && el("div", { class: "lines" }, said(activity.text))],
				]),
			),
			card(
				"Its way",
				el(
					"ol",
					{ class: "timeline" },
					[
						step("", "It was logged", activity.received_at),
						problemSteps(
							activity.failures,
							state === "failed" ? "bad" : ["written", "unresolved", "waiting_for_answer"].includes(state) ? "" : "warn",
						),
						activity.writes.map(({ at, action }) =>
							step("good", WRITES[action] ?? action.replaceAll("_", " "), at, p(counterpart(activity))),
						),
						ended(activity),
					]
						.flat(9)
						.filter(Boolean),
				),
			),
		);
		if (within) moveTo(body.querySelector("h2"));
	};
	const load = async () => draw(await get(path));
	await load();
	poll(view.signal, () => OPEN.includes(found.state), load);
	return [p(link("activities", "All my activities")), body];
}
