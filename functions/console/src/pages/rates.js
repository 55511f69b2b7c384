// The matched share of the directory, now and from pass to pass, and the passes (MA-5).

import { api, get } from "./api.js";
import { action, announce, card, el, facts, hint, note, number, p, poll, problemNote, svg, table, tag, time } from "./dom.js";

const STATES = { queued: ["warn", "Waiting"], running: ["", "In progress"], succeeded: ["good", "Done"], failed: ["bad", "Failed"] };
const peopleFirst = (entries) => entries.toSorted((a, b) => b.kind.localeCompare(a.kind));
const KINDS = { profile: "People", company: "Companies" };
const HISTORY = 200;
const isOpen = (pass) => pass?.state === "queued" || pass?.state === "running";

const PERCENT = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
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
	const said = `${title}: ${share(first)} at first, ${share(last)} now, in ${number(points.length)} ${points.length === 1 ? "pass" : "passes"}`;
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
		hint(time(from), to > from && [" to ", time(to)]),
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
		for (const kind of peopleFirst(entries)) put(`${KINDS[kind.kind]} in the directory`, at, kind.matched_permille);
		for (const object of objects) put(`${named(object.object)} in the CRM`, at, object.matched_permille);
	}
	return [...found];
}

/** @param {import("./api.js").Api["RatesView"]} rates */
const shownNow = ({ at, objects, entries }) => [
	hint("As of ", time(at)),
	el("h3", null, "Of the directory"),
	table(
		"How many entries of the directory are matched",
		["Kind", "Entries", "Matched", "Share", "Of them by people", "Not matched", "Unmatched by people"],
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
	el("h3", null, "Of the CRM"),
	objects.length
		? table(
				"How many records of the CRM are matched",
				["Object", "Records", "Matched", "Share", "Of them by people", "Not matched"],
				objects.map((object) => [
					named(object.object),
					number(object.records),
					number(object.matched),
					share(object.matched_permille),
					number(object.manual),
					number(object.unmatched),
				]),
			)
		: p("Nothing was imported yet."),
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
		const [kind, text] = STATES[last?.state] ?? ["", "None yet"];
		// An unchanged state is not announced again.
		if (state.textContent !== text) state.replaceChildren(tag(kind, text));
		const open = isOpen(last);
		pass.replaceChildren(
			...[
				last?.problem
					? problemNote(last.problem, last.state === "failed" ? "bad" : "warn")
					: p(last?.message ?? "The directory is matched after each import."),
				open &&
					last.state === "running" &&
					el("progress", {
						"aria-label": `How far it is: ${last.stage}`,
						max: last.of > 0 ? last.of : 1,
						value: last.of > 0 ? last.done : null,
					}),
				open && last.of > 0 && hint(`${last.stage}: ${number(last.done)} of ${number(last.of)}`),
				last?.again && note("", "Another pass follows: something was added meanwhile."),
				last &&
					facts([
						[
							"Asked for by",
							last.requested_by_name ??
								{ import: "An import", schedule: "The schedule" }[last.requested_by] ??
								last.requested_by,
						],
						["Asked for", time(last.requested_at)],
						["Started", last.started_at && time(last.started_at)],
						["Ended", last.finished_at && time(last.finished_at)],
						["Last one that reached its end", last.last_success_at && time(last.last_success_at)],
						["Matches changed", number(last.written)],
					]),
			].filter(Boolean),
		);
		now.replaceChildren(...(rates ? shownNow(rates) : [p("No pass has ended yet. One follows the first import.")]));
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
				: [p("There is nothing to compare yet.")]),
		);
	};
	await load();
	poll(view.signal, () => isOpen(found.pass), load);
	return [
		card(
			"Matching",
			p(state),
			pass,
			action(
				"Match now",
				async () => {
					await api("POST", "/matching/run");
					announce("A pass is asked for.");
					await load();
				},
				null,
			),
		),
		card("Now", now),
		card("From pass to pass", hint("The share that is matched; the lines are at 0, 50 and 100 %."), past),
	];
}
