// LinkedIn's authorisation, and a seat holder's own sign-in to the CRM (CN-7, CN-11).

import { api, get, goAuthorize, session } from "./api.js";
import { statusTag } from "./crm-card.js";
import { action, button, card, confirmed, facts, note, p, problemNote, row, time } from "./dom.js";
import { syncCards } from "./linkedin-sync.js";
import { t } from "./words.js";

export async function linkedinPage(view) {
	const linkedin = await get("/linkedin");
	const stands = linkedin.connection !== "not_connected";
	if (linkedin.connection === "disconnecting") view.later();
	return [
		card(
			t("Authorisation of lead sync"),
			p(
				t(
					"With it, answers to your LinkedIn lead-gen forms are read. It ends after a year at most; then somebody has to give it again.",
				),
			),
			linkedin.problem && problemNote(linkedin.problem, linkedin.connection === "sign_in_needed" ? "bad" : "warn"),
			linkedin.connection === "disconnecting" && note("warn", t("The authorisation is being ended.")),
			facts([
				[t("State"), statusTag(linkedin.connection)],
				[t("Authorised by"), linkedin.authorized_by === `seat:${session.seat}` ? t("You") : linkedin.authorized_by],
				[t("Ends"), linkedin.authorization_ends_at && time(linkedin.authorization_ends_at)],
			]),
			row(
				linkedin.connection !== "disconnecting" &&
					action(stands ? t("Authorise again") : t("Authorise"), () => goAuthorize("linkedin", {}), null),
				["connected", "sign_in_needed"].includes(linkedin.connection) &&
					button(
						t("Disconnect"),
						() =>
							confirmed(
								t("Disconnect LinkedIn"),
								t("New answers are no longer read. What is here stays."),
								t("Disconnect"),
								async () => {
									await api("POST", "/linkedin/disconnect");
									return view.reload;
								},
							),
						"danger",
					),
			),
		),
		session.role === "administrator" && (await syncCards(view, linkedin)),
	];
}

// The seat holder's own sign-in to the CRM of each environment.
export async function ownSignIns(view) {
	const all = await Promise.all(["production", "sandbox"].map((environment) => get(`/me/crm-connections/${environment}`)));
	const shown = all.filter((own) => own.environment === "production" || own.expected_instance_url || own.status !== "not_connected");
	if (all.some((own) => own.status === "disconnecting")) view.later();
	return [
		p(
			t(
				"Leads, contacts and activities that you write to the CRM are written as you, with your own rights there. You are asked to sign in every 90 days.",
			),
		),
		shown.map((own) => {
			const { environment, status, user } = own;
			const name = environment === "production" ? t("Your sign-in to production") : t("Your sign-in to the sandbox");
			const stands = status === "connected" || status === "sign_in_needed";
			const connect = (switch_user) => goAuthorize("user", { environment, switch_user });
			return card(
				name,
				own.problem &&
					(own.expected_instance_url
						? problemNote(own.problem)
						: note("", t("No CRM is connected yet: an administrator does that."))),
				status === "disconnecting" && note("warn", t("Your sign-in is being ended.")),
				facts([
					[t("State"), statusTag(status)],
					[t("Instance"), own.instance_url ?? own.expected_instance_url],
					[t("Signed in as"), user && (user.username ?? user.id)],
					[t("Signed in on"), own.connected_at && time(own.connected_at)],
					[t("Until"), own.valid_until && time(own.valid_until)],
				]),
				own.expected_instance_url &&
					status !== "disconnecting" &&
					row(
						action(stands ? t("Sign in again") : t("Connect"), () => connect(false), null),
						action(t("Use another account"), () => connect(true)),
						stands &&
							button(
								t("Disconnect"),
								() =>
									confirmed(
										t("Disconnect"),
										t("Nothing is written to the CRM as you any more, until you sign in again."),
										t("Disconnect"),
										async () => {
											await api("DELETE", `/me/crm-connections/${environment}`);
											return view.reload;
										},
									),
								"danger",
							),
					),
			);
		}),
	];
}
