// Field mappings: names on forms beside the CRM's lead fields, with suggestions (LG-7).

import { api, get, link } from "./api.js";
import {
	action,
	announce,
	asProblem,
	button,
	cancel,
	card,
	confirmed,
	dialog,
	el,
	field,
	form,
	hint,
	input,
	note,
	number,
	p,
	problemNote,
	row,
	said,
	select,
	small,
	submit,
	table,
	tag,
	time,
} from "./dom.js";
import { examples, previewCard, seenFields, tried, warnings } from "./mapping-preview.js";
import { many, t } from "./words.js";

/** @typedef {import("./api.js").Api["LeadFieldView"]} LeadField */
/** @typedef {import("./api.js").Api["MappingView"]} Mapping */
/** @typedef {import("./api.js").Api["DiscoveredName"]} Discovered */

// Common names of form fields, without case and punctuation, with the lead field of either CRM.
// They are only suggested: a mapping is made when an administrator accepts it.
const COMMON = [
	["email mail emailaddress emailadresse workemail businessemail youremail", "Email emailaddress1"],
	["firstname givenname forename vorname prenom fname", "FirstName firstname"],
	["lastname surname familyname nachname nom lname", "LastName lastname"],
	["company companyname organisation organization firma employer unternehmen business", "Company companyname"],
	["phone phonenumber telephone tel telefon workphone", "Phone telephone1"],
	["mobile mobilephone cell cellphone handy", "MobilePhone mobilephone"],
	["title jobtitle position role", "Title jobtitle"],
	["website url homepage web", "Website websiteurl"],
	["street address streetaddress strasse", "Street address1_line1"],
	["city town stadt ort", "City address1_city"],
	["zip zipcode postcode postalcode plz", "PostalCode address1_postalcode"],
	["country land", "Country address1_country"],
	["state province region", "State address1_stateorprovince"],
	["message comment comments notes question questions nachricht description", "Description description"],
	["industry sector branche", "Industry industrycode"],
	["employees numberofemployees companysize", "NumberOfEmployees numberofemployees"],
].map(([names, targets]) => [names.split(" "), targets.split(" ")]);

const plain = (text) =>
	text
		.normalize("NFKD")
		.toLowerCase()
		.replace(/[^\p{L}\p{N}]/gu, "");

/** @param {string} name @param {LeadField[]} fields */
function suggestion(name, fields) {
	const wanted = plain(name);
	if (!wanted) return null;
	const targets = COMMON.find(([names]) => names.includes(wanted))?.[1] ?? [];
	const same = (field) => [plain(field.name), plain(field.label)].includes(wanted);
	return (fields.find((field) => targets.includes(field.name)) ?? fields.find(same))?.name ?? null;
}

const TYPES = {
	text: t("Text"),
	long_text: t("Long text"),
	email: t("E-mail address"),
	phone: t("Phone number"),
	url: t("Web address"),
	integer: t("Whole number"),
	decimal: t("Number"),
	boolean: t("Yes or no"),
	date: t("Date"),
	date_time: t("Date and time"),
	picklist: t("One of a list"),
	multi_picklist: t("Several of a list"),
	unsupported: t("Cannot be set"),
};
// The label of a lead field's type, with its limits.
/** @param {LeadField} field */
function takes(field) {
	const parts = [TYPES[field.type] ?? field.type];
	if ("max_length" in field) parts.push(t("up to {n} characters", { n: number(field.max_length) }));
	if ("options" in field) parts.push(t("{n} choices", { n: number(field.options.length) }));
	return parts.join(", ");
}

// Names are percent-encoded twice in a path: they may have any character.
const pathOf = (name) => `/field-mappings/${encodeURIComponent(encodeURIComponent(name))}`;

export async function mappingPage(view) {
	const [{ items, discovered }, recent, lead] = await Promise.all([
		get("/field-mappings"),
		seenFields(),
		get("/lead-fields").catch((error) => ({ problem: asProblem(error), items: [] })),
	]);
	/** @type {LeadField[]} */
	const fields = lead.items.filter(({ mappable }) => mappable);
	const known = new Map(fields.map((field) => [field.name, field]));
	const labelOf = (name) => known.get(name)?.label ?? name;
	const options = fields
		.map((field) => [field.name, field.label === field.name ? field.name : `${field.label} (${field.name})`])
		.toSorted((a, b) => a[1].localeCompare(b[1]));
	const taken = new Map(items.map((mapping) => [mapping.lead_field, mapping.name]));

	const seenOf = new Map(recent.items.map((seen) => [seen.name, seen]));
	const fitOf = new Map(recent.fits.map((fit) => [fit.name, fit]));
	const limitOf = (name) => (known.has(name) ? takes(known.get(name)) : "");
	// The lead fields that are chosen in the tables and not saved, by form field.
	/** @type {Map<string, string>} */
	const chosen = new Map();

	const changed = async (text) => {
		await view.reload();
		announce(text);
	};
	const choice = (name, value, label) => {
		const control = select("lead_field", [["", t("Choose a lead field")], ...options], value);
		control.setAttribute("aria-label", t("Lead field of {name}", { name }));
		const told = hint(limitOf(value));
		const unfit = el("div", { role: "status" }, warnings(fitOf.get(name), limitOf(value)));
		control.addEventListener("change", async () => {
			const wanted = control.value;
			told.textContent = limitOf(wanted);
			if (wanted) chosen.set(name, wanted);
			else chosen.delete(name);
			const found = wanted ? await tried(name, wanted, limitOf(wanted)).catch(() => []) : [];
			// Another one may be chosen by now.
			if (control.value === wanted) unfit.replaceChildren(...found);
		});
		return [control, label, told, unfit];
	};
	const inline = (...parts) => {
		const node = form(...parts);
		node.classList.add("inline");
		return node;
	};
	const named = (text, name) => {
		const node = submit(text, "second");
		node.setAttribute("aria-label", `${text}: ${name}`);
		return node;
	};

	/** @param {Mapping} mapping */
	const mappedRow = (mapping) => {
		const { name, lead_field, used_by } = mapping;
		const used = used_by.length > 0 && hint(t("Used by the strategy {strategies}", { strategies: said(used_by.join(", ")) }));
		const remove = () =>
			confirmed(
				t("Delete the mapping of {name}", { name }),
				t("What forms send under this name no longer reaches the CRM."),
				t("Delete"),
				async () => {
					await api("DELETE", pathOf(name));
					return () => changed(t("The mapping is deleted."));
				},
			);
		return [
			[said(name), examples(seenOf.get(name), recent.submissions)],
			fields.length
				? inline([choice(name, lead_field, used)], [named(t("Save"), name)], async (elements) => {
						const wanted = elements.namedItem("lead_field").value;
						await api("PUT", pathOf(name), { lead_field: wanted });
						return t("{name} leads to {field}.", { name, field: labelOf(wanted) });
					})
				: [said(lead_field), used],
			small(name, t("Delete"), remove),
		];
	};

	// Several names may lead to one lead field: forms call it differently.
	const suggested = discovered.map(({ name }) => ({ name, lead_field: suggestion(name, fields) })).filter(({ lead_field }) => lead_field);
	if (suggested.length && fields.length) {
		const offered = Object.fromEntries(suggested.map(({ name, lead_field }) => [name, lead_field]));
		const { fits } = await api("POST", "/mapping-preview", { changes: offered }).catch(() => ({ fits: [] }));
		for (const fit of fits) fitOf.set(fit.name, fit);
	}
	const suggestionFor = (wanted) => suggested.find(({ name }) => name === wanted)?.lead_field;
	const acceptAll = async () => {
		for (const found of suggested)
			try {
				await api("POST", "/field-mappings", found);
			} catch (error) {
				// By somebody else, or by a try before that was cut off.
				if (error.problem?.code !== "mapping_exists") throw error;
			}
		await changed(t("{n} fields are mapped.", { n: number(suggested.length) }));
	};

	/** @param {Discovered} found */
	const discoveredRow = (found) => {
		const { name, count, forms, last_seen } = found;
		const target = suggestionFor(name);
		const forget = async () => {
			await api("DELETE", `/field-mappings/discovered/${encodeURIComponent(encodeURIComponent(name))}`);
			return () => changed(t("The name is forgotten."));
		};
		return [
			[said(name), examples(seenOf.get(name), recent.submissions)],
			[
				many(count, "On about {n} submission", "On about {n} submissions"),
				hint(t("Last {time}", { time: time(last_seen) })),
				forms.length === 1 &&
					link("submissions", t("See them"), { "aria-label": t("See them: {name}", { name }) }, { form: forms[0] }),
			],
			fields.length
				? inline(
						[choice(name, target ?? "", target && p(tag("good", t("Suggested"))))],
						[named(target ? t("Accept") : t("Map"), name)],
						async (elements) => {
							await api("POST", "/field-mappings", { name, lead_field: elements.namedItem("lead_field").value });
							await changed(t("{name} is mapped.", { name }));
						},
					)
				: "–",
			small(name, t("Forget"), () =>
				confirmed(t("Forget {name}", { name }), t("It is listed again when a form sends it again."), t("Forget it"), forget),
			),
		];
	};

	const add = () =>
		dialog(t("Map another field"), (close) =>
			form(
				[
					field(t("Name on the form"), input("name", { required: true, maxlength: 200 }), t("Exactly as the form sends it.")),
					field(t("Lead field"), select("lead_field", [["", t("Choose a lead field")], ...options], "")),
				],
				[submit(t("Map it")), cancel(close)],
				async (elements) => {
					const name = elements.namedItem("name").value;
					await api("POST", "/field-mappings", { name, lead_field: elements.namedItem("lead_field").value });
					close();
					await changed(t("{name} is mapped.", { name }));
				},
			),
		);

	// The suggestions count in the preview unless another lead field is chosen.
	const changes = () => {
		const offered = suggested.map(({ name, lead_field }) => [name, lead_field]);
		const wanted = Object.fromEntries([...offered, ...chosen]);
		const saved = new Map(items.map(({ name, lead_field }) => [name, lead_field]));
		return Object.fromEntries(Object.entries(wanted).filter(([name, lead_field]) => saved.get(name) !== lead_field));
	};
	const lacking = fields.filter(({ name, required }) => required && !taken.has(name));
	return [
		lead.problem && [problemNote(lead.problem, "warn"), p(link("crm-production", t("Go to the CRM connection")))],
		lacking.length > 0 &&
			note(
				"",
				p(
					t(
						"Your CRM wants {fields} of each lead, and no form field leads there: what is missing is filled with a placeholder.",
						{ fields: lacking.map(({ label }) => label).join(", ") },
					),
				),
			),
		card(
			t("Seen on forms, not mapped"),
			discovered.length
				? [
						p(t("Forms send these, and nothing of them reaches the CRM yet.")),
						suggested.length > 1 && action(t("Accept all {n} suggestions", { n: number(suggested.length) }), acceptAll, null),
						table(
							t("Names that no mapping has"),
							[t("Form field"), t("Seen"), t("Lead field"), t("More")],
							discovered.map(discoveredRow),
						),
					]
				: p(t("Every field that forms have sent is mapped.")),
		),
		card(
			t("Mapped"),
			fields.length > 0 && row(button(t("Map another field"), add)),
			items.length
				? table(t("Mapped fields"), [t("Form field"), t("Lead field"), t("More")], items.map(mappedRow))
				: p(t("No field is mapped yet.")),
			p(t("A change counts for what arrives from now on, and for what is sent again.")),
		),
		fields.length > 0 && (await previewCard({ changes, labelOf })),
		fields.length > 0 &&
			card(
				t("Lead fields of your CRM"),
				hint(t("As your CRM told {time}", { time: time(lead.fetched_at) })),
				action(t("Ask the CRM again"), async () => {
					await get("/lead-fields?refresh=true");
					await changed(t("The lead fields are read again."));
				}),
				el(
					"details",
					null,
					el("summary", null, t("{n} fields that can be set", { n: number(fields.length) })),
					table(
						t("Lead fields of your CRM"),
						[t("Field"), t("Name in the CRM"), t("Takes"), t("Filled from")],
						fields.map((item) => [
							[said(item.label), item.required && [" ", tag("warn", t("Required"))]],
							el("code", { class: "any" }, item.name),
							takes(item),
							taken.has(item.name) ? said(taken.get(item.name)) : "–",
						]),
					),
				),
			),
	];
}
