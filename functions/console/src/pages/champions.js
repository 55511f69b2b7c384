// Champions: people of won opportunities who are at another company now (SV-7).

import { api, link } from "./api.js";
import { badge } from "./directory.js";
import { action, announce, day, el, hint, li, p, row, strong, time } from "./dom.js";
import { nextItems } from "./list.js";
import { t } from "./words.js";

/** @typedef {import("./api.js").Api["ChampionView"]} Champion */

/** @param {Champion["won"][number]} won */
const evidence = ({ record, name, closed_on, role, customer }) => {
	const told = { opportunity: strong(name), record: badge(record, name), customer, day: day(closed_on) };
	return li(
		role
			? t("{role} in {opportunity} {record}, won with {customer}, {day}", { ...told, role })
			: t("Contact in {opportunity} {record}, won with {customer}, {day}", told),
	);
};

export async function championsPage(view) {
	const state = view.query.get("state") ?? "open";
	const found = el("ul", { class: "plain" });
	const foot = el("div");
	const empty = () =>
		p(
			state === "open"
				? t("No champions yet. They are looked for after each import, among the people of opportunities that were won.")
				: t("There are none."),
		);

	/** @param {Champion} one */
	const draw = (one) => {
		const decide = (what) => api("POST", `/champions/${encodeURIComponent(one.id)}/${what}`);
		const place = el("div");
		const labelled = (text, work) => {
			const parts = action(text, work);
			parts[0].setAttribute("aria-label", `${text}: ${one.name}`);
			return parts;
		};
		const offer = (done = "") => {
			const undo = labelled(t("Undo"), async () => {
				await decide("restore");
				offer();
				place.querySelector("button")?.focus();
				announce(t("{name}: listed again", { name: one.name }));
			});
			const after = (what, text) => async () => {
				await decide(what);
				offer(text);
				place.querySelector("button")?.focus();
				announce(`${one.name}: ${text}`);
			};
			place.replaceChildren(
				...(done
					? [p(done), row(undo)]
					: [
							row(
								one.entry && labelled(t("Save to My people"), after("save", t("Saved to My people"))),
								labelled(t("Dismiss"), after("dismiss", t("Dismissed. A further move is listed again."))),
							),
						]),
			);
		};
		offer({ dismissed: t("Dismissed. A further move is listed again."), saved: t("Saved to My people") }[one.state]);
		return li(
			el("h2", null, one.entry ? link("person", one.name, null, { id: one.entry.id }) : one.name, " ", badge(one.record, one.name)),
			p(
				one.title
					? t("Now {title} at {company}", { title: one.title, company: strong(one.company) })
					: t("Now at {company}", { company: strong(one.company) }),
			),
			hint(
				one.stated_by
					? t("Another record of the CRM says so: {record}", { record: badge(one.stated_by, one.name) })
					: t("The directory says so"),
				one.stated_at != null && [", ", time(one.stated_at)],
			),
			el("ul", null, one.won.map(evidence)),
			!one.entry && hint(t("It is in the CRM, and not matched with anybody in the directory.")),
			place,
		);
	};
	const part = async (cursor) => {
		const { items, next } = await nextItems("/champions", { state }, cursor, () => view.signal.aborted);
		const nodes = items.map(draw);
		found.append(...nodes);
		foot.replaceChildren(...(next ? [row(action(t("Show more"), () => part(next)))] : found.children.length ? [] : [empty()]));
		// The button that had the focus is gone.
		if (cursor) (nodes[0] ?? foot).querySelector("a, button")?.focus();
	};
	await part();

	const states = [
		["open", t("To look at")],
		["saved", t("Saved")],
		["dismissed", t("Dismissed")],
	];
	return [
		hint(
			t(
				"People who had a part in an opportunity that you won, or that was won with a company in your lists, and who are at another company now.",
			),
		),
		el(
			"nav",
			{ "aria-label": t("Champions"), class: "tabs" },
			row(states.map(([id, name]) => link("champions", name, { "aria-current": id === state ? "page" : null }, { state: id }))),
		),
		el("div", { class: "card" }, found, foot),
	];
}
