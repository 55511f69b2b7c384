// The first page: notices, submissions and activities by state, connections, and the first steps of a new contract.

import { STATES as ACTIVITY_STATES } from "./activities.js";
import { get, link, session, signOutEverywhere } from "./api.js";
import { crmCard, statusTag } from "./crm-card.js";
import { action, asProblem, card, el, hint, li, number, p, problemNote, svg, table, tag, time } from "./dom.js";
import { STATES } from "./submission-states.js";

// A part of a page, or the problem that kept it from loading.
const part = (title, work) => work().catch((error) => card(title, problemNote(asProblem(error))));

function subject(about) {
	if (about === "crm") return ["Production CRM", "crm-production"];
	if (about === "crm-sandbox") return ["Sandbox CRM", "crm-sandbox"];
	if (about === "linkedin") return ["LinkedIn", "linkedin"];
	return [about.startsWith("user-sandbox") ? "Your CRM sign-in (sandbox)" : "Your CRM sign-in", "my-settings"];
}

async function notices() {
	const { items } = await get("/notices");
	if (!items.length) return card("Notices", p("Nothing needs your attention."));
	return card(
		"Notices",
		el(
			"ul",
			{ class: "plain" },
			items.map(({ about, severity, by, problem }) => {
				const [name, target] = subject(about);
				const kind = severity === "error" ? "bad" : "warn";
				return li(
					link(target, name),
					" ",
					tag(kind, severity === "error" ? "Action needed" : "Soon"),
					problemNote(problem, kind),
					by && hint("By ", time(by)),
				);
			}),
		),
	);
}

// -- Submissions

const DAYS = 14;
// Size and number of the parts in which submissions are read.
const PART = 200;
const PARTS = 5;

// The newest items of a list, with a mark where there are more.
async function newest(path, wish) {
	const items = [];
	let cursor = null;
	for (let part = 0; part < PARTS; part++) {
		const query = new URLSearchParams({ ...wish, limit: String(PART), ...(cursor && { cursor }) });
		const found = await get(`${path}?${query}`);
		items.push(...found.items);
		cursor = found.next;
		if (!cursor) break;
	}
	return { items, more: cursor != null };
}

const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const WIDTH = 280;
const HEIGHT = 80;

// The submissions per day as a bar chart, with the same numbers as a table for screen readers.
function perDay(items, today) {
	const days = Array.from({ length: DAYS }, (_, index) => {
		const start = new Date(today);
		start.setDate(start.getDate() - (DAYS - 1 - index));
		return { start, count: 0 };
	});
	for (const { received_at } of items) {
		const day = days.findLast(({ start }) => start.getTime() <= received_at);
		if (day) day.count += 1;
	}
	const most = Math.max(1, ...days.map(({ count }) => count));
	const slot = WIDTH / DAYS;
	const bars = days.map(({ start, count }, index) => {
		const height = (HEIGHT * count) / most;
		const bar = svg("rect", { x: index * slot + 2, width: slot - 4, y: HEIGHT - height, height });
		bar.append(svg("title", {}, `${DATE.format(start)}: ${number(count)}`));
		return bar;
	});
	const said = `Submissions per day, ${DATE.format(days[0].start)} to ${DATE.format(today)}: ${number(items.length)} in all, ${number(most)} on the busiest day`;
	return el(
		"figure",
		null,
		el("figcaption", null, `Per day; the busiest had ${number(Math.max(...days.map(({ count }) => count)))}`),
		svg(
			"svg",
			{ viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, role: "img", "aria-label": said, class: "chart bars" },
			svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "level" }),
			...bars,
		),
		hint(DATE.format(days[0].start), " to ", DATE.format(today)),
		el(
			"details",
			null,
			el("summary", null, "As a table"),
			table(
				"Submissions per day",
				["Day", "Submissions"],
				days.map(({ start, count }) => [DATE.format(start), number(count)]),
			),
		),
	);
}

// The items of a list in each of these states, as far as there are any, with the way to them.
async function watched(list, states, names, show) {
	const found = await Promise.all(states.map((state) => newest(`/${list}`, { state })));
	const shown = found.map(({ items, more }, index) => {
		const state = states[index];
		const [kind, name] = names[state];
		return (
			items.length > 0 &&
			li(
				tag(kind, `${number(items.length)}${more ? "+" : ""} ${name.toLowerCase()}`),
				" ",
				link(list, `${show}: ${name.toLowerCase()}`, null, { state }),
			)
		);
	});
	return shown.some(Boolean) ? el("ul", { class: "plain" }, shown) : p("None waits and none needs somebody.");
}

async function submissions() {
	const today = new Date();
	today.setHours(0, 0, 0, 0);
	const from = new Date(today);
	from.setDate(from.getDate() - (DAYS - 1));
	const [recent, waiting] = await Promise.all([
		newest("/submissions", { from: String(from.getTime()) }),
		watched("submissions", ["needs_attention", "waiting", "held_test"], STATES, "Show"),
	]);
	const counted = ({ items, more }) => `${number(items.length)}${more ? " or more" : ""}`;
	const states = Object.entries(STATES)
		.map(([state, [, name]]) => [state, name, recent.items.filter((item) => item.state === state).length])
		.filter(([, , count]) => count);
	return card(
		"Submissions",
		waiting,
		recent.items.length
			? el(
					"div",
					{ class: "grid" },
					perDay(recent.items, today),
					el(
						"div",
						null,
						table(
							`Submissions of ${DAYS} days by state`,
							[`In ${DAYS} days`, "Submissions"],
							[
								...states.map(([state, name, count]) => [link("submissions", name, null, { state }), number(count)]),
								["All", counted(recent)],
							],
						),
					),
				)
			: p(`Nothing has come in for ${DAYS} days.`),
		p(link("submissions", "All submissions")),
	);
}

// -- Activities

const activities = async () =>
	card(
		"Your activities",
		await watched(
			"activities",
			["failed", "waiting_for_sign_in", "waiting_for_answer", "unresolved", "waiting"],
			ACTIVITY_STATES,
			"Show activities",
		),
		p(link("activities", "All your activities")),
	);

// -- The directory

const PERCENT = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });

async function rates() {
	/** @type {import("./api.js").Api["MatchingOverview"]} */
	const { rates } = await get("/matching?limit=1");
	const kinds = rates?.entries.filter(({ entries }) => entries) ?? [];
	return card(
		"In the CRM",
		kinds.length
			? kinds.map(({ kind, matched, entries, matched_permille }) =>
					p(
						el("strong", null, PERCENT.format(matched_permille / 1000)),
						` of ${kind === "profile" ? "people" : "companies"}: ${number(matched)} of ${number(entries)}`,
					),
				)
			: p("Nobody is in the directory yet."),
		p(link("match-rates", "How many are matched")),
	);
}

// -- The first steps

async function checklist() {
	const [connection, { items: forms }, linkedin, { items: mappings }, { items: sent }, { items: seats }] = await Promise.all([
		get("/crm-connections/production"),
		get("/forms"),
		get("/linkedin"),
		get("/field-mappings"),
		get("/submissions?limit=1"),
		get("/seats"),
	]);
	const steps = [
		[connection.status !== "not_connected", "Connect your CRM", "crm-production"],
		[forms.length > 0 || linkedin.connection !== "not_connected", "Make a form, or authorise LinkedIn", "forms"],
		[mappings.length > 0, "Map the form’s fields to the lead’s", "mapping"],
		[sent.length > 0, "Send a test submission from a form’s page", "forms"],
		[seats.length > 1, "Invite your team", "seats"],
	];
	if (steps.every(([done]) => done)) return null;
	const left = steps.filter(([done]) => !done).length;
	return card(
		"First steps",
		p(`${number(steps.length - left)} of ${number(steps.length)} are done.`),
		el(
			"ol",
			{ class: "todo" },
			steps.map(([done, text, target]) => li(link(target, text), " ", done && tag("good", "Done"))),
		),
	);
}

export async function homePage() {
	const administrator = session.role === "administrator";
	const [told, first, sent, logged, ...cards] = await Promise.all([
		part("Notices", notices),
		administrator && part("First steps", checklist),
		part("Submissions", submissions),
		part("Your activities", activities),
		administrator && part("CRM", async () => (await get("/crm-connections")).items.map(crmCard)),
		administrator && part("In the CRM", rates),
		part("LinkedIn", async () => {
			const linkedin = await get("/linkedin");
			return card(
				"LinkedIn",
				p(statusTag(linkedin.connection)),
				linkedin.authorization_ends_at && p("Until ", time(linkedin.authorization_ends_at)),
				p(link("linkedin", "Open LinkedIn’s page")),
			);
		}),
		part("Your CRM sign-in", async () => {
			const own = await get("/me/crm-connections/production");
			return card(
				"Your CRM sign-in",
				p(statusTag(own.status)),
				own.instance_url && hint(own.instance_url),
				p(link("my-settings", "Open your settings")),
			);
		}),
	]);
	const own = card(
		"Your session",
		p(`You are signed in as ${session.email}, at the longest until `, time(session.session_ends_at), "."),
		action("Sign out in all browsers", signOutEverywhere),
	);
	return [told, first, sent, logged, el("div", { class: "grid" }, cards.flat(), own)];
}
