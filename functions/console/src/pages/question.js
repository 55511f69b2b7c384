// *Is this the right CRM match?*: the records that a person or company may be, for the answer that an activity waits for (MA-4).

import { action, card, el, facts, hint, li, p, row, tag } from "./dom.js";
import { badge, fieldName, fieldsOf, nameOf } from "./directory.js";

const BITS = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const REASON = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero" });

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
	const [node, place] = action("It is this one", () => answer({ object: record.object, id: record.id }), linked ? null : "second");
	node.setAttribute("aria-label", `It is this one: ${name}, ${record.label}`);
	const values = fieldsOf(fields).map(([field, text]) => [
		fieldName(field),
		agreeing.includes(field) ? [text, " ", tag("good", "✓ agrees")] : text,
	]);
	return li(
		el("h3", null, name, " ", badge(record, name)),
		row(
			linked && tag("good", "Linked now"),
			tag(explanation.score >= explanation.threshold ? "good" : "", `Score ${BITS.format(explanation.score / 1000)} bits`),
			taken_by && tag("warn", `Linked to ${taken_by.name ?? "another entry"}`),
		),
		facts(values),
		hint(`Why, in bits: ${reasons(explanation)}. From ${BITS.format(explanation.threshold / 1000)} on it is linked by itself.`),
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
		"Is this the right CRM match?",
		p(`${target.name ?? "The person or company"} may be one of these. Your answer holds for everybody, and for all that waits for it.`),
		el(
			"ul",
			{ class: "plain" },
			candidates.map((candidate) => candidateItem(candidate, answer)),
		),
		...action("None of these", () => answer(null)),
	);
}
