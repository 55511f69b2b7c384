// A form: address, snippets, test submission, rules, secret (LG-9).

import { api, get, link, sendForm } from "./api.js";
import {
	action,
	button,
	cancel,
	card,
	confirmed,
	copied,
	dialog,
	el,
	facts,
	field,
	form,
	hint,
	input,
	lines,
	linesOf,
	moveTo,
	note,
	p,
	refuse,
	row,
	said,
	secretInput,
	shell,
	snippet,
	submit,
	time,
} from "./dom.js";
import {
	allowsHere,
	FIELDS_HINT,
	fieldsOf,
	here,
	inputOf,
	KINDS,
	newSecret,
	ORIGINS_HINT,
	showSecret,
	stateTag,
	typedOf,
} from "./forms.js";
import { t } from "./words.js";

/** @typedef {import("./forms.js").FormView} FormView */
/** @typedef {{ name: string, required: boolean }} Field */

const SAMPLES = [
	[/mail/i, "ada@example.com", "email"],
	[/phone|tel|mobile/i, "+442079460958", "tel"],
	[/first|given|vorname/i, "Ada", "text"],
	[/last|family|surname|nachname/i, "Lovelace", "text"],
	[/company|organi[sz]ation|firm/i, "Analytical Engines", "text"],
	[/url|website/i, "https://www.example.com", "url"],
];
const kindOf = (name) => SAMPLES.find(([pattern]) => /** @type {RegExp} */ (pattern).test(name)) ?? [null, t("Test"), "text"];

const html = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
const labelOf = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");

/** @param {FormView} view @param {Field[]} fields */
function htmlSnippet({ post_url, redirect_urls, honeypot_field }, fields) {
	const inputs = fields.map(
		({ name, required }) =>
			`  <p><label>${html(labelOf(name))} <input name="${html(name)}" type="${kindOf(name)[2]}"${required ? " required" : ""}></label></p>`,
	);
	// Hidden from people: a program that fills every field is recognised by it.
	if (honeypot_field)
		inputs.push(`  <input name="${html(honeypot_field)}" tabindex="-1" autocomplete="off" aria-hidden="true" style="display: none">`);
	if (redirect_urls.length) inputs.push(`  <input name="_redirect" type="hidden" value="${html(redirect_urls[0])}">`);
	return [`<form id="lead-form" action="${html(post_url)}" method="post">`, ...inputs, "  <p><button>Send</button></p>", "</form>"].join(
		"\n",
	);
}

/** @param {FormView} view */
const scriptSnippet = ({ post_url }) => `<script>
  const form = document.getElementById("lead-form");
  // The same key for every try: what is sent twice becomes one lead.
  const key = crypto.randomUUID();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch(${JSON.stringify(post_url).replaceAll("<", "\\u003c")}, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": key },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    });
    if (answer.ok) form.replaceWith("Thank you.");
    else alert((await answer.json()).detail);
  });
</script>`;

const sampleOf = (fields) => JSON.stringify(Object.fromEntries(fields.map(({ name }) => [name, kindOf(name)[1]])));

/** @param {FormView} view @param {Field[]} fields */
function curlSnippet({ post_url, form_key, has_secret }, fields) {
	const body = shell(sampleOf(fields));
	const type = "-H 'content-type: application/json'";
	if (!has_secret) return `curl -i ${shell(post_url)} ${type} \\\n  -H "idempotency-key: $(date +%s%N)" \\\n  -d ${body}`;
	return [
		"secret='the form’s secret'",
		`body=${body}`,
		"t=$(date +%s)",
		`v1=$(printf '%s.%s.%s' "$t" ${shell(form_key)} "$body" | openssl dgst -sha256 -hmac "$secret" -r | cut -d' ' -f1)`,
		`curl -i ${shell(post_url)} ${type} \\`,
		'  -H "x-leadbridge-signature: t=$t,v1=$v1" \\',
		'  -d "$body"',
	].join("\n");
}

// The signature header of a post: HMAC-SHA256 over time, form key and body.
async function signatureOf(secret, form_key, text) {
	const bytes = (part) => new TextEncoder().encode(part);
	const now = Math.floor(Date.now() / 1000);
	const key = await crypto.subtle.importKey("raw", bytes(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
	const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes(`${now}.${form_key}.${text}`)));
	return `t=${now},v1=${[...mac].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

// The most fields of a snippet, unless the address names them.
const MOST_FIELDS = 8;

const SIGNING = [
	p(
		t("A post carries the header {header}.", {
			header: el("code", null, "X-Leadbridge-Signature: t=<seconds since 1970>,v1=<signature>"),
		}),
	),
	p(
		t(
			"The signature is the lowercase hexadecimal HMAC-SHA256, under the secret, of {text}, with the body exactly as it is sent. Clocks may differ by five minutes.",
			{ text: el("code", null, "<t>.<form key>.<body>") },
		),
	),
	p(
		t("To send one submission several times, put a key of your own into the body as the field {field}.", {
			field: el("code", null, "_idempotency_key"),
		}),
	),
];

/** @param {FormView} found @param {Field[]} fields */
function testCard(view, found, fields) {
	const allow = action(t("Let this console send test submissions"), async () => {
		await api("PUT", `/forms/${found.id}`, inputOf(found, { allowed_origins: [...found.allowed_origins, here] }));
		await view.reload();
	});
	if (!found.enabled) return card(t("Send a test submission"), p(t("The form is off: it takes nothing.")));
	if (!allowsHere(found))
		return card(
			t("Send a test submission"),
			p(t("This console ({here}) is not among the pages that may post the form.", { here })),
			allow,
		);
	// Controls have names of our own: a field's name could hide a property of the form.
	const controls = fields.map(({ name, required }, index) =>
		field(required ? t("{label} (required)", { label: name }) : name, input(`answer${index}`, { value: kindOf(name)[1] })),
	);
	return card(
		t("Send a test submission"),
		p(t("It is a real one: it is mapped, matched and written to your CRM, and you watch it do so.")),
		form(
			[
				el("div", { class: "grid" }, controls),
				found.has_secret &&
					field(t("Secret"), secretInput("secret"), t("The form takes signed posts only; it is used here and kept nowhere.")),
			],
			[submit(t("Send it"))],
			async (elements) => {
				const answers = fields.map(({ name }, index) => [name, elements.namedItem(`answer${index}`).value]);
				const text = JSON.stringify(Object.fromEntries(answers.filter(([, value]) => value)));
				const secret = elements.namedItem("secret")?.value.trim();
				if (found.has_secret && !secret) refuse(t("The secret is missing."), t("Paste the form’s secret."), "secret");
				const headers = secret
					? { "x-leadbridge-signature": await signatureOf(secret, found.form_key, text) }
					: { "idempotency-key": crypto.randomUUID() };
				try {
					const { submission_id } = await sendForm(found.form_key, text, headers);
					await view.go("submission", { id: submission_id });
				} catch (error) {
					const index = fields.findIndex(({ name }) => name === error.problem?.field);
					if (index >= 0) error.problem.field = `answer${index}`;
					if (error.problem?.field === "x-leadbridge-signature") error.problem.field = "secret";
					throw error;
				}
			},
		),
	);
}

/** @param {FormView} found */
function edit(view, found) {
	const website = found.kind === "website";
	dialog(t("Edit {name}", { name: found.name }), (close) =>
		form(
			[
				field(t("Name"), input("name", { required: true, maxlength: 100, value: found.name })),
				field(t("Campaign (optional)"), input("campaign", { maxlength: 100, value: found.campaign ?? "" })),
				website && [
					field(t("Pages that may post it"), lines("allowed_origins", found.allowed_origins), ORIGINS_HINT),
					field(
						t("Required fields"),
						lines("required_fields", found.required_fields),
						t("One name in each line; a post without them is refused."),
					),
					field(
						t("Fields that may be sent several times"),
						lines("multi_value_fields", found.multi_value_fields, { rows: 2 }),
						t("One name in each line, such as of check boxes."),
					),
					field(
						t("Pages to show afterwards"),
						lines("redirect_urls", found.redirect_urls, { rows: 2 }),
						t("One address in each line; the first is where a plain HTML form leads, unless it names another of them."),
					),
					field(
						t("Trap for programs (optional)"),
						input("honeypot_field", { value: found.honeypot_field ?? "" }),
						t("The name of a field that people do not see: what fills it is ignored."),
					),
				],
				field(
					t("Most posts in a minute"),
					input("posts_per_minute", { inputmode: "numeric", value: String(found.posts_per_minute) }),
					t("1 to 60,000; more are told to come back later."),
				),
			],
			[submit(t("Save")), cancel(close)],
			async (fields) => {
				const text = (name) => fields.namedItem(name).value.trim();
				const list = (name) => (website ? linesOf(fields.namedItem(name)) : found[name]);
				await api(
					"PUT",
					`/forms/${found.id}`,
					inputOf(found, {
						name: text("name"),
						campaign: text("campaign") || null,
						allowed_origins: list("allowed_origins"),
						required_fields: list("required_fields"),
						multi_value_fields: list("multi_value_fields"),
						redirect_urls: list("redirect_urls"),
						honeypot_field: website ? text("honeypot_field") || null : (found.honeypot_field ?? null),
						posts_per_minute: Number(text("posts_per_minute")) || 0,
					}),
				);
				close();
				await view.reload();
			},
		),
	);
}

/** @param {FormView} found */
function secretCard(view, found) {
	const google = found.kind === "google_ads";
	const name = google ? t("key") : t("secret");
	const put = (secret) => api("PUT", `/forms/${found.id}`, inputOf(found, { secret }));
	const renew = () =>
		confirmed(
			found.has_secret ? t("New {name}", { name }) : t("Take signed posts only"),
			found.has_secret
				? t("A new {name} is made and shown once. The one that is set now stays valid beside it; the one before that ends.", {
						name,
					})
				: t("A secret is made and shown once. From then on posts without a signature are refused, those of browsers too."),
			found.has_secret ? t("Make a new {name}", { name }) : t("Make the secret"),
			async () => {
				const secret = newSecret();
				await put(secret);
				return () =>
					showSecret(
						t("The {name} of {form}", { name, form: found.name }),
						google ? t("Enter it in Google Ads.") : t("Your server signs each post with it."),
						secret,
						view.reload,
					);
			},
		);
	const remove = () =>
		confirmed(
			t("Take posts without a signature"),
			t("Anybody who knows the address can post the form then."),
			t("Remove the secret"),
			async () => {
				await put("");
				return view.reload;
			},
		);
	return card(
		google ? t("Key") : t("Signature"),
		p(
			found.has_secret
				? found.has_previous_secret
					? t("A {name} is set; the one before it is still valid.", { name })
					: t("A {name} is set.", { name })
				: t("Posts need no signature."),
		),
		found.body_signatures_until &&
			hint(t("Signatures over the body alone are taken until {time}", { time: time(found.body_signatures_until) })),
		!google && el("details", null, el("summary", null, t("How posts are signed")), SIGNING),
		row(
			button(found.has_secret ? t("New {name}", { name }) : t("Take signed posts only"), renew),
			found.has_secret && !google && button(t("Remove the secret"), remove, "danger"),
		),
	);
}

// The fields of the snippets and the test: from the address, else the required and the mapped ones.
/** @param {FormView} found @returns {Promise<Field[]>} */
async function fieldsFor(view, found) {
	const asked = view.query.get("fields");
	if (asked) return fieldsOf(asked.split("\n"));
	// One name for each lead field: of those that several sources have, the one that pages use.
	const { items } = await get("/field-mappings");
	const isPlain = ({ name }) => /^[a-z][a-z0-9_-]*$/.test(name);
	const mapped = items.filter(
		({ lead_field }, index, all) =>
			isPlain(all[index]) && all.findIndex((other) => isPlain(other) && other.lead_field === lead_field) === index,
	);
	const usual = mapped.length ? mapped.slice(0, MOST_FIELDS).map(({ name }) => name) : ["email"];
	const names = [...new Set([...found.required_fields, ...usual])];
	return names.map((name) => ({ name, required: found.required_fields.includes(name) }));
}

export async function formPage(view) {
	const id = view.query.get("id");
	if (!id) return [p(t("No form is named in the address. {link}", { link: link("forms", t("All forms")) }))];
	/** @type {FormView} */
	const found = await get(`/forms/${encodeURIComponent(id)}`);
	view.entitle(found.name);
	const website = found.kind === "website";
	const parts = el("div");
	const draw = (fields) =>
		parts.replaceChildren(
			card(
				t("Put it into your page"),
				found.has_secret
					? p(t("It takes signed posts only, which a server of yours sends: a page cannot keep the secret."))
					: [
							snippet("HTML", htmlSnippet(found, fields), t("Works as it is, without a script.")),
							snippet("JavaScript", scriptSnippet(found), t("Behind the HTML: sends it without leaving the page.")),
						],
				snippet(t("From a terminal or a server"), curlSnippet(found, fields)),
				el(
					"details",
					null,
					el("summary", null, t("Other fields")),
					form(
						[field(t("Fields"), lines("fields", typedOf(fields), { rows: 6 }), FIELDS_HINT)],
						[submit(t("Show the snippets"), "second")],
						async (elements) => {
							const wanted = fieldsOf(linesOf(elements.namedItem("fields")));
							view.replace({ fields: typedOf(wanted).join("\n") });
							draw(wanted);
							moveTo(parts.querySelector("h2"));
						},
					),
					p(t("A field reaches your CRM once it is mapped: {link}.", { link: link("mapping", t("Mapping")) })),
				),
			),
			testCard(view, found, fields),
		);
	if (website) draw(await fieldsFor(view, found));

	const remove = () =>
		confirmed(
			t("Delete {name}", { name: found.name }),
			t("Its address takes nothing any more. Its submissions stay."),
			t("Delete"),
			async () => {
				await api("DELETE", `/forms/${found.id}`);
				return () => view.go("forms");
			},
		);
	const toggle = async () => {
		await api("PUT", `/forms/${found.id}`, inputOf(found, { enabled: !found.enabled }));
		await view.reload();
	};
	const list = (entries) => entries.length > 0 && entries.map((entry) => el("div", null, said(entry)));
	return [
		p(link("forms", t("All forms")), " · ", link("submissions", t("Its submissions"), null, { form: found.id })),
		card(
			t("The form"),
			p(stateTag(found), " ", !found.enabled && hint(t("Posts are answered as if it did not exist."))),
			copied(website ? t("Address that it is posted to") : t("Webhook address for Google Ads"), found.post_url, "post_url"),
			facts([
				[t("Source"), KINDS[found.kind]],
				[t("Campaign"), found.campaign && said(found.campaign)],
				[t("Pages that may post it"), website && (list(found.allowed_origins) || t("None: servers only"))],
				[t("Required fields"), list(found.required_fields)],
				[t("Pages to show afterwards"), list(found.redirect_urls)],
				[t("Changed"), time(found.updated_at)],
			]),
			row(
				button(t("Edit"), () => edit(view, found)),
				action(found.enabled ? t("Switch off") : t("Switch on"), toggle),
				button(t("Delete"), remove, "danger"),
			),
		),
		website && parts,
		secretCard(view, found),
	];
}
