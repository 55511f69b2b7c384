// *Is this the right CRM match?*: the records that a person or company may be, for the answer that an activity waits for (MA-4).

import { action, card, el, facts, hint, li, p, row, tag } from "./dom.js";
import { badge, fieldName, fieldsOf, nameOf } from "./directory.js";
import { locale, t } from "./words.js";

const BITS = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const REASON = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero" });

// The reasons why two are alike, or are not: the heaviest reasons first. Weights are in thousandths of a bit.
const reasons = ({ fields }) =>
	fields
		.toSorted((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
		.map(({ field, level, weight }) => `${fieldName(field)}: ${level} (${REASON.format(weight / 1000)})`)
		.join(" · ");

/**
 * @param {import("./api.js").Api["CandidateItem"]} candidate
 * @param {(record: { object: string, id: string }) => Promise<void>} answer
 */
function candidateItem({ record, fields, agreeing, explanation, linked, taken_by }, answer) {
	const name = nameOf(fields) || record.id;
	const [node, place] = action(t("It is this one"), () => answer({ object: record.object, id: record.id }), linked ? null : "second");
	node.setAttribute("aria-label", t("It is this one: {name}, {label}", { name, label: record.label }));
	const values = fieldsOf(fields).map(([field, text]) => [
		fieldName(field),
		agreeing.includes(field) ? [text, " ", tag("good", t("✓ agrees"))] : text,
	]);
	return li(
		el("h3", null, name, " ", badge(record, name)),
		row(
			linked && tag("good", t("Linked now")),
			tag(
				explanation.score >= explanation.threshold ? "good" : "",
				t("Score {score}", { score: t("{n} bits", { n: BITS.format(explanation.score / 1000) }) }),
			),
			taken_by && tag("warn", t("Linked to {name}", { name: taken_by.name ?? t("another entry") })),
		),
		facts(values),
		hint(
			t("Why, in bits: {reasons}. From {threshold} on it is linked by itself.", {
				reasons: reasons(explanation),
				threshold: BITS.format(explanation.threshold / 1000),
			}),
		),
		node,
		place,
	);
}

/**
 * @param {import("./api.js").Api["MatchQuestion"]} question
 * @param {(record: { object: string, id: string } | null) => Promise<void>} answer
 */
export function questionCard({ target, candidates }, answer) {
	return card(
		t("Is this the right CRM match?"),
		p(
			t("{name} may be one of these. Your answer holds for everybody, and for all that waits for it.", {
				name: target.name ?? t("The person or company"),
			}),
		),
		el(
			"ul",
			{ class: "plain" },
			candidates.map((candidate) => candidateItem(candidate, answer)),
		),
		...action(t("None of these"), () => answer(null)),
	);
}
