// A seat holder's own settings: their sign-in to the CRM, and what is logged there of each kind of activity (CN-11, WB-6).

import { KINDS, targetLink, targetName } from "./activities.js";
import { api, get } from "./api.js";
import { ownSignIns } from "./connections.js";
import { announce, card, el, field, form, hint, moveTo, p, run, select, small, submit, table, time } from "./dom.js";
import { nextItems } from "./list.js";
import { t } from "./words.js";

/** @typedef {import("./api.js").Api["OwnSettings"]} OwnSettings */

// A choice, and what it comes to where it follows the administrator.
const choices = ({ switched_on }) => [
	["default", switched_on ? t("As the administrator has set: yes") : t("As the administrator has set: no")],
	["yes", t("Yes")],
	["no", t("No: nothing is kept of it")],
];

/** @param {OwnSettings} settings */
const controls = ({ log_to_crm, kinds }) =>
	kinds.map((one) =>
		field(
			KINDS[one.kind] ?? one.kind,
			select(one.kind, choices(one), log_to_crm[one.kind]),
			!one.switched_on && t("Switched off by the administrator: it is not logged, whatever you choose."),
		),
	);

/** @param {OwnSettings} settings */
function logging(settings) {
	const fields = el("div", { class: "grid" }, controls(settings));
	const save = async (elements) => {
		const log_to_crm = Object.fromEntries(settings.kinds.map(({ kind }) => [kind, elements.namedItem(kind).value]));
		await api("PATCH", "/me/settings", { log_to_crm });
		return t("Your choices are saved. They count for what you log from now on.");
	};
	return card(
		t("Log to the CRM"),
		p(t("Of what you do, this is logged to the CRM unless you say otherwise for a single activity.")),
		form([fields], [submit(t("Save"))], save),
	);
}

/** @typedef {import("./api.js").Api["ThreadView"]} Thread */

/**
 * The threads that are logged, or not, as a whole.
 * @param {{ items: Thread[], next: string | null }} first
 */
function threads(first) {
	const place = el("div");
	const problems = el("div");
	/** @param {{ items: Thread[], next: string | null }} page */
	const draw = ({ items, next }) => {
		const forget = async (id) => {
			await api("DELETE", `/me/threads/${encodeURIComponent(id)}`);
			draw(await nextItems("/me/threads", {}));
			// The button that had the focus is gone.
			moveTo(place.closest("section").querySelector("h2"));
			announce(t("The choice is forgotten. Your settings decide for that thread again."));
		};
		place.replaceChildren(
			...[
				items.length > 0 &&
					table(
						t("Threads"),
						[t("With"), t("Logged to the CRM"), t("Chosen"), t("Change")],
						items.map((thread) => [
							targetLink(thread, targetName(thread)),
							thread.log_to_crm === "yes" ? t("Yes") : t("No"),
							time(thread.since),
							small(targetName(thread), t("Forget it"), (event) => run(event.target, problems, () => forget(thread.id))),
						]),
					),
				next && hint(t("There are more; forget some of these to see them.")),
				!items.length && p(t("You have chosen for no thread. You can on the page of each activity that belongs to one.")),
			].filter(Boolean),
		);
	};
	draw(first);
	return card(t("Whole threads"), place, problems);
}

export async function settingsPage(view) {
	const [settings, signIns, chosen] = await Promise.all([get("/me/settings"), ownSignIns(view), nextItems("/me/threads", {})]);
	return [signIns, logging(settings), threads(chosen)];
}
