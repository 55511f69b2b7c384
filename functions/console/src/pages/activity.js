// An activity: what was logged, and its way to the CRM (WB-3, WB-7, WB-9).

import { api, get, link } from "./api.js";
import { KINDS, matchNow, SENDABLE, STATES, stateTag, targetLink, targetName, toSignIn } from "./activities.js";
import { badge } from "./directory.js";
import { questionCard } from "./question.js";
import {
	action,
	announce,
	card,
	el,
	facts,
	field,
	form,
	moveTo,
	number,
	p,
	poll,
	problemNote,
	problemSteps,
	refuse,
	row,
	said,
	select,
	step,
	submit,
	time,
} from "./dom.js";
import { t } from "./words.js";

/** @typedef {import("./api.js").Api["ActivityDetail"]} Activity */

// The states that it leaves by itself, or by what somebody does elsewhere.
const OPEN = ["planned", "writing", "waiting", "waiting_for_sign_in", "waiting_for_answer", "unresolved"];
const WRITES = {
	create_activity: t("It was written to the CRM"),
	attach_activity: t("It was attached to the record and closed"),
};

// The one who decided that it is logged (WB-6).
const DECIDED = {
	activity: t("Your choice for this activity"),
	thread: t("Your choice for its thread"),
	seat_holder: t("Your settings for its kind"),
	administrator: t("The administrator’s settings for its kind"),
};

// Its counterpart in the CRM.
/** @param {Activity} activity */
const counterpart = (activity) =>
	activity.record && badge({ label: t("Activity"), url: activity.url, id: activity.record.id }, targetName(activity));

/** @param {Activity} activity */
function ended({ state, finished_at, due_at, attempts }) {
	if (state === "written" && finished_at) return step("good", t("Done"), finished_at);
	if (due_at)
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

/** @param {Activity} activity */
function standing(activity) {
	const { state, failures, next_step } = activity;
	const problem = failures.at(-1)?.problem;
	const stuck = state === "failed" || state === "waiting" || state === "waiting_for_sign_in";
	return [
		p(stateTag(state), " ", counterpart(activity)),
		p(STATES[state]?.[2]),
		stuck && problem && problemNote(problem, state === "failed" ? "bad" : "warn"),
		state === "unresolved" && p(t("Next step: {step}", { step: t(next_step) })),
	];
}

// The choice to log what comes later in its thread (WB-6).
/** @param {Activity} activity */
const wholeThread = ({ id }) =>
	card(
		t("Its thread"),
		form(
			[
				field(
					t("Log the later messages of this thread to the CRM"),
					select("log_to_crm", [
						["", t("Choose")],
						["yes", t("Yes")],
						["no", t("No: nothing is kept of it")],
						["default", t("As for others: your settings decide")],
					]),
				),
				p(link("my-settings", t("All your choices for threads"))),
			],
			[submit(t("Save"), "second")],
			async (elements) => {
				const log_to_crm = elements.namedItem("log_to_crm").value;
				if (!log_to_crm) refuse(t("Nothing is chosen."), t("Say whether they are logged."), "log_to_crm");
				await api("PUT", "/me/threads", { activity: id, log_to_crm });
				return t("Your choice is saved. It counts for what you log of this thread from now on.");
			},
		),
	);

export async function activityPage(view) {
	const id = view.query.get("id");
	if (!id) return [p(t("No activity is named in the address. {link}", { link: link("activities", t("Look at your activities")) }))];
	const path = `/activities/${encodeURIComponent(id)}`;
	const body = el("div");
	const beside = el("div");
	let found;
	let drawn;

	const send = async () => {
		draw(await api("POST", `${path}/send`));
		moveTo(body.querySelector("h2"));
		announce(t("It is sent again."));
	};

	const answer = async (record) => {
		draw(await api("POST", `${path}/answer`, { record }));
		moveTo(body.querySelector("h2"));
		announce(t("Your answer is kept."));
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
				t("Where it stands"),
				standing(activity),
				row(
					state === "unresolved" && matchNow(activity),
					state === "waiting_for_sign_in" && toSignIn(),
					SENDABLE.includes(state) && action(t("Send again"), send, state === "failed" ? null : "second"),
				),
			),
			...[activity.question && questionCard(activity.question, answer)].filter(Boolean),
			card(
				t("What was logged"),
				facts([
					[t("With"), targetLink(activity, said(targetName(activity)))],
					[t("Kind"), KINDS[kind] ?? kind],
					[t("Happened"), time(activity.occurred_at)],
					[t("Title"), title && said(title)],
					[t("Thread"), thread && said(thread)],
					[t("Logged because of"), DECIDED[activity.decided_by]],
					[t("Text"), activity.text && el("div", { class: "lines" }, said(activity.text))],
				]),
			),
			card(
				t("Its way"),
				el(
					"ol",
					{ class: "timeline" },
					[
						step("", t("It was logged"), activity.received_at),
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
	const first = await get(path);
	draw(first);
	if (first.thread) beside.append(wholeThread(first));
	poll(view.signal, () => OPEN.includes(found.state), load);
	return [p(link("activities", t("All my activities"))), body, beside];
}
