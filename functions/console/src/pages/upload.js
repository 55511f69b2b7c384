// People or companies of a file in CSV: a preview of its reading, then the outcome of each row (MA-1).

import { api, link } from "./api.js";
import {
	announce,
	button,
	card,
	check,
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
	refuse,
	row,
	run,
	select,
	submit,
	strong,
	table,
	tag,
} from "./dom.js";
import { fieldName, fieldsOf } from "./directory.js";
import { many, t } from "./words.js";

const MOST_BYTES = 5_000_000;
// Rows that are shown at once.
const SHOWN = 200;
const OUTCOMES = {
	added: ["good", t("Added")],
	updated: ["good", t("Updated")],
	unchanged: ["", t("Unchanged")],
	refused: ["bad", t("Refused")],
};

const problemText = ({ detail, next_step }) => [
	t(detail),
	" ",
	el("span", { class: "hint" }, t("Next step: {step}", { step: t(next_step) })),
];

function preview(rows) {
	const all = rows.map((found) => Object.fromEntries(fieldsOf({ ...found.record, external_id: found.external_id })));
	const names = [...new Set(all.flatMap(Object.keys))];
	return table(
		t("The first rows, as they would be read"),
		[t("Row"), ...names.map(fieldName), t("Problem")],
		rows.map((found, index) => [
			String(found.row),
			...names.map((name) => all[index][name] ?? "–"),
			found.problem ? problemText(found.problem) : "–",
		]),
	);
}

/**
 * @param {import("./directory.js").Kind} kind
 * @param {import("./api.js").Api["UploadReport"]} report
 */
function report(kind, { results, linking, ...counts }) {
	const list = el("div");
	const foot = el("div");
	const rows = (items) =>
		table(
			t("Row by row"),
			[t("Row"), t("Result"), t("Entry"), t("Problem")],
			items.map((result) => [
				String(result.row),
				tag(...OUTCOMES[result.outcome]),
				result.id
					? link(kind.entry, t("Open"), { "aria-label": t("Open row {row}", { row: result.row }) }, { id: result.id })
					: "–",
				result.problem ? problemText(result.problem) : "–",
			]),
		);
	const show = (only) => {
		const wanted = only ? results.filter(({ outcome }) => outcome === "refused") : results;
		let shown = 0;
		const more = () => {
			const next = rows(wanted.slice(shown, shown + SHOWN));
			const first = next.querySelector("tbody > tr");
			if (shown) list.querySelector("tbody").append(...next.querySelectorAll("tbody > tr"));
			else list.replaceChildren(next);
			if (shown) {
				first.tabIndex = -1;
				first.focus();
			}
			shown += SHOWN;
			foot.replaceChildren(...(shown < wanted.length ? [button(t("Show more of {n}", { n: number(wanted.length) }), more)] : []));
		};
		more();
	};
	const refused = counts.refused > 0;
	show(refused);
	return card(
		t("What became of it"),
		note(
			refused ? "warn" : "good",
			strong(
				t("{rows} rows: {counts}.", {
					rows: number(counts.rows),
					counts: Object.entries(OUTCOMES)
						.map(([name, [, label]]) => `${number(counts[name])} ${label.toLowerCase()}`)
						.join(", "),
				}),
			),
			p(t(linking.message), " ", linking.asked && link("match-rates", t("Follow it"))),
		),
		refused && p(t("Correct the rows that were refused and upload the file again: the others stay as they are.")),
		refused && check("only", t("Only rows that were refused"), true, null, { onchange: (event) => show(event.target.checked) }),
		list,
		foot,
		p(link(kind.list, t("All {many}", { many: t(kind.many) }))),
	);
}

export const uploadPage = (kind) => async () => {
	const work = el("div");
	const done = el("div");
	const send = (path, map, bytes) =>
		api("POST", `${kind.path}/csv${path}${map == null ? "" : `?map=${encodeURIComponent(map)}`}`, bytes, "text/csv");

	// Shows how the columns would be read; each change reads them anew.
	const look = async (bytes) => {
		const { columns, fields, rows, map, preview: first } = await send("/columns", null, bytes);
		const choices = [["", t("Not read")], ...fields.map((name) => [name, fieldName(name)])];
		const sample = el("div", { class: "scroll", role: "region", "aria-label": t("The first rows"), tabindex: "0" }, preview(first));
		const trouble = el("div");
		let wanted = 0;
		const again = () => {
			wanted += 1;
			return run(lists, trouble, async () => {
				let read;
				// The user may change more settings while a request runs; the last ones count.
				for (let at = 0; at !== wanted;) {
					at = wanted;
					read = await send("/columns", chosen(), bytes);
				}
				sample.replaceChildren(preview(read.preview));
				announce(t("The first rows are read anew."));
			});
		};
		const selects = columns.map((column, index) => {
			const list = select(`column_${index}`, choices, column.field);
			list.addEventListener("change", again);
			return field(column.name || t("Column {index}, without a name", { index: index + 1 }), list);
		});
		const chosen = () => selects.map((node) => node.querySelector("select").value).join(",");
		const lists = el("div", { class: "grid" }, selects);
		const upload = form(
			[
				hint(t("What each column of the file is read as.")),
				lists,
				trouble,
				el("h3", null, t("The first rows, as they would be read")),
				sample,
			],
			[submit(many(rows, "Upload {n} row", "Upload {n} rows"))],
			async () => {
				announce(t("The file is being uploaded."));
				const told = await send("", chosen(), bytes);
				done.replaceChildren(report(kind, told));
				work.replaceChildren();
				moveTo(done.querySelector("h2"));
			},
		);
		work.replaceChildren(
			card(
				t("Columns"),
				map === "" || !columns.some((column) => column.field)
					? problemNote(
							{ detail: t("None of the columns is known by its name."), next_step: t("Choose what each of them holds.") },
							"warn",
						)
					: null,
				upload,
			),
		);
		moveTo(work.querySelector("h2"));
	};

	const choose = form(
		[
			field(
				t("File"),
				input("file", { type: "file", accept: ".csv,text/csv", required: true }),
				t(
					"CSV in UTF-8, up to 5 MB and 5,000 rows, with the columns’ names in the first row. Comma, semicolon or tab between cells.",
				),
			),
		],
		[submit(t("Read the file"))],
		async (fields) => {
			const [file] = fields.file.files;
			work.replaceChildren();
			done.replaceChildren();
			if (!file) refuse(t("No file is chosen."), t("Choose one."), "file");
			if (file.size > MOST_BYTES)
				refuse(t("The file is larger than 5 MB."), t("Split it, and upload the parts one after the other."), "file");
			// Read the file now, so that the rows shown are uploaded even if it changes later.
			await look(await file.arrayBuffer());
		},
	);
	return [
		p(t("Rows that are in the directory already are updated. Nothing is stored before you have seen how the file is read.")),
		card(t("File"), choose),
		work,
		done,
	];
};
