// Matching strategies: the rules by which a submission joins an existing lead (LG-2 to LG-5).

import { api, get, link } from "./api.js";
import {
	action,
	announce,
	asProblem,
	button,
	cancel,
	card,
	check,
	confirmed,
	dialog,
	facts,
	field,
	form,
	group,
	hint,
	input,
	note,
	p,
	problemNote,
	row,
	said,
	submit,
	tag,
	time,
} from "./dom.js";
import { tryCard } from "./matching-try.js";
import { t } from "./words.js";

/** @typedef {import("./api.js").Api["StrategyView"]} Strategy */

export async function matchingPage(view) {
	const [{ items }, { items: mappings }, lead] = await Promise.all([
		get("/matching-strategies"),
		get("/field-mappings"),
		get("/lead-fields").catch((error) => ({ problem: asProblem(error), items: [] })),
	]);
	const known = new Map(lead.items.map((field) => [field.name, field]));
	const labelOf = (name) => known.get(name)?.label ?? name;
	// A strategy can list only mapped fields, and only those that the CRM can search by.
	const mapped = [...new Set(mappings.map(({ lead_field }) => lead_field))].filter((name) => known.get(name)?.matchable ?? true);

	const changed = async (text) => {
		await view.reload();
		announce(text);
	};

	/** @param {Strategy} [strategy] */
	const edit = (strategy) =>
		dialog(strategy ? t("Edit {name}", { name: strategy.name }) : t("New strategy"), (close) => {
			const chosen = strategy?.matching_lead_fields ?? [];
			const offered = [...mapped, ...chosen.filter((name) => !mapped.includes(name))];
			return form(
				[
					field(t("Name"), input("name", { required: true, maxlength: 100, value: strategy?.name ?? "" })),
					group(
						t("It joins a lead when all of these are the same"),
						offered.length
							? offered.map((name) =>
									check("matching_lead_fields", labelOf(name), chosen.includes(name), labelOf(name) !== name && name, {
										value: name,
									}),
								)
							: p(t("No form field is mapped yet: {link}.", { link: link("mapping", t("Mapping")) })),
					),
					check(
						"always_create_lead",
						t("Always create a new lead"),
						strategy?.always_create_lead ?? false,
						t("Even where one is there already."),
					),
					check(
						"enable_contact_creation",
						t("Create a contact with each new lead"),
						strategy?.enable_contact_creation ?? true,
						t("Without one, a lead stands alone."),
					),
					!strategy?.active && check("active", t("Use it from now on"), false, t("The one that is used now stays in the list.")),
				],
				[submit(t("Save")), cancel(close)],
				async (elements) => {
					const boxes = [...elements].filter(
						(control) => control instanceof HTMLInputElement && control.name === "matching_lead_fields" && control.checked,
					);
					const given = {
						name: elements.namedItem("name").value.trim(),
						matching_lead_fields: boxes.map(({ value }) => value),
						always_create_lead: elements.namedItem("always_create_lead").checked,
						enable_contact_creation: elements.namedItem("enable_contact_creation").checked,
						active: elements.namedItem("active")?.checked ? true : undefined,
					};
					if (strategy) await api("PUT", `/matching-strategies/${strategy.id}`, given);
					else await api("POST", "/matching-strategies", given);
					close();
					await changed(t("The strategy is saved."));
				},
			);
		});

	/** @param {Strategy} strategy */
	const remove = (strategy) =>
		confirmed(t("Delete {name}", { name: strategy.name }), t("What it decided stays as it is."), t("Delete"), async () => {
			await api("DELETE", `/matching-strategies/${strategy.id}`);
			return () => changed(t("The strategy is deleted."));
		});

	const named = (node, name) => {
		node.setAttribute("aria-label", `${node.textContent}: ${name}`);
		return node;
	};
	/** @param {Strategy} strategy */
	const shown = (strategy) => {
		const { id, name, active, always_create_lead, enable_contact_creation, matching_lead_fields: fields } = strategy;
		const [activate, place] = action(t("Use this one"), async () => {
			await api("POST", `/matching-strategies/${id}/activate`);
			await changed(t("{name} is used from now on.", { name }));
		});
		return card(
			name,
			p(active ? tag("good", t("Active")) : tag("", t("Not used"))),
			p(
				always_create_lead
					? t("Each submission becomes a new lead.")
					: fields.length
						? t("A submission joins a lead when these are the same: {fields}. Otherwise it becomes a new one.", {
								fields: said(fields.map(labelOf).join(", ")),
							})
						: t("It lists no field, so it cannot be used yet."),
			),
			facts([
				[t("Contacts"), enable_contact_creation ? t("One with each new lead") : t("None")],
				[t("Changed"), time(strategy.updated_at)],
			]),
			row(
				!active && named(activate, name),
				named(
					button(t("Edit"), () => edit(strategy)),
					name,
				),
				!active &&
					named(
						button(t("Delete"), () => remove(strategy), "danger"),
						name,
					),
			),
			place,
		);
	};

	return [
		p(t("One strategy is active. It decides whether a submission becomes a new lead or joins one that is in your CRM already.")),
		lead.problem && problemNote(lead.problem, "warn"),
		mapped.length === 0 &&
			note("", p(t("Strategies match on mapped fields, and none is mapped yet: {link}.", { link: link("mapping", t("Mapping")) }))),
		row(button(t("New strategy"), () => edit(), null)),
		items.map(shown),
		mapped.length > 0 && (await tryCard({ items, labelOf, mapped })),
		hint(t("Which leads a submission was compared with, and why it joined one, is on its own page.")),
	];
}
