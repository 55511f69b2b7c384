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

const MOST_BYTES = 5_000_000;
// Rows that are shown at once.
const SHOWN = 200;
const OUTCOMES = { added: ["good", "Added"], updated: ["good", "Updated"], unchanged: ["", "Unchanged"], refused: ["bad", "Refused"] };

const problemText = ({ detail, next_step }) => [detail, " ", el("span", { class: "hint" }, `Next step: ${next_step}`)];

function preview(rows) {
	const all = rows.map((found) => Object.fromEntries(fieldsOf({ ...found.record, external_id: found.external_id })));
	const names = [...new Set(all.flatMap(Object.keys))];
	return table(
		"The first rows, as they would be read",
		["Row", ...names.map(fieldName), "Problem"],
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
			"Row by row",
			["Row", "Result", "Entry", "Problem"],
			items.map((result) => [
				String(result.row),
				tag(...OUTCOMES[result.outcome]),
				result.id ? link(kind.entry, "Open", { "aria-label": `Open row ${result.row}` }, { id: result.id }) : "–",
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
			foot.replaceChildren(...(shown < wanted.length ? [button(`Show more of ${number(wanted.length)}`, more)] : []));
		};
		more();
	};
	const refused = counts.refused > 0;
	show(refused);
	return card(
		"What became of it",
		note(
			refused ? "warn" : "good",
			strong(
				`${number(counts.rows)} rows: ${Object.entries(OUTCOMES)
					.map(([name, [, label]]) => `${number(counts[name])} ${label.toLowerCase()}`)
					.join(", ")}.`,
			),
			p(linking.message, " ", linking.asked && link("match-rates", "Follow it")),
		),
		refused && p("Correct the rows that were refused and upload the file again: the others stay as they are."),
		refused && check("only", "Only rows that were refused", true, null, { onchange: (event) => show(event.target.checked) }),
		list,
		foot,
		p(link(kind.list, `All ${kind.many}`)),
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
		const choices = [["", "Not read"], ...fields.map((name) => [name, fieldName(name)])];
		const sample = el("div", { class: "scroll", role: "region", "aria-label": "The first rows", tabindex: "0" }, preview(first));
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
				announce("The first rows are read anew.");
			});
		};
		const selects = columns.map((column, index) => {
			const list = select(`column_${index}`, choices, column.field);
			list.addEventListener("change", again);
			return field(column.name || `Column ${index + 1}, without a name`, list);
		});
		const chosen = () => selects.map((node) => node.querySelector("select").value).join(",");
		const lists = el("div", { class: "grid" }, selects);
		const upload = form(
			[
				hint("What each column of the file is read as."),
				lists,
				trouble,
				el("h3", null, "The first rows, as they would be read"),
				sample,
			],
			[submit(`Upload ${number(rows)} ${rows === 1 ? "row" : "rows"}`)],
			async () => {
				announce("The file is being uploaded.");
				const told = await send("", chosen(), bytes);
				done.replaceChildren(report(kind, told));
				work.replaceChildren();
				moveTo(done.querySelector("h2"));
			},
		);
		work.replaceChildren(
			card(
				"Columns",
				map === "" || !columns.some((column) => column.field)
					? problemNote(
							{ detail: "None of the columns is known by its name.", next_step: "Choose what each of them holds." },
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
				"File",
				input("file", { type: "file", accept: ".csv,text/csv", required: true }),
				"CSV in UTF-8, up to 5 MB and 5,000 rows, with the columns’ names in the first row. Comma, semicolon or tab between cells.",
			),
		],
		[submit("Read the file")],
		async (fields) => {
			const [file] = fields.file.files;
			work.replaceChildren();
			done.replaceChildren();
			if (!file) refuse("No file is chosen.", "Choose one.", "file");
			if (file.size > MOST_BYTES)
				refuse("The file is larger than 5 MB.", "Split it, and upload the parts one after the other.", "file");
			// Read the file now, so that the rows shown are uploaded even if it changes later.
			await look(await file.arrayBuffer());
		},
	);
	return [
		p("Rows that are in the directory already are updated. Nothing is stored before you have seen how the file is read."),
		card("File", choose),
		work,
		done,
	];
};
