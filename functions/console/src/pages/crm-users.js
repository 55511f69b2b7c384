// Seats for users of the CRM (SV-6): search, selection, invitation with a report for each.

import { api, get, link } from "./api.js";
import {
	action,
	announce,
	button,
	card,
	check,
	dialog,
	el,
	field,
	hint,
	input,
	note,
	number,
	p,
	refuse,
	row,
	secret,
	select,
	table,
	tag,
} from "./dom.js";
import { saved } from "./export.js";
import { searched, wishOf } from "./list.js";
import { many, t } from "./words.js";

const NAMES = ["search", "role"];
// The users of one request: the most that the API takes.
const BATCH = 100;
const PAGE = 200;
// The most levels of the tree that a choice is indented by.
const DEEPEST = 8;

const reasons = () => ({
	disabled: t("Disabled in the CRM"),
	chatter_only: t("Licence for Chatter only"),
	application: t("Application user"),
	support: t("Support user"),
});
const states = () => ({ invited: t("Invited"), active: t("Active"), disabled: t("Disabled") });
const outcomes = () => ({
	invited: ["good", t("Invited")],
	already_seat: ["", t("Has a seat already")],
	cannot_hold_seat: ["warn", t("Cannot hold a seat")],
	address_missing: ["warn", t("E-mail address missing")],
	not_found: ["bad", t("Not in the CRM")],
	failed: ["bad", t("Failed: try again")],
});
const why = (result) => reasons()[result.no_seat] ?? (result.problem ? `${t(result.problem.detail)} ${t(result.problem.next_step)}` : "");
const isFree = (user) => !user.seat && !user.no_seat;

const seatOf = (user) => {
	if (user.seat) return [tag(user.seat.status === "disabled" ? "bad" : "good", states()[user.seat.status]), " ", user.seat.name];
	return user.no_seat ? tag("warn", reasons()[user.no_seat]) : t("None");
};

// The report on invited users, with links that are shown once.
function showReport(results, after) {
	const columns = [
		[t("Name"), ({ name, id }) => name ?? id],
		[t("E-mail address"), ({ email }) => email],
		[t("Outcome"), ({ outcome }) => outcomes()[outcome][1]],
		[t("Reason"), why],
		[t("For people who sign in with Salesforce"), ({ invitation }) => invitation?.salesforce],
		[t("For people who sign in with Microsoft"), ({ invitation }) => invitation?.entra],
	];
	const links = ({ invitation }) =>
		invitation &&
		el(
			"details",
			null,
			el("summary", null, t("Links of the invitation")),
			secret(t("For people who sign in with Salesforce"), invitation.salesforce),
			secret(t("For people who sign in with Microsoft"), invitation.entra),
		);
	const invited = results.filter(({ outcome }) => outcome === "invited").length;
	dialog(t("Report on the invitations"), (close) => [
		p(t("{invited} of {all} invited.", { invited: number(invited), all: number(results.length) })),
		invited > 0 &&
			note(
				"warn",
				t(
					"Send each person one of their links. They are shown only now, and work once, for seven days: save the report before you go on.",
				),
			),
		table(
			t("Report on the invitations"),
			[t("Name"), t("Outcome"), t("Links of the invitation")],
			results.map((result) => {
				const [kind, text] = outcomes()[result.outcome];
				const reason = why(result);
				return [
					[result.name ?? result.id, result.email && hint(result.email)],
					[tag(kind, text), reason && hint(reason)],
					links(result) || "–",
				];
			}),
		),
		row(
			button(t("Save as CSV"), () => saved("invitations.csv", columns, results)),
			button(t("Done"), close, null),
		),
	]).addEventListener("close", after);
}

export async function crmUsersPage(view) {
	const asked = (name) => view.query.get(name) ?? "";
	const { items: roles } = await get("/crm-users/roles");
	const chosen = new Map();
	const counted = el("p", { "aria-live": "polite" });
	let complete = true;
	const tell = () => {
		counted.textContent = many(chosen.size, "{n} person selected", "{n} people selected");
	};
	/** @returns {HTMLInputElement[]} */
	const boxes = () => [...results.querySelectorAll("input")];
	const mark = () => {
		for (const box of boxes()) box.checked = chosen.has(box.dataset.user);
		tell();
	};
	const shown = new Map();
	const pick = (user) => {
		const box = check(`user-${user.id}`, t("Select {name}", { name: user.name || user.id }), chosen.has(user.id), null, {
			"data-user": user.id,
			onchange: (event) => {
				event.target.checked ? chosen.set(user.id, user) : chosen.delete(user.id);
				tell();
			},
		});
		box.querySelector("span").classList.add("unseen");
		return box;
	};
	const rows = (users) => {
		for (const user of users) shown.set(user.id, user);
		return table(
			t("Users of the CRM"),
			[t("Select"), t("Name"), t("E-mail address"), t("Role or position"), t("In the CRM"), t("Seat")],
			users.map((user) => [
				isFree(user) ? pick(user) : "–",
				[user.name || user.id, user.title && hint(user.title)],
				user.email ?? "–",
				user.role ? (user.role.name ?? user.role.id) : "–",
				user.active ? tag("good", t("Active")) : tag("bad", t("Disabled")),
				seatOf(user),
			]),
		);
	};
	const options = roles.map(({ id, name, depth }) => [id, `${"\u2003".repeat(Math.min(depth, DEEPEST))}${name}`]);
	if (asked("role") && !roles.some(({ id }) => id === asked("role"))) options.push([asked("role"), asked("role")]);
	const list = { view, path: "/crm-users", names: NAMES };
	const { search, results, read } = await searched({
		...list,
		one: "user",
		many: "users",
		rows,
		controls: [
			field(t("Name or e-mail address"), input("search", { type: "search", maxlength: 200, value: asked("search") })),
			field(
				t("Role or position"),
				select("role", [["", t("Any")], ...options], asked("role")),
				t("With all below it in the tree of the CRM."),
			),
		],
	});
	const choose = (users) => {
		for (const user of users) if (isFree(user)) chosen.set(user.id, user);
		mark();
	};
	const onPage = () => choose(boxes().map((box) => shown.get(box.dataset.user)));
	const all = async () => {
		const wish = wishOf(view, NAMES);
		wish.set("limit", String(PAGE));
		const found = [];
		let next = null;
		do {
			if (next) wish.set("cursor", next);
			const part = await get(`/crm-users?${wish}`);
			if (view.signal.aborted) return;
			found.push(...part.items);
			complete = complete && part.complete;
			next = part.next;
		} while (next);
		choose(found);
		if (!complete) announce(t("The CRM has more users than are read at once: not all are found here."));
	};
	const none = () => {
		chosen.clear();
		mark();
	};
	const role = select(
		"seat_role",
		[
			["salesperson", t("Salesperson")],
			["administrator", t("Administrator")],
		],
		"salesperson",
	);
	const invite = async () => {
		const ids = [...chosen.keys()];
		if (!ids.length) refuse(t("Nobody is selected."), t("Select users in the list first."));
		const reported = [];
		try {
			for (let at = 0; at < ids.length; at += BATCH) {
				const users = ids.slice(at, at + BATCH);
				const { items } = await api("POST", "/crm-users/invite", { users, role: role.value });
				reported.push(...items);
				for (const { id, outcome } of items) if (outcome !== "failed") chosen.delete(id);
				tell();
			}
		} finally {
			// The links of those who are invited are shown even if a later part failed.
			if (reported.length) {
				showReport(reported, async () => {
					await read();
					mark();
				});
			}
		}
	};
	tell();
	return [
		hint(
			t(
				"The users of the production CRM as they were imported. A user is matched to a seat by an administrator’s choice, else by their own sign-in to the CRM, else by e-mail address.",
			),
			" ",
			link("seats", t("All seats")),
		),
		card(t("Search"), search),
		card(
			t("Found"),
			row(button(t("Select all shown"), onPage), action(t("Select all found"), all), button(t("Select nobody"), none)),
			results,
		),
		card(t("Invite"), counted, field(t("Role in Leadbridge"), role), action(t("Invite the selected users"), invite, null)),
	];
}
