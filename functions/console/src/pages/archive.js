// Logs from the user's own LinkedIn archive, which is read here: nothing leaves the machine but what they choose (WB-8, WB-10).

import { signInNote } from "./activities.js";
import { api, get, link, renew, session } from "./api.js";
import {
	activitiesOf,
	addressOf,
	EARLIEST,
	grouped,
	ownersOf,
	parted,
	personOf,
	REASONS,
	sourcesOf,
	startOf,
	surveyOf,
} from "./archive-read.js";
import { badge, stateTag } from "./directory.js";
import {
	announce,
	asProblem,
	button,
	card,
	check,
	confirmed,
	el,
	field,
	form,
	hint,
	input,
	moveTo,
	note,
	number,
	p,
	problemNote,
	Refusal,
	refuse,
	row,
	said,
	select,
	strong,
	submit,
	table,
	tag,
	time,
} from "./dom.js";
import { many, t } from "./words.js";

/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("./archive-read.js").Found} Found */
/** @typedef {import("./archive-read.js").Source} Source */
/** @typedef {import("./archive-read.js").Survey} Survey */
/**
 * A person with whom something would be logged: how many activities of each kind, how many of them are logged already.
 * @typedef {object} Partner
 * @property {import("./archive-read.js").Person} person
 * @property {Record<string, number>} kinds
 * @property {number} fresh
 * @property {number} logged
 * @property {Api["ForeseenPerson"]} [found]
 * @property {boolean} [left] the user leaves them out
 */

// The limits of a request: activities or connections, people of a preview, keys; and its bytes, with room to spare.
const MOST_ITEMS = 100;
const MOST_PEOPLE = 25;
const MOST_KEYS = 1000;
const MOST_BYTES = 200_000;
// Calls of one kind that fail in a row before it is given up for now, and those that are only put off.
const MOST_TRIES = 6;
const MOST_PUT_OFF = 60;
// A session that ends within that time is renewed: a long archive takes longer than a session's token.
const RENEW_MS = 15 * 60 * 1000;
// People that are shown at once.
const SHOWN = 50;
// Examples that are kept of one cause.
const EXAMPLES = 5;

const KINDS = {
	message: (n) => many(n, "{n} message", "{n} messages"),
	inmail: (n) => many(n, "{n} InMail", "{n} InMails"),
	connection_request: (n) => many(n, "{n} invitation", "{n} invitations"),
};
const countedActivities = (n) => many(n, "{n} activity", "{n} activities");
const countedPeople = (n) => many(n, "{n} person", "{n} people");
const countedConnections = (n) => many(n, "{n} connection", "{n} connections");

const pause = (seconds, signal) =>
	new Promise((done) => {
		const timer = setTimeout(done, seconds * 1000);
		signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
	});

// A call that waits and tries again while the functions are busy or out of reach; each of these calls can be repeated.
async function call(path, body, signal, told = (_) => {}) {
	if (session.valid_until - Date.now() < RENEW_MS && session.valid_until < session.session_ends_at) await renew().catch(() => {});
	for (let tries = 1; ; tries++) {
		try {
			return await api("POST", path, body);
		} catch (error) {
			const { status, retry_after } = error.problem ?? {};
			const busy = status === 429;
			if (!(busy || status === 0 || status >= 500) || tries >= (busy ? MOST_PUT_OFF : MOST_TRIES)) throw error;
			const seconds = Math.min(retry_after ?? 2 ** Math.min(tries, 5), 120);
			told(
				many(Math.ceil(seconds), "Leadbridge is busy: it goes on in {n} second.", "Leadbridge is busy: it goes on in {n} seconds."),
			);
			await pause(seconds, signal);
			if (signal.aborted) throw error;
			told("");
		}
	}
}

// A bar with a line of text, for work that takes a while.
function progress(label, most) {
	const bar = el("progress", { max: Math.max(most, 1), "aria-label": label });
	bar.value = 0;
	const line = el("p", { class: "hint" });
	const node = el("div", null, p(label), bar, line);
	return {
		node,
		add: (done) => (bar.value += done),
		say: (text) => (line.textContent = text),
	};
}

const sizeOf = (sources) => sources.reduce((sum, { size }) => sum + size, 0);

// A signal that ends with another one, or by itself.
function stoppable(signal) {
	const stop = new AbortController();
	signal.addEventListener("abort", () => stop.abort(), { once: true });
	return stop;
}

// -- The preview

// Everything that would be logged, by person, and what is left out and why.
async function planOf(sources, survey, choice, signal, place) {
	/** @type {Map<string, Partner>} */
	const partners = new Map();
	const left = new Map();
	const leave = (reason) => left.set(reason, (left.get(reason) ?? 0) + 1);
	// Before anything is looked up: another member's archive is refused.
	await call("/me/archive/preview", { member: choice.owner, people: [] }, signal);
	const reading = progress(t("Reading what would be logged"), sizeOf(sources));
	place.replaceChildren(reading.node);
	const groups = grouped(activitiesOf(sources, survey, choice, signal, leave, reading.add), MOST_KEYS);
	for await (const group of groups) {
		/** @type {Api["LoggedKeys"]} */
		const { logged } = await call("/me/archive/logged", { keys: group.map(({ key }) => key) }, signal, reading.say);
		for (const [index, { person, kind }] of group.entries()) {
			let partner = partners.get(person);
			if (!partner) partners.set(person, (partner = { person: personOf(survey, person), kinds: {}, fresh: 0, logged: 0 }));
			if (logged[index]) {
				partner.logged += 1;
				leave("logged");
				continue;
			}
			partner.fresh += 1;
			partner.kinds[kind] = (partner.kinds[kind] ?? 0) + 1;
		}
	}
	// By now the place may be another's.
	if (signal.aborted) return null;
	const all = [...partners.values()].filter(({ fresh }) => fresh > 0);
	const looking = progress(t("Looking for their matches"), all.length);
	place.replaceChildren(looking.node);
	for (let at = 0; at < all.length && !signal.aborted; at += MOST_PEOPLE) {
		const some = all.slice(at, at + MOST_PEOPLE);
		const body = { member: choice.owner, people: some.map(({ person }) => person) };
		/** @type {Api["ForeseenPeople"]} */
		const { results } = await call("/me/archive/preview", body, signal, looking.say);
		for (const [index, found] of results.entries()) some[index].found = found;
		looking.add(some.length);
		looking.say(t("{done} of {people}", { done: number(Math.min(at + MOST_PEOPLE, all.length)), people: countedPeople(all.length) }));
	}
	/** @param {Partner} partner */
	const rank = ({ found }) => (found?.in_crm ? 0 : 1);
	all.sort((a, b) => rank(a) - rank(b) || b.fresh - a.fresh);
	return { partners: new Map(all.map((partner) => [partner.person.external_id, partner])), left };
}

const nameOf = ({ first_name, last_name, name, external_id }) => [first_name, last_name].filter(Boolean).join(" ") || name || external_id;

/** @param {Partner} partner */
const sentTo = ({ kinds }) =>
	Object.entries(KINDS)
		.filter(([kind]) => kinds[kind])
		.map(([kind, countOf]) => countOf(kinds[kind]))
		.join(", ");

/** @param {Partner} partner */
function matchOf({ found }) {
	if (found?.problem) return [tag("bad", t("Left out")), hint(`${t(found.problem.detail)} ${t(found.problem.next_step)}`)];
	if (found?.badge) return badge(found.badge);
	return found?.known ? stateTag(found.state) : tag("", t("Not in the CRM"));
}

// The people, some at once, each with a box to leave them out.
function peopleTable(partners, changed) {
	const list = el("div");
	const foot = el("div");
	const heads = [t("Log"), t("Person"), t("What"), t("Logged already"), t("Match")];
	const rowOf = (partner) => {
		const name = nameOf(partner.person);
		const box = el("input", {
			type: "checkbox",
			checked: !partner.left && !partner.found?.problem,
			disabled: !!partner.found?.problem,
			"aria-label": t("Log what was with {name}", { name }),
			onchange: () => {
				partner.left = !box.checked;
				changed();
			},
		});
		const shown = partner.found?.known ? link("person", said(name), null, { id: partner.found.id }) : said(name);
		return [box, shown, sentTo(partner), partner.logged ? number(partner.logged) : "–", matchOf(partner)];
	};
	let shown = 0;
	const more = () => {
		const next = table(t("The people with whom something would be logged"), heads, partners.slice(shown, shown + SHOWN).map(rowOf));
		const first = next.querySelector("input");
		if (shown) {
			list.querySelector("tbody").append(...next.querySelectorAll("tbody > tr"));
			first.focus();
		} else list.replaceChildren(next);
		shown += SHOWN;
		foot.replaceChildren(
			...(shown < partners.length ? [button(t("Show more of {n}", { n: countedPeople(partners.length) }), more)] : []),
		);
	};
	more();
	return [list, foot];
}

function leftOut(left) {
	const known = Object.entries(REASONS).filter(([reason]) => left.get(reason));
	if (!known.length) return p(t("Nothing of it is left out."));
	return table(
		t("What is left out, and why"),
		[t("Left out"), t("Number")],
		known.map(([reason, text]) => [text, number(left.get(reason))]),
	);
}

// -- Sending

// The outcome of the items sent: counts, and the causes of refusals with examples.
const outcome = () => ({ logged: 0, repeated: 0, connections: 0, unchanged: 0, refused: new Map() });

function refusedBy(result, problem, example) {
	const id = `${problem.code}: ${problem.detail}`;
	const cause = result.refused.get(id) ?? { problem, count: 0, examples: [] };
	cause.count += 1;
	if (cause.examples.length < EXAMPLES) cause.examples.push(example);
	result.refused.set(id, cause);
}

/** @param {Survey} survey @param {Found} found */
const itemOf = (survey, { key, kind, person, occurred_at, thread, title, text }) => ({
	idempotency_key: key,
	kind,
	person: personOf(survey, person),
	occurred_at,
	thread,
	title,
	text,
	log_to_crm: "yes",
});

// Sends some activities, and counts what became of them.
async function send(items, signal, told, result) {
	/** @type {Api["ActivityResults"]} */
	const { results } = await call("/activities", { items }, signal, told);
	const off = results.filter(({ problem }) => problem?.code === "logging_off");
	// Nothing of the rest would be taken either.
	if (off.length === results.length) throw new Refusal(off[0].problem);
	for (const [index, { outcome, problem }] of results.entries()) {
		if (outcome === "accepted") result.logged += 1;
		// Of a message whose person has another address by now it says that it is logged.
		else if (outcome === "repeated" || problem?.code === "key_reused") result.repeated += 1;
		else if (problem) refusedBy(result, problem, [nameOf(items[index].person), time(items[index].occurred_at)]);
	}
}

/** Sends what was chosen; once more, it goes on with what is not there yet. */
async function sendAll({ sources, survey, choice, partners, chosen, connections }, signal, bar, result) {
	await api("PUT", "/me/archive", { member: choice.owner });
	const tell = () =>
		bar.say(
			[
				t("{logged} logged", { logged: number(result.logged) }),
				result.repeated > 0 && t("{repeated} were there already", { repeated: number(result.repeated) }),
				connections.length > 0 && t("{connections} connections", { connections: number(result.connections + result.unchanged) }),
				result.refused.size > 0 && t("{refused} refused", { refused: number(refusedCount(result)) }),
			]
				.filter(Boolean)
				.join(", "),
		);
	const wait = (text) => (text ? bar.say(text) : tell());
	const groups = grouped(
		activitiesOf(sources, survey, choice, signal, () => {}),
		MOST_KEYS,
	);
	for await (const group of groups) {
		const wanted = group.filter(({ person }) => partners.has(person) && chosen(partners.get(person)));
		if (!wanted.length) continue;
		/** @type {Api["LoggedKeys"]} */
		const { logged } = await call("/me/archive/logged", { keys: wanted.map(({ key }) => key) }, signal, wait);
		const open = wanted.filter((_, index) => !logged[index]);
		for (const items of parted(
			open.map((found) => itemOf(survey, found)),
			MOST_ITEMS,
			MOST_BYTES,
		)) {
			if (signal.aborted) return;
			await send(items, signal, wait, result);
			bar.add(items.length);
			tell();
		}
	}
	for (const items of parted(connections, MOST_ITEMS, MOST_BYTES)) {
		if (signal.aborted) return;
		/** @type {Api["UploadReport"]} */
		const report = await call("/me/archive/connections", { items }, signal, wait);
		result.connections += report.added + report.updated;
		result.unchanged += report.unchanged;
		for (const { row, problem } of report.results) if (problem) refusedBy(result, problem, [nameOf(items[row - 1])]);
		bar.add(items.length);
		tell();
	}
}

const refusedCount = ({ refused }) => [...refused.values()].reduce((sum, { count }) => sum + count, 0);

function causes({ refused }) {
	if (!refused.size) return null;
	return table(
		t("What was refused, and why"),
		[t("Cause"), t("Number"), t("Such as")],
		[...refused.values()].map(({ problem, count, examples }) => [
			[t(problem.detail), " ", el("span", { class: "hint" }, t("Next step: {step}", { step: t(problem.next_step) }))],
			number(count),
			examples.map(([name, at]) => el("div", null, said(name), at && [", ", at])),
		]),
	);
}

// -- The page

export async function archivePage(view) {
	const told = await signInNote();
	const busy = el("div");
	const whose = el("div");
	const preview = el("div");
	const sending = el("div");
	// A new choice ends what an earlier one began.
	let reading = stoppable(view.signal);
	const begin = () => {
		reading.abort();
		reading = stoppable(view.signal);
		return reading.signal;
	};

	const forget = () =>
		confirmed(
			t("Forget the earlier account"),
			t("Archives of another LinkedIn member are taken from then on. What was logged stays."),
			t("Forget it"),
			async () => {
				await api("DELETE", "/me/archive");
				return view.reload;
			},
		);

	// Sends, and shows how far it is; it can be stopped, and goes on where it was.
	const start = (plan, most) => {
		const result = outcome();
		const began = async () => {
			// Another file that is chosen ends it.
			const { signal } = reading;
			const stop = stoppable(signal);
			const bar = progress(t("Logging what you chose"), most);
			bar.add(result.logged + result.repeated + result.connections + result.unchanged + refusedCount(result));
			const place = el("div");
			const end = button(t("Stop"), () => stop.abort());
			sending.replaceChildren(card(t("Logging"), bar.node, row(end), place));
			moveTo(sending.querySelector("h2"));
			addEventListener("beforeunload", (event) => event.preventDefault(), { signal: stop.signal });
			let problem;
			try {
				await sendAll(plan, stop.signal, bar, result);
			} catch (error) {
				problem = asProblem(error);
			}
			if (signal.aborted) return;
			const stopped = stop.signal.aborted;
			stop.abort();
			const refused = refusedCount(result);
			const sum = [
				t("{logged} logged", { logged: number(result.logged) }),
				t("{repeated} logged already", { repeated: number(result.repeated) }),
				plan.connections.length > 0 &&
					t("{added} added, {unchanged} unchanged", {
						added: countedConnections(result.connections),
						unchanged: number(result.unchanged),
					}),
				t("{refused} refused", { refused: number(refused) }),
			];
			const text = `${sum.filter(Boolean).join(", ")}.`;
			// Refused items are tried again when it goes on.
			const onward = () => {
				result.refused.clear();
				return began();
			};
			sending.replaceChildren(
				card(
					t("What became of it"),
					problem && problemNote(problem),
					note(
						problem || stopped || refused ? "warn" : "good",
						strong(stopped && !problem ? t("Stopped: {text}", { text }) : text),
						p(t("What is logged reaches the CRM within minutes. {link}", { link: link("activities", t("My activities")) })),
					),
					(problem || stopped) && row(button(t("Go on"), onward, null)),
					causes(result),
				),
			);
			moveTo(sending.querySelector("h2"));
			announce(text);
		};
		return began();
	};

	/** @param {Source[]} sources @param {Survey} survey */
	const show = (sources, survey, choice, { partners, left }) => {
		const all = [...partners.values()];
		const outside = all.filter(({ found }) => !found?.in_crm && !found?.problem);
		const people = [...survey.connections.values()];
		const unmatched = check(
			"unmatched",
			many(outside.length, "Log to {n} person who is not in the CRM, too", "Log to {n} people who are not in the CRM, too"),
			false,
			t("Their activities are open and unassigned until somebody matches them."),
			{ onchange: () => draw() },
		);
		const add = check(
			"connections",
			t("Add {connections} to People", { connections: countedConnections(people.length) }),
			people.length > 0,
			survey.unnamed > 0 && t("{unnamed} without an address or name are left out.", { unnamed: number(survey.unnamed) }),
			{ onchange: () => draw() },
		);
		const wants = (box) => box.querySelector("input").checked;
		const chosen = (partner) => !partner.left && !partner.found?.problem && (partner.found?.in_crm || wants(unmatched));
		const sum = el("div");
		const amount = () => {
			const them = all.filter(chosen);
			const activities = them.reduce((sum, { fresh }) => sum + fresh, 0);
			const connections = wants(add) ? people : [];
			return { people: them.length, activities, connections, most: activities + connections.length };
		};
		const draw = () => {
			const { people, activities, connections } = amount();
			const told = {
				activities: countedActivities(activities),
				people: countedPeople(people),
				connections: countedConnections(connections.length),
			};
			sum.replaceChildren(
				p(
					strong(
						connections.length > 0
							? t("{activities} with {people}, and {connections} would be sent.", told)
							: t("{activities} with {people} would be sent.", told),
					),
				),
			);
		};
		draw();
		preview.replaceChildren(
			card(
				t("Preview"),
				form(
					[
						all.length > 0 ? peopleTable(all, draw) : p(t("There is nothing new to log since that day.")),
						outside.length > 0 && unmatched,
						people.length > 0 && add,
						el("h3", null, t("What is left out")),
						leftOut(left),
						sum,
					],
					[submit(t("Log it"))],
					async () => {
						const { connections, most } = amount();
						if (!most) refuse(t("Nothing is chosen."), t("Choose somebody, or another day."));
						preview.hidden = true;
						whose.hidden = true;
						// It shows its own problems.
						await start({ sources, survey, choice, partners, chosen, connections }, most);
					},
				),
			),
		);
		moveTo(preview.querySelector("h2"));
	};

	const ask = async (sources, survey, unread, signal) => {
		/** @type {Api["ArchiveView"]} */
		const { since } = await get("/me/archive");
		if (signal.aborted) return;
		const owners = ownersOf(survey);
		const member = owners.length
			? select(
					"member",
					owners.map(({ address, name }) => [address, name ? `${name} (${address})` : address]),
					owners[0].address,
				)
			: input("member", { type: "url", placeholder: "https://www.linkedin.com/in/…", required: true });
		whose.replaceChildren(
			card(
				t("Whose it is, and since when"),
				unread.length > 0 && note("warn", strong(t("Not all of it is read.")), ...unread),
				since != null && [
					p(t("You first logged from an archive on {since}. Those of other members are refused.", { since: time(since) })),
					row(button(t("The address of my profile has changed"), forget)),
				],
				form(
					[
						field(t("Whose archive it is"), member, t("You, by the address of your LinkedIn profile.")),
						field(
							t("Log since"),
							input("since", { type: "date", min: EARLIEST, required: true }),
							t("The first day, in UTC: {day} or later.", { day: EARLIEST }),
						),
						hint(
							t(
								"For the preview, the names and addresses of the people are sent to Leadbridge, which looks for their matches and keeps nothing. Messages stay here.",
							),
						),
					],
					[submit(t("Preview"))],
					async (fields) => {
						const day = fields.namedItem("since").value;
						if (!day) refuse(t("The day is missing."), t("Say since when it is to be logged."), "since");
						if (day < EARLIEST)
							refuse(
								t("It is before {day}, the earliest day that is logged.", { day: EARLIEST }),
								t("Choose a later one."),
								"since",
							);
						const typed = fields.namedItem("member").value.trim();
						if (!typed) refuse(t("The address of your profile is missing."), t("Copy it from LinkedIn."), "member");
						// As the files' addresses are compared.
						const owner = addressOf(typed);
						if (!owner) refuse(t("That is not the address of a LinkedIn profile."), t("Copy it from LinkedIn."), "member");
						const choice = { owner, since: startOf(day) };
						const signal = begin();
						preview.replaceChildren();
						sending.replaceChildren();
						try {
							const plan = await planOf(sources, survey, choice, signal, busy);
							if (!signal.aborted) show(sources, survey, choice, plan);
						} finally {
							// Unless another file was chosen meanwhile, whose it is now.
							if (!signal.aborted) busy.replaceChildren();
						}
					},
				),
			),
		);
		moveTo(whose.querySelector("h2"));
	};

	const choose = form(
		[
			field(
				t("Files"),
				input("files", { type: "file", accept: ".zip,.csv,application/zip,text/csv", multiple: true, required: true }),
				t(
					"The zip that LinkedIn gave you, all parts of it if there are several; or messages.csv, Connections.csv and Invitations.csv.",
				),
			),
		],
		[submit(t("Read it"))],
		async (fields) => {
			const files = [...fields.namedItem("files").files];
			if (!files.length) refuse(t("No file is chosen."), t("Choose one."), "files");
			const signal = begin();
			for (const place of [busy, whose, preview, sending]) {
				place.replaceChildren();
				place.hidden = false;
			}
			try {
				const { sources, unread } = await sourcesOf(files);
				const bar = progress(t("Reading the archive"), sizeOf(sources));
				busy.replaceChildren(bar.node);
				const survey = await surveyOf(sources, signal, bar.add);
				if (!signal.aborted) await ask(sources, survey, unread, signal);
			} finally {
				busy.replaceChildren();
			}
		},
	);
	return [
		told,
		p(
			t(
				"Ask LinkedIn for a copy of your data (Settings & Privacy, Data privacy, Get a copy of your data) with messages, connections and invitations. It is read in this browser: nothing of it leaves your machine but what you choose.",
			),
		),
		card(t("File"), choose),
		busy,
		whose,
		preview,
		sending,
	];
}
