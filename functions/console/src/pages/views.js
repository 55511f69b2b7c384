// Saved views of a list: names for what is searched for often. They stay in this browser, for each seat of a contract
// its own (LG-8).

import { link, session } from "./api.js";
import { announce, button, cancel, confirmed, dialog, el, field, form, hint, input, li, refuse, row, small, submit } from "./dom.js";
import { t } from "./words.js";

const MOST = 50;

/** @typedef {{ name: string, query: { [parameter: string]: string } }} Saved */

const keyOf = (list) => `leadbridge.views.${session.contract}.${session.seat}.${list}`;
const isText = (value) => typeof value === "string";

// What is kept, as far as it is ours: other scripts of this address and people can change it.
/** @returns {Saved[]} */
function kept(list, names) {
	let found;
	try {
		found = JSON.parse(localStorage.getItem(keyOf(list)));
	} catch {
		return [];
	}
	if (!Array.isArray(found)) return [];
	return found
		.filter((view) => isText(view?.name) && view.query && typeof view.query === "object")
		.map(({ name, query }) => ({
			name,
			query: Object.fromEntries(names.filter((name) => isText(query[name])).map((name) => [name, query[name]])),
		}));
}

function keep(list, views) {
	try {
		localStorage.setItem(keyOf(list), JSON.stringify(views));
	} catch {
		refuse(t("This browser does not keep the view."), t("Allow this site to store data, or delete other views."));
	}
}

/**
 * The views that are saved of a list, with the way to save what is searched for now.
 * @param {any} view
 * @param {string} list the page
 * @param {string[]} names the parameters that are a view
 */
export function savedViews(view, list, names) {
	const place = el("div");
	const draw = () => {
		const views = kept(list, names);
		place.replaceChildren(
			views.length
				? el(
						"ul",
						{ class: "plain" },
						views.map(({ name, query }) =>
							li(
								link(list, name, { class: "any" }, query),
								" ",
								small(name, t("Delete"), () => forget(name)),
							),
						),
					)
				: hint(t("Search, then give a name to what you look for often. Views stay in this browser.")),
		);
	};
	const forget = (name) =>
		confirmed(t("Delete the view"), t("“{name}” is no longer listed. No submission is deleted.", { name }), t("Delete"), async () => {
			// As they are now: another tab may have changed them.
			keep(
				list,
				kept(list, names).filter((view) => view.name !== name),
			);
			return () => {
				draw();
				save.focus();
				announce(t("The view is deleted."));
			};
		});
	const add = () =>
		dialog(t("Save this view"), (close) =>
			form(
				[field(t("Name"), input("name", { required: true, maxlength: 60 }), t("For what this search finds."))],
				[submit(t("Save")), cancel(close)],
				async (fields) => {
					const name = fields.namedItem("name").value.trim();
					const query = Object.fromEntries(names.map((name) => [name, view.query.get(name)]).filter(([, value]) => value));
					const views = kept(list, names);
					if (!name) refuse(t("The name is missing."), t("Type one."), "name");
					if (!Object.keys(query).length)
						refuse(t("Nothing is searched for."), t("Close this, search for something, and save that."));
					if (views.some((view) => view.name === name))
						refuse(t("There is a view of this name."), t("Type another, or delete that one."), "name");
					if (views.length >= MOST)
						refuse(t("There are {n} views already.", { n: MOST }), t("Delete one that you no longer need."));
					keep(
						list,
						[...views, { name, query }].sort((a, b) => a.name.localeCompare(b.name)),
					);
					close();
					draw();
					announce(t("The view is saved."));
				},
			),
		);
	const save = button(t("Save this view"), add);
	addEventListener("storage", ({ key }) => key === keyOf(list) && draw(), { signal: view.signal });
	draw();
	return el("div", null, el("h3", null, t("Saved views")), place, row(save));
}
