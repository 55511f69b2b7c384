// ROI: the opportunities that Leadbridge sourced and influenced, beside all others (RO-1).

import { api, get, link, session } from "./api.js";
import { badge } from "./directory.js";
import {
	action,
	announce,
	button,
	card,
	day,
	el,
	field,
	form,
	hint,
	input,
	li,
	note,
	number,
	p,
	problemNote,
	row,
	select,
	strong,
	submit,
	svg,
	table,
	tag,
	time,
} from "./dom.js";
import { exporter, saved } from "./export.js";
import { searched } from "./list.js";
import { locale, many, t } from "./words.js";

const ASKED = ["period", "from", "to", "by", "days_before", "currency"];
const BEHIND = ["in_period", "group", "part", "outcome"];
const PERCENT = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
const share = (permille) => (permille == null ? "–" : PERCENT.format(permille / 1000));
const PARTS = () => [
	["sourced", t("Sourced")],
	["influenced", t("Influenced")],
	["others", t("All others")],
	["all", t("All")],
];
const PERIODS = () => [
	["month", t("Month")],
	["quarter", t("Quarter")],
	["year", t("Year")],
];
const GROUPS = () => [
	["nothing", t("Nothing")],
	["owner", t("Owner")],
	["source", t("Source")],
	["form", t("Form")],
	["campaign", t("Campaign")],
];
const OUTCOMES = () => ({ open: ["", t("Open")], won: ["good", t("Won")], lost: ["bad", t("Lost")] });
const REASONS = () => ({
	came_in_by_form: t("Came in by a form"),
	created_by_user: t("Created through Leadbridge"),
	submission: t("Form response"),
	activity: t("Activity"),
	list_save: t("Saved to a list"),
	linkedin: "LinkedIn",
	website: t("Website"),
	google_ads: "Google Ads",
});

// An amount as people read it; the API's decimal text is kept for files.
const money = (text, currency) => `${number(Number(text))} ${currency}`;
const nameOf = ({ group, name }) => name ?? REASONS()[group] ?? (group || t("None"));

const WIDTH = 480;
const HEIGHT = 160;
const LEFT = 64;
const BOTTOM = 18;
const SHADES = [1, 0.6, 0.25];

// The value of each period as bars, side by side: sourced, influenced, all others.
function chart(rows, currency) {
	const periods = [...new Set(rows.map(({ period }) => period))];
	const shown = PARTS().slice(0, 3);
	const sums = periods.map((period) => {
		const own = rows.filter((row) => row.period === period);
		return shown.map(([part]) => own.reduce((sum, row) => sum + Number(row[part].value), 0));
	});
	const most = Math.max(1, ...sums.flat());
	const slot = (WIDTH - LEFT) / periods.length;
	const y = (value) => HEIGHT * (1 - value / most);
	const text = (attributes, said) => {
		const node = svg("text", attributes);
		node.append(said);
		return node;
	};
	const bars = sums.flatMap((values, at) =>
		values.map((value, index) => {
			const width = (slot * 0.8) / values.length;
			const x = LEFT + slot * (at + 0.1) + width * index;
			// A sum below zero has no bar.
			const above = Math.max(0, value);
			const height = HEIGHT - y(above);
			const bar = svg("rect", { x, y: y(above), width: Math.max(1, width - 1), height, "fill-opacity": SHADES[index] });
			bar.append(svg("title", {}, `${periods[at]}, ${shown[index][1]}: ${money(value, currency)}`));
			return bar;
		}),
	);
	const levels = [0, 0.5, 1].flatMap((level) => [
		svg("line", { x1: LEFT, x2: WIDTH, y1: y(level * most), y2: y(level * most), class: "level" }),
		text({ x: LEFT - 4, y: y(level * most) + 3 }, number(Math.round(level * most))),
	]);
	// Every second name, or fewer, where there is no room for all.
	const every = Math.ceil(periods.length / 8);
	const names = periods.map((period, at) =>
		at % every ? null : text({ x: LEFT + slot * (at + 0.5), y: HEIGHT + BOTTOM - 5, class: "below" }, period),
	);
	const legend = shown.map(([, name], index) => [
		svg("rect", { x: LEFT + index * 130, y: -17, width: 9, height: 9, "fill-opacity": SHADES[index] }),
		text({ x: LEFT + index * 130 + 13, y: -9, class: "after" }, name),
	]);
	return el(
		"figure",
		null,
		el("figcaption", null, t("Value of the opportunities opened in each period, in {currency}", { currency })),
		svg(
			"svg",
			{
				viewBox: `0 -22 ${WIDTH} ${HEIGHT + BOTTOM + 24}`,
				role: "img",
				"aria-label": t("Bars of the value by period; the table has the same numbers"),
				class: "chart bars wide",
			},
			...levels,
			...bars,
			...names.filter(Boolean),
			...legend.flat(),
		),
	);
}

const HEADS = () => [t("Opportunities"), t("Open"), t("Won"), t("Lost"), t("Win rate"), t("Value"), t("Of it won"), t("Of it open")];

// A table with a line for each part of each row; each count opens its opportunities.
function figures(caption, rows, question, open) {
	const { by, currency } = question;
	const divided = by !== "nothing";
	const heads = [t("Period"), divided && GROUPS().find(([value]) => value === by)[1], t("Part"), ...HEADS()].filter(Boolean);
	return table(
		caption,
		heads,
		rows.flatMap((one) =>
			PARTS().map(([part, name]) => {
				const of = one[part];
				const about = `${[one.period || t("All periods"), divided && one.period && nameOf(one), name].filter(Boolean).join(", ")}`;
				const opens = (text, count, outcome, said) =>
					count && open ? link("roi", text, { "aria-label": `${about}: ${said}, ${text}` }, open(one, part, outcome)) : text;
				const counted = (count, outcome, said) => opens(number(count), count, outcome, said);
				return [
					one.period || t("All periods"),
					...(divided ? [one.period ? nameOf(one) : ""] : []),
					name,
					counted(of.opportunities, null, t("Opportunities")),
					counted(of.open, "open", t("Open")),
					counted(of.won, "won", t("Won")),
					counted(of.lost, "lost", t("Lost")),
					opens(share(of.win_permille), of.won + of.lost, null, t("Win rate")),
					opens(money(of.value, currency), of.opportunities, null, t("Value")),
					opens(money(of.won_value, currency), of.won, "won", t("Of it won")),
					opens(money(of.open_value, currency), of.open, "open", t("Of it open")),
				];
			}),
		),
	);
}

const COLUMNS = () => [
	[t("Period"), (line) => line.period || t("All periods")],
	[t("Group"), (line) => (line.period ? line.name || line.group : "")],
	[t("Part"), (line) => line.part],
	[t("Opportunities"), ({ of }) => of.opportunities],
	[t("Open"), ({ of }) => of.open],
	[t("Won"), ({ of }) => of.won],
	[t("Lost"), ({ of }) => of.lost],
	[t("Win rate"), ({ of }) => (of.win_permille == null ? "" : of.win_permille / 1000)],
	[t("Currency"), (line) => line.currency],
	[t("Value"), ({ of }) => of.value],
	[t("Of it won"), ({ of }) => of.won_value],
	[t("Of it open"), ({ of }) => of.open_value],
	[t("Without a value"), ({ of }) => of.without_amount],
	[t("Without a rate"), ({ of }) => of.without_rate],
];

// The definitions beside the figures, with their parameters.
function definitions({ question, own, value_field, rates, as_of, total }) {
	const { from, to, days_before, currency } = question;
	const used = rates.map(({ currency: code, rate, at }) => [`${code} ${rate}`, at ? [" (", time(at), ")"] : ""]);
	return card(
		t("Definitions"),
		el(
			"ul",
			null,
			li(
				t("Opportunities that were opened from {from} to {to} (UTC), each in the period in which it was opened.", {
					from: day(from),
					to: day(to),
				}),
			),
			li(
				strong(t("Sourced")),
				": ",
				t("one of its people came in by a form, or was created through Leadbridge, before it was opened."),
			),
			li(
				strong(t("Influenced")),
				": ",
				t(
					"an activity, a list save or a form response touches one of its people from {days} days before it was opened until the end of the day on which it was closed.",
					{ days: number(days_before) },
				),
			),
			li(strong(t("All others")), ": ", t("neither of the two. An opportunity can be both sourced and influenced.")),
			li(strong(t("Win rate")), ": ", t("those won of those won or lost.")),
			li(
				strong(t("Value")),
				": ",
				value_field
					? t("of a won opportunity the field {field}, where it is filled, else the CRM’s usual amount.", {
							field: value_field,
						})
					: t("the CRM’s usual amount."),
			),
			li(
				strong(t("Currency")),
				": ",
				used.length
					? [
							t("converted to {currency} by the CRM’s rates of the last import:", { currency }),
							" ",
							used.flatMap((one, at) => (at ? [", ", one] : [one])),
						]
					: t("{currency}; the CRM has no rates.", { currency }),
			),
			li(t("A closed opportunity is settled a week after it was seen closed: later touches no longer change it.")),
		),
		own && hint(t("Only the opportunities that you own in the CRM count.")),
		as_of ? hint(t("As of "), time(as_of)) : note("warn", t("Nothing was computed yet. That follows the next import.")),
		total.all.without_rate > 0 &&
			note(
				"warn",
				many(
					total.all.without_rate,
					"{n} opportunity is in no sum: its currency has no rate.",
					"{n} opportunities are in no sum: their currencies have no rate.",
				),
			),
		total.all.without_amount > 0 &&
			hint(many(total.all.without_amount, "{n} opportunity has no value.", "{n} opportunities have no value.")),
	);
}

/** @param {any} reason */
const reasonLine = ({ kind, at, record, id, seat_name, form: name, campaign, sources, influences }) =>
	li(
		kind === "came_in_by_form" || kind === "submission" ? link("submission", REASONS()[kind], null, { id }) : REASONS()[kind],
		" ",
		time(at),
		name && `, ${name}`,
		campaign && `, ${campaign}`,
		seat_name && `, ${seat_name}`,
		" ",
		badge(record),
		" ",
		sources && tag("good", t("Sourced")),
		sources && influences && " ",
		influences && tag("", t("Influenced")),
	);

// The opportunities behind a figure.
async function behind(view, question) {
	const names = [...ASKED, ...BEHIND];
	const { currency } = question;
	const list = await searched({
		view,
		path: "/roi/opportunities",
		names,
		controls: [],
		one: t("opportunity"),
		many: t("opportunities"),
		rows: (items) =>
			table(
				t("Opportunities behind the figure"),
				[t("Opportunity"), t("Owner"), t("Opened"), t("Outcome"), t("Value"), t("Reasons")],
				items.map((one) => [
					[one.name, " ", badge(one.record, one.name)],
					one.owner?.name ?? one.owner?.id ?? "",
					time(one.opened),
					tag(...OUTCOMES()[one.outcome]),
					one.converted == null
						? one.amount
							? money(one.amount, one.currency ?? currency)
							: "–"
						: money(one.converted, currency),
					one.reasons.length ? el("ul", { class: "plain" }, one.reasons.map(reasonLine)) : t("None"),
				]),
			),
	});
	/** @type {[string, (item: any) => any][]} */
	const columns = [
		[t("Opportunity"), (one) => one.name],
		[t("Record"), ({ record }) => record.id],
		[t("Owner"), ({ owner }) => owner?.name ?? owner?.id],
		[t("Opened"), ({ opened }) => new Date(opened).toISOString()],
		[t("Outcome"), ({ outcome }) => outcome],
		[t("Amount"), ({ amount }) => amount],
		[t("Currency"), (one) => one.currency],
		[t("Converted to {currency}", { currency }), ({ converted }) => converted],
		[t("Sourced"), ({ sourced }) => sourced],
		[t("Influenced"), ({ influenced }) => influenced],
		[t("Reasons"), ({ reasons }) => reasons.map(({ kind, at, id }) => `${kind} ${new Date(at).toISOString()} ${id}`).join("; ")],
	];
	const title = [
		PARTS().find(([part]) => part === view.query.get("part"))?.[1],
		view.query.get("in_period"),
		OUTCOMES()[view.query.get("outcome")]?.[1],
	];
	return card(
		`${t("Opportunities")}: ${title.filter(Boolean).join(", ") || t("All")}`,
		list.results,
		exporter({ view, path: "/roi/opportunities", names, one: t("opportunity"), many: t("opportunities"), columns }),
	);
}

// The shown part of a report, live or kept.
function shown(report, open) {
	const { question, total, rows } = report;
	const lines = [total, ...rows].flatMap((one) =>
		PARTS().map(([part, name]) => ({ ...one, part: name, of: one[part], currency: question.currency })),
	);
	return [
		definitions(report),
		card(
			t("Figures"),
			rows.length
				? [chart(rows, question.currency), figures(t("Figures of opportunities"), [total, ...rows], question, open)]
				: p(t("No opportunity was opened in these days.")),
			rows.length > 0 &&
				row(button(t("Save the table as CSV"), () => saved(`roi-${question.from}-${question.to}.csv`, COLUMNS(), lines))),
		),
	];
}

async function keptReports(question, view) {
	const list = el("ul", { class: "plain" });
	const more = el("div");
	const part = async (cursor = "") => {
		const { items, next } = await get(`/roi/reports${cursor && `?cursor=${encodeURIComponent(cursor)}`}`);
		list.append(...items.map(({ id, name, at }) => li(link("roi", name, null, { report: id }), " ", time(at))));
		more.replaceChildren(...(next ? action(t("Show more"), () => part(next)) : []));
	};
	await part();
	return card(
		t("Kept reports"),
		hint(t("A report that is kept has its definitions, rates and figures with it, and reads the same later.")),
		form([field(t("Name"), input("name", { required: true, maxlength: 100 }))], [submit(t("Keep this report"))], async (fields) => {
			const kept = await api("POST", "/roi/reports", { name: fields.namedItem("name").value, question });
			announce(t("The report is kept."));
			view.go("roi", { report: kept.id });
		}),
		list.children.length ? list : p(t("None is kept yet.")),
		more,
	);
}

// The form of a report's question.
function choice(view, question) {
	const offered = (name, options) => {
		const known = options.some(([value]) => value === question[name]);
		return select(name, options, known ? question[name] : options[0][0]);
	};
	return form(
		[
			el(
				"div",
				{ class: "grid" },
				field(t("From"), input("from", { type: "date", value: question.from, required: true })),
				field(t("To"), input("to", { type: "date", value: question.to, required: true })),
				field(t("By"), offered("period", PERIODS())),
				field(t("Divided by"), offered("by", GROUPS())),
				field(
					t("Days before opening"),
					input("days_before", { type: "number", min: 0, max: 365, value: question.days_before, required: true }),
				),
				field(t("Currency"), input("currency", { value: question.currency, required: true, pattern: "[A-Z]{3}", maxlength: 3 })),
			),
		],
		[submit(t("Show"))],
		(fields) => view.go("roi", Object.fromEntries(ASKED.map((name) => [name, fields.namedItem(name).value]))),
	);
}

export async function roiPage(view) {
	const id = view.query.get("report");
	if (id) {
		const kept = await get(`/roi/reports/${encodeURIComponent(id)}`);
		view.entitle(kept.name);
		return [p(t("Kept "), time(kept.at), ". ", link("roi", t("Back to the figures of today"))), ...shown(kept.report, null)];
	}
	const wish = new URLSearchParams();
	for (const name of ASKED) if (view.query.get(name)) wish.set(name, view.query.get(name));
	let report;
	try {
		report = await get(`/roi?${wish}`);
	} catch (error) {
		if (error.problem?.status !== 400) throw error;
		// What was typed stays, beside what is wrong with it.
		announce(t(error.problem.detail));
		return [
			card(t("Report"), problemNote(error.problem), choice(view, { period: "quarter", by: "nothing", ...Object.fromEntries(wish) })),
		];
	}
	const { question } = report;
	if (!report.enabled)
		return [
			card(
				t("ROI reporting is off"),
				p(t("An administrator turns it on in the settings of the CRM. The figures follow the next import.")),
				session.role === "administrator" && p(link("crm-production", t("Open the CRM’s settings"))),
			),
		];
	const asked = Object.fromEntries(ASKED.map((name) => [name, question[name]]));
	const open = ({ period, group }, part, outcome) => ({
		...asked,
		...(period && { in_period: period }),
		...(period && question.by !== "nothing" && { group: group || "-" }),
		part,
		...(outcome && { outcome }),
	});
	return [
		card(t("Report"), choice(view, question)),
		...shown(report, open),
		view.query.get("part") && (await behind(view, question)),
		session.role === "administrator" && (await keptReports(question, view)),
	].filter(Boolean);
}
