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
	number,
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
import { statusTag } from "./crm-card.js";
import { importCard, isOpen, syncState, timed } from "./imports.js";
import { t } from "./words.js";

const CRMS = { salesforce: "Salesforce", dynamics365: "Microsoft Dynamics 365 Sales" };
const RIGHTS = { create: t("create"), update: t("update") };
const AUTO_SAVE = {
	leads: t("Auto-save leads"),
	contacts: t("Auto-save contacts"),
	accounts: t("Auto-save accounts"),
};
const REVOCATIONS = {
	revoked: t("The provider has revoked our access."),
	already_ended: t("The provider had ended our access before."),
	not_offered: t("Our tokens are deleted. The provider lets no app end its own access: remove the app there."),
	not_reached: t("Our tokens are deleted. The provider did not answer: remove the app there."),
};

// The results of an end, or its progress.
export function endNote(end) {
	const { purge } = end;
	const counts =
		purge &&
		(purge.left == null
			? t("Cleaning up: {deleted} of {found} imported items are deleted.", {
					deleted: number(purge.deleted),
					found: number(purge.found),
				})
			: t("Cleaned up: {deleted} of {found} imported items are deleted, {left} are left.", {
					deleted: number(purge.deleted),
					found: number(purge.found),
					left: number(purge.left),
				}));
	const parts = [counts, REVOCATIONS[end.revocation]];
	if (end.finished_at) {
		if (!end.clean_up) parts.unshift(t("What was imported before stays."));
		return note("good", strong(t("Disconnected {time}", { time: time(end.finished_at) })), ...parts.filter(Boolean));
	}
	return note(
		"warn",
		strong(t("Disconnecting …")),
		purge?.found > 0 && el("progress", { max: purge.found, value: purge.deleted, "aria-label": t("Imported items deleted") }),
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
			if (found && found.message !== next.message) announce(t(next.message));
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
		return [card(t("Connection"), endNote(disconnect), hint(t("It goes on by itself: you can leave this page.")))];
	if (status === "not_connected") {
		return [disconnect?.finished_at && endNote(disconnect), problem && problemNote(problem)].filter(Boolean);
	}
	return [
		card(
			t("Connection"),
			problem
				? problemNote(problem)
				: note(connection.sync.state === "cancelled" ? "warn" : "good", strong(timed(t(connection.message)))),
			status === "sign_in_needed" && logInAgain(connection),
			connection.paused_until &&
				note("warn", p(t("The CRM asked for a pause until {time}.", { time: time(connection.paused_until) }))),
			facts([
				[t("State"), statusTag(status)],
				[t("Instance"), connection.instance_url],
				[t("Connected as"), connection.user?.username ?? connection.user?.id],
				[t("Connected on"), time(connection.connected_at)],
				[t("Last sync"), connection.sync.last_success_at ? time(connection.sync.last_success_at) : t("None yet")],
				[t("Sync"), syncState(connection.sync.state)],
				[t("Next sync"), connection.sync.next_at ? time(connection.sync.next_at) : isOpen(connection.sync) && t("After this one")],
			]),
			connection.missing_permissions.length > 0 &&
				step !== "connect" &&
				note(
					"warn",
					t("The connected user lacks some permissions: {permissions}. See Permissions.", {
						permissions: connection.missing_permissions.join(", "),
					}),
				),
		),
	];
}

// The step that the user may go to.
const furthest = ({ status, guide }) => (status === "not_connected" ? 1 : Math.min(guide.step_number, 4));

async function guide(context, step) {
	const connection = context.now();
	const last = furthest(connection);
	const titles = [
		context.environment === "production" ? t("Connect your production CRM") : t("Connect your sandbox CRM"),
		t("Configure CRM sync settings"),
		t("Configure ROI Reporting"),
		t("Advanced features"),
	];
	const marks = titles.map((title, index) => {
		const number = index + 1;
		const name = t("Step {number}: {title}", { number, title });
		const done = number < last;
		const shown = done && number !== step ? "✓" : String(number);
		const mark =
			number <= last && number !== step
				? el(
						"button",
						{
							type: "button",
							class: done && "done",
							"aria-label": done ? t("{step}, done", { step: name }) : name,
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
			hint(t("Step {step} of 4", { step })),
			el("h2", { id: "step" }, titles[step - 1]),
			el("ol", { class: "steps" }, marks),
			body,
		),
		connection.status !== "not_connected" && endCard(context),
	].filter(Boolean);
}

const back = (context, step) => button(t("Back"), () => context.go(step));

function connectStep(context) {
	const connection = context.now();
	if (connection.status === "not_connected") return chooseCrm(context);
	return [
		permissions(context),
		connection.guide.step !== "connect" && row(button(t("Configure settings"), () => context.go(2), null)),
		reconnect(connection),
	];
}

function chooseCrm(context) {
	const { environment, path } = context;
	const { choice } = context.now().guide;
	const crm = (value) => check("crm", CRMS[value], choice?.crm === value, null, { type: "radio", value, required: true, onchange: show });
	const salesforce = field(
		t("Salesforce address (optional)"),
		input("login_url", { type: "url", placeholder: "https://acme.my.salesforce.com" }),
		t("Your My Domain. Left empty, you sign in at {host}.", { host: `${environment === "sandbox" ? "test" : "login"}.salesforce.com` }),
	);
	const dynamics = field(
		t("Address of your Dynamics 365 organisation"),
		input("organization_url", { type: "url", required: true, placeholder: "https://acme.crm4.dynamics.com" }),
		t("As your browser shows it when you use Dynamics 365."),
	);
	const choose = form(
		[
			group(
				environment === "production"
					? t("First, select which production CRM you wish to connect to")
					: t("First, select which sandbox CRM you wish to connect to"),
				crm("salesforce"),
				crm("dynamics365"),
			),
			salesforce,
			dynamics,
			check("switch_user", t("Sign in as another user"), false, t("Asks who signs in, even if you are signed in there.")),
		],
		[submit(t("Log in"))],
		async (fields) => {
			const value = fields.crm.value;
			if (!value) refuse(t("No CRM is selected."), t("Select the CRM that you use."));
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
		p(t("Imports your accounts, contacts, leads and opportunities, and lets leads be written to your CRM. You need:")),
		el(
			"ul",
			null,
			li(t("A CRM user who may read all of these: best an integration user, whose access does not end with a person’s.")),
			li(t("Salesforce: an edition with API access, and this app allowed by your Salesforce administrator.")),
			li(t("Dynamics 365: the online edition, and your Microsoft administrator’s consent.")),
		),
		choice?.crm === "other" && note("", t("You told us that you use {name}. It cannot be connected yet.", { name: choice.name })),
		choose,
		p(t("Or, do you {link}", { link: button(t("use a different CRM?"), () => otherCrm(context), "plain") })),
	];
}

function otherCrm(context) {
	const { choice } = context.now().guide;
	dialog(t("Which CRM do you use?"), (close) =>
		form(
			[
				p(t("Only Salesforce and Dynamics 365 can be connected. Tell us which other CRM you use.")),
				field(t("Name of your CRM"), input("name", { maxlength: 100, required: true, value: choice?.name ?? "" })),
			],
			[submit(t("Save")), cancel(close)],
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
	action(t("Log in again"), () =>
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
		el("summary", null, t("Sign in to the CRM again")),
		hint(t("Into the same organisation. What is set up stays.")),
		logInAgain(connection),
	);

/** @param {import("./api.js").Api["ObjectAccess"]} object */
function objectItem(object) {
	const lacks = [];
	if (!object.readable) lacks.push(t("it cannot be read"));
	else if (object.all_records === false) lacks.push(t("only some of its records can be read"));
	const rights = object.missing_rights.filter((right) => right !== "read");
	if (rights.length) lacks.push(t("no right to {rights}", { rights: rights.map((right) => RIGHTS[right] ?? right).join(t(" or ")) }));
	if (object.missing_fields.length) lacks.push(t("fields that cannot be read: {fields}", { fields: object.missing_fields.join(", ") }));
	const needed = object.required && (!object.readable || object.all_records === false);
	return li(
		strong(object.label),
		" ",
		tag(needed ? "bad" : "warn", needed ? t("Required") : t("Optional")),
		p(t("Missing: {lacks}.", { lacks: lacks.join("; ") })),
		hint(t("Next step: {step}", { step: t(object.next_step) })),
	);
}

function permissions(context) {
	const place = el("div");
	const draw = (report) => {
		const missing = report.objects.filter((object) => object.next_step);
		place.replaceChildren(
			missing.length
				? note("warn", t("{n} of {all} objects lack permissions.", { n: missing.length, all: report.objects.length }))
				: note("good", t("All {n} objects have the permissions that they need.", { n: report.objects.length })),
			hint(t("Checked {time}", { time: time(report.checked_at) })),
			el("ul", { class: "plain" }, missing.map(objectItem)),
		);
		return missing;
	};
	get(`${context.path}/permissions`).then(draw, (error) =>
		place.replaceChildren(
			error.problem?.code === "not_checked" ? p(t("The permissions were not checked yet.")) : problemNote(asProblem(error)),
		),
	);
	return el(
		"div",
		null,
		p(t("You need read access to these objects in your CRM. Update the permissions there, then check again.")),
		place,
		action(t("Check Permission Status"), async () => {
			const missing = draw(await api("POST", `${context.path}/permissions/check`));
			if (!missing.length) announce(t("Nothing is missing."));
			await context.load();
			if (missing.length)
				announce(t("Permissions are missing for {objects}.", { objects: missing.map((object) => object.label).join(", ") }));
		}),
	);
}

async function options(context, again) {
	const read = (refresh) => get(`${context.path}/options${refresh ? "?refresh=true" : ""}`);
	const found = await read(false);
	const refresh = action(
		t("Read them again"),
		async () => {
			await read(true);
			await again();
		},
		"plain",
	);
	return [
		found,
		el(
			"div",
			{ class: "hint" },
			t("The choices are your CRM’s own, read {time}. {refresh}", { time: time(found.fetched_at), refresh }),
		),
	];
}

// The end of a step's form: the next step of the guide, or only a save.
/** @returns {[any[], (text: string) => Promise<string | void>]} */
function ends(context, step, next) {
	const guided = context.now().guide.step !== "finished";
	const done = (text) => (guided ? context.go(step + 1) : text);
	return [guided ? [submit(next), back(context, step - 1)] : [submit(t("Save"))], done];
}

// The switches of activities, and of what is written, with their labels.
const LOGS = {
	log_messages_and_inmails: t("Log messages and InMails"),
	log_smart_links: t("Log smart links"),
	log_notes: t("Log notes"),
	log_calls: t("Log calls"),
};
const WRITES = {
	create_leads: t("Create leads"),
	update_leads: t("Update leads"),
	create_contacts: t("Create contacts"),
	update_contacts: t("Update contacts"),
};

async function settingsStep(context) {
	const address = `${context.path}/sync-settings`;
	const [saved, [offered, source]] = await Promise.all([get(address), options(context, () => context.load(true))]);
	const [buttons, done] = ends(context, 2, t("Next: ROI reporting"));
	const box = ([name, label]) => check(name, label, saved[name]);
	const stages = offered.stages.filter((stage) => !stage.closed || stage.value === saved.pipeline_stage);
	return form(
		[
			group(
				t("Auto-save"),
				hint(t("Saved by themselves for the owners of open opportunities.")),
				["leads", "contacts", "accounts"].map((kind) => check(`save_${kind}`, AUTO_SAVE[kind], saved.auto_save[kind])),
			),
			field(
				t("At which stage does your sales team consider an opportunity to enter your pipeline?"),
				select("pipeline_stage", [["", t("Not sure")], ...stages.map((stage) => [stage.value, stage.label])], saved.pipeline_stage),
				t(offered.stages_note) ?? t("With “Not sure”, all open opportunities count."),
			),
			group(
				t("Data"),
				check(
					"validate_crm_data",
					t("Validate CRM data"),
					saved.validate_crm_data,
					t("Flags leads and contacts whose company is out of date in the CRM too, where it has the package’s field."),
				),
				Object.entries(WRITES).map(box),
			),
			field(
				t("Lead source of what is created"),
				select(
					"lead_source",
					[["", t("Leave it empty")], ...offered.lead_sources.map((choice) => [choice.value, choice.label])],
					saved.lead_source,
				),
				t(offered.lead_sources_note),
			),
			group(t("Activities"), Object.entries(LOGS).map(box)),
			field(
				t("Name of the product in the subjects of activities"),
				input("product_name", { required: true, maxlength: 80, value: saved.product_name }),
				t("As in “Message sent from Sales Navigator”."),
			),
			field(
				t("Share of your organisation’s API calls that imports may use, in percent"),
				input("api_share_percent", { type: "number", min: 1, max: 100, required: true, value: saved.api_share_percent }),
				t(
					"Of what the CRM allows in 24 hours. An import that has used its share waits. Dynamics 365 tells no number: there it has no effect.",
				),
			),
			group(
				t("Seat holders"),
				check(
					"auto_sync_seat_holders",
					t("Auto sync all seat holders with the CRM"),
					saved.auto_sync_seat_holders,
					t("Otherwise each is switched on by itself."),
				),
			),
			source,
		],
		buttons,
		async (fields) => {
			const is = (name) => fields[name].checked;
			const share = Number(fields.api_share_percent.value);
			const all = ["validate_crm_data", "auto_sync_seat_holders", ...Object.keys(WRITES), ...Object.keys(LOGS)];
			await api("PUT", address, {
				auto_save: { leads: is("save_leads"), contacts: is("save_contacts"), accounts: is("save_accounts") },
				pipeline_stage: fields.pipeline_stage.value || null,
				lead_source: fields.lead_source.value || null,
				product_name: fields.product_name.value.trim(),
				// 0 is refused, as is what is no whole number.
				api_share_percent: Number.isInteger(share) ? share : 0,
				...Object.fromEntries(all.map((name) => [name, is(name)])),
			});
			return done(t("The sync settings are saved."));
		},
	);
}

async function roiStep(context) {
	const address = `${context.path}/roi-reporting`;
	const [saved, [offered, source]] = await Promise.all([get(address), options(context, () => context.load(true))]);
	const [buttons, done] = ends(context, 3, t("Next: Advanced features"));
	const currencies = offered.currencies.map(({ code, name }) => [code, name === code ? code : `${name} (${code})`]);
	const currency = currencies.length
		? select("currency", [["", t("Please select an option")], ...currencies], saved.currency)
		: input("currency", { value: saved.currency ?? "", maxlength: 3, placeholder: "EUR" });
	const choices = el(
		"div",
		null,
		field(
			t("Where do you store the value of a won opportunity?"),
			select(
				"won_value_field",
				[["", t("Not sure")], ...offered.value_fields.map(({ name, label }) => [name, label])],
				saved.won_value_field,
			),
			t(offered.value_fields_note) ?? t("With “Not sure”, the CRM’s usual field counts."),
		),
		field(t("Show total amount of influenced and sourced revenue in"), currency, t(offered.currencies_note)),
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
			p(t("ROI reporting shows what was won with these leads: opportunities influenced and sourced, and their value.")),
			check("enabled", t("Turn on ROI Reporting?"), saved.enabled, null, { onchange: show }),
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
			return done(t("ROI reporting is saved."));
		},
	);
}

const FEATURES = {
	exactly_once_fields: [t("Exactly one lead for each submission")],
	data_validation: [t("Data validation"), t("Turn on “Validate CRM data” in the CRM sync settings.")],
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
					tag(item.enabled && "good", item.enabled == null ? t("Not known yet") : item.enabled ? t("On") : t("Off")),
					p(t(item.description)),
					item.next_step && hint(t("Next step: {step}", { step: FEATURES[item.name]?.[1] ?? t(item.next_step) })),
				),
			),
		),
		guided &&
			form([], [submit(t("Finish")), back(context, 3)], async () => {
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
		card(t("Sign-in"), reconnect(context.now())),
		card(t("Permissions"), permissions(context)),
		later(t("CRM sync settings"), settingsStep),
		later(t("ROI Reporting"), roiStep),
		later(t("Advanced features"), advancedStep),
		endCard(context),
	];
}

function endCard(context) {
	const ask = () =>
		dialog(t("Disconnect CRM Sync"), (close) =>
			form(
				[
					p(t("Nothing is imported or written any more, and seat holders’ own sign-ins to this CRM end.")),
					group(
						t("Clean up all previously imported CRM data?"),
						check("clean_up", t("Yes, clean up all previously imported CRM data"), false, null, {
							type: "radio",
							value: "yes",
						}),
						check("clean_up", t("No, keep it for a later connection"), true, null, { type: "radio", value: "no" }),
					),
					note("", t("Your CRM itself is not changed.")),
				],
				[submit(t("Disconnect"), "danger"), cancel(close)],
				async (fields) => {
					await api("POST", `${context.path}/disconnect`, { clean_up: fields.clean_up.value === "yes" });
					close();
					await context.go(null);
				},
			),
		);
	return card(
		t("Disconnect"),
		p(t("Ends the connection, with the choice to delete what was imported.")),
		button(t("Disconnect CRM Sync"), ask, "danger"),
	);
}
