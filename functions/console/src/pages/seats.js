// Seats, API tokens, the audit log.

import { api, get, session } from "./api.js";
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
	input,
	note,
	p,
	refuse,
	row,
	secret,
	select,
	small,
	submit,
	table,
	tag,
	time,
} from "./dom.js";

const ROLES = [
	["salesperson", "Salesperson"],
	["administrator", "Administrator"],
];
const roleName = (role) => ({ service: "Service", ...Object.fromEntries(ROLES) })[role] ?? role;
const SEAT_STATES = { invited: "Invited", active: "Active", disabled: "Disabled" };

// All pages of a list, one after the other as they are asked for.
async function paged(path, draw) {
	const list = el("div");
	const foot = el("div");
	const more = async (cursor) => {
		const { items, next } = await get(cursor ? `${path}?cursor=${encodeURIComponent(cursor)}` : path);
		list.append(...[draw(items)].flat(9));
		foot.replaceChildren(...(next ? action("Show more", () => more(next)) : []));
	};
	await more();
	return [list, foot];
}

const any = (text) => el("span", { class: "any" }, text);

// A dialog for values that are shown once.
const shown = (title, parts, after) => dialog(title, (close) => [parts, row(button("Done", close, null))]).addEventListener("close", after);

function showLinks(seat, reload) {
	shown(
		`Invitation for ${seat.name}`,
		[
			note("warn", "Send one of these links to the person. They are shown only now, and work once, for seven days."),
			secret("For people who sign in with Salesforce", seat.invitation.salesforce),
			secret("For people who sign in with Microsoft", seat.invitation.entra),
		],
		reload,
	);
}

/** @param {import("./api.js").Api["SeatView"]} [seat] */
const person = (seat) => [
	field("Name", input("name", { required: true, maxlength: 100, value: seat?.name ?? "" })),
	field(
		"E-mail address",
		input("email", { type: "email", required: true, value: seat?.email ?? "" }),
		"The one that the person signs in to the CRM with.",
	),
	field(
		"Role",
		select("role", ROLES, seat?.role ?? "salesperson"),
		"Administrators set everything up; salespeople authorise LinkedIn, sign in to the CRM, log activities and decide on matches.",
	),
];
const given = (fields) => ({ name: fields.name.value, email: fields.email.value, role: fields.role.value });

export async function seatsPage(view) {
	const { reload } = view;
	const invite = () =>
		dialog("Invite somebody", (close) =>
			form(person(), [submit("Invite"), cancel(close)], async (fields) => {
				const seat = await api("POST", "/seats", given(fields));
				close();
				showLinks(seat, reload);
			}),
		);
	const edit = (seat) =>
		dialog(`Edit ${seat.name}`, (close) =>
			form(
				[
					person(seat),
					check("enabled", "Can sign in", seat.status !== "disabled", "Without it, every session of this person ends."),
				],
				[submit("Save"), cancel(close)],
				async (fields) => {
					await api("PUT", `/seats/${seat.id}`, { ...given(fields), enabled: fields.enabled.checked });
					close();
					await reload();
				},
			),
		);
	const buttons = (seat) => [
		small(seat.name, "Edit", () => edit(seat)),
		seat.status !== "disabled" &&
			small(seat.name, "New invitation", () =>
				confirmed(
					"New invitation",
					`The account that ${seat.name} signs in with no longer opens this seat until the new invitation is accepted.`,
					"Invite again",
					async () => {
						const again = await api("POST", `/seats/${seat.id}/invite`);
						return () => showLinks(again, reload);
					},
				),
			),
		small(seat.name, "End sessions", () =>
			confirmed("End sessions", `${seat.name} is signed out in every browser.`, "End sessions", async () => {
				await api("DELETE", `/seats/${seat.id}/sessions`);
				announce("The sessions are ended.");
			}),
		),
		small(seat.name, "Delete", () =>
			confirmed("Delete seat", `${seat.name} can no longer sign in, and their own sign-in to the CRM ends.`, "Delete", async () => {
				await api("DELETE", `/seats/${seat.id}`);
				return reload;
			}),
		),
	];
	const rows = (seats) =>
		table(
			"Seats",
			["Name", "E-mail address", "Role", "State", "Last sign-in", "Change"],
			seats.map((seat) => [
				el("span", null, seat.name, seat.id === session.seat && " (you)"),
				seat.email,
				roleName(seat.role),
				[
					tag({ active: "good", disabled: "bad" }[seat.status] ?? "warn", SEAT_STATES[seat.status]),
					seat.status === "invited" &&
						seat.invitation_valid_until &&
						el("span", { class: "hint" }, " until ", time(seat.invitation_valid_until)),
				],
				seat.last_sign_in_at ? time(seat.last_sign_in_at) : "Never",
				buttons(seat),
			]),
		);
	return [row(button("Invite somebody", invite, null)), card("Seats", await paged("/seats", rows))];
}

export async function tokensPage(view) {
	const create = () =>
		dialog("Create an API token", (close) =>
			form(
				[
					field("Name", input("name", { required: true, maxlength: 100 }), "What the token is for."),
					field(
						"Role",
						select("role", [["service", "Service"], ...ROLES], "service"),
						"What its holder may do. Service starts a re-sync, and reads and adds to the directory.",
					),
					field(
						"Days until it ends",
						input("valid_days", { inputmode: "numeric", value: "365" }),
						"1 to 3650; empty for a token that does not end.",
					),
				],
				[submit("Create"), cancel(close)],
				async (fields) => {
					const days = fields.valid_days.value.trim();
					if (days && !/^\d+$/.test(days)) refuse("That is no number of days.", "Type a whole number, or nothing.", "valid_days");
					const token = await api("POST", "/api-tokens", {
						name: fields.name.value,
						role: fields.role.value,
						valid_days: days ? Number(days) : null,
					});
					close();
					shown(
						`API token “${token.name}”`,
						[note("warn", "Copy the token now: it is not shown again."), secret("API token", token.bearer)],
						view.reload,
					);
				},
			),
		);
	const { items } = await get("/api-tokens");
	const revoke = (token) =>
		small(token.name, "Revoke", () =>
			confirmed("Revoke API token", `“${token.name}” opens nothing from now on.`, "Revoke", async () => {
				await api("DELETE", `/api-tokens/${encodeURIComponent(token.id)}`);
				return view.reload;
			}),
		);
	return [
		p("For programs that use the API. Its holder needs no sign-in, so treat a token like a password."),
		row(button("Create a token", create, null)),
		card(
			"API tokens",
			items.length
				? table(
						"API tokens",
						["Name", "Id", "Role", "Created", "Ends", "Change"],
						items.map((token) => [
							token.name,
							any(token.id),
							roleName(token.role),
							time(token.created_at),
							token.valid_until ? time(token.valid_until) : "Never",
							revoke(token),
						]),
					)
				: p("There are none."),
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
			"Audit log",
			["When", "Who", "What", "Of what", "Change"],
			entries.map((entry) => [
				time(entry.at),
				named(entry.actor),
				el("code", null, entry.action),
				any(named(entry.target)),
				el(
					"details",
					null,
					el("summary", null, "Before and after"),
					el("h3", null, "Before"),
					el("pre", null, json(entry.before)),
					el("h3", null, "After"),
					el("pre", null, json(entry.after)),
				),
			]),
		);
	return [card("Who changed what, newest first", await paged("/audit-log", rows))];
}
