// The signed-in person's activities, with their states (WB-3, WB-7, WB-9).

import { api, get, link } from "./api.js";
import {
	announce,
	button,
	card,
	el,
	field,
	hint,
	moveTo,
	note,
	p,
	problemNote,
	row,
	run,
	said,
	select,
	small,
	strong,
	table,
	tag,
	time,
} from "./dom.js";
import { searched } from "./list.js";
import { meant, t } from "./words.js";

/** @typedef {import("./api.js").Api["ActivitySummary"]} Activity */

export const KINDS = {
	message: t("Message"),
	inmail: "InMail",
	note: t("Note"),
	call: t("Phone call"),
	smart_link_view: t("Smart link view"),
	connection_request: t("Connection request"),
};

// The states of an activity: colour, label, description.
export const STATES = {
	planned: ["", t("On its way"), t("It is stored and is about to be written to the CRM.")],
	writing: ["", t("In progress"), t("It is being written to the CRM.")],
	waiting: ["warn", t("Waiting"), t("Something stands in its way for a while; it goes on by itself.")],
	waiting_for_sign_in: ["warn", t("Waiting for your sign-in"), t("It goes on by itself once you have signed in to the CRM.")],
	waiting_for_answer: [
		"warn",
		t("Waiting for your answer"),
		t("It is not sure which record of the CRM the person or company is. Once you have said so, it goes on by itself."),
	],
	unresolved: [
		"warn",
		t("Unresolved"),
		t(
			"Nobody has matched the person or company with a record of the CRM. Once somebody does, it is attached to that record by itself.",
		),
	],
	written: ["good", t("In the CRM"), t("It is in the CRM, closed, with the record that it belongs to.")],
	failed: ["bad", t("Failed"), t("It cannot go on until somebody does the next step below.")],
};
export const stateTag = (state) => tag(STATES[state]?.[0], STATES[state]?.[1] ?? state);

// States from which a person can send an activity again.
export const SENDABLE = ["waiting", "waiting_for_sign_in", "failed"];

/** @param {Pick<Activity, "target">} with_ an activity, or what else has a person or company */
export const targetName = ({ target }) => target.name ?? t("(no longer in the directory)");

// The page of the person or company, which says which record of the CRM they are.
/**
 * @param {Pick<Activity, "target">} with_ an activity, or what else has a person or company
 * @param {any} text
 * @param {object} [attributes]
 */
export const targetLink = ({ target }, text, attributes) =>
	link(target.kind === "company" ? "company" : "person", text, attributes, { id: target.id });

/** @param {Activity} activity */
export const matchNow = (activity) =>
	targetLink(activity, t("Match now"), { "aria-label": t("Match now: {name}", { name: targetName(activity) }) });

// The page of the activity, which asks the question.
/** @param {Activity} activity */
const toAnswer = (activity) =>
	link(
		"activity",
		meant("Answer", "the question"),
		{ "aria-label": t("Answer: {name}", { name: targetName(activity) }) },
		{ id: activity.id },
	);

export const toSignIn = () => link("my-settings", t("Sign in to the CRM"));

// What stands in the way of the person's activities as a whole: no CRM, or no sign-in of their own.
export async function signInNote() {
	const own = await get("/me/crm-connections/production");
	if (own.status === "connected") return null;
	if (!own.expected_instance_url)
		return note(
			"warn",
			strong(t("No CRM is connected.")),
			p(t("Activities cannot be written to it before an administrator connects it.")),
		);
	if (own.problem) return el("div", null, problemNote(own.problem, "warn"), p(toSignIn()));
	return note(
		"warn",
		strong(t("You have not signed in to the CRM.")),
		p(
			t(
				"Salesforce takes activities from you alone, so they wait until you have. Dynamics 365 takes them without, but you are not their owner.",
			),
		),
		p(toSignIn()),
	);
}

/**
 * @param {Activity} activity
 * @param {() => Promise<void>} sent
 */
function nextStep(activity, sent) {
	const { state, next_step, error } = activity;
	const place = el("div");
	const send = async () => {
		await api("POST", `/activities/${activity.id}/send`);
		announce(t("It is sent again."));
		await sent();
	};
	const acts = [
		state === "unresolved" && matchNow(activity),
		state === "waiting_for_sign_in" && toSignIn(),
		state === "waiting_for_answer" && toAnswer(activity),
		SENDABLE.includes(state) && small(targetName(activity), t("Send again"), (event) => run(event.target, place, send)),
	].filter(Boolean);
	if (!next_step && !acts.length) return "–";
	return [next_step && t(next_step), error && hint(error.replaceAll("_", " ")), acts.length > 0 && row(acts), place];
}

/**
 * @param {Activity[]} items
 * @param {() => Promise<void>} sent
 */
const activityRows = (items, sent) =>
	table(
		t("The activities that were found"),
		[t("With"), t("Kind"), t("Happened"), t("State"), t("Next step")],
		items.map((activity) => [
			link("activity", said(targetName(activity)), null, { id: activity.id }),
			KINDS[activity.kind] ?? activity.kind,
			time(activity.occurred_at),
			stateTag(activity.state),
			nextStep(activity, sent),
		]),
	);

// What to do where a list is empty, by the state that was asked for.
const NONE = {
	waiting: t("None waits."),
	waiting_for_sign_in: t("None waits for your sign-in."),
	waiting_for_answer: t("None waits for your answer."),
	unresolved: t("None is unresolved: everybody you logged something with is matched."),
	failed: t("None has failed."),
};

export async function activitiesPage(view) {
	const told = await signInNote();
	const asked = () => view.query.get("state") ?? "";
	const states = Object.entries(STATES).map(([value, [, label]]) => [value, label]);
	const list = await searched({
		view,
		path: "/activities",
		names: ["state"],
		one: "activity",
		many: "activities",
		rows: (items) =>
			activityRows(items, async () => {
				await list.read();
				moveTo(found.querySelector("h2"));
			}),
		none: () =>
			asked()
				? p(NONE[asked()] ?? t("Nothing is found."))
				: el("div", null, p(t("You have logged nothing yet.")), p(link("log-activity", t("Log your first activity")))),
		controls: [field(t("State"), select("state", [["", t("Any")], ...states], asked()))],
	});
	const found = card(t("Found"), list.results);
	return [told, row(button(t("Log one"), () => view.go("log-activity"), null)), card(t("Search"), list.search), found];
}
