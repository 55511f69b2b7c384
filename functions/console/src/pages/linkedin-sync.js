// What of LinkedIn is read, and how LinkedIn tells of it: ad accounts, pulls, the webhook and its secret (LG-9).

import { api, get, link } from "./api.js";
import { card, copied, el, facts, field, form, hint, li, lines, linesOf, p, said, secretInput, submit, tag, time } from "./dom.js";
import { many, t } from "./words.js";

/** @typedef {import("./api.js").Api["LinkedInView"]} LinkedInView */

// An account as the API takes it: an ad account's number alone is enough.
const ownerOf = (typed) => (/^\d+$/.test(typed) ? `urn:li:sponsoredAccount:${typed}` : typed);

// Each account with the time of its last pull.
/** @param {LinkedInView} linkedin @param {{ owner: string, pulled_at: number }[]} pulls */
const accounts = ({ owners }, pulls) =>
	el(
		"ul",
		{ class: "plain" },
		owners.map((owner) => {
			const pulled = pulls.find((one) => one.owner === owner)?.pulled_at;
			return li(said(owner), hint(pulled ? t("last pull {time}", { time: time(pulled) }) : t("not pulled yet")));
		}),
	);

// The forms that were seen, each with its number of submissions in eight weeks.
const forms = (seen) =>
	el(
		"ul",
		{ class: "plain" },
		seen.map((one) =>
			li(
				link("submissions", said(one.form_name ?? one.form_id), null, { form: one.form_id }),
				" ",
				hint(many(one.total, "{n} submission in 8 weeks", "{n} submissions in 8 weeks")),
			),
		),
	);

// The webhook: its address, and whether what comes there is taken.
/** @param {LinkedInView} linkedin */
const webhook = ({ webhook_url, has_client_secret, has_previous_client_secret }) =>
	card(
		t("Notifications"),
		p(
			has_client_secret ? tag("good", t("Taken")) : tag("warn", t("Refused")),
			" ",
			has_client_secret
				? t("LinkedIn’s notifications are taken at once: they are signed with the client secret.")
				: t("The client secret is missing: leads come with the next pull only."),
		),
		has_previous_client_secret && hint(t("The secret before the last change is still valid.")),
		copied(
			t("Webhook address for LinkedIn"),
			webhook_url,
			"webhook_url",
			t("Enter it at LinkedIn as the address of lead notifications."),
		),
	);

/** @param {any} view @param {LinkedInView} linkedin */
export async function syncCards(view, linkedin) {
	const traffic = await get("/forms/traffic").catch(() => ({ items: [], linkedin: [] }));
	const seen = traffic.items.filter(({ source }) => source === "linkedin");
	const settings = form(
		[
			field(
				t("Ad accounts and organisations"),
				lines("owners", linkedin.owners, { rows: 3, placeholder: "urn:li:sponsoredAccount:123456789" }),
				t("One in each line: the number of an ad account, or a URN such as urn:li:organization:123."),
			),
			field(
				linkedin.has_client_secret ? t("New client secret (optional)") : t("Client secret"),
				secretInput("client_secret"),
				t("Of your app at LinkedIn; it signs notifications. It is stored sealed and never shown."),
			),
		],
		[submit(t("Save"))],
		async (fields) => {
			const secret = fields.namedItem("client_secret").value.trim();
			await api("PUT", "/linkedin", {
				owners: linesOf(fields.namedItem("owners")).map(ownerOf),
				client_secret: secret || undefined,
			});
			await view.reload();
		},
	);
	return [
		webhook(linkedin),
		card(
			t("Accounts and forms"),
			facts([
				[
					t("Accounts"),
					linkedin.owners.length ? accounts(linkedin, traffic.linkedin) : t("None: nothing is read yet. Enter one below."),
				],
				[t("Forms"), seen.length ? forms(seen) : t("None has sent anything in 8 weeks.")],
			]),
			settings,
		),
	];
}
