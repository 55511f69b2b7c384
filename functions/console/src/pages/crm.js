// The CRM connection of an environment: the guide in four steps, the settings afterwards,
// permissions, the end (CN-1 to CN-10).

import { api, get, goAuthorize, link } from "./api.js";
import {
	action,
	announce,
	asProblem,
	button,
	cancel,
	card,
	check,
	dialog,
	el,
	facts,
	field,
	form,
	group,
	hint,
	input,
	li,
	moveTo,
	note,
	p,
	poll,
	problemNote,
	refuse,
	row,
	select,
	showProblem,
	strong,
	submit,
	tag,
	time,
} from "./dom.js";
import { importCard, isOpen, syncState, timed } from "./imports.js";
import { t } from "./words.js";

const CRMS = { salesforce: "Salesforce", dynamics365: "Microsoft Dynamics 365 Sales" };
const STATES = { not_connected: "Not connected", connected: "Connected", sign_in_needed: "Sign-in needed", disconnecting: "Disconnecting" };
const REVOCATIONS = {
	revoked: "The provider has revoked our access.",
	already_ended: "The provider had ended our access before.",
	not_offered: "Our tokens are deleted. The provider lets no app end its own access: remove the app there.",
	not_reached: "Our tokens are deleted. The provider did not answer: remove the app there.",
};

export const statusTag = (status) => tag({ connected: "good", sign_in_needed: "bad", disconnecting: "warn" }[status], STATES[status]);

// The results of an end, or its progress.
export function endNote(end) {
	const { purge } = end;
	const counts =
		purge &&
		(purge.left == null
			? `Cleaning up: ${purge.deleted} of ${purge.found} imported items are deleted.`
			: `Cleaned up: ${purge.deleted} of ${purge.found} imported items are deleted, ${purge.left} are left.`);
	const parts = [counts, REVOCATIONS[end.revocation]];
	if (end.finished_at) {
		if (!end.clean_up) parts.unshift("What was imported before stays.");
		return note("good", strong("Disconnected ", time(end.finished_at)), ...parts.filter(Boolean));
	}
	return note(
		"warn",
		strong("Disconnecting …"),
		purge?.found > 0 && el("progress", { max: purge.found, value: purge.deleted, "aria-label": "Imported items deleted" }),
		...parts.filter(Boolean),
	);
}

export function crmPage(environment) {
	const path = `/crm-connections/${environment}`;
	return async (view) => {
		const status = el("div");
		const work = el("div");
		const body = el("div", null, status, work);
		const imports = importCard(environment, () => load());
		let found;
		let drawn;

		// The user's input is left alone unless the guide moved.
		const draw = async (next, sync, force) => {
			if (found && found.message !== next.message) announce(next.message);
			found = next;
			status.replaceChildren(...summary(next));
			drawImport(next, sync);
			const key = JSON.stringify([next.status, next.guide.step, next.guide.choice]);
			if (force || key !== drawn) {
				const first = drawn === undefined;
				drawn = key;
				const parts = await content(next);
				work.replaceChildren(...parts);
				if (!first) moveTo(work.querySelector("h2"));
			}
		};
		// Below the step that somebody is at, and above the settings.
		const drawImport = ({ status: state, problem, guide: { step } }, sync) => {
			if (!sync || (state !== "connected" && state !== "sign_in_needed")) return imports.node.remove();
			imports.draw(sync, problem);
			if (step === "finished") work.before(imports.node);
			else work.after(imports.node);
		};
		const load = async (force) => {
			const [next, sync] = await Promise.all([get(path), imports.read()]);
			await draw(next, sync, force);
		};
		const go = (step) => {
			view.replace({ step });
			return load(true);
		};
		const context = { environment, path, load, go, now: () => found };

		const content = async (connection) => {
			if (connection.status === "disconnecting") return [];
			if (connection.status !== "not_connected" && connection.guide.step === "finished") return settings(context);
			const at = furthest(connection);
			const asked = Number(view.query.get("step"));
			return guide(context, asked >= 1 && asked <= at ? asked : at);
		};

		await load(true);
		poll(view.signal, () => found.status === "disconnecting" || (found.status === "connected" && isOpen(found.sync)), load);
		return [body];
	};
}

/** @param {import("./api.js").Api["ConnectionView"]} connection */
function summary(connection) {
	const {
		status,
		problem,
		disconnect,
		guide: { step },
	} = connection;
	if (status === "disconnecting")
		return [card("Connection", endNote(disconnect), hint("It goes on by itself: you can leave this page."))];
	if (status === "not_connected") {
		return [disconnect?.finished_at && endNote(disconnect), problem && problemNote(problem)].filter(Boolean);
	}
	return [
		card(
			"Connection",
			problem
				? problemNote(problem)
				: note(connection.sync.state === "cancelled" ? "warn" : "good", strong(timed(connection.message))),
			status === "sign_in_needed" && logInAgain(connection),
			connection.paused_until && note("warn", p("The CRM asked for a pause until ", time(connection.paused_until), ".")),
			facts([
				["State", statusTag(status)],
				["Instance", connection.instance_url],
				["Connected as", connection.user?.username ?? connection.user?.id],
				["Connected on", time(connection.connected_at)],
				["Last sync", connection.sync.last_success_at ? time(connection.sync.last_success_at) : "None yet"],
				["Sync", syncState(connection.sync.state)],
				["Next sync", connection.sync.next_at ? time(connection.sync.next_at) : isOpen(connection.sync) && "After this one"],
			]),
			connection.missing_permissions.length > 0 &&
				step !== "connect" &&
				note("warn", `The connected user lacks some permissions: ${connection.missing_permissions.join(", ")}. See Permissions.`),
		),
	];
}

// The step that the user may go to.
const furthest = ({ status, guide }) => (status === "not_connected" ? 1 : Math.min(guide.step_number, 4));

async function guide(context, step) {
	const connection = context.now();
	const last = furthest(connection);
	const titles = [
		`Connect your ${context.environment} CRM`,
		"Configure CRM sync settings",
		"Configure ROI Reporting",
		"Advanced features",
	];
	const marks = titles.map((title, index) => {
		const number = index + 1;
		const name = `Step ${number}: ${title}`;
		const done = number < last;
		const shown = done && number !== step ? "✓" : String(number);
		const mark =
			number <= last && number !== step
				? el(
						"button",
						{
							type: "button",
							class: done && "done",
							"aria-label": `${name}${done ? ", done" : ""}`,
							onclick: () => context.go(number),
						},
						shown,
					)
				: el("span", { "aria-current": number === step && "step", "aria-label": name, role: "img" }, shown);
		return li(mark);
	});
	const body = await [connectStep, settingsStep, roiStep, advancedStep][step - 1](context);
	return [
		el(
			"section",
			{ class: "card", "aria-labelledby": "step" },
			hint(`Step ${step} of 4`),
			el("h2", { id: "step" }, titles[step - 1]),
			el("ol", { class: "steps" }, marks),
			body,
		),
		connection.status !== "not_connected" && endCard(context),
	].filter(Boolean);
}

const back = (context, step) => button("Back", () => context.go(step));

function connectStep(context) {
	const connection = context.now();
	if (connection.status === "not_connected") return chooseCrm(context);
	return [
		permissions(context),
		connection.guide.step !== "connect" && row(button("Configure settings", () => context.go(2), null)),
		reconnect(connection),
	];
}

function chooseCrm(context) {
	const { environment, path } = context;
	const { choice } = context.now().guide;
	const crm = (value) => check("crm", CRMS[value], choice?.crm === value, null, { type: "radio", value, required: true, onchange: show });
	const salesforce = field(
		"Salesforce address (optional)",
		input("login_url", { type: "url", placeholder: "https://acme.my.salesforce.com" }),
		`Your My Domain. Left empty, you sign in at ${environment === "sandbox" ? "test" : "login"}.salesforce.com.`,
	);
	const dynamics = field(
		"Address of your Dynamics 365 organisation",
		input("organization_url", { type: "url", required: true, placeholder: "https://acme.crm4.dynamics.com" }),
		"As your browser shows it when you use Dynamics 365.",
	);
	const choose = form(
		[
			group(`First, select which ${environment} CRM you wish to connect to`, crm("salesforce"), crm("dynamics365")),
			salesforce,
			dynamics,
			check("switch_user", "Sign in as another user", false, "Asks who signs in, even if you are signed in there."),
		],
		[submit("Log in")],
		async (fields) => {
			const value = fields.crm.value;
			if (!value) refuse("No CRM is selected.", "Select the CRM that you use.");
			const own = value === "salesforce" ? fields.login_url : fields.organization_url;
			const body = { environment, switch_user: fields.switch_user.checked };
			if (own.value.trim() || value !== "salesforce") body[own.name] = own.value.trim();
			await api("PUT", `${path}/crm`, { crm: value });
			await goAuthorize(value === "salesforce" ? "salesforce" : "dataverse", body);
		},
	);
	function show() {
		const { value } = choose.elements.crm;
		salesforce.hidden = value !== "salesforce";
		dynamics.hidden = value !== "dynamics365";
	}
	show();
	return [
		p("Imports your accounts, contacts, leads and opportunities, and lets leads be written to your CRM. You need:"),
		el(
			"ul",
			null,
			li("A CRM user who may read all of these: best an integration user, whose access does not end with a person’s."),
			li("Salesforce: an edition with API access, and this app allowed by your Salesforce administrator."),
			li("Dynamics 365: the online edition, and your Microsoft administrator’s consent."),
		),
		choice?.crm === "other" && note("", `You told us that you use ${choice.name}. It cannot be connected yet.`),
		choose,
		p(
			"Or, do you ",
			button("use a different CRM?", () => otherCrm(context), "plain"),
		),
	];
}

function otherCrm(context) {
	const { choice } = context.now().guide;
	dialog("Which CRM do you use?", (close) =>
		form(
			[
				p("Only Salesforce and Dynamics 365 can be connected. Tell us which other CRM you use."),
				field("Name of your CRM", input("name", { maxlength: 100, required: true, value: choice?.name ?? "" })),
			],
			[submit("Save"), cancel(close)],
			async (fields) => {
				await api("PUT", `${context.path}/crm`, { crm: "other", name: fields.name.value });
				close();
				await context.load(true);
			},
		),
	);
}

/** @param {import("./api.js").Api["ConnectionView"]} connection */
const logInAgain = (connection) =>
	action("Log in again", () =>
		goAuthorize(connection.provider, {
			environment: connection.environment,
			switch_user: true,
			[connection.provider === "salesforce" ? "login_url" : "organization_url"]: connection.instance_url,
		}),
	);

const reconnect = (connection) =>
	el(
		"details",
		null,
		el("summary", null, "Sign in to the CRM again"),
		hint("Into the same organisation. What is set up stays."),
		logInAgain(connection),
	);

/** @param {import("./api.js").Api["ObjectAccess"]} object */
function objectItem(object) {
	const lacks = [];
	if (!object.readable) lacks.push("it cannot be read");
	else if (object.all_records === false) lacks.push("only some of its records can be read");
	const rights = object.missing_rights.filter((right) => right !== "read");
	if (rights.length) lacks.push(`no right to ${rights.join(" or ")}`);
	if (object.missing_fields.length) lacks.push(`fields that cannot be read: ${object.missing_fields.join(", ")}`);
	const needed = object.required && (!object.readable || object.all_records === false);
	return li(
		strong(object.label),
		" ",
		tag(needed ? "bad" : "warn", needed ? "Required" : "Optional"),
		p(`Missing: ${lacks.join("; ")}.`),
		hint(`Next step: ${object.next_step}`),
	);
}

function permissions(context) {
	const place = el("div");
	const draw = (report) => {
		const missing = report.objects.filter((object) => object.next_step);
		place.replaceChildren(
			missing.length
				? note("warn", `${missing.length} of ${report.objects.length} objects lack permissions.`)
				: note("good", `All ${report.objects.length} objects have the permissions that they need.`),
			hint("Checked ", time(report.checked_at)),
			el("ul", { class: "plain" }, missing.map(objectItem)),
		);
		return missing;
	};
	get(`${context.path}/permissions`).then(draw, (error) =>
		place.replaceChildren(
			error.problem?.code === "not_checked" ? p("The permissions were not checked yet.") : problemNote(asProblem(error)),
		),
	);
	return el(
		"div",
		null,
		p("You need read access to these objects in your CRM. Update the permissions there, then check again."),
		place,
		action("Check Permission Status", async () => {
			const missing = draw(await api("POST", `${context.path}/permissions/check`));
			if (!missing.length) announce("Nothing is missing.");
			await context.load();
			if (missing.length) announce(`Permissions are missing for ${missing.map((object) => object.label).join(", ")}.`);
		}),
	);
}

async function options(context, again) {
	const read = (refresh) => get(`${context.path}/options${refresh ? "?refresh=true" : ""}`);
	const found = await read(false);
	const refresh = action(
		"Read them again",
		async () => {
			await read(true);
			await again();
		},
		"plain",
	);
	return [found, el("div", { class: "hint" }, "The choices are your CRM’s own, read ", time(found.fetched_at), ". ", refresh)];
}

// The end of a step's form: the next step of the guide, or only a save.
/** @returns {[any[], (text: string) => Promise<string | void>]} */
function ends(context, step, next) {
	const guided = context.now().guide.step !== "finished";
	const done = (text) => (guided ? context.go(step + 1) : text);
	return [guided ? [submit(next), back(context, step - 1)] : [submit("Save")], done];
}

const LOGS = ["log_messages_and_inmails", "log_smart_links", "log_notes", "log_calls"];
const WRITES = ["create_leads", "update_leads", "create_contacts", "update_contacts"];
// The label of a switch.
const called = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ").replace("inmails", "InMails");

async function settingsStep(context) {
	const address = `${context.path}/sync-settings`;
	const [saved, [offered, source]] = await Promise.all([get(address), options(context, () => context.load(true))]);
	const [buttons, done] = ends(context, 2, "Next: ROI reporting");
	const box = (name) => check(name, called(name), saved[name]);
	const stages = offered.stages.filter((stage) => !stage.closed || stage.value === saved.pipeline_stage);
	return form(
		[
			group(
				"Auto-save",
				hint("Saved by themselves for the owners of open opportunities."),
				["leads", "contacts", "accounts"].map((kind) => check(`save_${kind}`, `Auto-save ${kind}`, saved.auto_save[kind])),
			),
			field(
				"At which stage does your sales team consider an opportunity to enter your pipeline?",
				select("pipeline_stage", [["", "Not sure"], ...stages.map((stage) => [stage.value, stage.label])], saved.pipeline_stage),
				offered.stages_note ?? "With “Not sure”, all open opportunities count.",
			),
			group(
				"Data",
				check(
					"validate_crm_data",
					"Validate CRM data",
					saved.validate_crm_data,
					"Flags contacts that are no longer at their account’s company.",
				),
				WRITES.map(box),
			),
			field(
				"Lead source of what is created",
				select(
					"lead_source",
					[["", "Leave it empty"], ...offered.lead_sources.map((choice) => [choice.value, choice.label])],
					saved.lead_source,
				),
				offered.lead_sources_note,
			),
			group("Activities", LOGS.map(box)),
			field(
				"Name of the product in the subjects of activities",
				input("product_name", { required: true, maxlength: 80, value: saved.product_name }),
				"As in “Message sent from Sales Navigator”.",
			),
			field(
				"Share of your organisation’s API calls that imports may use, in percent",
				input("api_share_percent", { type: "number", min: 1, max: 100, required: true, value: saved.api_share_percent }),
				"Of what the CRM allows in 24 hours. An import that has used its share waits. Dynamics 365 tells no number: there it has no effect.",
			),
			group(
				"Seat holders",
				check(
					"auto_sync_seat_holders",
					"Auto sync all seat holders with the CRM",
					saved.auto_sync_seat_holders,
					"Otherwise each is switched on by itself.",
				),
			),
			source,
		],
		buttons,
		async (fields) => {
			const is = (name) => fields[name].checked;
			const share = Number(fields.api_share_percent.value);
			const all = ["validate_crm_data", "auto_sync_seat_holders", ...WRITES, ...LOGS];
			await api("PUT", address, {
				auto_save: { leads: is("save_leads"), contacts: is("save_contacts"), accounts: is("save_accounts") },
				pipeline_stage: fields.pipeline_stage.value || null,
				lead_source: fields.lead_source.value || null,
				product_name: fields.product_name.value.trim(),
				// 0 is refused, as is what is no whole number.
				api_share_percent: Number.isInteger(share) ? share : 0,
				...Object.fromEntries(all.map((name) => [name, is(name)])),
			});
			return done("The sync settings are saved.");
		},
	);
}

async function roiStep(context) {
	const address = `${context.path}/roi-reporting`;
	const [saved, [offered, source]] = await Promise.all([get(address), options(context, () => context.load(true))]);
	const [buttons, done] = ends(context, 3, "Next: Advanced features");
	const currencies = offered.currencies.map(({ code, name }) => [code, name === code ? code : `${name} (${code})`]);
	const currency = currencies.length
		? select("currency", [["", "Please select an option"], ...currencies], saved.currency)
		: input("currency", { value: saved.currency ?? "", maxlength: 3, placeholder: "EUR" });
	const choices = el(
		"div",
		null,
		field(
			"Where do you store the value of a won opportunity?",
			select(
				"won_value_field",
				[["", "Not sure"], ...offered.value_fields.map(({ name, label }) => [name, label])],
				saved.won_value_field,
			),
			offered.value_fields_note ?? "With “Not sure”, the CRM’s usual field counts.",
		),
		field("Show total amount of influenced and sourced revenue in", currency, offered.currencies_note),
		check(
			"team_figures",
			t("Every seat holder sees the figures of all"),
			saved.team_figures,
			t("Otherwise each sees those of their own opportunities."),
		),
	);
	const show = (event) => {
		choices.hidden = !event.target.checked;
	};
	choices.hidden = !saved.enabled;
	return form(
		[
			p("ROI reporting shows what was won with these leads: opportunities influenced and sourced, and their value."),
			check("enabled", "Turn on ROI Reporting?", saved.enabled, null, { onchange: show }),
			choices,
			source,
		],
		buttons,
		async (fields) => {
			await api("PUT", address, {
				enabled: fields.enabled.checked,
				won_value_field: fields.won_value_field.value || null,
				currency: fields.currency.value.trim() || null,
				team_figures: fields.team_figures.checked,
			});
			return done("ROI reporting is saved.");
		},
	);
}

const FEATURES = {
	exactly_once_fields: ["Exactly one lead for each submission"],
	data_validation: ["Data validation", "Turn on “Validate CRM data” in the CRM sync settings."],
};

async function advancedStep(context) {
	const { items } = await get(`${context.path}/advanced-features`);
	const guided = context.now().guide.step !== "finished";
	return [
		el(
			"ul",
			{ class: "plain" },
			items.map((item) =>
				li(
					strong(FEATURES[item.name]?.[0] ?? item.name),
					" ",
					tag(item.enabled && "good", item.enabled == null ? "Not known yet" : item.enabled ? "On" : "Off"),
					p(item.description),
					item.next_step && hint(`Next step: ${FEATURES[item.name]?.[1] ?? item.next_step}`),
				),
			),
		),
		guided &&
			form([], [submit("Finish"), back(context, 3)], async () => {
				await api("POST", `${context.path}/guide/finish`);
				await context.go(null);
			}),
	];
}

async function settings(context) {
	const later = (title, fill) => {
		const place = el("div");
		let filled = false;
		const open = async (event) => {
			if (!event.target.open || filled) return;
			filled = true;
			try {
				place.replaceChildren(...[await fill(context)].flat(9).filter(Boolean));
			} catch (error) {
				filled = false;
				showProblem(place, error);
			}
		};
		return el("section", { class: "card" }, el("details", { ontoggle: open }, el("summary", null, el("h2", null, title)), place));
	};
	return [
		card("Sign-in", reconnect(context.now())),
		card("Permissions", permissions(context)),
		later("CRM sync settings", settingsStep),
		later("ROI Reporting", roiStep),
		later("Advanced features", advancedStep),
		endCard(context),
	];
}

function endCard(context) {
	const ask = () =>
		dialog("Disconnect CRM Sync", (close) =>
			form(
				[
					p("Nothing is imported or written any more, and seat holders’ own sign-ins to this CRM end."),
					group(
						"Clean up all previously imported CRM data?",
						check("clean_up", "Yes, clean up all previously imported CRM data", false, null, { type: "radio", value: "yes" }),
						check("clean_up", "No, keep it for a later connection", true, null, { type: "radio", value: "no" }),
					),
					note("", "Your CRM itself is not changed."),
				],
				[submit("Disconnect", "danger"), cancel(close)],
				async (fields) => {
					await api("POST", `${context.path}/disconnect`, { clean_up: fields.clean_up.value === "yes" });
					close();
					await context.go(null);
				},
			),
		);
	return card(
		"Disconnect",
		p("Ends the connection, with the choice to delete what was imported."),
		button("Disconnect CRM Sync", ask, "danger"),
	);
}

/** @param {import("./api.js").Api["ConnectionView"]} connection */
export function crmCard(connection) {
	const {
		environment,
		status,
		guide: { step, step_number: number },
	} = connection;
	const name = environment === "production" ? "Production CRM" : "Sandbox CRM";
	const open = status !== "not_connected" && step !== "finished";
	return card(
		name,
		p(statusTag(status)),
		(status !== "not_connected" || connection.problem) && p(connection.message),
		connection.instance_url && hint(connection.instance_url),
		connection.sync.last_success_at && hint("Last import ", time(connection.sync.last_success_at)),
		p(
			link(
				`crm-${environment}`,
				open ? `Go on with step ${number} for ${environment}` : `${status === "not_connected" ? "Connect" : "Open"} ${environment}`,
			),
		),
	);
}
