// A seat holder's own settings: their sign-in to the CRM, and what is logged there of each kind of activity (CN-11, WB-6).

import { KINDS } from "./activities.js";
import { api, get } from "./api.js";
import { ownSignIns } from "./connections.js";
import { card, el, field, form, p, select, submit } from "./dom.js";
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

export async function settingsPage(view) {
	const [settings, signIns] = await Promise.all([get("/me/settings"), ownSignIns(view)]);
	return [signIns, logging(settings)];
}
