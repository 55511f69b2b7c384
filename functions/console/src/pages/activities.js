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

/** @typedef {import("./api.js").Api["ActivitySummary"]} Activity */

export const KINDS = {
	message: "Message",
	inmail: "InMail",
	note: "Note",
	call: "Phone call",
	smart_link_view: "Smart link view",
	connection_request: "Connection request",
};

// The states of an activity: colour, label, description.
export const STATES = {
	planned: ["", "On its way", "It is stored and is about to be written to the CRM."],
	writing: ["", "In progress", "It is being written to the CRM."],
	waiting: ["warn", "Waiting", "Something stands in its way for a while; it goes on by itself."],
	waiting_for_sign_in: ["warn", "Waiting for your sign-in", "It goes on by itself once you have signed in to the CRM."],
	waiting_for_answer: [
		"warn",
		"Waiting for your answer",
		"It is not sure which record of the CRM the person or company is. Once you have said so, it goes on by itself.",
	],
	unresolved: [
		"warn",
		"Unresolved",
		"Nobody has matched the person or company with a record of the CRM. Once somebody does, it is attached to that record by itself.",
	],
	written: ["good", "In the CRM", "It is in the CRM, closed, with the record that it belongs to."],
	failed: ["bad", "Failed", "It cannot go on until somebody does the next step below."],
};
export const stateTag = (state) => tag(STATES[state]?.[0], STATES[state]?.[1] ?? state);

// States from which a person can send an activity again.
export const SENDABLE = ["waiting", "waiting_for_sign_in", "failed"];

/** @param {Activity} activity */
export const targetName = ({ target }) => target.name ?? "(no longer in the directory)";

// The page of the person or company, which says which record of the CRM they are.
/**
 * @param {Activity} activity
 * @param {any} text
 * @param {object} [attributes]
 */
export const targetLink = ({ target }, text, attributes) =>
	link(target.kind === "company" ? "company" : "person", text, attributes, { id: target.id });

/** @param {Activity} activity */
export const matchNow = (activity) => targetLink(activity, "Match now", { "aria-label": `Match now: ${targetName(activity)}` });

// The page of the activity, which asks the question.
/** @param {Activity} activity */
const toAnswer = (activity) => link("activity", "Answer", { "aria-label": `Answer: ${targetName(activity)}` }, { id: activity.id });

export const toSignIn = () => link("my-settings", "Sign in to the CRM");

// What stands in the way of the person's activities as a whole: no CRM, or no sign-in of their own.
export async function signInNote() {
	const own = await get("/me/crm-connections/production");
	if (own.status === "connected") return null;
	if (!own.expected_instance_url)
		return note("warn", strong("No CRM is connected."), p("Activities cannot be written to it before an administrator connects it."));
	if (own.problem) return el("div", null, problemNote(own.problem, "warn"), p(toSignIn()));
	return note(
		"warn",
		strong("You have not signed in to the CRM."),
		p(
			"Salesforce takes activities from you alone, so they wait until you have. Dynamics 365 takes them without, but you are not their owner.",
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
		announce("It is sent again.");
		await sent();
	};
	const acts = [
		state === "unresolved" && matchNow(activity),
		state === "waiting_for_sign_in" && toSignIn(),
		state === "waiting_for_answer" && toAnswer(activity),
		SENDABLE.includes(state) && small(targetName(activity), "Send again", (event) => run(event.target, place, send)),
	].filter(Boolean);
	if (!next_step && !acts.length) return "–";
	return [next_step, error && hint(error.replaceAll("_", " ")), acts.length > 0 && row(acts), place];
}

/**
 * @param {Activity[]} items
 * @param {() => Promise<void>} sent
 */
const activityRows = (items, sent) =>
	table(
		"The activities that were found",
		["With", "Kind", "Happened", "State", "Next step"],
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
	waiting: "None waits.",
	waiting_for_sign_in: "None waits for your sign-in.",
	waiting_for_answer: "None waits for your answer.",
	unresolved: "None is unresolved: everybody you logged something with is matched.",
	failed: "None has failed.",
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
				? p(NONE[asked()] ?? "Nothing is found.")
				: el("div", null, p("You have logged nothing yet. "), p(link("log-activity", "Log your first activity"))),
		controls: [field("State", select("state", [["", "Any"], ...states], asked()))],
	});
	const found = card("Found", list.results);
	return [told, row(button("Log one", () => view.go("log-activity"), null)), card("Search", list.search), found];
}
