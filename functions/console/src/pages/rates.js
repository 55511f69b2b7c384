// The matched share of the directory, now and from pass to pass, and the passes (MA-5).

import { api, get } from "./api.js";
import { action, announce, card, el, facts, hint, note, number, p, poll, problemNote, svg, table, tag, time } from "./dom.js";
import { locale, many, t } from "./words.js";

const STATES = {
	queued: ["warn", t("Waiting")],
	running: ["", t("In progress")],
	succeeded: ["good", t("Done")],
	failed: ["bad", t("Failed")],
};
const peopleFirst = (entries) => entries.toSorted((a, b) => b.kind.localeCompare(a.kind));
const KINDS = { profile: t("People"), company: t("Companies") };
const HISTORY = 200;
const isOpen = (pass) => pass?.state === "queued" || pass?.state === "running";

const PERCENT = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
const share = (permille) => (permille == null ? "–" : PERCENT.format(permille / 1000));
const named = (object) => object[0].toUpperCase() + object.slice(1);

const WIDTH = 300;
const HEIGHT = 100;

// A share over time: `[ms, permille]`, the oldest first.
function chart(title, points) {
	const [[from], [to]] = [points[0], points.at(-1)];
	const x = (at) => (to > from ? (WIDTH * (at - from)) / (to - from) : WIDTH);
	const y = (permille) => HEIGHT - permille / 10;
	const [[, first], [, last]] = [points[0], points.at(-1)];
	const counted = many(points.length, "{n} pass", "{n} passes");
	const said = t("{title}: {first} at first, {last} now, in {passes}", {
		title,
		first: share(first),
		last: share(last),
		passes: counted,
	});
	const level = (permille) => svg("line", { x1: 0, x2: WIDTH, y1: y(permille), y2: y(permille), class: "level" });
	return el(
		"figure",
		null,
		el("figcaption", null, `${title}: `, el("strong", null, share(last))),
		svg(
			"svg",
			{ viewBox: `-4 -4 ${WIDTH + 8} ${HEIGHT + 8}`, role: "img", "aria-label": said, class: "chart" },
			level(0),
			level(500),
			level(1000),
			svg("polyline", { points: points.map(([at, permille]) => `${x(at).toFixed(1)},${y(permille).toFixed(1)}`).join(" ") }),
			svg("circle", { cx: x(to), cy: y(last), r: 3.5 }),
		),
		hint(to > from ? t("{from} to {to}", { from: time(from), to: time(to) }) : time(from)),
	);
}

// Each object and kind that the history has, with its shares.
/** @param {import("./api.js").Api["RatesView"][]} history */
function series(history) {
	const found = new Map();
	const put = (title, at, permille) => {
		if (permille == null) return;
		if (!found.has(title)) found.set(title, []);
		found.get(title).push([at, permille]);
	};
	for (const { at, objects, entries } of history.toReversed()) {
		for (const kind of peopleFirst(entries)) put(t("{kind} in the directory", { kind: KINDS[kind.kind] }), at, kind.matched_permille);
		for (const object of objects) put(t("{object} in the CRM", { object: named(object.object) }), at, object.matched_permille);
	}
	return [...found];
}

/** @param {import("./api.js").Api["RatesView"]} rates */
const shownNow = ({ at, objects, entries }) => [
	hint(t("As of {at}", { at: time(at) })),
	el("h3", null, t("Of the directory")),
	table(
		t("How many entries of the directory are matched"),
		[t("Kind"), t("Entries"), t("Matched"), t("Share"), t("Of them by people"), t("Not matched"), t("Unmatched by people")],
		peopleFirst(entries).map((kind) => [
			KINDS[kind.kind],
			number(kind.entries),
			number(kind.matched),
			share(kind.matched_permille),
			number(kind.manual),
			number(kind.unmatched),
			number(kind.refused),
		]),
	),
	el("h3", null, t("Of the CRM")),
	objects.length
		? table(
				t("How many records of the CRM are matched"),
				[t("Object"), t("Records"), t("Matched"), t("Share"), t("Of them by people"), t("Not matched")],
				objects.map((object) => [
					named(object.object),
					number(object.records),
					number(object.matched),
					share(object.matched_permille),
					number(object.manual),
					number(object.unmatched),
				]),
			)
		: p(t("Nothing was imported yet.")),
];

export async function ratesPage(view) {
	const state = el("span", { role: "status" });
	const pass = el("div");
	const now = el("div");
	const past = el("div");
	let found;
	const load = async () => {
		found = await get(`/matching?limit=${HISTORY}`);
		draw(found);
	};
	const draw = ({ rates, pass: last, history }) => {
		const [kind, text] = STATES[last?.state] ?? ["", t("None yet")];
		// An unchanged state is not announced again.
		if (state.textContent !== text) state.replaceChildren(tag(kind, text));
		const open = isOpen(last);
		pass.replaceChildren(
			...[
				last?.problem
					? problemNote(last.problem, last.state === "failed" ? "bad" : "warn")
					: p(t(last?.message) ?? t("The directory is matched after each import.")),
				open &&
					last.state === "running" &&
					el("progress", {
						"aria-label": t("How far it is: {stage}", { stage: last.stage }),
						max: last.of > 0 ? last.of : 1,
						value: last.of > 0 ? last.done : null,
					}),
				open &&
					last.of > 0 &&
					hint(t("{stage}: {done} of {of}", { stage: last.stage, done: number(last.done), of: number(last.of) })),
				last?.again && note("", t("Another pass follows: something was added meanwhile.")),
				last &&
					facts([
						[
							t("Asked for by"),
							last.requested_by_name ??
								{ import: t("An import"), schedule: t("The schedule") }[last.requested_by] ??
								last.requested_by,
						],
						[t("Asked for"), time(last.requested_at)],
						[t("Started"), last.started_at && time(last.started_at)],
						[t("Ended"), last.finished_at && time(last.finished_at)],
						[t("Last one that reached its end"), last.last_success_at && time(last.last_success_at)],
						[t("Matches changed"), number(last.written)],
					]),
			].filter(Boolean),
		);
		now.replaceChildren(...(rates ? shownNow(rates) : [p(t("No pass has ended yet. One follows the first import."))]));
		const lines = series(history);
		past.replaceChildren(
			...(lines.length
				? [
						el(
							"div",
							{ class: "grid" },
							lines.map(([title, points]) => chart(title, points)),
						),
					]
				: [p(t("There is nothing to compare yet."))]),
		);
	};
	await load();
	poll(view.signal, () => isOpen(found.pass), load);
	return [
		card(
			t("Matching"),
			p(state),
			pass,
			action(
				t("Match now"),
				async () => {
					await api("POST", "/matching/run");
					announce(t("A pass is asked for."));
					await load();
				},
				null,
			),
		),
		card(t("Now"), now),
		card(t("From pass to pass"), hint(t("The share that is matched; the lines are at 0, 50 and 100 %.")), past),
	];
}
