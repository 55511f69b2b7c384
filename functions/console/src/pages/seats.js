// Seats, API tokens, the audit log.

import { api, get, link, session } from "./api.js";
import {
	action,
	announce,
	button,
	cancel,
	card,
	check,
	confirmed,
	dialog,
	el,
	field,
	form,
	hint,
	input,
	note,
	p,
	refuse,
	row,
	secret,
	select,
	showProblem,
	small,
	submit,
	table,
	tag,
	time,
} from "./dom.js";
import { many, t } from "./words.js";

/** @typedef {import("./api.js").Api} Api */

const ROLES = [
	["salesperson", t("Salesperson")],
	["administrator", t("Administrator")],
];
const roleName = (role) => ({ service: t("Service"), ...Object.fromEntries(ROLES) })[role] ?? role;
const SEAT_STATES = { invited: t("Invited"), active: t("Active"), disabled: t("Disabled") };

// All pages of a list, one after the other as they are asked for.
async function paged(path, draw) {
	const list = el("div");
	const foot = el("div");
	const more = async (cursor) => {
		const { items, next } = await get(cursor ? `${path}?cursor=${encodeURIComponent(cursor)}` : path);
		const nodes = [draw(items)].flat(9);
		list.append(...nodes);
		foot.replaceChildren(...(next ? action(t("Show more"), () => more(next)) : []));
		// The button that had the focus is gone.
		if (cursor) nodes[0].querySelector("button, summary")?.focus();
	};
	await more();
	return [list, foot];
}

const any = (text) => el("span", { class: "any" }, text);

// A dialog for values that are shown once.
const shown = (title, parts, after) =>
	dialog(title, (close) => [parts, row(button(t("Done"), close, null))]).addEventListener("close", after);

function showLinks(seat, reload) {
	shown(
		t("Invitation for {name}", { name: seat.name }),
		[
			note("warn", t("Send one of these links to the person. They are shown only now, and work once, for seven days.")),
			secret(t("For people who sign in with Salesforce"), seat.invitation.salesforce),
			secret(t("For people who sign in with Microsoft"), seat.invitation.entra),
		],
		reload,
	);
}

/** @param {import("./api.js").Api["SeatView"]} [seat] */
const person = (seat) => [
	field(t("Name"), input("name", { required: true, maxlength: 100, value: seat?.name ?? "" })),
	field(
		t("E-mail address"),
		input("email", { type: "email", required: true, value: seat?.email ?? "" }),
		t("The one that the person signs in to the CRM with."),
	),
	field(
		t("Role"),
		select("role", ROLES, seat?.role ?? "salesperson"),
		t("Administrators set everything up; salespeople authorise LinkedIn, sign in to the CRM, log activities and decide on matches."),
	),
];
const given = (fields) => ({ name: fields.name.value, email: fields.email.value, role: fields.role.value });

// The user of the CRM who holds a seat.
const CRM_STATES = {
	active: ["", t("Active in the CRM")],
	disabled: ["bad", t("Disabled in the CRM")],
	gone: ["bad", t("No longer in the CRM")],
};
function inCrm(user) {
	if (!user) return "–";
	const [kind, text] = CRM_STATES[user.state];
	return [user.in_crm ? tag("good", t("In CRM")) : tag(kind, text), user.name && el("span", { class: "hint" }, " ", user.name)];
}

const EVIDENCE = {
	chosen: t("Chosen by an administrator"),
	sign_in: t("By their own sign-in to the CRM"),
	email: t("Proposed by the e-mail address"),
};
const SYNC = { on: true, off: false };
const syncOf = (value) => (value == null ? "" : value ? "on" : "off");

// The form for a seat in the CRM: its user, and the switches of the sync.
async function crmForm(seat, close, reload) {
	/** @type {Api["SeatInCrm"]} */
	const now = await get(`/seats/${seat.id}/crm`);
	const options = [["", t("By sign-in to the CRM, else by the e-mail address")]];
	if (now.chosen) options.push([now.chosen, now.user?.name ?? now.chosen]);
	const user = select("user", options, now.chosen ?? "");
	const offered = new Set(options.map(([id]) => id));
	const words = input("words", { type: "search", maxlength: 200 });
	const told = el("div");
	const find = async () => {
		told.replaceChildren();
		const { items, next } = await get(`/crm-users?${new URLSearchParams({ search: words.value, limit: "20" })}`);
		const found = items.filter(({ no_seat }) => !no_seat);
		for (const { id, name, email } of found) {
			if (offered.has(id)) continue;
			offered.add(id);
			user.append(el("option", { value: id }, email ? `${name} – ${email}` : name || id));
		}
		if (found.length === 1) user.value = found[0].id;
		const text = found.length
			? many(found.length, "{n} user found: choose in the list", "{n} users found: choose in the list")
			: t("Nobody is found");
		told.replaceChildren(hint(text), ...(next ? [hint(t("There may be more: type more of the name."))] : []));
		announce(text);
	};
	const search = action(t("Search users"), find);
	words.addEventListener("keydown", (event) => {
		// It searches, and does not send the form.
		if (event.key !== "Enter") return;
		event.preventDefault();
		search[0].click();
	});
	const stopped = now.user && now.user.state !== "active";
	return form(
		[
			p(inCrm(now.user), now.user && [" ", EVIDENCE[now.user.by]]),
			stopped &&
				note(
					"warn",
					t(
						"This user cannot sign in to the CRM. Activities and records of this person wait for their sign-in; in Dynamics 365 their activities belong to the user that Leadbridge is connected as.",
					),
				),
			field(t("Name or e-mail address"), words),
			search,
			told,
			field(t("User of the CRM"), user),
			field(
				t("Sync with the CRM"),
				select(
					"sync",
					[
						["", t("As set for all seat holders")],
						["on", t("On")],
						["off", t("Off")],
					],
					syncOf(now.sync),
				),
				now.synced
					? t("It is on now: lists, champions and the logging of activities.")
					: t("It is off now: no lists, no champions, and no activity is logged."),
			),
			check("auto_save", t("Save to this person’s lists automatically"), now.auto_save, t("As far as the sync settings say so.")),
		],
		[submit(t("Save")), cancel(close)],
		async (fields) => {
			await api("PUT", `/seats/${seat.id}/crm`, {
				user: fields.user.value || null,
				sync: SYNC[fields.sync.value] ?? null,
				auto_save: fields.auto_save.checked,
			});
			close();
			await reload();
		},
	);
}

function editCrm(seat, reload) {
	dialog(t("{name} in the CRM", { name: seat.name }), (close) => {
		const place = el("div");
		crmForm(seat, close, reload).then(
			(node) => place.replaceChildren(node),
			(error) => {
				showProblem(place, error);
				place.append(row(cancel(close)));
			},
		);
		return place;
	});
}

export async function seatsPage(view) {
	const { reload } = view;
	// The list is shown without them where they cannot be read.
	const { items: users } = await get("/crm-users/seats").catch(() => ({ items: [] }));
	const userOf = new Map(users.map((user) => [user.seat, user]));
	const invite = () =>
		dialog(t("Invite somebody"), (close) =>
			form(person(), [submit(t("Invite")), cancel(close)], async (fields) => {
				const seat = await api("POST", "/seats", given(fields));
				close();
				showLinks(seat, reload);
			}),
		);
	const edit = (seat) =>
		dialog(t("Edit {name}", { name: seat.name }), (close) =>
			form(
				[
					person(seat),
					check("enabled", t("Can sign in"), seat.status !== "disabled", t("Without it, every session of this person ends.")),
				],
				[submit(t("Save")), cancel(close)],
				async (fields) => {
					await api("PUT", `/seats/${seat.id}`, { ...given(fields), enabled: fields.enabled.checked });
					close();
					await reload();
				},
			),
		);
	const buttons = (seat) => [
		small(seat.name, t("Edit"), () => edit(seat)),
		small(seat.name, "CRM", () => editCrm(seat, reload)),
		seat.status !== "disabled" &&
			small(seat.name, t("New invitation"), () =>
				confirmed(
					t("New invitation"),
					t(
						"The account that {name} signs in with no longer opens this seat until the new invitation is accepted, and their own sign-in to the CRM ends.",
						{ name: seat.name },
					),
					t("Invite again"),
					async () => {
						const again = await api("POST", `/seats/${seat.id}/invite`);
						return () => showLinks(again, reload);
					},
				),
			),
		small(seat.name, t("End sessions"), () =>
			confirmed(t("End sessions"), t("{name} is signed out in every browser.", { name: seat.name }), t("End sessions"), async () => {
				await api("DELETE", `/seats/${seat.id}/sessions`);
				announce(t("The sessions are ended."));
			}),
		),
		small(seat.name, t("Delete"), () =>
			confirmed(
				t("Delete seat"),
				t("{name} can no longer sign in, and their own sign-in to the CRM ends.", { name: seat.name }),
				t("Delete"),
				async () => {
					await api("DELETE", `/seats/${seat.id}`);
					return reload;
				},
			),
		),
	];
	const rows = (seats) =>
		table(
			t("Seats"),
			[t("Name"), t("E-mail address"), t("Role"), t("State"), t("User of the CRM"), t("Last sign-in"), t("Change")],
			seats.map((seat) => [
				el("span", null, seat.name, seat.id === session.seat && [" ", t("(you)")]),
				seat.email,
				roleName(seat.role),
				[
					tag({ active: "good", disabled: "bad" }[seat.status] ?? "warn", SEAT_STATES[seat.status]),
					seat.status === "invited" &&
						seat.invitation_valid_until &&
						el("span", { class: "hint" }, " ", t("until {time}", { time: time(seat.invitation_valid_until) })),
				],
				inCrm(userOf.get(seat.id)),
				seat.last_sign_in_at ? time(seat.last_sign_in_at) : t("Never"),
				buttons(seat),
			]),
		);
	return [
		row(button(t("Invite somebody"), invite, null), link("crm-users", t("Seats from the CRM"))),
		card(t("Seats"), await paged("/seats", rows)),
	];
}

export async function tokensPage(view) {
	const create = () =>
		dialog(t("Create an API token"), (close) =>
			form(
				[
					field(t("Name"), input("name", { required: true, maxlength: 100 }), t("What the token is for.")),
					field(
						t("Role"),
						select("role", [["service", t("Service")], ...ROLES], "service"),
						t("What its holder may do. Service starts a re-sync, and reads and adds to the directory."),
					),
					field(
						t("Days until it ends"),
						input("valid_days", { inputmode: "numeric", value: "365" }),
						t("1 to 3650; empty for a token that does not end."),
					),
				],
				[submit(t("Create")), cancel(close)],
				async (fields) => {
					const days = fields.valid_days.value.trim();
					if (days && !/^\d+$/.test(days))
						refuse(t("That is no number of days."), t("Type a whole number, or nothing."), "valid_days");
					const token = await api("POST", "/api-tokens", {
						name: fields.name.value,
						role: fields.role.value,
						valid_days: days ? Number(days) : null,
					});
					close();
					shown(
						t("API token “{name}”", { name: token.name }),
						[note("warn", t("Copy the token now: it is not shown again.")), secret(t("API token"), token.bearer)],
						view.reload,
					);
				},
			),
		);
	const { items } = await get("/api-tokens");
	const revoke = (token) =>
		small(token.name, t("Revoke"), () =>
			confirmed(t("Revoke API token"), t("“{name}” opens nothing from now on.", { name: token.name }), t("Revoke"), async () => {
				await api("DELETE", `/api-tokens/${encodeURIComponent(token.id)}`);
				return view.reload;
			}),
		);
	return [
		p(t("For programs that use the API. Its holder needs no sign-in, so treat a token like a password.")),
		row(button(t("Create a token"), create, null)),
		card(
			t("API tokens"),
			items.length
				? table(
						t("API tokens"),
						[t("Name"), t("Id"), t("Role"), t("Created"), t("Ends"), t("Change")],
						items.map((token) => [
							token.name,
							any(token.id),
							roleName(token.role),
							time(token.created_at),
							token.valid_until ? time(token.valid_until) : t("Never"),
							revoke(token),
						]),
					)
				: p(t("There are none.")),
		),
	];
}

export async function auditPage() {
	// The names of seats; a seat beyond the first page keeps its id.
	const { items } = await get("/seats").catch(() => ({ items: [] }));
	const names = new Map(items.map((seat) => [seat.id, seat.name]));
	const named = (text) => text.replace(/[0-9a-f-]{36}/, (id) => names.get(id) ?? id).replace(/^seat:/, "");
	const json = (value) => (value == null ? "–" : JSON.stringify(value, null, 1));
	const rows = (entries) =>
		table(
			t("Audit log"),
			[t("When"), t("Who"), t("What"), t("Of what"), t("Change")],
			entries.map((entry) => [
				time(entry.at),
				named(entry.actor),
				el("code", null, entry.action),
				any(named(entry.target)),
				el(
					"details",
					null,
					el("summary", null, t("Before and after")),
					el("h3", null, t("Before")),
					el("pre", null, json(entry.before)),
					el("h3", null, t("After")),
					el("pre", null, json(entry.after)),
				),
			]),
		);
	return [card(t("Who changed what, newest first"), await paged("/audit-log", rows))];
}
