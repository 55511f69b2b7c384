// The people and companies of the directory: searched, and added one by one (MA-1, SV-1, SV-3).

import { api, get, link, session } from "./api.js";
import { button, cancel, card, dialog, el, field, form, hint, input, row, select, submit, table, tag } from "./dom.js";
import { searched } from "./list.js";
import { meant, t } from "./words.js";

/**
 * A kind of entry: its path in the API and its pages, what pages call it, the columns of a row.
 * @typedef {object} Kind
 * @property {"/profiles" | "/companies"} path
 * @property {string} list
 * @property {string} entry
 * @property {string} upload
 * @property {string} one
 * @property {string} many
 * @property {[string, (record: import("./api.js").Api["RecordFields"]) => string | undefined][]} columns
 * @property {[string, string][]} filters
 * @property {string} crm
 * @property {"profile" | "company"} target the name of such an entry in an activity
 */

/** @type {Kind} */
export const PEOPLE = {
	path: "/profiles",
	list: "people",
	entry: "person",
	upload: "upload-people",
	one: "person",
	many: "people",
	columns: [
		[meant("Title", "of a person"), ({ title }) => title],
		[t("Company"), ({ company }) => company],
	],
	filters: [
		["company", t("Company")],
		["title", meant("Title", "of a person")],
	],
	crm: t("contact or lead"),
	target: "profile",
};
/** @type {Kind} */
export const COMPANIES = {
	path: "/companies",
	list: "companies",
	entry: "company",
	upload: "upload-companies",
	one: "company",
	many: "companies",
	columns: [[t("Website"), ({ website }) => website]],
	filters: [],
	crm: "account",
	target: "company",
};

const FIELDS = {
	first_name: t("First name"),
	last_name: t("Last name"),
	name: t("Name"),
	title: meant("Title", "of a person"),
	company: t("Company"),
	emails: t("E-mail addresses"),
	phones: t("Phone numbers"),
	website: t("Website"),
	street: t("Street"),
	city: t("City"),
	state: meant("State", "of an address"),
	postcode: t("Postal code"),
	country: t("Country"),
	external_id: t("External id"),
	email: t("E-mail address"),
	phone: t("Phone number"),
	street_number: t("House number"),
	street_2: t("Street, second line"),
};
export const fieldName = (name) => FIELDS[name] ?? (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");
const PERSONAL = ["first_name", "last_name", "title", "company"];

// The fields that a record has, each with its text.
export const fieldsOf = (record) =>
	Object.keys(FIELDS)
		.filter((name) => record[name]?.length)
		.map((name) => [name, [record[name]].flat().join(", ")]);

export const nameOf = ({ first_name, last_name, name }) => [first_name, last_name].filter(Boolean).join(" ") || name;
export const placeOf = ({ city, state, country }) => [city, state, country].filter(Boolean).join(", ");

const STATES = {
	matched: ["good", t("Matched")],
	confirmed: ["good", t("Confirmed")],
	created: ["good", t("Created in the CRM")],
	unmatched: ["", t("Not matched")],
	refused: ["warn", t("Unmatched by a person")],
	gone: ["bad", t("Record deleted in the CRM")],
};
export const stateName = (state) => STATES[state]?.[1] ?? state;
export const stateTag = (state) => tag(STATES[state]?.[0], stateName(state));

// The record in the CRM, with the way there (SV-1).
/**
 * @param {{ label: string, url?: string, id: string }} record
 * @param {string} [about]
 */
export const badge = ({ label, url, id }, about) =>
	/^https?:/.test(url ?? "")
		? el(
				"a",
				{
					class: "tag",
					href: url,
					rel: "noreferrer",
					target: "_blank",
					"aria-label": (about ? `${about}: ` : "") + t("{label} in the CRM, in a new tab", { label }),
				},
				`${label} ↗`,
			)
		: el("span", { class: "tag", title: id }, label);

// The message for the page that the user is led to.
let word = null;
export const leaveWord = (text) => {
	word = text;
};
export function lastWord() {
	const said = word;
	word = null;
	return said;
}
const OUTCOMES = {
	added: t("It is in the directory now."),
	updated: t("It was in the directory already, and has now what you gave."),
	unchanged: t("It was in the directory already; nothing of it is new."),
};

function add(kind, view) {
	const plain = Object.keys(FIELDS)
		.slice(0, 13)
		.filter((name) => kind === PEOPLE || !PERSONAL.includes(name));
	const several = ["emails", "phones"];
	const wish = (name) =>
		field(
			fieldName(name),
			input(name),
			several.includes(name)
				? t("Several with commas between them.")
				: name === "name" && kind === PEOPLE && t("The full name, if it is not known in parts."),
		);
	dialog(t("Add a {one}", { one: t(kind.one) }), (close) =>
		form(
			[
				plain.map(wish),
				field(fieldName("external_id"), input("external_id"), t("In the system that it comes from, if there is one.")),
			],
			[submit(t("Add")), cancel(close)],
			async (fields) => {
				const given = {};
				for (const name of [...plain, "external_id"]) {
					const text = fields.namedItem(name).value.trim();
					if (text)
						given[name] = several.includes(name)
							? text
									.split(/[,;]/)
									.map((part) => part.trim())
									.filter(Boolean)
							: text;
				}
				const { outcome, entry } = await api("POST", kind.path, given);
				close();
				if (!view.signal.aborted) leaveWord(OUTCOMES[outcome]);
				await view.go(kind.entry, { id: entry.id });
			},
		),
	);
}

const TEXTS = ["q", "company", "title", "place"];
const CHOICES = ["in_crm", "state", "owner", "out_of_date"];

/**
 * @param {Kind} kind
 * @param {import("./api.js").Api["EntrySummary"][]} items
 * @param {string} caption
 */
function entryRows(kind, items, caption) {
	const heads = [t("Name"), ...kind.columns.map(([head]) => head), t("Place"), t("State"), "CRM"];
	return table(
		caption,
		heads,
		items.map((entry) => [
			link(kind.entry, entry.name || t("(no name)"), null, { id: entry.id }),
			...kind.columns.map(([, of]) => of(entry.record) || "–"),
			placeOf(entry.record) || "–",
			[stateTag(entry.state), entry.out_of_date && [" ", tag("warn", t("Out of date"))]],
			entry.badge
				? [badge(entry.badge, entry.name), entry.owner && hint(t("Owner: {name}", { name: entry.owner.name ?? entry.owner.id }))]
				: "–",
		]),
	);
}

export const directoryPage = (kind) => async (view) => {
	const asked = (name) => view.query.get(name) ?? "";
	const administrator = session.role === "administrator";

	// Users of the CRM, as far as something has named them.
	const owners = select("owner", [["", t("Anybody")]], "");
	const offerOwner = (id, name) => {
		const known = [...owners.options].find((option) => option.value === id);
		if (!known) owners.append(el("option", { value: id }, name ?? id));
		else if (name && known.text === id) known.text = name;
	};
	if (asked("owner")) offerOwner(asked("owner"));
	owners.value = asked("owner");
	get("/me/crm-connections/production").then(
		({ user }) => user && offerOwner(user.id, t("Me ({username})", { username: user.username ?? user.id })),
		() => {},
	);

	const text = (name, label, explained) => field(label, input(name, { type: "search", maxlength: 200, value: asked(name) }), explained);
	const { search, results } = await searched({
		view,
		path: kind.path,
		names: [...TEXTS, ...CHOICES],
		one: kind.one,
		many: kind.many,
		rows: (items) => {
			for (const { owner } of items) if (owner) offerOwner(owner.id, owner.name);
			return entryRows(kind, items, t("The {many} that were found", { many: t(kind.many) }));
		},
		controls: [
			text("q", t("Name or e-mail address")),
			kind.filters.map(([name, label]) => text(name, label)),
			text("place", t("City, state or country")),
			field(
				t("In the CRM"),
				select(
					"in_crm",
					[
						["", t("Either")],
						["true", t("In the CRM")],
						["false", t("Not in the CRM")],
					],
					asked("in_crm"),
				),
			),
			field(
				t("State"),
				select("state", [["", t("Any")], ...Object.entries(STATES).map(([value, [, label]]) => [value, label])], asked("state")),
			),
			field(t("Owner of the record"), owners),
			kind === PEOPLE &&
				field(
					t("The record"),
					select(
						"out_of_date",
						[
							["", t("Any")],
							["true", t("Out of date")],
							["false", t("Not out of date")],
						],
						asked("out_of_date"),
					),
				),
		],
	});
	return [
		administrator &&
			row(
				button(t("Add a {one}", { one: t(kind.one) }), () => add(kind, view), null),
				link(kind.upload, t("Upload a file")),
			),
		card(t("Search"), search),
		card(t("Found"), results),
	];
};
