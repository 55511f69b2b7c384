// The first page, LinkedIn's authorisation, and a seat holder's own sign-in to the CRM (CN-7, CN-11).

import { api, get, goAuthorize, link, session, signOutEverywhere } from "./api.js";
import { crmCard, statusTag } from "./crm.js";
import { action, asProblem, button, card, confirmed, el, facts, hint, li, note, p, problemNote, row, tag, time } from "./dom.js";

// A part of a page, or why it cannot be shown.
const part = (title, work) => work().catch((error) => card(title, problemNote(asProblem(error))));

function subject(about) {
	if (about === "crm") return ["Production CRM", "crm-production"];
	if (about === "crm-sandbox") return ["Sandbox CRM", "crm-sandbox"];
	if (about === "linkedin") return ["LinkedIn", "linkedin"];
	return [about.startsWith("user-sandbox") ? "Your CRM sign-in (sandbox)" : "Your CRM sign-in", "my-crm"];
}

async function notices() {
	const { items } = await get("/notices");
	if (!items.length) return card("Notices", p("Nothing needs your attention."));
	return card(
		"Notices",
		el(
			"ul",
			{ class: "plain" },
			items.map(({ about, severity, by, problem }) => {
				const [name, target] = subject(about);
				const kind = severity === "error" ? "bad" : "warn";
				return li(
					link(target, name),
					" ",
					tag(kind, severity === "error" ? "Action needed" : "Soon"),
					problemNote(problem, kind),
					by && hint("By ", time(by)),
				);
			}),
		),
	);
}

export async function homePage() {
	const cards = await Promise.all([
		session.role === "administrator" && part("CRM", async () => (await get("/crm-connections")).items.map(crmCard)),
		part("LinkedIn", async () => {
			const linkedin = await get("/linkedin");
			return card(
				"LinkedIn",
				p(statusTag(linkedin.connection)),
				linkedin.authorization_ends_at && p("Until ", time(linkedin.authorization_ends_at)),
				p(link("linkedin", "Open LinkedIn’s page")),
			);
		}),
		part("Your CRM sign-in", async () => {
			const own = await get("/me/crm-connections/production");
			return card(
				"Your CRM sign-in",
				p(statusTag(own.status)),
				own.instance_url && hint(own.instance_url),
				p(link("my-crm", "Open your CRM sign-in")),
			);
		}),
	]);
	const own = card(
		"Your session",
		p(`You are signed in as ${session.email}, at the longest until `, time(session.session_ends_at), "."),
		action("Sign out in all browsers", signOutEverywhere),
	);
	return [await part("Notices", notices), el("div", { class: "grid" }, cards.flat(), own)];
}

export async function linkedinPage(view) {
	const linkedin = await get("/linkedin");
	const stands = linkedin.connection !== "not_connected";
	if (linkedin.connection === "disconnecting") view.later();
	return [
		card(
			"Authorisation of lead sync",
			p(
				"With it, answers to your LinkedIn lead-gen forms are read. It ends after a year at most; then somebody has to give it again.",
			),
			linkedin.problem && problemNote(linkedin.problem, linkedin.connection === "sign_in_needed" ? "bad" : "warn"),
			linkedin.connection === "disconnecting" && note("warn", "The authorisation is being ended."),
			facts([
				["State", statusTag(linkedin.connection)],
				["Authorised by", linkedin.authorized_by === `seat:${session.seat}` ? "You" : linkedin.authorized_by],
				["Ends", linkedin.authorization_ends_at && time(linkedin.authorization_ends_at)],
			]),
			row(
				linkedin.connection !== "disconnecting" &&
					action(stands ? "Authorise again" : "Authorise", () => goAuthorize("linkedin", {}), null),
				["connected", "sign_in_needed"].includes(linkedin.connection) &&
					button(
						"Disconnect",
						() =>
							confirmed(
								"Disconnect LinkedIn",
								"New answers are no longer read. What is here stays.",
								"Disconnect",
								async () => {
									await api("POST", "/linkedin/disconnect");
									return view.reload;
								},
							),
						"danger",
					),
			),
		),
	];
}

export async function myCrmPage(view) {
	const all = await Promise.all(["production", "sandbox"].map((environment) => get(`/me/crm-connections/${environment}`)));
	const shown = all.filter((own) => own.environment === "production" || own.expected_instance_url || own.status !== "not_connected");
	if (all.some((own) => own.status === "disconnecting")) view.later();
	return [
		p(
			"Leads, contacts and activities that you write to the CRM are written as you, with your own rights there. You are asked to sign in every 90 days.",
		),
		shown.map((own) => {
			const { environment, status, user } = own;
			const name = environment === "production" ? "Production" : "Sandbox";
			const stands = status === "connected" || status === "sign_in_needed";
			const connect = (switch_user) => goAuthorize("user", { environment, switch_user });
			return card(
				name,
				own.problem &&
					(own.expected_instance_url
						? problemNote(own.problem)
						: note("", "No CRM is connected yet: an administrator does that.")),
				status === "disconnecting" && note("warn", "Your sign-in is being ended."),
				facts([
					["State", statusTag(status)],
					["Instance", own.instance_url ?? own.expected_instance_url],
					["Signed in as", user && (user.username ?? user.id)],
					["Signed in on", own.connected_at && time(own.connected_at)],
					["Until", own.valid_until && time(own.valid_until)],
				]),
				own.expected_instance_url &&
					status !== "disconnecting" &&
					row(
						action(stands ? "Sign in again" : "Connect", () => connect(false), null),
						action("Use another account", () => connect(true)),
						stands &&
							button(
								"Disconnect",
								() =>
									confirmed(
										"Disconnect",
										"Nothing is written to the CRM as you any more, until you sign in again.",
										"Disconnect",
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
