// The contract as a whole: its export, how long what it holds is kept, and its deletion.

import { api, attempt, get, renew, session } from "./api.js";
import { forgetDrafts, newFile } from "./disk.js";
import {
	action,
	announce,
	button,
	card,
	confirmed,
	dialog,
	cancel,
	el,
	facts,
	field,
	form,
	input,
	note,
	number,
	p,
	poll,
	refuse,
	Refusal,
	row,
	run,
	said,
	showProblem,
	submit,
	time,
} from "./dom.js";
import { counted as countedOf } from "./import-runs.js";
import { many, t } from "./words.js";

/** @typedef {import("./api.js").Api["PrivacyView"]} Privacy */
/** @typedef {import("./api.js").Api["ContractRun"]} Run */

const TITLE = t("Export everything");
// A session that ends within that time is renewed.
const RENEW_MS = 15 * 60 * 1000;

const STOPPED = { detail: t("The export stopped."), next_step: t("Press the button again: it goes on from where it was.") };

// A text's JSON; null for any other text.
function parsed(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

// A page of the export: its lines, and what the last of them says of the page.
async function exportPage(cursor) {
	const wish = cursor ? `?${new URLSearchParams({ cursor })}` : "";
	// A large export takes longer than a session's token.
	if (session.valid_until - Date.now() < RENEW_MS && session.valid_until < session.session_ends_at) await renew().catch(() => {});
	const { status, text } = await attempt("GET", `/api/v1/contract/export${wish}`).catch((error) => {
		throw error instanceof Refusal ? error : new Refusal(STOPPED);
	});
	if (status !== 200) {
		const problem = parsed(text);
		// Without a next step it is no problem of ours: an answer of something in between.
		throw new Refusal(problem?.next_step ? problem : STOPPED);
	}
	const lines = text.trimEnd().split("\n");
	const page = parsed(lines.pop())?.page;
	// Cut off on its way.
	if (!page?.counts) throw new Refusal(STOPPED);
	return { lines, page };
}

const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);
const counted = (counts) => many(total(counts), "{n} item", "{n} items");
const byKind = (counts) =>
	Object.entries(counts)
		.sort(([a], [b]) => a.localeCompare(b))
		.map(([kind, count]) => `${kind}: ${number(count)}`)
		.join(", ");

// The button that puts all pages of the export into one file on the disk. An export that failed goes on from where it
// was.
function exporter(view) {
	const place = el("div");
	let kept = null;
	view.signal.addEventListener("abort", () => kept?.file.drop());
	const begin = async () => {
		const name = `contract-${new Date().toISOString().slice(0, 10)}.jsonl`;
		const file = await newFile(name, "application/x-ndjson");
		return file && { file, counts: {}, cursor: null, from: null, to: null };
	};
	// A part of the file. One that cannot be written ends the export: nobody knows what of it is in the file.
	const put = async (file, work) => {
		try {
			await work(file);
		} catch (error) {
			kept = null;
			await file.drop();
			throw error;
		}
	};
	const work = async () => {
		const mine = kept ?? (await begin());
		// Nobody chose a place for it.
		if (!mine) return;
		kept = mine;
		do {
			const { lines, page } = await exportPage(mine.cursor);
			if (view.signal.aborted) return;
			mine.from ??= page.read_at;
			mine.to = page.read_at;
			if (lines.length) await put(mine.file, (file) => file.write(`${lines.join("\n")}\n`));
			for (const [kind, count] of Object.entries(page.counts)) mine.counts[kind] = (mine.counts[kind] ?? 0) + count;
			mine.cursor = page.next;
			place.replaceChildren(p(t("{counted} so far", { counted: counted(mine.counts) })));
		} while (mine.cursor);
		const end = { read_from: mine.from, read_to: mine.to, counts: mine.counts };
		await put(mine.file, async (file) => {
			await file.write(`${JSON.stringify({ end })}\n`);
			await file.end();
		});
		kept = null;
		const text = t("{counted} saved as {name}.", { counted: counted(mine.counts), name: mine.file.name });
		place.replaceChildren(note("good", text, byKind(mine.counts)));
		announce(text);
	};
	const node = button(TITLE, () => run(node, place, work));
	return [row(node), place];
}

const STATES = { waiting: t("Waiting"), running: t("Running"), done: t("Done"), stopped: t("Stopped") };

/** @param {Run} told */
const runFacts = (told) =>
	facts([
		[t("State"), STATES[told.state]],
		[t("Asked for"), time(told.requested_at)],
		[t("Begins or continues"), told.due_at && time(told.due_at)],
		[t("Ended"), told.finished_at && time(told.finished_at)],
		[t("Done so far"), total(told.counts) > 0 && countedOf(told)],
	]);

const isOpen = (told) => told?.state === "waiting" || told?.state === "running";

/** @param {Privacy} privacy */
function deletion(privacy, again) {
	const { name, deletion: told, deletion_wait_days: days } = privacy;
	if (told && isOpen(told)) {
		return [
			note(
				"warn",
				told.state === "waiting" ? t("This contract is going to be deleted.") : t("This contract is being deleted."),
				told.due_at &&
					p(
						t("From {time} on nobody can sign in, no form takes anything, and everything is deleted.", {
							time: time(told.due_at),
						}),
					),
			),
			told.can_stop &&
				action(t("Keep this contract"), async () => {
					await api("POST", `/runs/${told.id}/stop`);
					await again(t("The contract stays."));
				}),
		];
	}
	return [
		p(
			t(
				"Everything is deleted: forms, submissions, people and companies, activities, what was imported from your CRM, connections, seats, API tokens. Your CRM keeps what was written to it. The deletion begins after {days} days; until then it can be stopped here, and everything works as before.",
				{ days: number(days) },
			),
		),
		row(
			button(
				t("Delete this contract"),
				() =>
					dialog(t("Delete this contract"), (close) =>
						form(
							[
								p(t("After the waiting period this cannot be undone. Export everything first, if you need it.")),
								field(t("The contract’s name"), input("name", { required: true }), said(name)),
							],
							[submit(t("Delete everything"), "danger"), cancel(close)],
							async (elements) => {
								await api("POST", "/contract/deletion", { name: elements.namedItem("name").value });
								close();
								await again(t("The deletion was asked for."));
							},
						),
					),
				"danger",
			),
		),
	];
}

/**
 * The settings for how long things are kept: the fields of the API.
 * @typedef {"keep_answers_days" | "keep_activities_days" | "keep_mirror_days"} Kept
 * @typedef {{ name: Kept, label: string, hint: string, older: string }} KeptField
 */

/** @type {KeptField[]} */
const KEPT = [
	{
		name: "keep_answers_days",
		label: t("Days for which answers are kept"),
		hint: t(
			"From the day a submission was received; then it is deleted with its answers. Leads and contacts in your CRM, and people in the directory, stay, and so does a submission that waits for something. 30 to 3650. Empty: for ever.",
		),
		older: t("Submissions that are older are deleted within a few days. That cannot be undone."),
	},
	{
		name: "keep_activities_days",
		label: t("Days for which activities are kept"),
		hint: t(
			"From the day an activity was written to your CRM; then its text is erased here, and whom it was with, and ROI reporting no longer counts it. Your CRM keeps it. An activity that waits for something stays. 30 to 3650. Empty: for ever.",
		),
		older: t("Of activities that are older, text and person are erased within a day. That cannot be undone."),
	},
	{
		name: "keep_mirror_days",
		label: t("Days for which imported records are kept"),
		hint: t(
			"From the day a CRM was disconnected; then what was imported from it is deleted, with the matches computed from it. While a CRM is connected, each import deletes what it no longer has. 7 to 3650. Empty: for ever.",
		),
		older: t("What was imported from a CRM that was disconnected longer ago is deleted within a day."),
	},
];

/** @param {Privacy} privacy */
function retention(privacy, again, last) {
	const put = (wanted) => api("PUT", "/contract/retention", wanted);
	const saved = () => again(t("The setting is saved."));
	const controls = KEPT.map(({ name, label, hint }) => {
		const days = privacy[name];
		return field(label, input(name, { inputmode: "numeric", maxlength: 4, value: days ? String(days) : "" }), hint);
	});
	return [
		form(controls, [submit(t("Save"))], async (elements) => {
			/** @type {Record<string, number>} */
			const wanted = {};
			const older = [];
			for (const kept of KEPT) {
				const text = elements.namedItem(kept.name).value.trim();
				if (!/^([1-9]\d*)?$/.test(text))
					refuse(t("That is no number of days."), t("Type a whole number of days, or nothing for ever."), kept.name);
				const [days, before] = [Number(text), privacy[kept.name]];
				wanted[kept.name] = days;
				if (days !== 0 && (before === 0 || days < before)) older.push(kept.older);
			}
			if (older.length === 0) {
				await put(wanted);
				return saved();
			}
			confirmed(t("Keep things for a shorter time"), older.join(" "), t("Delete what is older"), async () => {
				await put(wanted);
				// Not before the dialog is closed: it holds the focus.
				return () => saved().catch((error) => showProblem(last, error));
			});
		}),
		last,
	];
}

export async function privacyPage(view) {
	forgetDrafts();
	const place = el("div");
	const kept = el("div");
	const left = el("div");
	const last = el("div");
	/** @type {Privacy} */
	let privacy;
	// The form beside it stays while somebody types.
	const showLast = () => {
		const { retention_run: changed, activities_run: erased } = privacy;
		last.replaceChildren(
			...(changed ? [el("h3", null, t("Last change")), runFacts(changed)] : []),
			...(erased ? [el("h3", null, t("Last erasure of old activities")), runFacts(erased)] : []),
		);
	};
	const load = async () => {
		privacy = await get("/contract/privacy");
		showLast();
		const again = async (text) => {
			await load();
			const told = note("good", text);
			place.replaceChildren(told);
			// The focused element is drawn anew, and may be far below.
			told.tabIndex = -1;
			told.focus();
			announce(text);
		};
		kept.replaceChildren(card(t("How long things are kept"), retention(privacy, again, last)));
		left.replaceChildren(card(t("Delete this contract"), deletion(privacy, again)));
	};
	await load();
	const look = async () => {
		privacy = await get("/contract/privacy");
		showLast();
	};
	poll(view.signal, () => isOpen(privacy.retention_run) || isOpen(privacy.activities_run), look);
	return [
		place,
		card(
			TITLE,
			p(
				t(
					"One file with everything that is kept for this contract, an item in each line (JSON lines), and the number of items of each kind in the last. Passwords, tokens and keys are left out.",
				),
			),
			p(t("It is read page by page: each item is as it was when its page was read. What changes meanwhile may be in it or not.")),
			exporter(view),
		),
		kept,
		left,
	];
}
