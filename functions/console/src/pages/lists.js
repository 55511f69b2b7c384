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
import { meant, t } from "./words.js";

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
						? action(t("Remove from {name}", { name: list.name }), async () => {
								await api("DELETE", `/lists/${list.id}/items/${encodeURIComponent(id)}`);
								await draw(index);
								announce(t("Removed from {name}", { name: list.name }));
							})
						: action(t("Save to {name}", { name: list.name }), async () => {
								await api("POST", `/lists/${list.id}/items`, { entry: id });
								await draw(index);
								announce(t("Saved to {name}", { name: list.name }));
							}),
				),
			),
		);
		// The button that had the focus is drawn anew.
		place.querySelectorAll("button")[at]?.focus();
	};
	await draw();
	return card(
		t("My lists"),
		place,
		p(link("my-lists", t("See my lists"), null, { list: kind.target === "company" ? "companies" : "people" })),
	);
}

/** @param {import("./api.js").Api["SavedReason"]} reason */
const because = ({ record, name, stage, open, role, since }) => {
	const told = {
		opportunity: name ? strong(name) : t("an opportunity"),
		record: badge(record, name),
		time: time(since),
		state: tag(open ? "good" : "", open ? (stage?.label ?? meant("Open", "not closed")) : t("No longer open")),
	};
	return li(
		role
			? t("Because of {opportunity} {record} as {role}, since {time} {state}", { ...told, role })
			: t("Because of {opportunity} {record}, since {time} {state}", told),
	);
};

export async function listsPage(view) {
	const { items: lists } = await get("/lists");
	const wanted = view.query.get("list") ?? "people";
	const list = lists.find(({ id }) => id === wanted);
	if (!list) return [p(t("There is no such list any more. {link}", { link: link("my-lists", t("My people")) }))];
	const kind = kindOf(list.kind);
	view.entitle(list.name);

	const naming = (title, name, send) =>
		dialog(title, (close) =>
			form(
				[
					field(t("Name"), input("name", { value: name, required: true, maxlength: 100 })),
					!name &&
						field(
							t("It holds"),
							select(
								"kind",
								[
									["profile", t("People")],
									["company", t("Companies")],
								],
								list.kind,
							),
						),
				],
				[submit(name ? t("Rename") : t("Make the list")), cancel(close)],
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
		p(
			t("No {many} are saved here yet. Save one from its own page: {link}.", {
				many: t(kind.many),
				link: link(kind.list, t("search for {many}", { many: t(kind.many) })),
			}),
		);
	/** @param {import("./api.js").Api["SavedItem"]} item */
	const draw = (item) => {
		const path = `/lists/${list.id}/items/${encodeURIComponent(item.id)}`;
		const noted = el("p");
		const note = (text) => noted.replaceChildren(...(text ? [strong(t("Note: ")), text] : []));
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
			!item.entry && hint(t("It is in the CRM, and not matched with anybody in the directory.")),
			item.reasons.length
				? el("ul", null, item.reasons.map(because))
				: item.by_hand_since && hint(t("Saved by you, {time}", { time: time(item.by_hand_since) })),
			noted,
			row(
				small(item.name, item.note ? t("Change the note") : t("Add a note"), () =>
					dialog(t("Note on {name}", { name: item.name }), (close) => {
						const text = el("textarea", { name: "note", rows: 4, maxlength: 2000, value: item.note ?? "" });
						return form(
							[field(t("Note"), text, t("Only you see it."))],
							[submit(t("Keep the note")), cancel(close)],
							async () => {
								await api("PATCH", path, { note: text.value });
								item.note = text.value.trim();
								note(item.note);
								close();
							},
						);
					}),
				),
				small(item.name, t("Remove"), () =>
					confirmed(
						t("Remove from the list"),
						item.reasons.length
							? t("{name} is not saved again because of the same opportunity; because of another one it is.", {
									name: item.name,
								})
							: t("{name} stays in the directory.", { name: item.name }),
						t("Remove"),
						async () => {
							await api("DELETE", path);
							return () => {
								const near = node.nextElementSibling ?? node.previousElementSibling;
								node.remove();
								if (near) near.querySelector("a, button")?.focus();
								else if (!foot.children.length) foot.replaceChildren(empty());
								announce(t("{name}: removed", { name: item.name }));
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
		foot.replaceChildren(...(next ? [row(action(t("Show more"), () => part(next)))] : found.children.length ? [] : [empty()]));
		// The button that had the focus is gone.
		if (cursor) (nodes[0] ?? foot).querySelector("a, button")?.focus();
	};
	await part();

	return [
		el(
			"nav",
			{ "aria-label": t("Lists"), class: "tabs" },
			row(lists.map(({ id, name }) => link("my-lists", name, { "aria-current": id === list.id ? "page" : null }, { list: id }))),
		),
		row(
			button(t("New list"), () =>
				naming(t("New list"), "", (fields) => api("POST", "/lists", { name: fields.name.value, kind: fields.kind.value })),
			),
			list.own &&
				button(t("Rename"), () =>
					naming(t("Rename the list"), list.name, (fields) => api("PATCH", `/lists/${list.id}`, { name: fields.name.value })),
				),
			list.own &&
				button(
					t("Delete the list"),
					() =>
						confirmed(
							t("Delete the list"),
							t("{name} is deleted with what is saved in it. The {many} stay in the directory.", {
								name: list.name,
								many: t(kind.many),
							}),
							t("Delete"),
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
				? t("{kind} that you saved.", { kind: kind.one === "person" ? t("People") : t("Companies") })
				: t(
						"{kind} of your open opportunities, saved after each import as your administrator set it, and those that you save yourself. What is saved stays until you remove it.",
						{ kind: kind.one === "person" ? t("People") : t("Companies") },
					),
		),
		el("div", { class: "card" }, found, foot),
	];
}
