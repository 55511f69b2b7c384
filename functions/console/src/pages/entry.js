// A person or company: its record in the CRM, the reasons for that, and people's decisions (MA-3, MA-4, SV-1, SV-2).

import { api, get, goAuthorize, link, session } from "./api.js";
import {
	action,
	asProblem,
	button,
	cancel,
	card,
	confirmed,
	dialog,
	el,
	facts,
	field,
	form,
	hint,
	input,
	li,
	moveTo,
	note,
	p,
	problemNote,
	refuse,
	row,
	strong,
	submit,
	table,
	tag,
	time,
} from "./dom.js";
import { listsOf } from "./lists.js";
import { openOpportunities } from "./opportunities.js";
import { outOfDate } from "./out-of-date.js";
import { PEOPLE, badge, fieldName, fieldsOf, lastWord, nameOf, stateTag } from "./directory.js";
import { locale, t } from "./words.js";

const SIGNED = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero" });
const PLAIN = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
// Weights are in thousandths of a bit.
const signed = (weight) => SIGNED.format(weight / 1000);
const bits = (weight) => t("{n} bits", { n: PLAIN.format(weight / 1000) });

// The labels of compared values that are no fields of a record.
const COMPARED = {
	web: t("Website and domain"),
	employer: t("Employer"),
	legal_form: t("Legal form"),
	place: t("Place"),
	alternatives: t("Kind of pair"),
};

/**
 * @param {import("./api.js").Api["ExplanationView"]} explanation
 * @param {string} about
 */
function explained({ score, threshold, fields }, about) {
	return table(
		t("Why {about}", { about }),
		[t("Field"), t("Compared"), t("Weight in bits")],
		[
			...fields.map((compared) => [
				COMPARED[compared.field] ?? fieldName(compared.field),
				compared.level,
				tag(compared.agrees ? "good number" : compared.weight < 0 ? "bad number" : "number", signed(compared.weight)),
			]),
			[strong(t("Sum")), score >= threshold ? t("At or above the threshold") : t("Below the threshold"), strong(signed(score))],
			[t("Threshold"), t("From here on two records are taken for one"), PLAIN.format(threshold / 1000)],
		],
	);
}

const values = (record, agreeing = []) =>
	facts(
		fieldsOf(record).map(([name, text]) => [fieldName(name), agreeing.includes(name) ? [text, " ", tag("good", t("✓ agrees"))] : text]),
	);

const owned = (owner) => owner && (owner.name ?? owner.id);
const by = (decision) => [decision.by_name ?? decision.by, ", ", time(decision.at)];

// The object and id in a record's address in the CRM: `…/lightning/r/Contact/003…/view`, `…?etn=contact&id=…`.
function recordAt(text) {
	if (!URL.canParse(text)) return null;
	const { pathname, searchParams: query } = new URL(text);
	const [, object, id] = /\/lightning\/r\/(\w+)\/(\w+)/.exec(pathname) ?? [
		null,
		query.get("etn"),
		query.get("id")?.replace(/[{}]/g, "").toLowerCase(),
	];
	return object && id ? { object, id } : null;
}

const TITLES = { unmatched: t("No CRM match"), refused: t("No CRM match"), gone: t("The CRM match is gone") };

// The entry's present state, with the actions on it.
/**
 * @param {import("./api.js").Api["EntryDetail"]} entry
 * @param {import("./directory.js").Kind} kind
 */
function standing(entry, kind) {
	const { state, decision, refused } = entry;
	switch (state) {
		case "matched":
			return t("It was matched automatically. Say whether it is the right one: what people decide, no import undoes.");
		case "confirmed":
			return [t("Matched by {by}. No import undoes that.", { by: by(decision) })];
		case "created":
			return decision
				? [
						t("Created in the CRM for this {one}, and decided on by {by}. No import undoes that.", {
							one: t(kind.one),
							by: by(decision),
						}),
					]
				: t(
						"It is the record that a form response of this person was written to. Say whether it is the right one: what people decide, no import undoes.",
					);
		case "refused":
			return [
				t("Unmatched by {by}. It stays so until somebody matches it, or has it matched automatically again.", { by: by(decision) }),
			];
		case "gone":
			return [
				t(
					"The record that was chosen by {by} has been deleted in the CRM. Choose another, create one, or have it matched automatically.",
					{ by: by(decision) },
				),
			];
		default:
			return [
				entry.compared_at
					? t("No {crm} of the CRM is alike enough.", { crm: kind.crm })
					: t("It was not compared with the CRM yet: the pass after the next import does that."),
				" ",
				entry.compared_at
					? t("Choose a record, or create one, or leave it: after each import it is compared again.")
					: t("Choose a record, or create one."),
				refused.length > 0 && [" ", t("Records that people said it is not are left out.")],
			];
	}
}

/**
 * @param {import("./directory.js").Kind} kind
 * @param {import("./api.js").Api["CandidateItem"]} candidate
 * @param {(record: import("./api.js").Api["CandidateItem"]["record"]) => Promise<void>} match
 */
function candidateItem(kind, candidate, match) {
	const { record, fields, owner, agreeing, explanation, linked, refused, taken_by: holder } = candidate;
	const name = nameOf(fields) || record.id;
	const [node, place] = action(linked ? t("Confirm this one") : t("Match this one"), () => match(record), linked ? null : "second");
	node.setAttribute("aria-label", `${node.textContent}: ${name}, ${record.label}`);
	return li(
		el("h3", null, name, " ", badge(record, name)),
		row(
			linked && tag("good", t("Linked now")),
			refused && tag("warn", t("People said it is not this one")),
			tag(explanation.score >= explanation.threshold ? "good" : "", t("Score {score}", { score: bits(explanation.score) })),
		),
		holder &&
			note(
				"warn",
				p(
					t("Linked to {link}. Matching it here takes it from there, unless somebody chose it there.", {
						link: link(kind.entry, holder.name ?? t("another entry"), null, { id: holder.id }),
					}),
				),
			),
		values(fields, agreeing),
		owner && hint(t("Owner: {name}", { name: owned(owner) })),
		el("details", null, el("summary", null, t("Why this score")), explained(explanation, name)),
		node,
		place,
	);
}

export const entryPage = (kind) => async (view) => {
	const id = view.query.get("id");
	if (!id)
		return [p(t("No one is named in the address. {link}", { link: link(kind.list, t("Search for {many}", { many: t(kind.many) })) }))];
	const path = `${kind.path}/${encodeURIComponent(id)}`;
	const body = el("div");
	const lists = el("div");
	const deals = el("div");
	// They follow from the record that the entry is linked to.
	// A part that cannot be read says so in its place; the rest of the page is shown.
	const beside = async (place, read) => {
		try {
			place.replaceChildren(...[await read()].filter(Boolean));
		} catch (error) {
			place.replaceChildren(problemNote(asProblem(error)));
		}
	};
	const around = () => Promise.all([beside(lists, () => listsOf(kind, id)), beside(deals, () => openOpportunities(path))]);

	const decided = (entry) => {
		draw(entry);
		around();
		moveTo(body.querySelector("h2"));
	};
	const act = (what, given) => async () => decided(await api("POST", `${path}/${what}`, given));
	const matchWith = ({ object, id }) => act("match", { object, id })();

	const choose = async (place) => {
		const { items } = await get(`${path}/candidates`);
		const address = form(
			[
				field(
					t("Address of the record in the CRM"),
					input("address", { type: "url", required: true }),
					t("As your browser shows it when you look at the record there."),
				),
			],
			[submit(t("Match with it"), "second")],
			async (fields) => {
				const record = recordAt(fields.address.value.trim());
				if (!record)
					refuse(
						t("That is not the address of a record."),
						t("Open the record in the CRM and copy the whole address."),
						"address",
					);
				await matchWith(record);
			},
		);
		place.replaceChildren(
			card(
				t("Match CRM record"),
				items.length
					? hint(t("The best first. Fields that agree are marked."))
					: p(t("No {crm} that was imported is like it.", { crm: kind.crm })),
				el(
					"ul",
					{ class: "plain" },
					items.map((candidate) => candidateItem(kind, candidate, matchWith)),
				),
				el("details", null, el("summary", null, t("It is another record")), address),
			),
		);
		moveTo(place.querySelector("h2"));
	};

	const create = () =>
		dialog(t("Create in the CRM"), (close) => {
			const toSignIn = el("div");
			return form(
				[p(t("A new account is made in your CRM, as you, with what is known here, and matched with this company.")), toSignIn],
				[submit(t("Create the account")), cancel(close)],
				async () => {
					try {
						const entry = await api("POST", `${path}/create`);
						close();
						decided(entry);
					} catch (error) {
						if (error.problem?.code === "user_sign_in_needed")
							toSignIn.replaceChildren(
								...action(t("Sign in to the CRM"), () =>
									goAuthorize("user", { environment: "production", switch_user: false }),
								),
							);
						throw error;
					}
				},
			);
		});

	const remove = () =>
		confirmed(
			t("Delete this {one}", { one: t(kind.one) }),
			t("It leaves the directory. The CRM’s record stays as it is."),
			t("Delete"),
			async () => {
				await api("DELETE", path);
				return () => view.go(kind.list);
			},
		);

	/** @param {import("./api.js").Api["EntryDetail"]} entry */
	const draw = (entry) => {
		const { state, link: linked, decision, contact, record } = entry;
		view.entitle(entry.name || t("(no name)"));
		const there = linked && !linked.record_gone;
		const candidates = el("div");
		const undecided = there && !decision;
		const match = card(
			undecided ? t("Is this the right CRM match?") : (TITLES[state] ?? t("CRM match")),
			p(stateTag(state), " ", there && badge(linked.record, entry.name)),
			p(standing(entry, kind)),
			row(
				undecided && action(t("Yes, this one"), act("match", { object: linked.record.object, id: linked.record.id }), null),
				there && action(t("Not this one"), act("unmatch")),
				action(there ? t("Choose another") : t("Choose a record"), () => choose(candidates), there ? "second" : null),
				kind === PEOPLE
					? [
							there && link("update-in-crm", t("Update in CRM"), null, { id }),
							there &&
								linked.record.object.toLowerCase() === "contact" &&
								link("add-to-opportunity", t("Add to an opportunity"), null, { id }),
							state !== "created" && link("add-to-crm", t("Add to CRM"), null, { id }),
						]
					: state !== "created" && button(t("Create in the CRM"), create),
				decision && action(t("Match automatically again"), act("rematch")),
			),
			there &&
				facts([
					[t("Owner"), owned(entry.owner)],
					[t("Linked since"), time(linked.since)],
				]),
		);
		const why =
			there &&
			card(
				linked.how === "score" ? t("Why it matched") : t("How the two compare"),
				linked.explanation
					? [
							hint(t("One bit more for the two being the same doubles its odds. What speaks against it is negative.")),
							explained(linked.explanation, t("it matched")),
							linked.how === "score" &&
								linked.score !== linked.explanation.score &&
								hint(
									t("When they were linked the sum was {sum}, the threshold {threshold}.", {
										sum: bits(linked.score),
										threshold: bits(linked.threshold),
									}),
								),
						]
					: p(t("The record is not imported, so the two cannot be compared now.")),
			);
		const information =
			contact &&
			card(
				t("Contact information from the CRM"),
				p(badge(contact.record, nameOf(contact.fields))),
				values(contact.fields),
				facts([
					[t("Account"), contact.account && badge(contact.account)],
					[t("Converted to"), contact.converted_to && badge(contact.converted_to)],
					[t("Changed in the CRM"), contact.modified_at && time(contact.modified_at)],
				]),
			);
		const known = card(
			t("In the directory"),
			values(record),
			facts([
				[fieldName("external_id"), entry.external_id],
				[
					t("Comes from"),
					[
						...new Set(
							entry.origins.map(
								(origin) => ({ api: t("the API or a form here"), csv: t("a file") })[origin] ?? t("a form response"),
							),
						),
					].join(", "),
				],
				[t("Added"), time(entry.created_at)],
				[t("Changed"), time(entry.updated_at)],
				[t("Compared with the CRM"), entry.compared_at && time(entry.compared_at)],
				[t("People said it is not"), entry.refused.length > 0 && row(entry.refused.map((refused) => badge(refused)))],
			]),
			session.role === "administrator" && button(t("Delete"), remove, "danger"),
		);
		const outdated = outOfDate(entry, async () => {
			draw(await get(path));
			// The button that had the focus is gone.
			moveTo(body.querySelector("h2"));
		});
		body.replaceChildren(match, candidates, ...[outdated].filter(Boolean), deals, ...[information, why].filter(Boolean), lists, known);
	};

	const entry = await get(path);
	const said = lastWord();
	await around();
	draw(entry);
	return [
		p(
			link(kind.list, t("All {many}", { many: t(kind.many) })),
			" · ",
			link("log-activity", t("Log an activity with this {one}", { one: t(kind.one) }), null, { [kind.target]: id }),
		),
		said && note("good", said),
		body,
	];
};
