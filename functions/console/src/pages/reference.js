// The API's reference, drawn from its own description, with calls in the session's own rights (LG-1).

import { attempt, description, link, root, session } from "./api.js";
import {
	action,
	announce,
	card,
	confirmed,
	el,
	facts,
	field,
	form,
	hint,
	input,
	li,
	moveTo,
	note,
	number,
	p,
	refuse,
	row,
	select,
	shell,
	showProblem,
	snippet,
	submit,
	table,
	tag,
} from "./dom.js";
import { t } from "./words.js";

const METHODS = { get: "", post: "good", put: "warn", patch: "warn", delete: "bad" };
const JSON_TYPE = "application/json";
// The most characters of an answer that are shown.
const MOST_SHOWN = 200_000;

// The description, as far as pages have read it: its index first, and then part by part.
let described = null;
const learned = new Map();

// The first name of a path, by which the description has its parts.
const partOf = (path) => path.split("/")[3];

// Reads all about the paths of a name.
function learn(name) {
	if (!learned.has(name))
		learned.set(
			name,
			description(`part=${encodeURIComponent(name)}`).then(
				({ paths, components }) => {
					Object.assign(described.paths, paths);
					for (const [kind, found] of Object.entries(components))
						described.components[kind] = { ...described.components[kind], ...found };
				},
				(error) => {
					// To be tried again.
					learned.delete(name);
					throw error;
				},
			),
		);
	return learned.get(name);
}

// -- Schemas

// What a reference leads to; what stands beside the reference goes before that.
function resolved(part) {
	if (!part?.$ref) return part ?? {};
	const { $ref, ...beside } = part;
	const names = $ref
		.split("/")
		.slice(1)
		.map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
	return { ...names.reduce((node, name) => (Object.hasOwn(node ?? {}, name) ? node[name] : undefined), described), ...beside };
}

const nameOf = ({ $ref }) => $ref?.split("/").pop();
const onlyValues = (schema) => (schema.const !== undefined ? [schema.const] : schema.enum);

/**
 * A schema in one form, whatever it is composed of: references, parts of all of which it consists, alternatives.
 * @typedef {object} Shape
 * @property {string} [name]
 * @property {string} [type]
 * @property {string} [format]
 * @property {boolean} nullable
 * @property {string} [description]
 * @property {{ value: any, description?: string }[]} values the only values that are allowed, if there are such
 * @property {[string, any][]} properties
 * @property {string[]} required
 * @property {any} [items]
 * @property {any} [others] the schema of properties that have no name of their own
 * @property {any[]} variants
 * @property {any} [example]
 * @property {any} [fallback]
 * @property {any} limits
 */

/** @returns {Shape} */
function shapeOf(schema = /** @type {any} */ ({})) {
	const own = resolved(schema);
	const all = own.oneOf ?? own.anyOf ?? [];
	const variants = all.filter((part) => resolved(part).type !== "null");
	const types = [own.type].flat().filter(Boolean);
	const nullable = variants.length < all.length || types.includes("null");
	const parts = [...(own.allOf ?? []), ...(variants.length === 1 ? variants : [])].map(shapeOf);
	const values = (onlyValues(own) ?? []).map((value) => ({ value }));
	const valued = variants.length > 1 && variants.every((part) => onlyValues(resolved(part))?.length === 1);
	if (valued) for (const part of variants) values.push({ value: onlyValues(resolved(part))[0], description: resolved(part).description });
	/** @type {Shape} */
	const shape = {
		name: nameOf(schema) ?? parts.find(({ name }) => name)?.name,
		type: types.find((type) => type !== "null") ?? parts.find(({ type }) => type)?.type ?? (values.length ? "string" : undefined),
		format: own.format ?? parts.find(({ format }) => format)?.format,
		nullable: nullable || parts.some(({ nullable }) => nullable),
		description: own.description ?? parts.find(({ description }) => description)?.description,
		values: values.length ? values : parts.flatMap(({ values }) => values),
		properties: [...parts.flatMap(({ properties }) => properties), ...Object.entries(own.properties ?? {})],
		required: [...parts.flatMap(({ required }) => required), ...(own.required ?? [])],
		items: own.items ?? parts.find(({ items }) => items)?.items,
		others: typeof own.additionalProperties === "object" ? own.additionalProperties : parts.find(({ others }) => others)?.others,
		variants: valued || variants.length === 1 ? parts.flatMap(({ variants }) => variants) : variants,
		example: own.example ?? own.examples?.[0] ?? parts.find(({ example }) => example !== undefined)?.example,
		fallback: own.default ?? parts.find(({ fallback }) => fallback !== undefined)?.fallback,
		limits: Object.assign({}, ...parts.map(({ limits }) => limits), own),
	};
	if (!shape.type && shape.properties.length) shape.type = "object";
	return shape;
}

// A value that the schema allows: of an object the required properties only.
function sampleOf(schema, depth = 0) {
	const shape = shapeOf(schema);
	const { example, fallback, values, variants, nullable, type, format, properties, required, items, limits } = shape;
	if (example !== undefined) return example;
	if (fallback !== undefined) return fallback;
	if (values.length) return values[0].value;
	if (depth > 0 && nullable) return null;
	if (depth > 8) return null;
	const parts = Object.fromEntries(
		properties.filter(([name]) => required.includes(name)).map(([name, part]) => [name, sampleOf(part, depth + 1)]),
	);
	if (variants.length) {
		const first = sampleOf(variants[0], depth + 1);
		return typeof first === "object" ? { ...parts, ...first } : first;
	}
	if (type === "object") return parts;
	if (type === "array") return limits.minItems ? [sampleOf(items, depth + 1)] : [];
	if (type === "integer" || type === "number") return limits.minimum ?? 0;
	if (type === "boolean") return false;
	if (format === "uuid") return "00000000-0000-0000-0000-000000000000";
	return "text";
}

function typeOf(shape) {
	const { type, format, nullable, items, others, variants, properties } = shape;
	const named = () => {
		if (type === "array") return t("array of {type}", { type: typeOf(shapeOf(items ?? {})) });
		if (type === "object" && others && !properties.length) return t("object with values of {type}", { type: typeOf(shapeOf(others)) });
		if (variants.length) return [...new Set(variants.map((part) => typeOf(shapeOf(part))))].join(t(" or "));
		return `${type ?? t("any value")}${format ? ` (${format})` : ""}`;
	};
	return nullable ? t("{type} or null", { type: named() }) : named();
}

const LIMITS = {
	minimum: t("at least"),
	maximum: t("at most"),
	exclusiveMinimum: t("more than"),
	exclusiveMaximum: t("less than"),
	multipleOf: t("a multiple of"),
	minLength: t("characters, at least"),
	maxLength: t("characters, at most"),
	minItems: t("items, at least"),
	maxItems: t("items, at most"),
	minProperties: t("properties, at least"),
	maxProperties: t("properties, at most"),
	pattern: t("pattern"),
};

// A text of the description, with what stands between backticks as code.
const prose = (text) => text.split("`").map((part, index) => (index % 2 ? el("code", { class: "any" }, part) : part.replace(/\s+/g, " ")));
const code = (text) => el("code", { class: "any" }, text);

function notesOf(shape) {
	const { values, example, fallback, description, limits } = shape;
	const bounds = Object.entries(LIMITS)
		.filter(([name]) => limits[name] !== undefined)
		.map(([name, words]) => `${words} ${limits[name]}`);
	const list = (head, parts) => parts.length > 0 && p(`${head}: `, parts);
	return [
		description && p(prose(description)),
		bounds.length > 0 && hint(t("Limits: {bounds}", { bounds: bounds.join("; ") })),
		values.some(({ description }) => description)
			? el(
					"ul",
					null,
					values.map(({ value, description }) => li(code(String(value)), description && [": ", prose(description)])),
				)
			: list(
					t("One of"),
					values.flatMap(({ value }, index) => [index > 0 && ", ", code(String(value))]),
				),
		fallback !== undefined && p(t("Default: {value}", { value: code(JSON.stringify(fallback)) })),
		example !== undefined && p(t("Example: {value}", { value: code(JSON.stringify(example)) })),
	];
}

// A part that is made when it is first opened.
function folded(title, make, open = false) {
	const node = el("details", { ontoggle: () => fill() }, el("summary", null, title));
	const fill = () => {
		if (node.open && node.childElementCount === 1) node.append(...[make()].flat(9).filter(Boolean));
	};
	node.open = open;
	fill();
	return node;
}

// What is inside a schema: properties, elements, alternatives; nothing if it is a plain value.
function inside(shape, depth) {
	const { properties, required, items, others, variants } = shape;
	const parts = [];
	if (properties.length)
		parts.push(
			el(
				"ul",
				{ class: "fields" },
				properties.map(([name, part]) => {
					const of = shapeOf(part);
					return li(
						code(name),
						" ",
						el("span", { class: "hint" }, typeOf(of)),
						" ",
						required.includes(name) && tag("", t("Required")),
						notesOf(of),
						nested(of, depth + 1),
					);
				}),
			),
		);
	if (items) parts.push(nested(shapeOf(items), depth));
	if (others) parts.push(nested(shapeOf(others), depth));
	variants.forEach((part, index) => {
		const of = shapeOf(part);
		parts.push(
			p(t("Alternative {index}: {name}", { index: index + 1, name: of.name ?? typeOf(of) })),
			notesOf(of),
			inside(of, depth + 1),
		);
	});
	return parts.filter(Boolean);
}

function nested(shape, depth) {
	const of = shape.items ? shapeOf(shape.items) : shape;
	if (!of.properties.length && !of.variants.length && !of.items && !of.others) return of === shape ? null : notesOf(of);
	if (!of.properties.length && !of.variants.length) return inside(of, depth);
	return folded(of.name ? t("Inside {name}", { name: of.name }) : t("Inside it"), () => inside(of, depth), depth < 2);
}

function treeOf(schema) {
	const shape = shapeOf(schema);
	return [p(shape.name && [code(shape.name), ": "], typeOf(shape)), notesOf(shape), inside(shape, 0)];
}

// -- Operations

// The operations of the description's index, by tag, or by the first name of their path.
function operationsOf({ paths }) {
	const groups = new Map();
	for (const [path, item] of Object.entries(paths))
		for (const method of Object.keys(METHODS)) {
			if (!item[method]) continue;
			const { tags, summary, description } = item[method];
			const group = tags?.[0] ?? partOf(path);
			const text = [method, path, summary, description].filter(Boolean).join(" ").toLowerCase();
			const found = { key: `${method.toUpperCase()} ${path}`, method, path, summary, text };
			groups.set(group, [...(groups.get(group) ?? []), found]);
		}
	return groups;
}

// All about an operation, once its part is read.
function inFull({ key, method, path }) {
	const item = described.paths[path];
	const operation = item[method];
	const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(resolved);
	const request = resolved(operation.requestBody);
	const [type, content] = Object.entries(request.content ?? {})[0] ?? [];
	return { key, method, path, operation, parameters, body: type && { type, content, required: request.required } };
}

const WORDS = { api: "API", crm: "CRM", linkedin: "LinkedIn" };
function titleOf(group) {
	const text = group
		.split("-")
		.map((word) => WORDS[word] ?? word)
		.join(" ");
	return text[0].toUpperCase() + text.slice(1);
}

const bodySample = ({ type, content }) => (type === JSON_TYPE ? JSON.stringify(sampleOf(content.schema), null, 2) : "");

function curlOf({ method, path, operation, parameters, body }) {
	const named = (name) => name.toUpperCase();
	const query = parameters
		.filter(({ in: where, required }) => where === "query" && required)
		.map(({ name }) => `${encodeURIComponent(name)}=${named(name)}`);
	const address =
		root.href + path.slice(1).replace(/\{([^}]+)\}/g, (_, name) => named(name)) + (query.length ? `?${query.join("&")}` : "");
	const open = operation.security?.some((way) => !Object.keys(way).length);
	const sample = body && (body.type === JSON_TYPE ? `-d ${shell(bodySample(body))}` : "--data-binary @FILE");
	return [
		`curl -i ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${shell(address)}`,
		!open && "-H 'authorization: Bearer API_TOKEN'",
		body && `-H ${shell(`content-type: ${body.type}`)}`,
		sample,
	]
		.filter(Boolean)
		.join(" \\\n  ");
}

function control({ name, required, schema, example }) {
	const shape = shapeOf(schema ?? {});
	const values = shape.type === "boolean" ? ["true", "false"] : shape.values.map(({ value }) => String(value));
	if (values.length) return select(name, [["", required ? t("Choose") : t("Not given")], ...values.map((value) => [value, value])], "");
	const kept = example ?? shape.example;
	return input(name, { spellcheck: "false", placeholder: kept === undefined ? null : String(kept), "aria-required": required && "true" });
}

const pretty = (text) => {
	try {
		return JSON.stringify(JSON.parse(text), null, 2);
	} catch {
		return text;
	}
};

function answerOf({ status, headers, text, duration }) {
	const shown = pretty(text);
	const kind = status < 300 ? "good" : status < 500 ? "warn" : "bad";
	return [
		el("h4", null, t("The answer")),
		facts([
			[t("Status"), tag(kind, String(status))],
			[t("Time"), t("{duration} ms", { duration: number(duration) })],
			[t("Body"), text ? t("{n} characters", { n: number(text.length) }) : t("None")],
		]),
		el("details", null, el("summary", null, t("Headers")), facts(headers.map(([name, value]) => [name, code(value)]))),
		shown && el("pre", { dir: "ltr" }, shown.slice(0, MOST_SHOWN)),
		shown.length > MOST_SHOWN && hint(t("The first {n} characters of it.", { n: number(MOST_SHOWN) })),
	].filter(Boolean);
}

// The request that the form's fields make.
function requestOf({ method, path, parameters, body }, fields) {
	const query = new URLSearchParams();
	let at = path;
	for (const { name, in: where, required } of parameters) {
		const value = fields.namedItem(name)?.value.trim() ?? "";
		if (!value && required) refuse(t("{name} is missing.", { name }), t("Type it."), name);
		// As a part of a path they would lead to another address.
		if (where === "path" && /^\.\.?$/.test(value))
			refuse(t("{name} cannot be “{value}”.", { name, value }), t("Type another value."), name);
		if (where === "path") at = at.replace(`{${name}}`, () => encodeURIComponent(value));
		else if (where === "query" && value) query.set(name, value);
	}
	const text = body && fields.namedItem("body").value;
	if (body?.required && !text.trim()) refuse(t("The body is missing."), t("Type it."), "body");
	if (text?.trim() && body.type === JSON_TYPE) {
		try {
			JSON.parse(text);
		} catch (error) {
			refuse(t("The body is not JSON."), `${error.message}.`, "body");
		}
	}
	const wish = query.size ? `${at}?${query}` : at;
	return [method.toUpperCase(), wish, text?.trim() ? text : undefined, body?.type];
}

function tryIt(one) {
	const { method, parameters, body } = one;
	const place = el("div");
	const sample =
		body && el("textarea", { name: "body", rows: 8, spellcheck: "false", class: "code", value: bodySample(body), dir: "ltr" });
	const call = async (request) => {
		place.replaceChildren();
		const answer = await attempt(...request);
		place.replaceChildren(...answerOf(answer));
		return () => {
			moveTo(place.querySelector("h4"));
			announce(t("{status}, after {duration} milliseconds", { status: answer.status, duration: number(answer.duration) }));
		};
	};
	return [
		form(
			[
				el(
					"div",
					{ class: "grid" },
					parameters
						.filter(({ in: where }) => where === "path" || where === "query")
						.map((parameter) =>
							field(
								parameter.required ? parameter.name : t("{name} (optional)", { name: parameter.name }),
								control(parameter),
								parameter.in === "path" ? t("In the path.") : t("In the query."),
							),
						),
				),
				sample && field(body.required ? t("Body") : t("Body (optional)"), sample, body.type),
			],
			[submit(t("Try it"))],
			async (fields) => {
				const request = requestOf(one, fields);
				if (method === "get") return (await call(request))();
				confirmed(
					t("Send {method}", { method: method.toUpperCase() }),
					t("{method} {path} changes the data of {contract}, as a call of a program does. It is not a rehearsal.", {
						method: request[0],
						path: decodeURI(request[1]),
						contract: session.contract,
					}),
					t("Send {method}", { method: method.toUpperCase() }),
					() => call(request),
				);
			},
		),
		place,
	];
}

const KINDS = { path: t("Path"), query: t("Query"), header: t("Header"), cookie: t("Cookie") };

function content(one) {
	const { operation, parameters, body, key } = one;
	const answers = Object.entries(operation.responses ?? {}).map(([status, answer]) => [status, resolved(answer)]);
	return [
		operation.description && p(prose(operation.description)),
		parameters.length > 0 && [
			el("h4", null, t("Parameters")),
			table(
				t("Parameters"),
				[t("Name"), t("In"), t("Type"), t("Meaning")],
				parameters.map(({ name, in: where, required, schema, description, example }) => {
					const shape = shapeOf(schema ?? {});
					return [
						code(name),
						[KINDS[where] ?? where, required && [" ", tag("", t("Required"))]],
						typeOf(shape),
						notesOf({ ...shape, description: description ?? shape.description, example: example ?? shape.example }),
					];
				}),
			),
		],
		body && [
			el("h4", null, t("Body")),
			p(code(body.type), ", ", body.required ? t("required") : t("optional")),
			treeOf(body.content.schema ?? {}),
		],
		el("h4", null, t("Answers")),
		answers.map(([status, answer]) => {
			const [type, found] = Object.entries(answer.content ?? {})[0] ?? [];
			const kind = status < "300" ? "good" : status < "500" ? "warn" : "bad";
			const title = [tag(kind, status), " ", answer.description || (status < "300" ? t("Done") : t("Refused"))];
			if (!found?.schema) return p(title);
			return folded(title, () => [p(code(type)), treeOf(found.schema)]);
		}),
		el("h4", null, t("Example")),
		snippet(t("With curl"), curlOf(one)),
		el("h4", null, t("Try it")),
		tryIt(one),
		p(link("api-reference", t("Link to this operation"), null, { operation: key })),
	];
}

export async function referencePage(view) {
	described ??= { ...(await description("index")), components: {} };
	const groups = operationsOf(described);
	const asked = view.query.get("operation");
	const all = [];
	const cards = [...groups].map(([group, operations]) => {
		const nodes = operations.map((one) => {
			const { key, method, path, summary } = one;
			const title = el("h3", null, tag(METHODS[method], method.toUpperCase()), " ", code(path));
			const place = el("div", { "aria-busy": true }, hint("…"));
			const fill = async () => {
				try {
					await learn(partOf(path));
					place.replaceChildren(...content(inFull(one)).flat(9).filter(Boolean));
				} catch (error) {
					showProblem(place, error);
					place.append(...action(t("Try again"), fill));
				} finally {
					place.removeAttribute("aria-busy");
				}
			};
			const node = folded([title, el("span", { class: "hint" }, " ", prose(summary ?? ""))], () => {
				fill();
				return place;
			});
			node.classList.add("operation");
			node.addEventListener("toggle", () => {
				if (node.open) view.replace({ operation: key });
				else if (view.query.get("operation") === key) view.replace({ operation: null });
			});
			all.push({ ...one, node });
			return node;
		});
		return { node: card(titleOf(group), nodes), nodes };
	});

	const none = p(t("No operation has all of these words."));
	none.hidden = true;
	const find = input("q", { type: "search", maxlength: 200, value: view.query.get("q") ?? "" });
	const filter = () => {
		const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
		for (const { node, text } of all) node.hidden = !words.every((word) => text.includes(word));
		for (const { node, nodes } of cards) node.hidden = nodes.every(({ hidden }) => hidden);
		const count = all.filter(({ node }) => !node.hidden).length;
		none.hidden = count > 0;
		return count;
	};
	find.addEventListener("input", () => {
		const count = filter();
		view.replace({ q: find.value.trim() });
		announce(t("{n} operations", { n: number(count) }));
	});
	filter();

	const opened = all.find(({ key }) => key === asked);
	if (opened) {
		opened.node.hidden = opened.node.parentElement.hidden = false;
		opened.node.open = true;
		// Once the page is there.
		setTimeout(() => {
			if (view.signal.aborted) return;
			opened.node.scrollIntoView();
			opened.node.querySelector("summary").focus({ preventScroll: true });
		});
	}
	const administrator = session.role === "administrator";
	return [
		p(prose(described.info.description ?? "")),
		p(
			administrator
				? t("A program sends an API token in the header {header}, made at {link}.", {
						header: code("Authorization: Bearer …"),
						link: link("api-tokens", t("API tokens")),
					})
				: t("A program sends an API token in the header {header}.", { header: code("Authorization: Bearer …") }),
			" ",
			t("What you try here is done in your own name and with your own rights."),
		),
		row(el("a", { href: new URL("api/v1/openapi.json", root).href }, t("The description as a file (OpenAPI)"))),
		asked && !opened && note("warn", t("The operation of this address is not there.")),
		el(
			"div",
			{ role: "search", "aria-label": t("Operations") },
			field(t("Find an operation"), find, t("By words of its path or of what it does.")),
		),
		none,
		cards.map(({ node }) => node),
	];
}
