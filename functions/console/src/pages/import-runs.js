// The imports of both environments and all other runs: progress, calls, next steps (IM-3, IM-4, CN-7).

import { api, get, link } from "./api.js";
import {
	announce,
	button,
	card,
	confirmed,
	el,
	hint,
	li,
	number,
	p,
	poll,
	problemNote,
	row,
	strong,
	svg,
	table,
	tag,
	time,
} from "./dom.js";
import { importCard, isOpen } from "./imports.js";
import { locale, many, t } from "./words.js";

const TITLES = { production: t("Production CRM"), sandbox: t("Sandbox CRM") };
const STATES = {
	queued: ["warn", t("Waiting")],
	waiting: ["warn", t("Waiting")],
	running: ["", t("In progress")],
	succeeded: ["good", t("Done")],
	done: ["good", t("Done")],
	failed: ["bad", t("Failed")],
	stopped: ["warn", t("Stopped")],
};
const WIDTH = 280;
const HEIGHT = 80;
const SHOWN = 30;
const DATE = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });

/**
 * The next steps, and the objects and fields that each is about.
 * @param {import("./api.js").Api["SyncStatus"]} sync
 */
function todo({ objects }) {
	/** @type {Map<string, { at: string, detail: string }[]>} */
	const steps = new Map();
	const put = (step, at, detail) => {
		if (!steps.has(step)) steps.set(step, []);
		steps.get(step).push({ at, detail });
	};
	for (const { label, problem, notices } of objects) {
		if (problem) put(problem.next_step, label, problem.detail);
		for (const { field, detail, next_step } of notices) put(next_step, field ? `${label}, ${field}` : label, detail);
	}
	if (!steps.size) return null;
	return [
		el("h3", null, t("What somebody should do")),
		el(
			"ul",
			{ class: "plain" },
			[...steps].map(([step, about]) =>
				li(
					strong(t(step)),
					el(
						"details",
						null,
						el("summary", null, many(about.length, "About {n} object or field", "About {n} objects and fields")),
						el(
							"ul",
							null,
							about.map(({ at, detail }) => li(strong(`${at}: `), t(detail))),
						),
					),
				),
			),
		),
	];
}

// The calls of the last imports as bars, with the same numbers as a table.
/** @param {import("./api.js").Api["RunView"][]} newest the newest first */
function calls(newest) {
	if (!newest.length) return p(t("No import has ended yet."));
	const runs = newest.toReversed();
	const most = Math.max(1, ...runs.map((run) => run.calls));
	const slot = WIDTH / Math.max(runs.length, 10);
	const bars = runs.map((run, index) => {
		const height = (HEIGHT * run.calls) / most;
		const bar = svg("rect", { x: index * slot + 1, width: slot - 2, y: HEIGHT - height, height });
		bar.append(svg("title", {}, `${DATE.format(run.finished_at)}: ${number(run.calls)}`));
		return bar;
	});
	const [first, last] = [runs[0], runs[runs.length - 1]].map((run) => DATE.format(run.finished_at));
	const values = { first, last, most: number(most) };
	return el(
		"figure",
		null,
		el("figcaption", null, t("API calls of each import; the most were {most}", values)),
		svg(
			"svg",
			{
				viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`,
				role: "img",
				"aria-label": t("API calls of each import, {first} to {last}: {most} at most", values),
				class: "chart bars",
			},
			svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "level" }),
			...bars,
		),
		hint(t("{first} to {last}", values)),
		el(
			"details",
			null,
			el("summary", null, t("As a table")),
			table(
				t("API calls of each import"),
				[t("Ended"), t("API calls")],
				newest.map((run) => [time(run.finished_at), number(run.calls)]),
			),
		),
	);
}

// An environment: its import, what to do, and its calls.
/** @param {"production" | "sandbox"} environment */
function part(environment) {
	const title = el("h2", null, TITLES[environment]);
	const way = p(link(`crm-${environment}`, t("The connection and its settings")));
	const steps = el("div");
	const chart = el("div");
	let open = false;
	let run;
	const load = async () => {
		const sync = await read();
		draw(sync);
		steps.replaceChildren(...(todo(sync) ?? []));
		open = isOpen(sync);
		// The history has one more when a run has ended.
		const key = `${sync.run} ${open}`;
		if (key === run) return;
		run = key;
		const { items } = await get(`/sync/runs?environment=${environment}&limit=${SHOWN}`);
		chart.replaceChildren(calls(items));
	};
	const { node, read, draw } = importCard(environment, load);
	return { load, isOpen: () => open, nodes: [title, way, node, card(t("What it costs and what it needs"), steps, chart)] };
}

// What runs count.
const COUNTED = {
	activity: (n) => many(n, "{n} activity", "{n} activities"),
	flag: (n) => many(n, "{n} flag set", "{n} flags set"),
	cleared_flag: (n) => many(n, "{n} flag cleared", "{n} flags cleared"),
	refused_flag: (n) => many(n, "{n} flag refused by the CRM", "{n} flags refused by the CRM"),
	contract: (n) => many(n, "{n} contract", "{n} contracts"),
	champion: (n) => many(n, "{n} champion", "{n} champions"),
	removed_champion: (n) => many(n, "{n} champion removed", "{n} champions removed"),
	opportunity: (n) => many(n, "{n} opportunity", "{n} opportunities"),
	removed_opportunity: (n) => many(n, "{n} opportunity removed", "{n} opportunities removed"),
	submission: (n) => many(n, "{n} submission", "{n} submissions"),
};

/** @param {import("./api.js").Api["ContractRun"]} one */
export const counted = ({ counts }) =>
	Object.entries(counts)
		.map(([name, count]) => COUNTED[name]?.(count) ?? `${number(count)} ${name.replaceAll("_", " ")}`)
		.join(", ") || "–";

// Runs that are no imports.
function others(view, { items }) {
	const stop = (one) =>
		confirmed(t("Stop: {title}", { title: t(one.title) }), t("What it has done so far stays done."), t("Stop it"), async () => {
			await api("POST", `/runs/${encodeURIComponent(one.id)}/stop`);
			return async () => {
				await view.reload();
				announce(t("It is stopped."));
			};
		});
	if (!items.length) return p(t("None in the last 180 days."));
	return table(
		t("Other runs, newest first"),
		[t("Run"), t("State"), t("Asked for"), t("Ended"), t("Done so far"), t("More")],
		items.map((one) => {
			const node = button(t("Stop"), () => stop(one), "plain");
			node.setAttribute("aria-label", t("Stop: {title}", { title: t(one.title) }));
			return [
				t(one.title),
				tag(...(STATES[one.state] ?? ["", one.state])),
				time(one.requested_at),
				one.finished_at ? time(one.finished_at) : one.due_at ? [t("Goes on "), time(one.due_at)] : "–",
				counted(one),
				one.can_stop ? node : "–",
			];
		}),
	);
}

// The matching of the directory after imports.
function pass({ pass: last }) {
	const [kind, text] = STATES[last?.state] ?? ["", t("None yet")];
	return [
		p(tag(kind, text)),
		last?.problem
			? problemNote(last.problem, last.state === "failed" ? "bad" : "warn")
			: p(t(last?.message) ?? t("The directory is matched after each import.")),
		row(link("match-rates", t("Match rates and earlier passes"))),
	];
}

export async function importsPage(view) {
	const [connections, runs, matching] = await Promise.all([get("/crm-connections"), get("/runs"), get("/matching?limit=1")]);
	const connected = connections.items.filter(({ status }) => status !== "not_connected");
	const parts = connected.map(({ environment }) => part(environment));
	await Promise.all(parts.map(({ load }) => load()));
	for (const one of parts) poll(view.signal, one.isOpen, one.load);
	return [
		parts.length
			? parts.map(({ nodes }) => nodes)
			: card(
					t("Imports"),
					p(t("No CRM is connected: there is nothing to import from.")),
					p(link("crm-production", t("Connect your CRM"))),
				),
		card(t("Matching with the directory"), pass(matching)),
		card(t("Other runs"), others(view, runs)),
	];
}
