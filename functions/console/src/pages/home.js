// The first page: what needs somebody, submissions and leads per day, activities, lists and connections, and the first steps of a new
// contract.

import { STATES as ACTIVITY_STATES } from "./activities.js";
import { get, link, session, signOutEverywhere } from "./api.js";
import { crmCard, statusTag } from "./crm-card.js";
import { badge } from "./directory.js";
import { action, asProblem, card, el, hint, li, number, p, problemNote, said, strong, svg, table, tag, time } from "./dom.js";
import { STATES } from "./submission-states.js";
import { language, locale, many, t } from "./words.js";

// A part of a page, or the problem that kept it from loading.
const part = (title, work) => work().catch((error) => card(title, problemNote(asProblem(error))));

// -- Needs somebody

function subject(about) {
	if (about === "crm") return [t("Production CRM"), "crm-production"];
	if (about === "crm-sandbox") return [t("Sandbox CRM"), "crm-sandbox"];
	if (about === "linkedin") return [t("LinkedIn"), "linkedin"];
	return [about.startsWith("user-sandbox") ? t("Your CRM sign-in (sandbox)") : t("Your CRM sign-in"), "my-settings"];
}

function noticed({ about, severity, by, problem }) {
	const [name, target] = subject(about);
	const kind = severity === "error" ? "bad" : "warn";
	return li(
		link(target, name),
		" ",
		tag(kind, severity === "error" ? t("Action needed") : t("Soon")),
		problemNote(problem, kind),
		by && hint(t("By {time}", { time: time(by) })),
	);
}

const listed = (items) => el("ul", { class: "plain" }, items);
const nodes = (found) => found.map(({ node }) => node);

const toSubmissions = (state) => t("Show: {state}", { state });
const toActivities = (state) => t("Show activities: {state}", { state });

// States in which nothing goes on before somebody does something: submissions, and the person's own activities. Of those that
// wait for a sign-in a notice tells.
const STUCK_SUBMISSIONS = ["needs_attention"];
const STUCK_ACTIVITIES = ["failed", "waiting_for_answer"];

async function needs() {
	const [{ items }, submissions, activities] = await Promise.all([
		get("/notices"),
		watched("submissions", STUCK_SUBMISSIONS, STATES, toSubmissions),
		watched("activities", STUCK_ACTIVITIES, ACTIVITY_STATES, toActivities),
	]);
	const found = [...submissions, ...activities];
	const all = found.reduce((sum, { count }) => sum + count, items.length);
	return card(
		t("Is everything well?"),
		all
			? [p(many(all, "{n} thing needs somebody.", "{n} things need somebody.")), listed([...items.map(noticed), ...nodes(found)])]
			: p(t("Nothing needs your attention.")),
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

const DATE = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
const WIDTH = 300;
const HEIGHT = 90;
// The room of the numbers beside the bars.
const SIDE = 22;

// Submissions that are a lead in the CRM.
const isLead = ({ state }) => state === "created" || state === "attached";

// A whole number, not less than the most, that halves well.
function ceiling(most) {
	const size = 10 ** Math.floor(Math.log10(most));
	return [1, 2, 4, 6, 8, 10].map((one) => one * size).find((one) => one >= most);
}

// Submissions and leads per day as a bar chart, with the same numbers as a table.
function perDay(items, today) {
	const days = Array.from({ length: DAYS }, (_, index) => {
		const start = new Date(today);
		start.setDate(start.getDate() - (DAYS - 1 - index));
		return { start, all: 0, leads: 0 };
	});
	for (const item of items) {
		const day = days.findLast(({ start }) => start.getTime() <= item.received_at);
		if (!day) continue;
		day.all += 1;
		if (isLead(item)) day.leads += 1;
	}
	const most = Math.max(...days.map(({ all }) => all));
	const top = ceiling(Math.max(2, most));
	const slot = (WIDTH - SIDE) / DAYS;
	const high = (count) => (HEIGHT * count) / top;
	const bar = (index, count, kind) =>
		svg("rect", { x: SIDE + index * slot + 2, width: slot - 4, y: HEIGHT - high(count), height: high(count), class: kind });
	const bars = days.map(({ start, all, leads }, index) => {
		const told = t("{day}: {all} submissions, {leads} of them leads", {
			day: DATE.format(start),
			all: number(all),
			leads: number(leads),
		});
		return svg("g", {}, svg("title", {}, told), bar(index, all, "rest"), bar(index, leads, "most"));
	});
	const levels = [0, top / 2, top].flatMap((count) => [
		svg("line", { x1: SIDE, x2: WIDTH, y1: HEIGHT - high(count), y2: HEIGHT - high(count), class: "level" }),
		svg("text", { x: SIDE - 4, y: HEIGHT - high(count) + 3 }, number(count)),
	]);
	const leads = items.filter(isLead).length;
	const spoken = t("Submissions per day, {from} to {to}: {all} in all, {leads} of them leads, {most} on the busiest day", {
		from: DATE.format(days[0].start),
		to: DATE.format(today),
		all: number(items.length),
		leads: number(leads),
		most: number(most),
	});
	return el(
		"figure",
		null,
		el(
			"figcaption",
			null,
			t("Submissions per day; the dark part became leads: {leads} of {all}", { leads: number(leads), all: number(items.length) }),
		),
		svg("svg", { viewBox: `0 -6 ${WIDTH} ${HEIGHT + 10}`, role: "img", "aria-label": spoken, class: "chart bars" }, ...levels, ...bars),
		hint(t("{from} to {to}", { from: DATE.format(days[0].start), to: DATE.format(today) })),
		el(
			"details",
			null,
			el("summary", null, t("As a table")),
			table(
				t("Submissions and leads per day"),
				[t("Day"), t("Submissions"), t("Leads")],
				days.map(({ start, all, leads }) => [DATE.format(start), number(all), number(leads)]),
			),
		),
	);
}

// The items of a list in each of these states, as far as there are any: their number, and a line with the way to them.
async function watched(list, states, names, show) {
	const found = await Promise.all(states.map((state) => newest(`/${list}`, { state })));
	return found.flatMap(({ items, more }, index) => {
		const state = states[index];
		const [kind, name] = names[state];
		const named = language === "en" ? name.toLowerCase() : t(name);
		const count = items.length;
		const counted = `${t(name)}: ${number(count)}${more ? "+" : ""}`;
		return count ? [{ count, node: li(tag(kind, counted), " ", link(list, show(named), null, { state })) }] : [];
	});
}

async function submissions() {
	const today = new Date();
	today.setHours(0, 0, 0, 0);
	const from = new Date(today);
	from.setDate(from.getDate() - (DAYS - 1));
	const [recent, waiting] = await Promise.all([
		newest("/submissions", { from: String(from.getTime()) }),
		watched("submissions", ["waiting", "held_test"], STATES, toSubmissions),
	]);
	const counted = ({ items, more }) => (more ? t("{n} or more", { n: number(items.length) }) : number(items.length));
	const states = Object.entries(STATES)
		.map(([state, [, name]]) => ({ state, name, count: recent.items.filter((item) => item.state === state).length }))
		.filter(({ count }) => count);
	return card(
		t("Submissions"),
		waiting.length > 0 && listed(nodes(waiting)),
		recent.more && hint(t("Only the newest {n} are counted here.", { n: number(recent.items.length) })),
		recent.items.length
			? el(
					"div",
					{ class: "grid" },
					perDay(recent.items, today),
					el(
						"div",
						null,
						table(
							t("Submissions of {n} days by state", { n: number(DAYS) }),
							[t("In {n} days", { n: number(DAYS) }), t("Submissions")],
							[
								...states.map(({ state, name, count }) => [link("submissions", t(name), null, { state }), number(count)]),
								[t("All"), counted(recent)],
							],
						),
					),
				)
			: p(t("Nothing has come in for {n} days.", { n: number(DAYS) })),
		p(link("submissions", t("All submissions"))),
	);
}

// -- Activities

async function activities() {
	const waiting = await watched("activities", ["waiting_for_sign_in", "unresolved", "waiting"], ACTIVITY_STATES, toActivities);
	return card(
		t("Your activities"),
		waiting.length ? listed(nodes(waiting)) : p(t("None waits.")),
		p(link("activities", t("All your activities"))),
	);
}

// -- Lists

// Days in which an entry of a list counts as new, and the most that are shown.
const NEW_DAYS = 14;
const MOST_NEW = 6;

// The time at which an item came into its list, and the opportunity because of which it did.
/** @param {import("./api.js").Api["SavedItem"]} item */
function newness(item) {
	const [reason] = item.reasons;
	return { item, since: Math.max(reason?.since ?? 0, item.by_hand_since ?? 0), because: reason };
}

// The newest entries of the two lists that fill themselves because of the person's open opportunities (SV-4).
async function lists() {
	const pages = await Promise.all(["people", "companies"].map((list) => get(`/lists/${list}/items?limit=200`)));
	const from = Date.now() - NEW_DAYS * 24 * 60 * 60 * 1000;
	const found = pages
		.flatMap(({ items }) => items.map(newness))
		.filter(({ since }) => since >= from)
		.sort((one, other) => other.since - one.since);
	const shown = found
		.slice(0, MOST_NEW)
		.map(({ item: { name, entry, badge: record }, since, because }) =>
			li(
				entry ? link(entry.kind === "company" ? "company" : "person", said(name), null, { id: entry.id }) : said(name),
				" ",
				record && badge(record, name),
				hint(
					because?.name
						? t("Since {time}, because of {opportunity}", { time: time(since), opportunity: said(because.name) })
						: time(since),
				),
			),
		);
	return card(
		t("New in my lists"),
		shown.length
			? [
					el("ul", { class: "plain" }, shown),
					found.length > MOST_NEW && p(many(found.length - MOST_NEW, "{n} more is new.", "{n} more are new.")),
				]
			: p(t("Nothing is new for {n} days.", { n: number(NEW_DAYS) })),
		p(
			link("my-lists", t("My people"), null, { list: "people" }),
			" · ",
			link("my-lists", t("My companies"), null, { list: "companies" }),
		),
	);
}

// -- The directory

const PERCENT = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });

async function rates() {
	/** @type {import("./api.js").Api["MatchingOverview"]} */
	const { rates } = await get("/matching?limit=1");
	const kinds = rates?.entries.filter(({ entries }) => entries) ?? [];
	return card(
		t("In the CRM"),
		kinds.length
			? kinds.map(({ kind, matched, entries, matched_permille }) => {
					const values = {
						share: strong(PERCENT.format(matched_permille / 1000)),
						matched: number(matched),
						all: number(entries),
					};
					return p(
						kind === "profile"
							? t("{share} of people: {matched} of {all}", values)
							: t("{share} of companies: {matched} of {all}", values),
					);
				})
			: p(t("Nobody is in the directory yet.")),
		p(link("match-rates", t("How many are matched"))),
	);
}

// -- Connections

async function linkedIn() {
	const linkedin = await get("/linkedin");
	return card(
		t("LinkedIn"),
		p(statusTag(linkedin.connection)),
		linkedin.authorization_ends_at && p(t("Until {time}", { time: time(linkedin.authorization_ends_at) })),
		p(link("linkedin", t("Open LinkedIn’s page"))),
	);
}

async function ownSignIn() {
	const own = await get("/me/crm-connections/production");
	return card(
		t("Your CRM sign-in"),
		p(statusTag(own.status)),
		own.instance_url && hint(own.instance_url),
		p(link("my-settings", t("Open your settings"))),
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
		[connection.status !== "not_connected", t("Connect your CRM"), "crm-production"],
		[forms.length > 0 || linkedin.connection !== "not_connected", t("Make a form, or authorise LinkedIn"), "forms"],
		[mappings.length > 0, t("Map the form’s fields to the lead’s"), "mapping"],
		[sent.length > 0, t("Send a test submission from a form’s page"), "forms"],
		[seats.length > 1, t("Invite your team"), "seats"],
	];
	if (steps.every(([done]) => done)) return null;
	const done = steps.filter(([done]) => done).length;
	return card(
		t("First steps"),
		p(t("{done} of {all} are done.", { done: number(done), all: number(steps.length) })),
		el(
			"ol",
			{ class: "todo" },
			steps.map(([done, text, target]) => li(link(target, text), " ", done && tag("good", t("Done")))),
		),
	);
}

export async function homePage() {
	const administrator = session.role === "administrator";
	const [told, first, sent, logged, fresh, ...cards] = await Promise.all([
		part(t("Is everything well?"), needs),
		administrator && part(t("First steps"), checklist),
		part(t("Submissions"), submissions),
		part(t("Your activities"), activities),
		part(t("New in my lists"), lists),
		administrator && part(t("CRM"), async () => (await get("/crm-connections")).items.map(crmCard)),
		administrator && part(t("In the CRM"), rates),
		part(t("LinkedIn"), linkedIn),
		part(t("Your CRM sign-in"), ownSignIn),
	]);
	const own = card(
		t("Your session"),
		p(
			t("You are signed in as {email}, at the longest until {time}.", {
				email: session.email,
				time: time(session.session_ends_at),
			}),
		),
		action(t("Sign out in all browsers"), signOutEverywhere),
	);
	const personal = el("div", { class: "grid" }, logged, fresh);
	// Administrators look after what comes in, salespeople after what is their own.
	const parts = administrator ? [sent, personal] : [personal, sent];
	return [told, first, ...parts, el("div", { class: "grid" }, cards.flat(), own)];
}
