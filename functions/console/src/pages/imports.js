// The import of an environment: its progress object by object, its calls, its history (CN-7, IM-3, IM-4).

import { api, get } from "./api.js";
import {
	action,
	announce,
	asProblem,
	button,
	card,
	confirmed,
	el,
	facts,
	hint,
	li,
	note,
	number,
	p,
	problemNote,
	strong,
	table,
	tag,
	time,
} from "./dom.js";

const STATES = {
	queued: ["warn", "Waiting"],
	running: ["", "In progress"],
	succeeded: ["good", "Up to date"],
	failed: ["bad", "Failed"],
	cancelled: ["warn", "Stopped"],
};
const OBJECT_STATES = {
	waiting: ["", "Waiting"],
	reading: ["", "Reading"],
	done: ["good", "Done"],
	failed: ["bad", "Failed"],
	not_readable: ["warn", "Not readable"],
};
const PASSES = { first: "all records, for the first time", compare: "all records, compared with what is here", changes: "what changed" };

/** @param {{ state?: string }} sync */
export const isOpen = ({ state }) => state === "queued" || state === "running";
export const syncState = (state) => STATES[state]?.[1];

const COMPACT = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const bytes = (value) => `${COMPACT.format(value)}B`;

// Times within a text of the API, in the reader's own zone.
export const timed = (text) => text.split(/(\d{4}-\d\d-\d\dT[\d:.]+Z)/).map((part, index) => (index % 2 ? time(Date.parse(part)) : part));

function lasts(seconds) {
	if (seconds < 60) return `${seconds} s`;
	const minutes = Math.round(seconds / 60);
	return minutes < 90 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

const counted = (name, count) => count > 0 && `${number(count)} ${name}`;

/**
 * An object; `running`: its run is open.
 * @param {import("./api.js").Api["ObjectProgress"]} object
 * @param {boolean} running
 */
function objectItem(object, running) {
	const { label, state, percent, read, of, problem } = object;
	const left = state === "waiting" || state === "reading";
	const open = left && running;
	const done = [
		percent != null && open && `${percent} %`,
		open && object.pass && PASSES[object.pass],
		of != null && open ? `${number(read)} of about ${number(of)} read` : counted("read", read),
		open && object.rate_per_second != null && `${number(object.rate_per_second)} a second`,
		open && object.seconds_left != null && `${lasts(object.seconds_left)} left`,
		counted("written", object.written),
		counted("removed", object.removed),
	];
	const held = `${number(object.records)} records here${object.crm_records == null ? "" : `, ${number(object.crm_records)} in the CRM`}`;
	return li(
		strong(label),
		" ",
		tag(...(left && !running ? ["warn", "Not finished"] : OBJECT_STATES[state])),
		(open || state === "done") &&
			el("progress", { max: 100, value: percent ?? (open && read > 0 ? null : 0), "aria-label": `${label}: how much is read` }),
		hint([held, ...done].filter(Boolean).join(" · ")),
		object.due_at && hint("Goes on ", time(object.due_at)),
		object.last_success_at && hint("Up to date as of ", time(object.last_success_at)),
		problem && problemNote(problem, state === "failed" ? "bad" : "warn"),
		object.notices.map(({ field, detail, next_step }) =>
			note("warn", strong(field && `${field}: `, detail), p(`Next step: ${next_step}`)),
		),
	);
}

const sum = (objects, name) => objects.reduce((total, object) => total + object[name], 0);

/** @param {import("./api.js").Api["RunView"][]} runs */
function runRows(runs) {
	const heads = ["Ended", "State", "Asked for by", "Took", "Read", "Written", "Removed", "API calls", "Problem"];
	return table(
		"Imports that ended, newest first",
		heads,
		runs.map((run) => [
			time(run.finished_at),
			tag(...STATES[run.state]),
			run.requested_by_name ?? (run.requested_by === "schedule" ? "Schedule" : run.requested_by),
			run.started_at ? lasts(Math.round((run.finished_at - run.started_at) / 1000)) : "–",
			...["read", "written", "removed"].map((name) => number(sum(run.objects, name))),
			number(run.calls),
			run.problem?.detail ?? "–",
		]),
	);
}

// A place for the history, which is read when it is opened, and again when a run has ended.
function history(environment) {
	const list = el("div");
	const foot = el("div");
	let shown = false;
	const read = async (before) => {
		const { items, next } = await get(`/sync/runs?environment=${environment}&limit=10${before ? `&before=${before}` : ""}`);
		const rows = items.length ? runRows(items) : p("No import has ended yet.");
		if (before) list.append(rows);
		else list.replaceChildren(rows);
		foot.replaceChildren(...(next ? action("Show more", () => read(next)) : []));
	};
	const again = () => shown && read().catch(() => {});
	const open = async (event) => {
		if (!event.target.open || shown) return;
		shown = true;
		try {
			await read();
		} catch (error) {
			shown = false;
			list.replaceChildren(problemNote(asProblem(error)));
		}
	};
	return [el("details", { ontoggle: open }, el("summary", null, "Imports that ended"), list, foot), again];
}

// The import's card. `read` asks for the import, `draw` shows it; `changed` is called when the user started or stopped it.
export function importCard(environment, changed) {
	const state = el("span", { role: "status" });
	const message = el("div");
	const buttons = el("div");
	const list = el("ul", { class: "plain" });
	const usage = el("div");
	const [past, again] = history(environment);
	const node = card("Import", hint("What changed in the CRM is imported every 12 hours."), p(state), message, buttons, list, usage, past);
	/** @type {{ open?: boolean, run?: number }} */
	let before = {};

	const start = () =>
		action("Sync now", async () => {
			await api("POST", `/sync/${environment}`);
			announce("The sync is asked for.");
			await changed();
		});
	const stop = () =>
		button("Stop", () =>
			confirmed(
				"Stop the import",
				"What it has imported so far stays. The next import goes on from there.",
				"Stop the import",
				async () => {
					await api("POST", `/sync/${environment}/cancel`);
					return changed;
				},
			),
		);

	/**
	 * @param {import("./api.js").Api["SyncStatus"]} sync
	 * @param {import("./api.js").Api["Problem"]} [known] the problem that the connection has
	 */
	const draw = (sync, known) => {
		const [kind, text] = STATES[sync.state] ?? ["", "None yet"];
		// An unchanged state is not announced again.
		if (state.textContent !== text) state.replaceChildren(tag(kind, text));
		// A problem that the connection shows already is not shown twice.
		const { problem } = sync;
		message.replaceChildren(
			...[
				problem
					? problem.detail !== known?.detail && problemNote(problem, sync.state === "failed" ? "bad" : "warn")
					: p(timed(sync.message)),
			].filter(Boolean),
		);
		const open = isOpen(sync);
		if (open !== before.open) buttons.replaceChildren(...[open ? stop() : start()].flat());
		list.replaceChildren(...sync.objects.map((object) => objectItem(object, open)));
		const { api: share } = sync;
		const asked = sync.requested_by_name ?? (sync.requested_by === "schedule" ? "the schedule" : sync.requested_by);
		usage.replaceChildren(
			facts([
				["Asked for by", asked],
				["Started", sync.started_at && time(sync.started_at)],
				["Ended", sync.finished_at && time(sync.finished_at)],
				["Next", sync.next_at && time(sync.next_at)],
				["This run", sync.calls > 0 && `${number(sync.calls)} API calls, ${bytes(sync.bytes)}`],
				[
					"API calls in 24 hours",
					share.limit != null &&
						`Imports: ${number(share.imports_used)}, ${number(share.share_used_percent ?? 0)} % of their share. All applications: ${number(share.used)} of ${number(share.limit)}.`,
				],
				[
					"Share of imports",
					`${share.share_percent} % of your organisation’s API calls${share.limit == null ? ", where the CRM tells their number" : ""}`,
				],
			]),
		);
		if (before.run !== undefined && (before.run !== sync.run || (before.open && !open))) again();
		before = { open, run: sync.run };
	};
	const read = async () => (await get(`/sync?environment=${environment}`)).items[0];
	return { node, read, draw };
}
