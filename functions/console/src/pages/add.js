// Creates a lead or contact in the CRM for a person of the directory (LC-1 to LC-5).

import { api, get, link } from "./api.js";
import { badge, leaveWord } from "./directory.js";
import {
	action,
	announce,
	button,
	cancel,
	card,
	dialog,
	el,
	field,
	form,
	group,
	hint,
	note,
	number,
	p,
	refuse,
	row,
	select,
	showProblem,
	strong,
	submit,
} from "./dom.js";
import { picker } from "./list.js";
import {
	atControl,
	controlName,
	controlOf,
	leftNote,
	missingSignIn,
	offNote,
	personItem,
	signInBeside,
	signInCard,
	valueOf,
} from "./record.js";
import { t } from "./words.js";

const OBJECTS = [
	["lead", t("A lead")],
	["contact", t("A contact of an account")],
];

const ORIGINS = { profile: t("From the person’s page."), settings: t("From the sync settings.") };

/** @param {import("./api.js").Api["CrmAccount"]} account */
const accountOption = ({ id, name, city, website }) => [id, [name, city, website].filter(Boolean).join(" · ")];

/**
 * The choice of a contact's account.
 * @param {any} view
 * @param {import("./api.js").Api["AccountField"]} account
 */
const accountPicker = (view, { required, proposed }) =>
	group(
		t("Account"),
		proposed && hint(t("Proposed: the record of the person’s company.")),
		picker({
			view,
			name: "account",
			label: required ? t("{label} (required)", { label: t("Account") }) : t("Account"),
			asks: t("Name of the account"),
			explained: t("The beginning of its name, at least two characters."),
			chosen: proposed && accountOption(proposed),
			least: 2,
			most: 100,
			none: t("No account that you can see begins with that."),
			find: async (q) => {
				const { items } = await get(`/crm/accounts?${new URLSearchParams({ q })}`);
				return { items: items.map(accountOption), more: items.length >= 20 };
			},
		}),
	);

/**
 * A required field that names another record, which is searched for.
 * @param {any} view
 * @param {string} object
 * @param {import("./api.js").Api["FormFieldView"]} one
 */
const lookupField = (view, object, { name, label }) =>
	group(
		label,
		picker({
			view,
			name: controlName(name),
			label: t("{label} (required)", { label }),
			asks: t("Name of the record"),
			explained: t("The beginning of its name, at least two characters."),
			least: 2,
			most: 100,
			none: t("No record that you can see begins with that."),
			find: async (q) => {
				const { items } = await get(`/crm/lookups?${new URLSearchParams({ object, field: name, q })}`);
				return { items: items.map((one) => [one.id, one.name]), more: items.length >= 20 };
			},
		}),
	);

/** @param {import("./api.js").Api["FormFieldView"]} one */
const formField = (one) =>
	field(
		one.required ? t("{label} (required)", { label: one.label }) : one.label,
		controlOf(one, one.value),
		one.value && ORIGINS[one.origin],
	);

/**
 * The form for one kind of record, with the notices above it.
 * @param {any} view
 * @param {import("./api.js").Api["EntryDetail"]} entry
 * @param {string} object
 */
async function creation(view, entry, object) {
	const path = `/crm/profiles/${encodeURIComponent(entry.id)}`;
	const called = object === "lead" ? t("lead") : t("contact");
	/** @type {import("./api.js").Api["CrmForm"]} */
	const told = await get(`${path}/form?object=${object}`);
	if (!told.enabled) return [offNote(object === "lead" ? t("Creating leads") : t("Creating contacts"))];
	// The same for every try: an answer that was lost, or a second click, creates nothing twice.
	const idempotency_key = crypto.randomUUID();
	const { fields, account, notices, limits } = told;
	let anyway = false;

	const arrived = async (page, word) => {
		// Elsewhere by now, it would be the word of another person's page.
		if (!view.signal.aborted && page === "person") leaveWord(word);
		await view.go(page, { id: entry.id });
		announce(word);
	};
	const use = async ({ object, id }) => {
		await api("POST", `${path}/record/use`, { object: object.toLowerCase(), id });
		await arrived("person", t("The person is matched with that record now. Nothing was created."));
	};

	const matched = el("div");
	const tellMatched = (record) =>
		matched.replaceChildren(
			note(
				"warn",
				strong(t("This person is matched with a record of the CRM already.")),
				p(record && [badge(record, entry.name), " "], link("update-in-crm", t("Update it instead"), null, { id: entry.id })),
			),
			field(
				t("Create another {object}?", { object: called }),
				select("although_matched", [
					["", t("No")],
					["true", t("Yes, and match the person with the new one")],
				]),
			),
		);
	if (notices.matched) tellMatched(notices.matched);
	const same = notices.same_name;
	const sameName =
		same.length > 0 &&
		note(
			"warn",
			strong(
				same.length === 1
					? t("The CRM has one record of that name.")
					: t("The CRM has {n} records of that name.", { n: number(same.length) }),
			),
			p(t("If this is the same person, use that record; nothing is created then.")),
			el(
				"ul",
				{ class: "plain" },
				same.map((person) => personItem(person.record, person, use)),
			),
		);

	/** @param {import("./api.js").Api["Duplicates"]} found */
	const askAboutDuplicates = ({ allowed, rule, records }) =>
		dialog(t("The CRM has a record like this"), (close) =>
			[
				p(
					records.length
						? t("Use it if it is the same person; nothing is created then.")
						: t("The CRM does not say which one, or you may not see it. Look in the CRM before you go on."),
				),
				rule && hint(t("Duplicate rule: {rule}", { rule })),
				el(
					"ul",
					{ class: "plain" },
					records.map((record) => personItem(record, record, use)),
				),
				!allowed && note("warn", t("Your CRM’s rule lets nobody create another one.")),
				row(
					allowed &&
						button(
							t("Create anyway"),
							() => {
								anyway = true;
								close();
								node.requestSubmit(send);
							},
							"danger",
						),
					cancel(close),
				),
			].filter(Boolean),
		);

	const send = submit(t("Create the {object}", { object: called }));
	const beside = el("div");
	const known = fields.filter(({ custom, type }) => !custom && type !== "unsupported");
	const own = fields.filter(({ custom, type }) => custom && type !== "unsupported");
	const lookups = fields.filter(({ type }) => type === "unsupported");
	const create = async (elements) => {
		const create_anyway = anyway;
		beside.replaceChildren();
		if (elements.namedItem("although_matched")?.value === "")
			refuse(t("The person is matched already."), t("Update that record, or choose to create another one."), "although_matched");
		const values = {};
		for (const one of fields) {
			const value = valueOf(one, elements.namedItem(controlName(one.name)));
			if (value !== "") values[one.name] = value;
			else if (one.required)
				refuse(
					t("{label} is missing.", { label: one.label }),
					t("The CRM takes no {object} without it.", { object: called }),
					controlName(one.name),
				);
		}
		const chosen = account && elements.namedItem("account").value;
		if (account?.required && !chosen)
			refuse(t("No account is chosen."), t("Search by its name, then choose from the list."), "account");
		announce(t("The {object} is being created.", { object: called }));
		send.textContent = t("Creating…");
		try {
			/** @type {import("./api.js").Api["CreatedRecord"]} */
			const answer = await api("POST", `${path}/record`, {
				idempotency_key,
				object,
				values,
				create_anyway,
				although_matched: elements.namedItem("although_matched")?.value === "true",
				...(chosen ? { account: chosen } : {}),
			});
			const { limit, left } = answer.limits.creates;
			const next = elements.namedItem("then")?.value || "person";
			await arrived(
				next,
				answer.outcome === "existed"
					? t("The {object} had been created before; nothing was created twice.", { object: called })
					: t("The {object} is created in the CRM, as you. {left} of your {limit} creations of this month are left.", {
							object,
							left: number(left),
							limit: number(limit),
						}),
			);
		} catch (error) {
			switch (error.problem?.code) {
				case "duplicates_found":
					askAboutDuplicates(error.problem.duplicates);
					return;
				case "already_matched":
					if (!matched.firstChild) tellMatched(null);
					error.problem.field = "although_matched";
					break;
				case "user_sign_in_needed":
					beside.replaceChildren(signInBeside());
					break;
				case "key_reused":
					refuse(
						t("It was sent before you changed it; only the answer was lost."),
						t("Look at the person’s page. To create another one, open this page again."),
					);
			}
			throw atControl(error, fields);
		} finally {
			anyway = false;
			send.textContent = t("Create the {object}", { object: called });
		}
	};
	const node = form(
		[
			matched,
			sameName,
			el("div", { class: "grid" }, known.map(formField)),
			own.length > 0 && group(t("Your organisation also requires"), el("div", { class: "grid" }, own.map(formField))),
			lookups.map((one) => lookupField(view, object, one)),
			account && accountPicker(view, account),
			account &&
				field(
					t("Then add the contact to an open opportunity of the account?"),
					select("then", [
						["", t("No")],
						["add-to-opportunity", t("Yes, and choose it next")],
					]),
				),
			leftNote(limits.creates, t("creations"), limits.resets_at),
			beside,
		],
		[send],
		create,
	);
	return [card(t("The new {object}", { object: called }), node)];
}

export async function addPage(view) {
	const id = view.query.get("id");
	if (!id) return [p(t("No one is named in the address. {link}", { link: link("people", t("Search for people")) }))];
	const [entry, missing] = await Promise.all([get(`/profiles/${encodeURIComponent(id)}`), missingSignIn()]);
	view.entitle(t("Add to CRM: {name}", { name: entry.name || t("(no name)") }));
	const top = p(link("person", t("The person’s page"), null, { id }));
	if (missing) return [top, missing];

	const asked = view.query.get("object");
	const objects = select("object", OBJECTS, asked === "contact" ? asked : "lead");
	const place = el("div");
	let round = 0;
	const draw = async () => {
		round += 1;
		const mine = round;
		const over = () => mine !== round || view.signal.aborted;
		view.replace({ object: objects.value });
		place.setAttribute("aria-busy", "true");
		try {
			const parts = await creation(view, entry, objects.value);
			if (!over()) place.replaceChildren(...parts);
		} catch (error) {
			if (over()) return;
			if (error.problem?.code === "user_sign_in_needed") return place.replaceChildren(signInCard(error.problem));
			showProblem(place, error);
			place.append(...action(t("Try again"), draw));
		} finally {
			if (!over()) place.removeAttribute("aria-busy");
		}
	};
	objects.addEventListener("change", async () => {
		await draw();
		announce(objects.value === "lead" ? t("The form is for a lead now.") : t("The form is for a contact of an account now."));
	});
	await draw();
	return [top, field(t("What to create"), objects), place];
}
