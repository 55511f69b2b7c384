// Strategies tried out: which lead of the CRM typed values or a submission would join, and why (LG-2 to LG-5).

import { api, get } from "./api.js";
import { badge } from "./directory.js";
import { announce, card, el, field, form, hint, input, p, refuse, said, select, submit, table, tag, time } from "./dom.js";
import { many, t } from "./words.js";

// The number of submissions to choose from.
const OFFERED = 20;

/**
 * The result for a strategy.
 * @param {any} tried
 * @param {(name: string) => string} labelOf
 */
function result({ name, active, joins, matching_leads, leads, reason, compared }, labelOf) {
	const nameOf = ({ values, id }) => Object.values(values).join(" · ") || id;
	return [
		el("h3", null, said(name), " ", active && tag("good", t("Active"))),
		p(joins ? tag("good", t("It would join a lead")) : tag("", t("It would become a new lead"))),
		p(said(reason)),
		compared.length > 0 &&
			hint(
				t("Compared: "),
				compared.flatMap(({ lead_field, value }, index) => [
					index > 0 && ", ",
					said(labelOf(lead_field)),
					" ",
					value == null ? t("(no value)") : ["“", said(value), "”"],
				]),
			),
		leads.length > 0 &&
			table(
				t("Leads that match"),
				[t("Lead"), t("Values")],
				leads.map((lead, index) => [
					[
						badge({ label: t("Lead"), url: lead.url, id: lead.id }, nameOf(lead)),
						index === 0 && hint(t("It would join this one.")),
					],
					said(nameOf(lead)),
				]),
			),
		matching_leads > leads.length && hint(many(matching_leads - leads.length, "{n} more lead matches.", "{n} more leads match.")),
	];
}

/**
 * The card to try strategies with: values that are typed, or a submission.
 * @param {{ items: any[], labelOf: (name: string) => string, mapped: string[] }} page
 */
export async function tryCard({ items, labelOf, mapped }) {
	const { items: submissions } = await get(`/submissions?limit=${OFFERED}`).catch(() => ({ items: [] }));
	const compared = new Set(items.flatMap(({ matching_lead_fields }) => matching_lead_fields));
	const names = mapped.filter((name) => compared.has(name));
	const place = el("div");
	const choices = submissions.map(({ id, sender, form: name, received_at }) => [
		id,
		t("{sender} on {form}, {at}", { sender: sender ?? t("No e-mail address"), form: name, at: time(received_at).textContent }),
	]);
	const typed = el(
		"div",
		{ class: "grid" },
		names.map((name, index) => field(labelOf(name), input(`value${index}`, { maxlength: 500 }))),
	);
	const chosen = select("submission", [["", t("None: the values that are typed")], ...choices], "");
	chosen.addEventListener("change", () => {
		typed.hidden = chosen.value !== "";
	});
	return card(
		t("Try it"),
		p(t("See which lead of your CRM a submission would join under each strategy. Your CRM is searched; nothing is written.")),
		form([field(t("A submission"), chosen), typed], [submit(t("Try the strategies"), "second")], async (elements) => {
			const submission = chosen.value || null;
			const values = Object.fromEntries(
				names.map((name, index) => [name, elements.namedItem(`value${index}`).value.trim()]).filter(([, value]) => value),
			);
			if (!submission && !Object.keys(values).length)
				refuse(t("There is nothing to compare."), t("Type a value, or choose a submission."), "value0");
			const wish = submission ? { submission } : { values };
			const tried = await api("POST", "/matching-strategies/try", wish);
			const unfit = submission ? [] : tried.fields.filter(({ outcome }) => outcome === "left_out");
			place.replaceChildren(
				...[
					...unfit.map(({ name, reason }) => hint(said(labelOf(name)), ": ", said(reason))),
					...tried.items.flatMap((one) => result(one, labelOf)),
					tried.more && hint(t("Only the first strategies were tried.")),
				].filter(Boolean),
			);
			announce(t("The result is shown below."));
		}),
		place,
	);
}
