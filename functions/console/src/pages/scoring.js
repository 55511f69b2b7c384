// The scoring rule: points for submissions, and the lead field that shows their sum (LG-6).

import { api, get, link } from "./api.js";
import {
	announce,
	asProblem,
	card,
	el,
	field,
	form,
	hint,
	input,
	note,
	number,
	p,
	problemNote,
	refuse,
	said,
	select,
	submit,
	table,
	time,
} from "./dom.js";
import { many, t } from "./words.js";

/** @typedef {import("./api.js").Api["ScoringRule"]} ScoringRule */

// A number of points from a text field; an empty field gives null.
function points(control) {
	const text = control.value.trim();
	if (!text) return null;
	if (!/^\d{1,9}$/.test(text)) refuse(t("That is no number of points."), t("Type a whole number."), control.name);
	return Number(text);
}

// The points and scores of the last submissions, beside those under the edited rule.
function preview({ items }) {
	if (!items.length) return p(t("No submission has a lead yet: there is nothing to score."));
	const beside = (now, then) => (now === then ? number(now) : [number(now), " → ", el("strong", null, number(then))]);
	return [
		hint(t("An arrow leads from what it is to what it would be. Nothing is saved.")),
		table(
			t("What the last submissions would score"),
			[t("From"), t("Form"), t("Received"), t("Its points"), t("Its lead’s score")],
			items.map((one) => [
				link("submission", said(one.sender ?? t("No e-mail address")), null, { id: one.id }),
				[said(one.form), hint(one.created_lead ? t("Created its lead") : t("Joined its lead"))],
				time(one.received_at),
				beside(one.points, one.points_then),
				[
					beside(one.score, one.score_then),
					one.submissions > 1 && hint(many(one.submissions, "Of {n} submission", "Of {n} submissions")),
				],
			]),
		),
	];
}

export async function scoringPage() {
	/** @type {[ScoringRule, any, any]} */
	const [rule, { items: forms }, lead] = await Promise.all([
		get("/scoring-rule"),
		get("/forms"),
		get("/lead-fields").catch((error) => ({ problem: asProblem(error), items: [] })),
	]);
	const fields = lead.items.filter(({ type, updateable }) => updateable && ["integer", "decimal"].includes(type));
	const names = new Map(forms.map(({ id, name }) => [id, name]));
	// Forms of other sources are known by the points that they have.
	const ids = [...new Set([...names.keys(), ...Object.keys(rule.form_points ?? {})])];
	const box = (name, value) => input(name, { inputmode: "numeric", maxlength: 9, value: value == null ? "" : String(value) });
	const rows = ids.map((id, index) => {
		const control = box(`form${index}`, rule.form_points?.[id]);
		control.setAttribute("aria-label", t("Points for {name}", { name: names.get(id) ?? id }));
		const shared = names.has(id) && [...names.values()].filter((name) => name === names.get(id)).length > 1;
		return [[said(names.get(id) ?? id), shared && hint(id)], control];
	});
	const tryOut = submit(t("See what the last submissions would score"), "second");
	const scored = el("div");
	return [
		p(t("Each submission gives its lead points. The sum is the lead’s score; it only ever raises what your CRM shows.")),
		lead.problem && [problemNote(lead.problem, "warn"), p(link("crm-production", t("Go to the CRM connection")))],
		card(
			t("The rule"),
			form(
				[
					field(t("Points for a submission that creates its lead"), box("new_lead_points", rule.new_lead_points)),
					field(t("Points for each further one that joins it"), box("matched_points", rule.matched_points)),
					field(t("Highest score (optional)"), box("maximum", rule.maximum), t("Empty: there is none.")),
					field(
						t("Lead field that shows the score"),
						select(
							"lead_field",
							[["", t("None: it is kept here only")], ...fields.map(({ name, label }) => [name, `${label} (${name})`])],
							rule.lead_field ?? "",
						),
						t("A field of your CRM’s lead that holds a number."),
					),
					rows.length > 0 && [
						hint(t("Points of single forms count instead of the two above; empty: the two above count.")),
						table(t("Points of single forms"), [t("Form"), t("Points")], rows),
					],
				],
				[submit(t("Save")), tryOut],
				async (elements, submitter) => {
					const own = ids.map((id, index) => [id, points(elements.namedItem(`form${index}`))]);
					const given = {
						new_lead_points: points(elements.namedItem("new_lead_points")) ?? 0,
						matched_points: points(elements.namedItem("matched_points")) ?? 0,
						maximum: points(elements.namedItem("maximum")),
						lead_field: elements.namedItem("lead_field").value || null,
						form_points: Object.fromEntries(own.filter(([, value]) => value != null)),
					};
					if (submitter === tryOut) {
						const found = await api("POST", "/scoring-rule/preview", given);
						scored.replaceChildren(card(t("What the last submissions would score"), preview(found)));
						announce(t("The preview is shown below."));
						return null;
					}
					await api("PUT", "/scoring-rule", given);
					return t("The rule is saved. Leads keep their score until their next submission.");
				},
			),
		),
		scored,
		note("", t("A lead with two submissions has the points of its first and of its second, up to the highest score.")),
	];
}
