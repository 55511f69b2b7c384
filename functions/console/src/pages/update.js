// Changes the lead or contact that a person is matched with, field by field (LC-5, LC-6).

import { api, get, link } from "./api.js";
import { badge } from "./directory.js";
import { announce, asProblem, card, check, el, form, hint, note, p, problemNote, refuse, submit, table, tag, time } from "./dom.js";
import {
	atControl,
	controlName,
	controlOf,
	leftNote,
	missingSignIn,
	offNote,
	shown,
	signInBeside,
	signInCard,
	textOf,
	valueOf,
} from "./record.js";
import { t } from "./words.js";

/** @typedef {import("./api.js").Api["RecordComparison"]} Comparison */
/** @typedef {import("./api.js").Api["ComparedFieldView"]} Compared */

const tickName = (name) => `tick_${name}`;

/**
 * A row of the comparison.
 * @param {Compared} one
 * @param {Compared} [before] the field before it was changed in the CRM, if it was
 * @param {{ ticked: boolean, text: string }} [typed] what the user chose before
 */
function compared(one, before, typed) {
	const now = [
		shown(one, one.theirs),
		before && [
			" ",
			tag("warn", t("Changed meanwhile")),
			el("div", { class: "hint" }, t("It was: {value}", { value: shown(one, before.theirs) })),
		],
	];
	if (!one.writable) return [[one.label, hint(t("You may not change it in the CRM."))], now, shown(one, one.ours)];
	const control = controlOf(one, typed?.text ?? (one.ours || one.theirs));
	control.setAttribute("aria-label", t("{label}: new value", { label: one.label }));
	// Fields that changed meanwhile are decided on anew.
	const tick = check(tickName(one.name), one.label, Boolean(typed?.ticked && !before));
	for (const event of ["input", "change"])
		control.addEventListener(event, () => {
			tick.querySelector("input").checked = true;
		});
	return [tick, now, [control, !one.differs && hint(one.ours ? t("The same as in the CRM.") : t("Nothing is known of it here."))]];
}

export async function updatePage(view) {
	const id = view.query.get("id");
	if (!id) return [p(t("No one is named in the address. {link}", { link: link("people", t("Search for people")) }))];
	const [entry, missing] = await Promise.all([get(`/profiles/${encodeURIComponent(id)}`), missingSignIn()]);
	view.entitle(t("Update in CRM: {name}", { name: entry.name || t("(no name)") }));
	const top = p(link("person", t("The person’s page"), null, { id }));
	if (!entry.link || entry.link.record_gone)
		return [
			top,
			note("", p(t("This person is matched with no record of the CRM.")), p(link("add-to-crm", t("Add to CRM"), null, { id }))),
		];
	if (missing) return [top, missing];

	const path = `/crm/profiles/${encodeURIComponent(id)}/record`;
	const place = el("div");

	// Shows a box above the comparison, and moves there.
	const tell = (box, text) => {
		box.tabIndex = -1;
		place.prepend(box);
		box.focus();
		announce(text);
	};

	/**
	 * Shows what the CRM has now.
	 * @param {Comparison} comparison
	 * @param {Comparison} [before] the one that the user saw
	 * @param {Map<string, { ticked: boolean, text: string }>} [typed] what the user chose in it
	 */
	const draw = (comparison, before = null, typed = new Map()) => {
		const { record, object, enabled, fields, limits, changed_at } = comparison;
		const seen = new Map(before?.fields.map((one) => [one.name, one]));
		const changed = (one) => seen.has(one.name) && seen.get(one.name).theirs !== one.theirs;
		const head = p(badge(record, entry.name), changed_at && [" ", t("Changed in the CRM: {time}", { time: time(changed_at) })]);
		if (!enabled)
			return place.replaceChildren(
				card(t("In the CRM"), head, offNote(object === "lead" ? t("Changing leads") : t("Changing contacts"))),
			);
		const beside = el("div");
		const send = submit(t("Update in the CRM"));
		const update = async (elements) => {
			const ticked = fields.filter(({ name }) => elements.namedItem(tickName(name))?.checked);
			if (!ticked.length) refuse(t("Nothing is ticked."), t("Tick the fields that are to be changed."));
			const values = Object.fromEntries(ticked.map((one) => [one.name, valueOf(one, elements.namedItem(controlName(one.name)))]));
			beside.replaceChildren();
			announce(t("The record is being changed."));
			try {
				/** @type {import("./api.js").Api["UpdatedRecord"]} */
				const answer = await api("PATCH", path, { version: comparison.version, values });
				draw(answer.comparison);
				const lines = answer.changes.map((change) => {
					const one = fields.find(({ name }) => name === change.field);
					const text = (value) => (one ? shown(one, value) : value || "–");
					return el("li", null, `${change.label}: `, text(change.before), " → ", text(change.after));
				});
				const word =
					answer.outcome === "unchanged" ? t("The CRM has these values already.") : t("It is changed in the CRM, as you.");
				tell(note("good", p(word), lines.length > 0 && el("ul", null, lines)), word);
			} catch (error) {
				if (error.problem?.code === "record_changed") {
					const typed = new Map();
					for (const one of fields) {
						const tick = elements.namedItem(tickName(one.name));
						const control = elements.namedItem(controlName(one.name));
						if (tick) typed.set(one.name, { ticked: tick.checked, text: textOf(one, control) });
					}
					draw(await get(path), comparison, typed);
					tell(problemNote(asProblem(error), "warn"), t(error.problem.detail));
					return;
				}
				if (error.problem?.code === "user_sign_in_needed") beside.replaceChildren(signInBeside());
				throw atControl(error, fields);
			}
		};
		const rows = fields.map((one) => compared(one, changed(one) ? seen.get(one.name) : undefined, typed.get(one.name)));
		place.replaceChildren(
			card(
				t("In the CRM, and here"),
				head,
				fields.some(({ differs }) => differs)
					? hint(t("Tick what is to be changed in the CRM; everything else stays as it is."))
					: hint(t("What is known here is in the CRM. You can still change a value there.")),
				form(
					[
						table(t("The record’s values, and new ones"), [t("Change"), t("In the CRM now"), t("New value")], rows),
						leftNote(limits.updates, t("updates"), limits.resets_at),
						beside,
					],
					[send],
					update,
				),
			),
		);
	};

	try {
		draw(await get(path));
	} catch (error) {
		if (error.problem?.code === "user_sign_in_needed") return [top, signInCard(error.problem)];
		if (!["not_matched", "record_not_found"].includes(error.problem?.code)) throw error;
		place.append(problemNote(error.problem));
	}
	return [top, place];
}
