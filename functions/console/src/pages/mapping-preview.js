// Form fields with their last values, and the preview of a mapping on a submission before it is saved (LG-7).

import { api, get, link } from "./api.js";
import { announce, card, el, form, hint, note, number, p, row, said, select, submit, table, tag, time } from "./dom.js";
import { many, t } from "./words.js";

/** @typedef {{ name: string, submissions: number, examples: string[] }} Seen */
/** @typedef {{ name: string, lead_field: string, values: number, longer: number, adjusted: number, left_out: number, reasons: { reason: string, count: number, example: string }[] }} Fit */

// The number of submissions to choose from.
const OFFERED = 20;

// Fields whose examples are not there are shown without them.
/** @returns {Promise<{ submissions: number, items: Seen[], fits: Fit[] }>} */
export const seenFields = () => get("/form-fields").catch(() => ({ submissions: 0, items: [], fits: [] }));

/**
 * The examples of a form field, and how often it was sent.
 * @param {Seen | undefined} seen
 * @param {number} submissions
 */
export const examples = (seen, submissions) =>
	seen && [
		hint(
			many(submissions, "On {count} of the last {n} submission", "On {count} of the last {n} submissions", {
				count: number(seen.submissions),
			}),
		),
		hint(
			t("Such as "),
			seen.examples.flatMap((example, index) => [index > 0 && ", ", said(example)]),
		),
	];

/**
 * Warnings of values that do not fit a lead field. `limit`: what the field takes, in words.
 * @param {Fit | undefined} fit
 * @param {string} limit
 */
export function warnings(fit, limit) {
	if (!fit || !(fit.longer + fit.adjusted + fit.left_out)) return [];
	// The reason for a value that is too long says the same.
	const others = fit.reasons.filter(({ reason }) => !(fit.longer && /longer|characters/.test(reason)));
	const last = number(fit.values);
	return [
		fit.longer > 0 &&
			note(
				"warn",
				many(
					fit.longer,
					"{limit}: {n} of the last {last} values is longer.",
					"{limit}: {n} of the last {last} values are longer.",
					{ limit, last },
				),
			),
		...others.map(({ reason, count, example }) =>
			note(
				"warn",
				p(
					many(
						count,
						"{n} of the last {last} values does not fit as it is. ",
						"{n} of the last {last} values do not fit as they are. ",
						{ last },
					),
					said(reason),
				),
				hint(t("Such as "), said(example)),
			),
		),
	].filter(Boolean);
}

/**
 * The warnings for a lead field that is chosen and not saved.
 * @param {string} name
 * @param {string} lead_field
 * @param {string} limit
 */
export async function tried(name, lead_field, limit) {
	const { fits } = await api("POST", "/mapping-preview", { changes: { [name]: lead_field } });
	return warnings(fits[0], limit);
}

const OUTCOMES = {
	mapped: ["good", t("Kept as it came")],
	adjusted: ["warn", t("Repaired to fit")],
	left_out: ["bad", t("Left out")],
	unmapped: ["", t("No mapping")],
	filled_in: ["warn", t("Filled in")],
};

/**
 * The card of the preview.
 * @param {{ changes: () => Record<string, string | null>, labelOf: (name: string) => string }} page
 */
export async function previewCard({ changes, labelOf }) {
	const { items } = await get(`/submissions?limit=${OFFERED}`).catch(() => ({ items: [] }));
	if (!items.length)
		return card(
			t("Preview"),
			p(t("There is no submission yet to try the mapping on. "), link("forms", t("Send a test submission from a form"))),
		);
	const place = el("div", { role: "region", "aria-label": t("What would be written") });
	const control = select(
		"submission",
		items.map(({ id, sender, form, received_at }) => [
			id,
			t("{sender} on {form}, {at}", { sender: sender ?? t("No e-mail address"), form, at: time(received_at).textContent }),
		]),
		items[0].id,
	);
	control.setAttribute("aria-label", t("Submission to try it on"));
	const show = async () => {
		const edited = changes();
		const found = await api("POST", "/mapping-preview", { changes: edited, submission: control.value });
		const count = Object.keys(edited).length;
		place.replaceChildren(
			...[
				hint(
					count
						? many(
								count,
								"With {n} change that is not saved. Nothing is written.",
								"With {n} changes that are not saved. Nothing is written.",
							)
						: t("With the mapping as it is saved. Nothing is written."),
				),
				found.nothing_mapped &&
					note("bad", t("No answer reaches the CRM: such a submission waits until somebody maps its fields.")),
				table(
					t("What becomes of each answer"),
					[t("Form field"), t("Answer"), t("Lead field"), t("Value in the CRM")],
					found.fields.map(({ name, answer, lead_field, value, outcome, reason }) => [
						outcome === "filled_in" ? "–" : said(name),
						answer ? said(answer) : "–",
						lead_field ? said(labelOf(lead_field)) : "–",
						[value != null && el("p", null, said(value)), tag(...OUTCOMES[outcome]), reason && hint(said(reason))],
					]),
				),
				different(found.values, labelOf),
			]
				.flat()
				.filter(Boolean),
		);
		announce(t("The preview is shown."));
	};
	const ask = form([row(control)], [submit(t("Show the preview"), "second")], show);
	return card(
		t("Preview"),
		p(t("See which lead field gets which value before you save: choose lead fields in the tables, then look at a submission.")),
		ask,
		place,
	);
}

// The lead fields whose value the changes would change.
function different(values, labelOf) {
	const changed = values.filter(({ value, saved }) => value !== saved);
	return (
		changed.length > 0 && [
			el("h3", null, t("Different from now")),
			table(
				t("Lead fields whose value would be another one"),
				[t("Lead field"), t("Now"), t("Then")],
				changed.map(({ lead_field, value, saved }) => [
					said(labelOf(lead_field)),
					saved != null ? said(saved) : "–",
					value != null ? said(value) : "–",
				]),
			),
		]
	);
}
