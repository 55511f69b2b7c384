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

const SIGNED = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero" });
const PLAIN = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
// Weights are in thousandths of a bit.
const signed = (weight) => SIGNED.format(weight / 1000);
const bits = (weight) => `${PLAIN.format(weight / 1000)} bits`;

// The labels of compared values that are no fields of a record.
const COMPARED = {
	web: "Website and domain",
	employer: "Employer",
	legal_form: "Legal form",
	place: "Place",
	alternatives: "Kind of pair",
};

/**
 * @param {import("./api.js").Api["ExplanationView"]} explanation
 * @param {string} about
 */
function explained({ score, threshold, fields }, about) {
	return table(
		`Why ${about}`,
		["Field", "Compared", "Weight in bits"],
		[
			...fields.map((compared) => [
				COMPARED[compared.field] ?? fieldName(compared.field),
				compared.level,
				tag(compared.agrees ? "good number" : compared.weight < 0 ? "bad number" : "number", signed(compared.weight)),
			]),
			[strong("Sum"), score >= threshold ? "At or above the threshold" : "Below the threshold", strong(signed(score))],
			["Threshold", "From here on two records are taken for one", PLAIN.format(threshold / 1000)],
		],
	);
}

const values = (record, agreeing = []) =>
	facts(fieldsOf(record).map(([name, text]) => [fieldName(name), agreeing.includes(name) ? [text, " ", tag("good", "✓ agrees")] : text]));

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

const TITLES = { unmatched: "No CRM match", refused: "No CRM match", gone: "The CRM match is gone" };

// The entry's present state, with the actions on it.
/**
 * @param {import("./api.js").Api["EntryDetail"]} entry
 * @param {import("./directory.js").Kind} kind
 */
function standing(entry, kind) {
	const { state, decision, refused } = entry;
	switch (state) {
		case "matched":
			return "It was matched automatically. Say whether it is the right one: what people decide, no import undoes.";
		case "confirmed":
			return ["Matched by ", by(decision), ". No import undoes that."];
		case "created":
			return decision
				? [`Created in the CRM for this ${kind.one}, and decided on by `, by(decision), ". No import undoes that."]
				: "It is the record that a form response of this person was written to. Say whether it is the right one: what people decide, no import undoes.";
		case "refused":
			return ["Unmatched by ", by(decision), ". It stays so until somebody matches it, or has it matched automatically again."];
		case "gone":
			return [
				"The record that was chosen by ",
				by(decision),
				" has been deleted in the CRM. Choose another, create one, or have it matched automatically.",
			];
		default:
			return [
				entry.compared_at
					? `No ${kind.crm} of the CRM is alike enough. `
					: "It was not compared with the CRM yet: the pass after the next import does that. ",
				`Choose a record, or create one${entry.compared_at ? ", or leave it: after each import it is compared again" : ""}.`,
				refused.length > 0 && " Records that people said it is not are left out.",
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
	const [node, place] = action(linked ? "Confirm this one" : "Match this one", () => match(record), linked ? null : "second");
	node.setAttribute("aria-label", `${node.textContent}: ${name}, ${record.label}`);
	return li(
		el("h3", null, name, " ", badge(record, name)),
		row(
			linked && tag("good", "Linked now"),
			refused && tag("warn", "People said it is not this one"),
			tag(explanation.score >= explanation.threshold ? "good" : "", `Score ${bits(explanation.score)}`),
		),
		holder &&
			note(
				"warn",
				p(
					"Linked to ",
					link(kind.entry, holder.name ?? "another entry", null, { id: holder.id }),
					". Matching it here takes it from there, unless somebody chose it there.",
				),
			),
		values(fields, agreeing),
		owner && hint(`Owner: ${owned(owner)}`),
		el("details", null, el("summary", null, "Why this score"), explained(explanation, name)),
		node,
		place,
	);
}

export const entryPage = (kind) => async (view) => {
	const id = view.query.get("id");
	if (!id) return [p("No one is named in the address. ", link(kind.list, `Search for ${kind.many}`))];
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
					"Address of the record in the CRM",
					input("address", { type: "url", required: true }),
					"As your browser shows it when you look at the record there.",
				),
			],
			[submit("Match with it", "second")],
			async (fields) => {
				const record = recordAt(fields.address.value.trim());
				if (!record)
					refuse("That is not the address of a record.", "Open the record in the CRM and copy the whole address.", "address");
				await matchWith(record);
			},
		);
		place.replaceChildren(
			card(
				"Match CRM record",
				items.length ? hint("The best first. Fields that agree are marked.") : p(`No ${kind.crm} that was imported is like it.`),
				el(
					"ul",
					{ class: "plain" },
					items.map((candidate) => candidateItem(kind, candidate, matchWith)),
				),
				el("details", null, el("summary", null, "It is another record"), address),
			),
		);
		moveTo(place.querySelector("h2"));
	};

	const create = () =>
		dialog("Create in the CRM", (close) => {
			const toSignIn = el("div");
			return form(
				[p("A new account is made in your CRM, as you, with what is known here, and matched with this company."), toSignIn],
				[submit("Create the account"), cancel(close)],
				async () => {
					try {
						const entry = await api("POST", `${path}/create`);
						close();
						decided(entry);
					} catch (error) {
						if (error.problem?.code === "user_sign_in_needed")
							toSignIn.replaceChildren(
								...action("Sign in to the CRM", () =>
									goAuthorize("user", { environment: "production", switch_user: false }),
								),
							);
						throw error;
					}
				},
			);
		});

	const remove = () =>
		confirmed(`Delete this ${kind.one}`, "It leaves the directory. The CRM’s record stays as it is.", "Delete", async () => {
			await api("DELETE", path);
			return () => view.go(kind.list);
		});

	/** @param {import("./api.js").Api["EntryDetail"]} entry */
	const draw = (entry) => {
		const { state, link: linked, decision, contact, record } = entry;
		view.entitle(entry.name || "(no name)");
		const there = linked && !linked.record_gone;
		const candidates = el("div");
		const undecided = there && !decision;
		const match = card(
			undecided ? "Is this the right CRM match?" : (TITLES[state] ?? "CRM match"),
			p(stateTag(state), " ", there && badge(linked.record, entry.name)),
			p(standing(entry, kind)),
			row(
				undecided && action("Yes, this one", act("match", { object: linked.record.object, id: linked.record.id }), null),
				there && action("Not this one", act("unmatch")),
				action(there ? "Choose another" : "Choose a record", () => choose(candidates), there ? "second" : null),
				kind === PEOPLE
					? [
							there && link("update-in-crm", "Update in CRM", null, { id }),
							state !== "created" && link("add-to-crm", "Add to CRM", null, { id }),
						]
					: state !== "created" && button("Create in the CRM", create),
				decision && action("Match automatically again", act("rematch")),
			),
			there &&
				facts([
					["Owner", owned(entry.owner)],
					["Linked since", time(linked.since)],
				]),
		);
		const why =
			there &&
			card(
				linked.how === "score" ? "Why it matched" : "How the two compare",
				linked.explanation
					? [
							hint("One bit more for the two being the same doubles its odds. What speaks against it is negative."),
							explained(linked.explanation, "it matched"),
							linked.how === "score" &&
								linked.score !== linked.explanation.score &&
								hint(`When they were linked the sum was ${bits(linked.score)}, the threshold ${bits(linked.threshold)}.`),
						]
					: p("The record is not imported, so the two cannot be compared now."),
			);
		const information =
			contact &&
			card(
				"Contact information from the CRM",
				p(badge(contact.record, nameOf(contact.fields))),
				values(contact.fields),
				facts([
					["Account", contact.account && badge(contact.account)],
					["Converted to", contact.converted_to && badge(contact.converted_to)],
					["Changed in the CRM", contact.modified_at && time(contact.modified_at)],
				]),
			);
		const known = card(
			"In the directory",
			values(record),
			facts([
				[fieldName("external_id"), entry.external_id],
				[
					"Comes from",
					[
						...new Set(
							entry.origins.map((origin) => ({ api: "the API or a form here", csv: "a file" })[origin] ?? "a form response"),
						),
					].join(", "),
				],
				["Added", time(entry.created_at)],
				["Changed", time(entry.updated_at)],
				["Compared with the CRM", entry.compared_at && time(entry.compared_at)],
				["People said it is not", entry.refused.length > 0 && row(entry.refused.map((refused) => badge(refused)))],
			]),
			session.role === "administrator" && button("Delete", remove, "danger"),
		);
		const outdated = outOfDate(entry, async () => draw(await get(path)));
		body.replaceChildren(match, candidates, ...[outdated].filter(Boolean), deals, ...[information, why].filter(Boolean), lists, known);
	};

	const entry = await get(path);
	const said = lastWord();
	await around();
	draw(entry);
	return [
		p(
			link(kind.list, `All ${kind.many}`),
			" · ",
			link("log-activity", `Log an activity with this ${kind.one}`, null, { [kind.target]: id }),
		),
		said && note("good", said),
		body,
	];
};
