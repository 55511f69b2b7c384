// Building blocks: elements, messages, fields, forms, dialogs. All text is set as text.

import { locale, t } from "./words.js";

// An element. `on…` attributes are listeners; false, null and undefined leave an attribute out.
export function el(name, attributes, ...children) {
	const node = document.createElement(name);
	for (const [key, value] of Object.entries(attributes ?? {})) {
		if (value === false || value == null) continue;
		if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
		else if (key === "value") node.value = value;
		else node.setAttribute(key, value === true ? "" : value);
	}
	node.append(...children.flat(9).filter((child) => child != null && child !== false));
	return node;
}

// An element of a drawing.
export function svg(name, attributes, ...children) {
	const node = document.createElementNS("http://www.w3.org/2000/svg", name);
	for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
	node.append(...children);
	return node;
}

export const p = (...children) => el("p", null, children);
export const hint = (...children) => el("p", { class: "hint" }, children);
export const strong = (...children) => el("strong", null, children);
export const li = (...children) => el("li", null, children);
export const row = (...children) => el("div", { class: "row" }, children);
export const group = (title, ...children) => el("fieldset", null, el("legend", null, title), children);
export const tag = (kind, text) => el("span", { class: `tag ${kind || ""}` }, text);

let ids = 0;
export const newId = () => `i${++ids}`;

export function announce(text) {
	document.getElementById("announcer").textContent = text;
}

// Moves to a heading.
export function moveTo(heading) {
	if (!heading) return;
	heading.tabIndex = -1;
	heading.focus();
	announce(heading.textContent);
}

// Looks again while something goes on, ever less often.
export async function poll(signal, isBusy, load) {
	let wait = 1000;
	while (!signal.aborted) {
		await new Promise((done) => setTimeout(done, wait));
		const busy = isBusy();
		wait = busy ? Math.min(wait * 1.3, 5000) : 1000;
		if (!busy || document.hidden || signal.aborted) continue;
		await load().catch(() => {});
	}
}

const FORMAT = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

// A time in milliseconds, in the reader's own zone.
export function time(ms) {
	if (ms == null) return "–";
	const date = new Date(ms);
	return el("time", { datetime: date.toISOString() }, FORMAT.format(date));
}

const DAY = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: "UTC" });

// A day of the calendar, `2026-05-31`, in no time zone.
export function day(text) {
	const date = new Date(`${text}T00:00:00Z`);
	if (Number.isNaN(date.getTime())) return "–";
	return el("time", { datetime: text }, DAY.format(date));
}

// An instant as a control for a local time shows it.
export function local(date) {
	const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
	return shifted.toISOString().slice(0, 16);
}

const NUMBER = new Intl.NumberFormat(locale);
export const number = (value) => NUMBER.format(value);

// A list of terms; those without a value are left out.
export function facts(pairs) {
	const rows = pairs.filter(([, value]) => value);
	return el(
		"dl",
		null,
		rows.map(([term, value]) => [el("dt", null, term), el("dd", null, value)]),
	);
}

export function card(title, ...children) {
	const id = newId();
	return el("section", { class: "card", "aria-labelledby": id }, el("h2", { id }, title), children);
}

// The classes of a cell: one to select its row with, one without a value.
const kindOf = (head, cell) => [head === t("Select") && "pick", cell === "–" && "none"].filter(Boolean).join(" ") || null;

// A table that reads as a list on narrow screens.
export function table(caption, heads, rows) {
	return el(
		"table",
		null,
		el("caption", { class: "unseen" }, caption),
		el(
			"thead",
			null,
			el(
				"tr",
				null,
				heads.map((head) => el("th", { scope: "col", class: kindOf(head) }, head)),
			),
		),
		el(
			"tbody",
			null,
			rows.map((cells) =>
				el(
					"tr",
					null,
					cells.map((cell, index) => el("td", { "data-label": heads[index], class: kindOf(heads[index], cell) }, cell)),
				),
			),
		),
	);
}

// A message: `good`, `warn`, `bad` or none of these.
export function note(kind, ...children) {
	return el(
		"div",
		{ class: `note ${kind}` },
		children.map((child) => (typeof child === "string" ? p(child) : child)),
	);
}

export function problemNote(problem, kind = "bad") {
	return note(kind, strong(t(problem.detail)), p(t("Next step: {step}", { step: t(problem.next_step) })));
}

// A step of a timeline.
export const step = (kind, title, at, ...children) =>
	li(el("h3", { class: kind }, title), at != null && p(el("span", { class: "hint" }, time(at))), children);

// The number of newest problems that a timeline shows at once; older ones are folded.
const RECENT = 3;

// The steps of a timeline for problems that were met. `stopped`: the kind of the last one, if it is still there.
export function problemSteps(failures, stopped) {
	const steps = failures.map(({ at, problem }, index) => {
		const kind = index === failures.length - 1 ? stopped : "";
		return step(kind, kind ? t("It stopped here") : t("It was held up"), at, problemNote(problem, kind));
	});
	const older = steps.splice(0, Math.max(0, steps.length - RECENT));
	return [
		older.length > 0 &&
			li(
				el(
					"details",
					null,
					el("summary", null, t("{n} earlier problems", { n: number(older.length) })),
					el("ol", { class: "timeline" }, older),
				),
			),
		steps,
	];
}

// An error that is a problem (RFC 9457): its detail, the next step, and the field.
export class Refusal extends Error {
	constructor(problem) {
		super(problem.detail);
		this.problem = problem;
	}
}

export const refuse = (detail, next_step, field) => {
	throw new Refusal({ detail, next_step, field });
};

export function asProblem(error) {
	if (error instanceof Refusal) return error.problem;
	console.error(error);
	return { detail: t("This page failed."), next_step: t("Load it again; if it persists, tell the operator the time.") };
}

// Shows a problem in `place`, and moves there.
export function showProblem(place, error) {
	const box = problemNote(asProblem(error));
	box.setAttribute("role", "alert");
	box.tabIndex = -1;
	place.replaceChildren(box);
	box.focus();
}

// Runs a button's action, once at a time; a problem shows at `place`.
export async function run(node, place, work) {
	if (node.getAttribute("aria-disabled")) return;
	node.setAttribute("aria-disabled", "true");
	place.replaceChildren();
	try {
		await work();
	} catch (error) {
		showProblem(place, error);
	} finally {
		node.removeAttribute("aria-disabled");
	}
}

// A button, with the place for its problem behind it.
export function action(text, work, kind = "second") {
	const place = el("div");
	const node = button(text, () => run(node, place, work), kind);
	return [node, place];
}

export function field(label, control, hint) {
	control.id = newId();
	const parts = [el("label", { for: control.id }, label)];
	if (hint) {
		const id = newId();
		parts.push(el("p", { class: "hint", id }, hint));
		control.setAttribute("aria-describedby", id);
	}
	return el("div", { class: "field" }, parts, control);
}

export const input = (name, attributes) => el("input", { name, autocomplete: "off", ...attributes });

// A secret that is pasted: shown as dots. It is nobody's password, which a browser would offer to keep.
export const secretInput = (name) => input(name, { class: "secret", spellcheck: false, autocapitalize: "off" });

export function check(name, label, checked, hint, attributes) {
	const control = el("input", { type: "checkbox", name, checked, ...attributes });
	const id = hint && newId();
	if (hint) control.setAttribute("aria-describedby", id);
	return el("label", { class: "check" }, control, el("span", null, label, hint && el("span", { class: "hint", id }, hint)));
}

// A choice of `[value, label]`; a value that is no longer offered stays.
export function select(name, options, value) {
	const known = options.some(([offered]) => offered === (value ?? ""));
	const all = known ? options : [...options, [value, t("{value} (no longer in your CRM)", { value })]];
	return el(
		"select",
		{ name },
		all.map(([offered, label]) => el("option", { value: offered, selected: offered === (value ?? "") }, label)),
	);
}

// A form. `work` gets its elements; a problem marks its field or shows above the buttons, as does a
// text that `work` gives.
export function form(children, buttons, work) {
	const place = el("div");
	const node = el("form", { novalidate: true }, children, place, row(buttons));
	let unmark = () => {};
	const mark = (control, { detail, next_step }) => {
		const error = el("p", { class: "error", id: newId() }, `${t(detail)} ${t(next_step)}`);
		const before = control.getAttribute("aria-describedby") ?? "";
		control.setAttribute("aria-invalid", "true");
		control.setAttribute("aria-describedby", `${before} ${error.id}`);
		control.after(error);
		control.focus();
		unmark = () => {
			control.removeAttribute("aria-invalid");
			control.setAttribute("aria-describedby", before);
			error.remove();
		};
	};
	node.addEventListener("submit", (event) => {
		event.preventDefault();
		unmark();
		run(event.submitter ?? node.querySelector("button"), place, async () => {
			try {
				const text = await work(node.elements, event.submitter);
				if (text) place.replaceChildren(note("good", text));
				if (text) announce(text);
			} catch (error) {
				const control = error.problem?.field && node.elements.namedItem(error.problem.field);
				if (!(control instanceof HTMLElement)) throw error;
				mark(control, error.problem);
			}
		});
	});
	return node;
}

export const submit = (text, kind) => el("button", { class: kind }, text);
export const button = (text, onclick, kind = "second") => el("button", { type: "button", class: kind, onclick }, text);
export const cancel = (close) => button(t("Cancel"), close);

// A dialog; `fill` gets the way to close it.
export function dialog(title, fill) {
	const id = newId();
	const node = el("dialog", { "aria-labelledby": id, onclose: () => node.remove() });
	node.append(el("h2", { id, tabindex: "-1" }, title), ...[fill(() => node.close())].flat(9));
	document.body.append(node);
	node.showModal();
	return node;
}

// Asks for confirmation, then runs `work`, and the function that it returns after the dialog is closed.
export function confirmed(title, text, button, work) {
	dialog(title, (close) =>
		form(p(text), [submit(button, "danger"), cancel(close)], async () => {
			const then = await work();
			close();
			then?.();
		}),
	);
}

// A button that copies a text; if the browser refuses, `control` gets the focus, to copy by hand.
export function copier(label, value, control) {
	const node = button(t("Copy"), async () => {
		try {
			await navigator.clipboard.writeText(value);
			node.textContent = t("Copied");
			announce(t("{label}: copied", { label }));
		} catch {
			control.focus();
		}
	});
	node.setAttribute("aria-label", t("Copy: {label}", { label }));
	return node;
}

// A text in one line with a copy button: an address, or a secret that is shown once.
export function copied(label, value, name = "copied", hint = null) {
	const control = input(name, { value, readonly: true, onfocus: (event) => event.target.select() });
	return el("div", { class: "copied" }, field(label, control, hint), row(copier(label, value, control)));
}
export const secret = (label, value) => copied(label, value, "secret");

// A text in several lines with a copy button.
export function snippet(label, value, hint = null) {
	const rows = Math.min(value.split("\n").length, 24);
	const control = el("textarea", { readonly: true, rows, spellcheck: "false", class: "code", onfocus: (event) => event.target.select() });
	control.value = value;
	return [field(label, control, hint), row(copier(label, value, control))];
}

// A text in single quotes for a shell.
export const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// A text field for a list with one entry in each line, and the entries of such a field.
export const lines = (name, entries, attributes) =>
	el("textarea", { name, rows: 4, spellcheck: "false", value: entries.join("\n"), ...attributes });
export const linesOf = (control) =>
	control.value
		.split("\n")
		.map((line) => line.trim())
		.filter(Boolean);

// A button in a row of a table; `about` names the row.
export const small = (about, text, onclick) =>
	el("button", { type: "button", class: "plain", "aria-label": `${text}: ${about}`, onclick }, text);

const LONG = 300;

// A text from outside: isolated, so that its direction does not change its surroundings, and folded if it is long.
export function said(text) {
	const all = String(text);
	if (all.length <= LONG) return el("bdi", { class: "any" }, all);
	const characters = [...all];
	const start = `${characters.slice(0, 100).join("")}…`;
	return el(
		"details",
		null,
		el("summary", null, el("bdi", { class: "any" }, start), " ", t("({n} characters)", { n: number(characters.length) })),
		el("bdi", { class: "any" }, all),
	);
}
