// People whose company or job title in the CRM is out of date (SV-8).

import { api, get, link, session } from "./api.js";
import { badge } from "./directory.js";
import { action, announce, card, el, field, hint, moveTo, number, p, select, table, tag, time } from "./dom.js";
import { exporter, utc } from "./export.js";
import { searched } from "./list.js";
import { t } from "./words.js";

/** @typedef {import("./api.js").Api["OutdatedRecord"]} Outdated */
/** @typedef {import("./api.js").Api["FindingView"]} Finding */

const NAMES = ["owner", "field", "certainty", "dismissed"];

const fields = () => ({ company: t("Company"), title: t("Job title") });
const sources = () => ({ api: t("the API or a form here"), csv: t("a file") });
const sourceOf = (source) => (source ? (sources()[source] ?? t("a form response")) : "–");
const certain = (certainty) => (certainty === "sure" ? tag("bad", t("Sure")) : tag("warn", t("Likely")));

/**
 * The two values of a finding, where each comes from and how old it is.
 * @param {Finding} finding
 * @param {any} [source]
 */
const compared = (finding, source) => [
	el("div", null, t("Here: {value}", { value: finding.ours })),
	hint(
		source !== undefined && [t("from {source}", { source: sourceOf(source) }), ", "],
		finding.ours_at == null ? t("it is not known since when") : t("given {time}", { time: time(finding.ours_at) }),
	),
	el("div", null, t("In the CRM: {value}", { value: finding.theirs })),
	hint(
		finding.theirs_at == null
			? t("it is not known when the record changed")
			: t("record changed {time}", { time: time(finding.theirs_at) }),
	),
];

/**
 * Dismisses a finding, or takes that back.
 * @param {string} id
 * @param {Finding} finding
 */
const decide = (id, { field, values, dismissed }) =>
	api("POST", `/data-validation/${encodeURIComponent(id)}/${dismissed ? "restore" : "dismiss"}`, { field, values });

/**
 * The button that dismisses a finding, or takes that back.
 * @param {string} id
 * @param {string} name
 * @param {Finding} finding
 * @param {() => Promise<void>} then
 */
function decision(id, name, finding, then) {
	const [node, place] = action(finding.dismissed ? t("Show again") : t("Dismiss"), async () => {
		await decide(id, finding);
		await then();
		announce(finding.dismissed ? t("It is listed again.") : t("It is dismissed until one of the two values changes."));
	});
	node.setAttribute("aria-label", `${node.textContent}: ${name}, ${fields()[finding.field]}`);
	return [node, place];
}

/**
 * The section of a person's page with what is out of date in the CRM; nothing where all is as here.
 * @param {import("./api.js").Api["EntryDetail"]} entry
 * @param {() => Promise<void>} then
 */
export function outOfDate(entry, then) {
	if (!entry.findings?.length) return null;
	return card(
		t("Out of date in the CRM"),
		el(
			"ul",
			{ class: "plain" },
			entry.findings.map((finding) =>
				el(
					"li",
					null,
					el("h3", null, fields()[finding.field], " ", finding.dismissed ? tag("", t("Dismissed")) : certain(finding.certainty)),
					compared(finding),
					finding.dismissed &&
						hint(
							t("Dismissed by {name}", { name: finding.dismissed.by_name ?? finding.dismissed.by }),
							", ",
							time(finding.dismissed.at),
						),
					entry.may_dismiss && decision(entry.id, entry.name, finding, then),
				),
			),
		),
		!entry.may_dismiss && hint(t("The owner of the record dismisses it, who has the person in a list, or an administrator.")),
		p(link("update-in-crm", t("Update the record"), null, { id: entry.id })),
	);
}

/**
 * @param {Outdated[]} items
 * @param {() => Promise<void>} then
 */
const rows = (items, then) =>
	table(
		t("People whose record is out of date"),
		[t("Name"), t("What differs"), t("Certainty"), t("Owner"), t("Next step")],
		items.map((one) => [
			[link("person", one.name || t("(no name)"), null, { id: one.id }), " ", badge(one.record, one.name)],
			one.findings.map((finding) => el("div", null, el("strong", null, fields()[finding.field]), compared(finding, one.source))),
			one.findings.map((finding) => el("div", null, certain(finding.certainty))),
			one.owner ? (one.owner.name ?? one.owner.id) : "–",
			[
				link("update-in-crm", t("Update the record"), null, { id: one.id }),
				one.findings.map((finding) => el("div", null, decision(one.id, one.name, finding, then))),
			],
		]),
	);

const of = (name, value) => (/** @type {Outdated} */ one) => {
	const finding = one.findings.find(({ field }) => field === name);
	return finding ? value(finding) : "";
};
const columns = () => {
	const ofField = (name, label) => [
		[t("{field} here", { field: label }), of(name, ({ ours }) => ours)],
		[t("{field} given (UTC)", { field: label }), of(name, ({ ours_at }) => utc(ours_at))],
		[t("{field} in the CRM", { field: label }), of(name, ({ theirs }) => theirs)],
		[t("{field}: certainty", { field: label }), of(name, ({ certainty }) => (certainty === "sure" ? t("Sure") : t("Likely")))],
	];
	return [
		[t("Id"), ({ id }) => id],
		[t("Name"), ({ name }) => name],
		[t("Record"), ({ record }) => record.id],
		[t("Record’s address"), ({ record }) => record.url],
		[t("Owner"), ({ owner }) => owner?.name ?? owner?.id],
		[t("Source"), ({ source }) => sourceOf(source)],
		...ofField("company", t("Company")),
		...ofField("title", t("Job title")),
		[t("Record changed (UTC)"), ({ findings }) => utc(findings[0]?.theirs_at)],
	];
};

/**
 * The report by owner; a row leads to the owner's records.
 * @param {import("./api.js").Api["OutdatedCount"][]} items
 */
const report = (items) =>
	items.length
		? table(
				t("Values that are out of date, by the owner of the record"),
				[t("Owner"), t("Company"), t("Job title"), t("Of them sure"), t("Dismissed")],
				items.map(({ owner, company, title, sure, dismissed, more }) => [
					[
						owner ? link("out-of-date", owner.name ?? owner.id, null, { owner: owner.id }) : t("Nobody"),
						more && hint(t("and more than are counted")),
					],
					number(company),
					number(title),
					number(sure),
					number(dismissed),
				]),
			)
		: p(t("Nothing is out of date."));

const owners = (cursor) => get(`/data-validation/owners${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ""}`);

/**
 * Shows the report by owner in its place, with a button for further owners.
 * @param {HTMLElement} place
 * @param {import("./api.js").Api["OutdatedReport"]} found
 * @param {import("./api.js").Api["OutdatedCount"][]} [before]
 */
function byOwner(place, { items, next }, before = []) {
	const all = [...before, ...items];
	const more = next ? action(t("Count further owners"), async () => byOwner(place, await owners(next), all)) : [];
	const within = place.contains(document.activeElement);
	place.replaceChildren(!all.length && next ? p(t("Nothing is found so far.")) : report(all), ...more);
	// The button that had the focus is gone.
	if (within) moveTo(place.closest("section").querySelector("h2"));
}

export async function outOfDatePage(view) {
	const asked = (name) => view.query.get(name) ?? "";
	const first = await owners();
	const known = [];
	for (const { owner } of first.items) if (owner) known.push([owner.id, owner.name ?? owner.id]);
	if (asked("owner") && !known.some(([id]) => id === asked("owner"))) known.push([asked("owner"), asked("owner")]);
	const choice = (name, label, options) => field(label, select(name, options, asked(name)));
	const list = { view, path: "/data-validation", names: NAMES, one: t("person"), many: t("people out of date") };
	const counted = el("div");
	byOwner(counted, first);
	let again = async () => {};
	const then = async () => {
		const [, now] = await Promise.all([again(), owners()]);
		byOwner(counted, now);
		// The button that had the focus is gone.
		moveTo(found.querySelector("h2"));
	};
	const { search, results, read } = await searched({
		...list,
		rows: (found) => rows(found, then),
		none: () => p(t("Nothing is out of date.")),
		controls: [
			choice("owner", t("Owner of the record"), [["", t("Anybody")], ...known]),
			choice("field", t("What differs"), [["", t("Either")], ...Object.entries(fields())]),
			choice("certainty", t("Certainty"), [
				["", t("Any")],
				["sure", t("Sure")],
				["likely", t("Likely")],
			]),
			choice("dismissed", t("Dismissed"), [
				["", t("Not dismissed")],
				["true", t("Dismissed")],
			]),
		],
	});
	again = read;
	const found = card(t("Found"), results, exporter({ ...list, columns: /** @type {any} */ (columns()) }));
	return [
		hint(
			t(
				"What a form, a file or a program said of a person later than the CRM’s record was changed. Another spelling, an abbreviation or another legal form is no difference.",
			),
		),
		session.role !== "administrator" && hint(t("You see the records that you own, and the people in your lists.")),
		card(t("By owner"), counted),
		card(t("Search"), search),
		found,
	];
}
