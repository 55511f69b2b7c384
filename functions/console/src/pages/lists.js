// The seat holder's lists: what they saved, and what was saved for them because of their open opportunities (SV-4).

import { api, get, link } from "./api.js";
import { badge, COMPANIES, PEOPLE } from "./directory.js";
import {
	action,
	announce,
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
	li,
	p,
	row,
	select,
	small,
	strong,
	submit,
	tag,
	time,
} from "./dom.js";
import { nextItems } from "./list.js";

const kindOf = (kind) => (kind === "company" ? COMPANIES : PEOPLE);

/**
 * The section of an entry's page that says which lists it is in, and saves it or removes it.
 * @param {import("./directory.js").Kind} kind
 * @param {string} id
 */
export async function listsOf(kind, id) {
	const place = el("div");
	const draw = async (at = -1) => {
		const { items } = await get(`/lists?kind=${kind.target}&entry=${encodeURIComponent(id)}`);
		place.replaceChildren(
			row(
				items.map((list, index) =>
					list.has_entry
						? action(`Remove from ${list.name}`, async () => {
								await api("DELETE", `/lists/${list.id}/items/${encodeURIComponent(id)}`);
								await draw(index);
								announce(`Removed from ${list.name}`);
							})
						: action(`Save to ${list.name}`, async () => {
								await api("POST", `/lists/${list.id}/items`, { entry: id });
								await draw(index);
								announce(`Saved to ${list.name}`);
							}),
				),
			),
		);
		// The button that had the focus is drawn anew.
		place.querySelectorAll("button")[at]?.focus();
	};
	await draw();
	return card("My lists", place, p(link("my-lists", "See my lists", null, { list: kind.target === "company" ? "companies" : "people" })));
}

/** @param {import("./api.js").Api["SavedReason"]} reason */
const because = ({ record, name, stage, open, role, since }) =>
	li(
		"Because of ",
		name ? strong(name) : "an opportunity",
		" ",
		badge(record, name),
		role && ` as ${role}`,
		", since ",
		time(since),
		" ",
		tag(open ? "good" : "", open ? (stage?.label ?? "Open") : "No longer open"),
	);

export async function listsPage(view) {
	const { items: lists } = await get("/lists");
	const wanted = view.query.get("list") ?? "people";
	const list = lists.find(({ id }) => id === wanted);
	if (!list) return [p("There is no such list any more. ", link("my-lists", "My people"))];
	const kind = kindOf(list.kind);
	view.entitle(list.name);

	const naming = (title, name, send) =>
		dialog(title, (close) =>
			form(
				[
					field("Name", input("name", { value: name, required: true, maxlength: 100 })),
					!name &&
						field(
							"It holds",
							select(
								"kind",
								[
									["profile", "People"],
									["company", "Companies"],
								],
								list.kind,
							),
						),
				],
				[submit(name ? "Rename" : "Make the list"), cancel(close)],
				async (fields) => {
					const made = await send(fields);
					close();
					view.go("my-lists", { list: made.id });
				},
			),
		);

	const found = el("ul", { class: "plain" });
	const foot = el("div");
	const empty = () =>
		p(`No ${kind.many} are saved here yet. Save one from its own page: `, link(kind.list, `search for ${kind.many}`), ".");
	/** @param {import("./api.js").Api["SavedItem"]} item */
	const draw = (item) => {
		const path = `/lists/${list.id}/items/${encodeURIComponent(item.id)}`;
		const noted = el("p");
		const note = (text) => noted.replaceChildren(...(text ? [strong("Note: "), text] : []));
		note(item.note);
		const node = li(
			el(
				"h2",
				null,
				item.entry ? link(kind.entry, item.name, null, { id: item.entry.id }) : item.name,
				" ",
				item.badge && badge(item.badge, item.name),
			),
			item.title || item.company ? p([item.title, item.company].filter(Boolean).join(", ")) : null,
			!item.entry && hint("It is in the CRM, and not matched with anybody in the directory."),
			item.reasons.length
				? el("ul", null, item.reasons.map(because))
				: item.by_hand_since && hint("Saved by you, ", time(item.by_hand_since)),
			noted,
			row(
				small(item.name, item.note ? "Change the note" : "Add a note", () =>
					dialog(`Note on ${item.name}`, (close) => {
						const text = el("textarea", { name: "note", rows: 4, maxlength: 2000, value: item.note ?? "" });
						return form([field("Note", text, "Only you see it.")], [submit("Keep the note"), cancel(close)], async () => {
							await api("PATCH", path, { note: text.value });
							item.note = text.value.trim();
							note(item.note);
							close();
						});
					}),
				),
				small(item.name, "Remove", () =>
					confirmed(
						"Remove from the list",
						item.reasons.length
							? `${item.name} is not saved again because of the same opportunity; because of another one it is.`
							: `${item.name} stays in the directory.`,
						"Remove",
						async () => {
							await api("DELETE", path);
							return () => {
								const near = node.nextElementSibling ?? node.previousElementSibling;
								node.remove();
								if (near) near.querySelector("a, button")?.focus();
								else if (!foot.children.length) foot.replaceChildren(empty());
								announce(`${item.name}: removed`);
							};
						},
					),
				),
			),
		);
		return node;
	};
	const part = async (cursor) => {
		const { items, next } = await nextItems(`/lists/${list.id}/items`, {}, cursor, () => view.signal.aborted);
		const nodes = items.map(draw);
		found.append(...nodes);
		foot.replaceChildren(...(next ? [row(action("Show more", () => part(next)))] : found.children.length ? [] : [empty()]));
		// The button that had the focus is gone.
		if (cursor) (nodes[0] ?? foot).querySelector("a, button")?.focus();
	};
	await part();

	return [
		el(
			"nav",
			{ "aria-label": "Lists" },
			row(lists.map(({ id, name }) => link("my-lists", name, { "aria-current": id === list.id ? "page" : null }, { list: id }))),
		),
		row(
			button("New list", () =>
				naming("New list", "", (fields) => api("POST", "/lists", { name: fields.name.value, kind: fields.kind.value })),
			),
			list.own &&
				button("Rename", () =>
					naming("Rename the list", list.name, (fields) => api("PATCH", `/lists/${list.id}`, { name: fields.name.value })),
				),
			list.own &&
				button(
					"Delete the list",
					() =>
						confirmed(
							"Delete the list",
							`${list.name} is deleted with what is saved in it. The ${kind.many} stay in the directory.`,
							"Delete",
							async () => {
								await api("DELETE", `/lists/${list.id}`);
								return () => view.go("my-lists");
							},
						),
					"danger",
				),
		),
		hint(
			list.own
				? `${kind.one === "person" ? "People" : "Companies"} that you saved.`
				: `${kind.one === "person" ? "People" : "Companies"} of your open opportunities, saved after each import as your administrator set it, and those that you save yourself. What is saved stays until you remove it.`,
		),
		found,
		foot,
	];
}
