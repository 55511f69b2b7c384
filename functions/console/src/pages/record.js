// Parts of the pages that create and change leads and contacts in the CRM (LC-2, LC-3, LC-5).

import { get, goAuthorize, link, session } from "./api.js";
import { badge } from "./directory.js";
import { action, card, el, hint, input, li, local, note, number, p, problemNote, row, said, select, strong, time } from "./dom.js";
import { t } from "./words.js";

/**
 * A field of the CRM as its description gives it.
 * @typedef {object} FormField
 * @property {string} name
 * @property {string} label
 * @property {string} type
 * @property {boolean} required
 * @property {boolean} [custom] true if the organisation requires it beside the known ones
 * @property {number} [max_length]
 * @property {{ value: string, label: string }[]} [options]
 * @property {boolean} [restricted]
 */

// The name of a field's control: the field's own name could hide a property of the form.
export const controlName = (name) => `crm_${name}`;

// A problem that names a field of the CRM, with the name of that field's control.
/**
 * @param {any} error
 * @param {FormField[]} fields
 */
export function atControl(error, fields) {
	const named = error.problem?.field;
	if (fields.some(({ name }) => name === named)) error.problem.field = controlName(named);
	return error;
}

const INPUTS = { email: "email", phone: "tel", url: "url", date: "date", date_time: "datetime-local" };
const MODES = { integer: "numeric", decimal: "decimal" };
const YES_NO = [
	["true", t("Yes")],
	["false", t("No")],
];

/** @param {FormField} field */
function choicesOf({ type, options }) {
	return type === "boolean" ? YES_NO : (options ?? []).map(({ value, label }) => [value, label]);
}

// The control that a field's type asks for, with a value in the form of the API.
/**
 * @param {FormField} field
 * @param {string} text
 */
export function controlOf(field, text) {
	const name = controlName(field.name);
	const { type, required } = field;
	if (type === "multi_picklist") {
		const chosen = text.split(";");
		// Values that are no longer offered stay until somebody takes them away.
		const offered = choicesOf(field);
		const gone = chosen.filter((value) => value && !offered.some(([known]) => known === value));
		const all = [...offered, ...gone.map((value) => [value, t("{value} (no longer in your CRM)", { value })])];
		const options = all.map(([value, label]) => el("option", { value, selected: chosen.includes(value) }, label));
		return el("select", { name, multiple: true, required, size: Math.min(options.length, 6) }, options);
	}
	if (type === "picklist" || type === "boolean") {
		const options = [["", "–"], ...choicesOf(field)];
		// A list that is not restricted takes other values too.
		if (!field.restricted && text && !options.some(([value]) => value === text)) options.push([text, text]);
		const list = select(name, options, text);
		list.required = required;
		return list;
	}
	if (type === "long_text") return el("textarea", { name, rows: 4, required, maxlength: field.max_length, value: text });
	const instant = type === "date_time" && Date.parse(text);
	const value = instant ? local(new Date(instant)) : text;
	return input(name, { type: INPUTS[type], inputmode: MODES[type], required, maxlength: field.max_length, value });
}

// The text of a field's control, in the form of the API; "" for none.
/**
 * @param {FormField} field
 * @param {any} node
 */
export function textOf({ type }, node) {
	if (type === "multi_picklist") return [...node.selectedOptions].map(({ value }) => value).join(";");
	const text = node.value.trim();
	return type === "date_time" && text ? new Date(text).toISOString() : text;
}

// The value of a field's control, as the API takes it.
/**
 * @param {FormField} field
 * @param {any} node
 */
export function valueOf(field, node) {
	const text = textOf(field, node);
	return field.type === "boolean" && text ? text === "true" : text;
}

// A field's value for people to read.
/**
 * @param {FormField} field
 * @param {string} text
 */
export function shown(field, text) {
	if (!text) return "–";
	if (field.type === "date_time" && Date.parse(text)) return time(Date.parse(text));
	const labels = new Map(choicesOf(field).map(([value, label]) => [value, label]));
	if (!labels.size) return said(text);
	const parts = field.type === "multi_picklist" ? text.split(";") : [text];
	return said(parts.map((part) => labels.get(part) ?? part).join(", "));
}

// The rest of a month's number; `what` names what is counted.
/**
 * @param {{ limit: number, left: number }} counted
 * @param {string} what
 * @param {number} resets_at
 */
export function leftNote({ limit, left }, what, resets_at) {
	if (left > 0)
		return hint(t("{left} of your {limit} {what} of this month are left.", { left: number(left), limit: number(limit), what }));
	return note(
		"warn",
		strong(t("Your {limit} {what} of this month are used.", { limit: number(limit), what })),
		p(t("The next month begins at {time}.", { time: time(resets_at) })),
	);
}

// The message where an administrator has not switched on what the page does.
export const offNote = (what) =>
	note(
		"warn",
		strong(t("{what} is switched off.", { what })),
		session.role === "administrator"
			? p(t("You can switch it on in the sync settings of {link}.", { link: link("crm-production", t("the production CRM")) }))
			: p(t("Ask an administrator to switch it on in the sync settings of the production CRM.")),
	);

// The way to the user's own sign-in to the CRM, and from there back to this page.
export function signInCard(problem) {
	const connect = (switch_user) => () => goAuthorize("user", { environment: "production", switch_user });
	return card(
		t("Sign in to the CRM first"),
		problem && problemNote(problem, "warn"),
		p(t("Leads and contacts are created and changed as you, with your own rights in the CRM.")),
		row(action(t("Sign in to the CRM"), connect(false), null), action(t("Use another account"), connect(true))),
	);
}

// The first step missing before the CRM can be asked as the user; null if nothing is.
export async function missingSignIn() {
	const own = await get("/me/crm-connections/production");
	if (own.status === "connected") return null;
	if (own.expected_instance_url) return signInCard(own.problem);
	return note(
		"warn",
		strong(t("No CRM is connected.")),
		p(t("An administrator has to connect it before anything can be written to it.")),
	);
}

// The message above a form whose sign-in to the CRM has ended: what is typed stays.
export const signInBeside = () =>
	note(
		"warn",
		p(
			t("{link}, then send this form again. What you typed stays here.", {
				link: link("my-settings", t("Sign in to the CRM in a new tab"), { target: "_blank", "data-nav": null }),
			}),
		),
	);

/**
 * A person of the CRM, who can be chosen.
 * @param {any} record
 * @param {{ name: string, title: string, company: string, email: string }} person
 * @param {(record: any) => Promise<void>} use
 */
export function personItem(record, { name, title, company, email }, use) {
	const called = name || record.id;
	const [node, place] = action(t("Use this record"), () => use(record));
	node.setAttribute("aria-label", t("Use this record: {name}, {label}", { name: called, label: record.label }));
	const told = [title, company, email].filter(Boolean).join(" · ");
	return li(el("h3", null, said(called), " ", badge(record, called)), told && p(said(told)), node, place);
}
