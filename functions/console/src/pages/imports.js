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
import { locale, t } from "./words.js";

const STATES = {
	queued: ["warn", t("Waiting")],
	running: ["", t("In progress")],
	succeeded: ["good", t("Up to date")],
	failed: ["bad", t("Failed")],
	cancelled: ["warn", t("Stopped")],
};
const OBJECT_STATES = {
	waiting: ["", t("Waiting")],
	reading: ["", t("Reading")],
	done: ["good", t("Done")],
	failed: ["bad", t("Failed")],
	not_readable: ["warn", t("Not readable")],
};
const PASSES = {
	first: t("all records, for the first time"),
	compare: t("all records, compared with what is here"),
	changes: t("what changed"),
};

/** @param {{ state?: string }} sync */
export const isOpen = ({ state }) => state === "queued" || state === "running";
export const syncState = (state) => STATES[state]?.[1];

const COMPACT = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
const bytes = (value) => `${COMPACT.format(value)}B`;

// Times within a text of the API, in the reader's own zone.
export const timed = (text) => text.split(/(\d{4}-\d\d-\d\dT[\d:.]+Z)/).map((part, index) => (index % 2 ? time(Date.parse(part)) : part));

function lasts(seconds) {
	if (seconds < 60) return t("{n} s", { n: seconds });
	const minutes = Math.round(seconds / 60);
	return minutes < 90 ? t("{n} min", { n: minutes }) : t("{n} h", { n: Math.round(minutes / 60) });
}

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
		of != null && open
			? t("{read} of about {of} read", { read: number(read), of: number(of) })
			: read > 0 && t("{n} read", { n: number(read) }),
		open && object.rate_per_second != null && t("{n} a second", { n: number(object.rate_per_second) }),
		open && object.seconds_left != null && t("{time} left", { time: lasts(object.seconds_left) }),
		object.written > 0 && t("{n} written", { n: number(object.written) }),
		object.removed > 0 && t("{n} removed", { n: number(object.removed) }),
	];
	const here = { here: number(object.records), there: number(object.crm_records ?? 0) };
	const held = object.crm_records == null ? t("{here} records here", here) : t("{here} records here, {there} in the CRM", here);
	return li(
		strong(label),
		" ",
		tag(...(left && !running ? ["warn", t("Not finished")] : OBJECT_STATES[state])),
		(open || state === "done") &&
			el("progress", {
				max: 100,
				value: percent ?? (open && read > 0 ? null : 0),
				"aria-label": t("{label}: how much is read", { label }),
			}),
		hint([held, ...done].filter(Boolean).join(" · ")),
		object.due_at && hint(t("Goes on "), time(object.due_at)),
		object.last_success_at && hint(t("Up to date as of {time}", { time: time(object.last_success_at) })),
		problem && problemNote(problem, state === "failed" ? "bad" : "warn"),
		object.notices.map(({ field, detail, next_step }) =>
			note("warn", strong(field && `${field}: `, t(detail)), p(t("Next step: {step}", { step: t(next_step) }))),
		),
	);
}

const sum = (objects, name) => objects.reduce((total, object) => total + object[name], 0);

/** @param {import("./api.js").Api["RunView"][]} runs */
function runRows(runs) {
	const heads = [
		t("Ended"),
		t("State"),
		t("Asked for by"),
		t("Took"),
		t("Read"),
		t("Written"),
		t("Removed"),
		t("API calls"),
		t("Problem"),
	];
	return table(
		t("Imports that ended, newest first"),
		heads,
		runs.map((run) => [
			time(run.finished_at),
			tag(...STATES[run.state]),
			run.requested_by_name ?? (run.requested_by === "schedule" ? t("Schedule") : run.requested_by),
			run.started_at ? lasts(Math.round((run.finished_at - run.started_at) / 1000)) : "–",
			...["read", "written", "removed"].map((name) => number(sum(run.objects, name))),
			number(run.calls),
			t(run.problem?.detail) ?? "–",
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
		const rows = items.length ? runRows(items) : p(t("No import has ended yet."));
		if (before) list.append(rows);
		else list.replaceChildren(rows);
		foot.replaceChildren(...(next ? action(t("Show more"), () => read(next)) : []));
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
	return [el("details", { ontoggle: open }, el("summary", null, t("Imports that ended")), list, foot), again];
}

// The import's card. `read` asks for the import, `draw` shows it; `changed` is called when the user started or stopped it.
export function importCard(environment, changed) {
	const state = el("span", { role: "status" });
	const message = el("div");
	const buttons = el("div");
	const list = el("ul", { class: "plain" });
	const usage = el("div");
	const [past, again] = history(environment);
	const node = card(
		t("Import"),
		hint(t("What changed in the CRM is imported every 12 hours.")),
		p(state),
		message,
		buttons,
		list,
		usage,
		past,
	);
	/** @type {{ open?: boolean, run?: number }} */
	let before = {};

	const start = () =>
		action(t("Sync now"), async () => {
			await api("POST", `/sync/${environment}`);
			announce(t("The sync is asked for."));
			await changed();
		});
	const stop = () =>
		button(t("Stop"), () =>
			confirmed(
				t("Stop the import"),
				t("What it has imported so far stays. The next import goes on from there."),
				t("Stop the import"),
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
		const [kind, text] = STATES[sync.state] ?? ["", t("None yet")];
		// An unchanged state is not announced again.
		if (state.textContent !== text) state.replaceChildren(tag(kind, text));
		// A problem that the connection shows already is not shown twice.
		const { problem } = sync;
		message.replaceChildren(
			...[
				problem
					? problem.detail !== known?.detail && problemNote(problem, sync.state === "failed" ? "bad" : "warn")
					: p(timed(t(sync.message))),
			].filter(Boolean),
		);
		const open = isOpen(sync);
		if (open !== before.open) buttons.replaceChildren(...[open ? stop() : start()].flat());
		list.replaceChildren(...sync.objects.map((object) => objectItem(object, open)));
		const { api: share } = sync;
		const asked = sync.requested_by_name ?? (sync.requested_by === "schedule" ? t("the schedule") : sync.requested_by);
		usage.replaceChildren(
			facts([
				[t("Asked for by"), asked],
				[t("Started"), sync.started_at && time(sync.started_at)],
				[t("Ended"), sync.finished_at && time(sync.finished_at)],
				[t("Next"), sync.next_at && time(sync.next_at)],
				[t("This run"), sync.calls > 0 && t("{calls} API calls, {bytes}", { calls: number(sync.calls), bytes: bytes(sync.bytes) })],
				[
					t("API calls in 24 hours"),
					share.limit != null &&
						t("Imports: {own}, {percent} % of their share. All applications: {used} of {limit}.", {
							own: number(share.imports_used),
							percent: number(share.share_used_percent ?? 0),
							used: number(share.used),
							limit: number(share.limit),
						}),
				],
				[
					t("Share of imports"),
					share.limit == null
						? t("{n} % of your organisation’s API calls, where the CRM tells their number", { n: share.share_percent })
						: t("{n} % of your organisation’s API calls", { n: share.share_percent }),
				],
			]),
		);
		if (before.run !== undefined && (before.run !== sync.run || (before.open && !open))) again();
		before = { open, run: sync.run };
	};
	const read = async () => (await get(`/sync?environment=${environment}`)).items[0];
	return { node, read, draw };
}
