// The list of forms and other sources of submissions; new forms (LG-9).

import { api, get, link } from "./api.js";
import { statusTag } from "./crm-card.js";
import {
	action,
	button,
	cancel,
	card,
	check,
	copied,
	dialog,
	el,
	field,
	form,
	hint,
	input,
	lines,
	linesOf,
	note,
	number,
	p,
	row,
	said,
	submit,
	svg,
	table,
	tag,
	time,
} from "./dom.js";
import { many, t } from "./words.js";

/** @typedef {import("./api.js").Api["FormView"]} FormView */

export const KINDS = { website: t("Website"), google_ads: "Google Ads" };
export const stateTag = ({ enabled }) => (enabled ? tag("good", t("On")) : tag("warn", t("Off")));

// The API's input for a form with some of its values changed.
/** @param {FormView} form */
export const inputOf = (form, changes) => ({
	name: form.name,
	kind: form.kind,
	enabled: form.enabled,
	campaign: form.campaign ?? null,
	allowed_origins: form.allowed_origins,
	redirect_urls: form.redirect_urls,
	required_fields: form.required_fields,
	multi_value_fields: form.multi_value_fields,
	honeypot_field: form.honeypot_field ?? null,
	max_body_bytes: form.max_body_bytes,
	max_fields: form.max_fields,
	body_signatures_until: form.body_signatures_until ?? null,
	posts_per_minute: form.posts_per_minute,
	...changes,
});

// A new random secret of 256 bits, in hexadecimal.
export function newSecret() {
	const bytes = crypto.getRandomValues(new Uint8Array(32));
	return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Shows a secret once in a dialog; `then` runs when it is closed.
export const showSecret = (title, text, value, then) =>
	dialog(title, (close) => [
		note("warn", t("Copy it now: it is not shown again.")),
		p(text),
		copied(t("Secret"), value, "secret"),
		row(button(t("Done"), close, null)),
	]).addEventListener("close", then);

// Form fields from typed lines: a star behind a name makes the field required.
export const fieldsOf = (typed) =>
	typed
		.map((line) => ({ name: line.replace(/\s*\*$/, ""), required: line.endsWith("*") }))
		.filter(({ name }, index, all) => name && all.findIndex((other) => other.name === name) === index);
export const typedOf = (fields) => fields.map(({ name, required }) => name + (required ? "*" : ""));
export const FIELDS_HINT = t("The name of one field in each line, as your page sends it; a star behind it makes it required.");

export const ORIGINS_HINT = t(
	"One in each line, such as https://www.example.com. Browsers on other pages cannot post the form; * allows all.",
);

// The console's own origin: a form that allows it takes test submissions from here.
export const here = location.origin;
export const allowsHere = ({ allowed_origins }) => allowed_origins.some((origin) => origin === "*" || origin.toLowerCase() === here);

const nothing = (text) => text.trim() || null;

function newWebsite(view) {
	dialog(t("New website form"), (close) =>
		form(
			[
				field(t("Name"), input("name", { required: true, maxlength: 100 }), t("As your colleagues call it, such as “Contact us”.")),
				field(t("Pages that may post it"), lines("allowed_origins", [], { rows: 3 }), ORIGINS_HINT),
				field(
					t("Fields"),
					lines("required_fields", ["email*", "first_name", "last_name", "company", "phone"], { rows: 6 }),
					FIELDS_HINT,
				),
				field(
					t("Page to show afterwards (optional)"),
					input("redirect_urls", { type: "url", placeholder: "https://www.example.com/thanks" }),
					t("Where a plain HTML form leads once it is sent."),
				),
				field(t("Campaign (optional)"), input("campaign", { maxlength: 100 }), t("Its submissions belong to it.")),
				check(
					"test_here",
					t("Let this console send test submissions"),
					true,
					t("Adds this console’s address to the pages that may post it."),
				),
				check(
					"signed",
					t("Take signed posts only"),
					false,
					t("For a server of yours that sends them: a browser cannot keep a secret."),
				),
			],
			[submit(t("Make the form")), cancel(close)],
			async (fields) => {
				const wanted = fieldsOf(linesOf(fields.required_fields));
				const origins = linesOf(fields.allowed_origins);
				if (fields.test_here.checked && !allowsHere({ allowed_origins: origins })) origins.push(here);
				const secret = fields.signed.checked ? newSecret() : undefined;
				const made = await api("POST", "/forms", {
					name: fields.name.value.trim(),
					kind: "website",
					campaign: nothing(fields.campaign.value),
					allowed_origins: origins,
					redirect_urls: [fields.redirect_urls.value.trim()].filter(Boolean),
					required_fields: wanted.filter(({ required }) => required).map(({ name }) => name),
					secret,
				});
				close();
				const open = () => view.go("form", { id: made.id, fields: typedOf(wanted).join("\n") });
				if (!secret) return open();
				showSecret(t("The secret of {name}", { name: made.name }), t("Your server signs each post with it."), secret, open);
			},
		),
	);
}

function newGoogle(view) {
	dialog(t("New Google Ads form"), (close) =>
		form(
			[
				field(t("Name"), input("name", { required: true, maxlength: 100 })),
				field(t("Campaign (optional)"), input("campaign", { maxlength: 100 }), t("Its submissions belong to it.")),
				p(t("A webhook address and a key are made, which you enter in the lead form’s settings in Google Ads.")),
			],
			[submit(t("Make the form")), cancel(close)],
			async (fields) => {
				const secret = newSecret();
				const made = await api("POST", "/forms", {
					name: fields.name.value.trim(),
					kind: "google_ads",
					campaign: nothing(fields.campaign.value),
					secret,
				});
				close();
				const open = () => view.go("form", { id: made.id });
				showSecret(
					t("The key of {name}", { name: made.name }),
					t("Enter it as the key of the webhook in Google Ads."),
					secret,
					open,
				);
			},
		),
	);
}

const WEEK_WIDTH = 12;
const WEEK_HEIGHT = 24;

// The submissions of a form in each of the last weeks, as bars with their numbers in words.
function weekly(form) {
	if (!form) return hint(t("No submission"));
	const { weeks, total, last_received_at } = form;
	const most = Math.max(1, ...weeks);
	const bars = weeks.map((count, index) => {
		const height = (WEEK_HEIGHT * count) / most;
		return svg("rect", { x: index * WEEK_WIDTH + 1, width: WEEK_WIDTH - 2, y: WEEK_HEIGHT - height, height });
	});
	const width = weeks.length * WEEK_WIDTH;
	const told = t("Submissions in each week, the oldest first: {counts}", { counts: weeks.map(number).join(", ") });
	return [
		many(total, "{n} submission", "{n} submissions"),
		svg(
			"svg",
			{ viewBox: `0 0 ${width} ${WEEK_HEIGHT}`, width, height: WEEK_HEIGHT, role: "img", "aria-label": told, class: "bars" },
			svg("title", {}, told),
			...bars,
		),
		hint(t("Last {time}", { time: time(last_received_at) })),
	];
}

// The traffic of several forms as one.
const together = (forms) =>
	forms.length > 0 && {
		weeks: forms[0].weeks.map((_, week) => forms.reduce((sum, { weeks }) => sum + weeks[week], 0)),
		total: forms.reduce((sum, { total }) => sum + total, 0),
		last_received_at: Math.max(...forms.map(({ last_received_at: last }) => last)),
	};

// The accounts that are synced, each with its last pull, and whether notifications are taken.
function linkedInFacts({ owners, has_client_secret }, pulls) {
	if (!owners.length) return "–";
	const pulled = new Map(pulls.map(({ owner, pulled_at }) => [owner, pulled_at]));
	return [
		owners.map((owner) =>
			hint(owner, ": ", pulled.get(owner) ? t("last pull {time}", { time: time(pulled.get(owner)) }) : t("not pulled yet")),
		),
		hint(
			has_client_secret
				? t("Notifications are taken: they are signed with the client secret.")
				: t("Notifications are refused: the client secret is missing. Leads come with the next pull."),
		),
	];
}

export async function formsPage(view) {
	const [{ items }, linkedin, traffic] = await Promise.all([
		get("/forms"),
		get("/linkedin"),
		get("/forms/traffic").catch(() => ({ items: [], linkedin: [], complete: true })),
	]);
	const trafficOf = (kind, id) => traffic.items.find((form) => form.source === kind && form.form_id === id);
	const theirs = traffic.items.filter(({ source }) => source === "linkedin");
	const submissions = (about, parameters) =>
		link("submissions", t("Submissions"), { "aria-label": t("Submissions: {about}", { about }) }, parameters);
	const toggle = (item) => {
		const [node, place] = action(
			item.enabled ? t("Switch off") : t("Switch on"),
			async () => {
				await api("PUT", `/forms/${item.id}`, inputOf(item, { enabled: !item.enabled }));
				await view.reload();
			},
			"plain",
		);
		node.setAttribute("aria-label", `${node.textContent}: ${item.name}`);
		return [node, place];
	};
	const rows = [
		...items
			.toSorted((a, b) => a.name.localeCompare(b.name))
			.map((item) => [
				link("form", said(item.name), null, { id: item.id }),
				KINDS[item.kind],
				stateTag(item),
				item.campaign ? said(item.campaign) : "–",
				weekly(trafficOf(item.kind, item.id)),
				row(submissions(item.name, { form: item.id }), toggle(item)),
			]),
		[
			link("linkedin", t("LinkedIn Lead Gen Forms")),
			t("LinkedIn"),
			statusTag(linkedin.connection),
			linkedInFacts(linkedin, traffic.linkedin),
			weekly(together(theirs)),
			row(submissions(t("LinkedIn"), { source: "linkedin" })),
		],
		...theirs.map((form) => [
			said(form.form_name ?? form.form_id),
			t("LinkedIn form"),
			"–",
			"–",
			weekly(form),
			row(submissions(form.form_name ?? form.form_id, { form: form.form_id })),
		]),
	];
	return [
		row(
			button(t("New website form"), () => newWebsite(view), null),
			button(t("New Google Ads form"), () => newGoogle(view)),
		),
		items.length === 0 &&
			note("", t("There is no form yet. Make one, paste its snippet into your page, and what people send becomes a lead.")),
		card(
			t("Sources of leads"),
			table(
				t("Forms and other sources"),
				[t("Name"), t("Source"), t("State"), t("Campaign or accounts"), t("Last 8 weeks"), t("More")],
				rows,
			),
		),
		!traffic.complete && hint(t("There were more submissions than are counted: the newest of them are.")),
		el("p", { class: "hint" }, t("Every LinkedIn form of the accounts that are synced counts; it is set up at LinkedIn.")),
	];
}
