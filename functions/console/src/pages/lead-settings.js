// Settings for leads of all forms (LG-7, LG-9).

import { api, get, link } from "./api.js";
import { card, check, field, form, input, p, select, submit } from "./dom.js";
import { locale, t } from "./words.js";

/** @typedef {import("./api.js").Api["Settings"]} Settings */

// The regions whose calling codes people know by name, in the reader's language.
const REGIONS =
	"AE,AR,AT,AU,BE,BG,BR,CA,CH,CL,CN,CO,CY,CZ,DE,DK,EE,EG,ES,FI,FR,GB,GR,HK,HR,HU,ID,IE,IL,IN,IS,IT,JP,KE,KR,LT,LU,LV,MA,MT,MX,MY,NG,NL,NO,NZ,PE,PH,PL,PT,RO,RS,SA,SE,SG,SI,SK,TH,TN,TR,TW,UA,US,VN,ZA".split(
		",",
	);

export async function leadSettingsPage() {
	/** @type {Settings} */
	const settings = await get("/settings");
	const names = new Intl.DisplayNames(locale, { type: "region" });
	const region = settings.default_region;
	const codes = region && !REGIONS.includes(region) ? [...REGIONS, region] : REGIONS;
	const regions = codes.map((code) => [code, `${names.of(code)} (${code})`]).toSorted((a, b) => a[1].localeCompare(b[1]));
	return [
		p(t("These count for leads of all forms and sources.")),
		card(
			t("Values"),
			form(
				[
					field(
						t("Region of phone numbers without a country code"),
						select("default_region", [["", t("None: such numbers stay as they are typed")], ...regions], region ?? ""),
						t(
							"With it, 0171 1234567 becomes +491711234567 in Germany, and the same number is recognised however it is written.",
						),
					),
					field(
						t("Text for what your CRM requires and a form does not give"),
						input("placeholder", { maxlength: 100, value: settings.placeholder }),
						t("Your CRM takes no lead without such a field. The text is never matched, and never overwrites anything."),
					),
					check(
						"send_test_leads",
						t("Write test leads to the CRM"),
						settings.send_test_leads,
						t("Otherwise they are held, and you release those that you want on their own page."),
					),
					check(
						"delete_withdrawn_leads",
						t("Delete the lead of a person who withdraws"),
						settings.delete_withdrawn_leads,
						t(
							"Only a lead that the withdrawn submission made, and that no other submission has joined. Otherwise you decide in your CRM.",
						),
					),
				],
				[submit(t("Save"))],
				async (elements) => {
					await api("PUT", "/settings", {
						default_region: elements.namedItem("default_region").value || null,
						placeholder: elements.namedItem("placeholder").value,
						send_test_leads: elements.namedItem("send_test_leads").checked,
						delete_withdrawn_leads: elements.namedItem("delete_withdrawn_leads").checked,
					});
					return t("The settings are saved. They count for what arrives from now on, and for what is sent again.");
				},
			),
		),
		card(
			t("Decided elsewhere"),
			p(
				t("Whether a submission joins a lead or always becomes a new one, and whether a contact is made with it: "),
				link("matching", t("Matching")),
				".",
			),
			p(t("Which answers reach which lead fields: "), link("mapping", t("Mapping")), "."),
			p(t("How many points a submission gives: "), link("scoring", t("Scoring")), "."),
		),
	];
}
