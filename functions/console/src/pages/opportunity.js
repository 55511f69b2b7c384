// Adds the contact that a person is matched with to an open opportunity of its account (LC-3).

import { api, get, link } from "./api.js";
import { badge, leaveWord } from "./directory.js";
import { announce, card, el, field, form, hint, note, p, select, submit } from "./dom.js";
import { missingSignIn, signInBeside, signInCard } from "./record.js";
import { locale, t } from "./words.js";

// A day of the calendar, in no time zone.
const day = (text) => new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: "UTC" }).format(new Date(`${text}T00:00:00Z`));

/** @param {import("./api.js").Api["OfferedOpportunity"]} one */
const option = ({ record, name, stage, closes_on }) => [
	record.id,
	[name || t("(no name)"), stage?.label, closes_on && t("closes {day}", { day: day(closes_on) })].filter(Boolean).join(" · "),
];

export async function opportunityPage(view) {
	const id = view.query.get("id");
	if (!id) return [p(t("No one is named in the address. {link}", { link: link("people", t("Search for people")) }))];
	const [entry, missing] = await Promise.all([get(`/profiles/${encodeURIComponent(id)}`), missingSignIn()]);
	view.entitle(t("Add to an opportunity: {name}", { name: entry.name || t("(no name)") }));
	const top = p(link("person", t("The person’s page"), null, { id }));
	if (missing) return [top, missing];

	const path = `/crm/profiles/${encodeURIComponent(id)}/opportunities`;
	/** @type {import("./api.js").Api["ContactOpportunityChoices"]} */
	let told;
	try {
		told = await get(path);
	} catch (error) {
		switch (error.problem?.code) {
			case "not_a_contact":
				return [
					top,
					note(
						"",
						p(t("Only a contact can be added to an opportunity, and this person is matched with none.")),
						p(link("add-to-crm", t("Add to CRM"), null, { id, object: "contact" })),
					),
				];
			case "user_sign_in_needed":
				return [top, signInCard(error.problem)];
		}
		throw error;
	}
	const { contact, account, opportunities, roles } = told;
	const head = p(badge(contact, entry.name));
	const title = t("An opportunity of the account");
	if (!opportunities.length)
		return [
			top,
			card(
				title,
				head,
				p(
					account
						? t("The contact’s account has no open opportunity, as of the last import.")
						: t("The contact belongs to no account in the CRM, so it has no opportunities to choose from."),
				),
			),
		];
	// The same for every try: an answer that was lost, or a second click, adds nothing twice.
	let idempotency_key = crypto.randomUUID();
	const beside = el("div");
	const add = async (elements) => {
		beside.replaceChildren();
		const opportunity = elements.namedItem("opportunity").value;
		const role = elements.namedItem("role")?.value;
		announce(t("The contact is being added."));
		try {
			/** @type {import("./api.js").Api["ContactOpportunity"]} */
			const answer = await api("POST", path, { idempotency_key, opportunity, ...(role ? { role } : {}) });
			const word =
				answer.outcome === "existed"
					? t("The contact is in that opportunity already; nothing was changed.")
					: t("The contact is added to the opportunity in the CRM, as you. It is shown here after the next import.");
			if (!view.signal.aborted) leaveWord(word);
			await view.go("person", { id });
			announce(word);
		} catch (error) {
			switch (error.problem?.code) {
				case "user_sign_in_needed":
					beside.replaceChildren(signInBeside());
					break;
				case "key_reused":
					// Another opportunity or role was chosen since.
					idempotency_key = crypto.randomUUID();
			}
			throw error;
		}
	};
	const node = form(
		[
			field(t("Opportunity"), select("opportunity", opportunities.map(option))),
			roles.length > 0 && field(t("Role"), select("role", [["", t("No role")], ...roles.map(({ value, label }) => [value, label])])),
			hint(t("Open opportunities of the contact’s account, as of the last import.")),
			beside,
		],
		[submit(t("Add to the opportunity"))],
		add,
	);
	return [top, card(title, head, node)];
}
