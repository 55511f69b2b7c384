// Starts the pages: the signed-in user, the page, navigation.

import { keepSession, link, openSession, ownPage, page, renew, root, session, signInPage, signOut } from "./api.js";
import {
	action,
	asProblem,
	button,
	card,
	check,
	el,
	field,
	form,
	input,
	li,
	newId,
	note,
	p,
	problemNote,
	refuse,
	run,
	showProblem,
	time,
} from "./dom.js";
import { keepLanguage, language, LANGUAGES, t } from "./words.js";

/**
 * A page: name in the address, title, group in the navigation, restriction to administrators, the parent page
 * of one that the navigation does not list, the list of the API with the entries that the page shows, one by
 * its `id`, and the function that loads its module, when the page is opened.
 * @typedef {object} Page
 * @property {string} name
 * @property {string} title
 * @property {string} [group]
 * @property {boolean} [administrators]
 * @property {string} [above]
 * @property {string} [entries]
 * @property {() => Promise<(view: any) => Promise<any[]>>} load
 */

const people = async (make) => make((await import("./directory.js")).PEOPLE);
const companies = async (make) => make((await import("./directory.js")).COMPANIES);

/**
 * Also read by `cargo xtask screenshots`.
 * @type {Page[]}
 */
export const PAGES = [
	{ name: "home", title: "Home", load: async () => (await import("./home.js")).homePage },

	{ name: "submissions", title: "Submissions", group: "Leads", load: async () => (await import("./submissions.js")).submissionsPage },
	{
		name: "submission",
		title: "Submission",
		above: "submissions",
		entries: "/submissions",
		load: async () => (await import("./submission.js")).submissionPage,
	},
	{ name: "forms", title: "Forms", group: "Leads", administrators: true, load: async () => (await import("./forms.js")).formsPage },
	{
		name: "form",
		title: "Form",
		above: "forms",
		entries: "/forms",
		administrators: true,
		load: async () => (await import("./form.js")).formPage,
	},
	{
		name: "mapping",
		title: "Mapping",
		group: "Leads",
		administrators: true,
		load: async () => (await import("./mapping.js")).mappingPage,
	},
	{
		name: "matching",
		title: "Matching",
		group: "Leads",
		administrators: true,
		load: async () => (await import("./matching.js")).matchingPage,
	},
	{
		name: "scoring",
		title: "Scoring",
		group: "Leads",
		administrators: true,
		load: async () => (await import("./scoring.js")).scoringPage,
	},
	{
		name: "lead-settings",
		title: "Lead settings",
		group: "Leads",
		administrators: true,
		load: async () => (await import("./lead-settings.js")).leadSettingsPage,
	},

	{
		name: "people",
		title: "People",
		group: "People & companies",
		load: async () => people((await import("./directory.js")).directoryPage),
	},
	{
		name: "person",
		title: "Person",
		above: "people",
		entries: "/profiles",
		load: async () => people((await import("./entry.js")).entryPage),
	},
	{
		name: "add-to-crm",
		title: "Add to CRM",
		above: "people",
		entries: "/profiles",
		load: async () => (await import("./add.js")).addPage,
	},
	{
		name: "update-in-crm",
		title: "Update in CRM",
		above: "people",
		entries: "/profiles",
		load: async () => (await import("./update.js")).updatePage,
	},
	{
		name: "add-to-opportunity",
		title: "Add to an opportunity",
		above: "people",
		entries: "/profiles",
		load: async () => (await import("./opportunity.js")).opportunityPage,
	},
	{
		name: "upload-people",
		title: "Upload people",
		above: "people",
		administrators: true,
		load: async () => people((await import("./upload.js")).uploadPage),
	},
	{
		name: "companies",
		title: "Companies",
		group: "People & companies",
		load: async () => companies((await import("./directory.js")).directoryPage),
	},
	{
		name: "company",
		title: "Company",
		above: "companies",
		entries: "/companies",
		load: async () => companies((await import("./entry.js")).entryPage),
	},
	{
		name: "upload-companies",
		title: "Upload companies",
		above: "companies",
		administrators: true,
		load: async () => companies((await import("./upload.js")).uploadPage),
	},

	{
		name: "out-of-date",
		title: "Out of date",
		group: "People & companies",
		load: async () => (await import("./out-of-date.js")).outOfDatePage,
	},
	{
		name: "champions",
		title: "Champions",
		group: "People & companies",
		load: async () => (await import("./champions.js")).championsPage,
	},
	{ name: "my-lists", title: "My lists", group: "People & companies", load: async () => (await import("./lists.js")).listsPage },

	{ name: "activities", title: "My activities", group: "Activities", load: async () => (await import("./activities.js")).activitiesPage },
	{
		name: "activity",
		title: "Activity",
		above: "activities",
		entries: "/activities",
		load: async () => (await import("./activity.js")).activityPage,
	},
	{ name: "log-activity", title: "Log an activity", group: "Activities", load: async () => (await import("./log.js")).logPage },
	{
		name: "linkedin-archive",
		title: "From a LinkedIn archive",
		group: "Activities",
		load: async () => (await import("./archive.js")).archivePage,
	},

	{
		name: "match-rates",
		title: "Match rates",
		group: "Reports",
		administrators: true,
		load: async () => (await import("./rates.js")).ratesPage,
	},
	{
		name: "imports",
		title: "Imports",
		group: "Reports",
		administrators: true,
		load: async () => (await import("./import-runs.js")).importsPage,
	},
	{ name: "roi", title: "ROI", group: "Reports", load: async () => (await import("./roi.js")).roiPage },

	{
		name: "crm-production",
		title: "Production CRM",
		group: "Settings",
		administrators: true,
		load: async () => (await import("./crm.js")).crmPage("production"),
	},
	{
		name: "crm-sandbox",
		title: "Sandbox CRM",
		group: "Settings",
		administrators: true,
		load: async () => (await import("./crm.js")).crmPage("sandbox"),
	},
	{ name: "linkedin", title: "LinkedIn", group: "Settings", load: async () => (await import("./connections.js")).linkedinPage },
	{ name: "my-settings", title: "My settings", group: "Settings", load: async () => (await import("./settings.js")).settingsPage },
	{ name: "seats", title: "Seats", group: "Settings", administrators: true, load: async () => (await import("./seats.js")).seatsPage },
	{
		name: "crm-users",
		title: "Seats from the CRM",
		group: "Settings",
		administrators: true,
		load: async () => (await import("./crm-users.js")).crmUsersPage,
	},
	{
		name: "api-tokens",
		title: "API tokens",
		group: "Settings",
		administrators: true,
		load: async () => (await import("./seats.js")).tokensPage,
	},
	{
		name: "api-reference",
		title: "API reference",
		group: "Settings",
		load: async () => (await import("./reference.js")).referencePage,
	},
	{
		name: "audit-log",
		title: "Audit log",
		group: "Settings",
		administrators: true,
		load: async () => (await import("./seats.js")).auditPage,
	},
	{
		name: "privacy",
		title: "Privacy",
		group: "Settings",
		administrators: true,
		load: async () => (await import("./privacy.js")).privacyPage,
	},
	{
		name: "person-data",
		title: "A person's data",
		group: "Settings",
		administrators: true,
		load: async () => (await import("./person-data.js")).personDataPage,
	},
];

const main = document.getElementById("main");
const nav = document.getElementById("pages");
const nameOf = (path) => path.split("/").pop();
/** @param {Page} page */
const may = ({ administrators }) => !administrators || session.role === "administrator";
let leaving = new AbortController();

// The navigation: the pages of the user's role, by group. On narrow screens a button opens it.
function navigation(current) {
	const above = PAGES.find(({ name }) => name === current)?.above;
	const here = (name) => (name === current ? "page" : name === above && "true");
	const shown = PAGES.filter((page) => may(page) && !page.above);
	const groups = [...new Set(shown.map(({ group }) => group))];
	nav.replaceChildren(
		...groups.flatMap((group) => {
			const id = newId();
			const links = shown.filter((page) => page.group === group);
			return [
				group && el("p", { id }, t(group)),
				el(
					"ul",
					group ? { "aria-labelledby": id } : null,
					links.map(({ name, title }) => li(link(name, t(title), { "aria-current": here(name) }))),
				),
			].filter(Boolean);
		}),
	);
}

// The key that leads to the search. As it is a single character it can be switched off (WCAG 2.1.4), for this browser.
const SLASH = "leadbridge.slash";
const slash = {
	get on() {
		try {
			return localStorage.getItem(SLASH) !== "off";
		} catch {
			return true;
		}
	},
	set on(on) {
		try {
			localStorage.setItem(SLASH, on ? "on" : "off");
		} catch {
			// Where nothing can be kept it stays on.
		}
	},
};

// The search over everything. Its module is loaded when somebody comes to the box.
function finder() {
	// It takes the focus of a click on it, which would close it otherwise.
	const results = el("div", { class: "results", tabindex: "-1" });
	const box = input("find", {
		type: "search",
		maxlength: 200,
		placeholder: t("Search everything: /"),
		"aria-label": t("Search pages, people, companies and submissions"),
		"aria-keyshortcuts": "/",
	});
	const around = el("form", { class: "find", role: "search", "aria-label": t("Everything") }, box, results);
	const shown = PAGES.filter((page) => may(page) && !page.above).map((one) => ({
		...one,
		title: t(one.title),
		group: one.group && t(one.group),
	}));
	// A key before the module is there must not send the form.
	around.addEventListener("submit", (event) => event.preventDefault());
	const load = () =>
		import("./search.js").then(
			({ searchEverything }) => searchEverything(around, box, results, shown, slash),
			() => box.addEventListener("focus", load, { once: true }),
		);
	box.addEventListener("focus", load, { once: true });
	return around;
}

// Leads to the search, if the key is not for something that is typed into.
function seek(event) {
	if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
	if (!slash.on) return;
	if (event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]")) return;
	const box = document.querySelector("input[name=find]");
	if (!(box instanceof HTMLElement)) return;
	event.preventDefault();
	box.focus();
}

// The other languages. The choice is kept in this browser.
const languages = (place) =>
	Object.entries(LANGUAGES)
		.filter(([tag]) => tag !== language)
		.map(([tag, name]) => {
			const choose = (event) =>
				run(event.target, place, async () => {
					try {
						keepLanguage(tag);
					} catch {
						refuse(t("This browser does not keep the language."), t("Allow this site to store data."));
					}
					location.reload();
				});
			return el("button", { type: "button", class: "plain", lang: tag, onclick: choose }, name);
		});

function header(current) {
	const place = el("div");
	const menu = button(t("Menu"), () => {
		const open = nav.classList.toggle("open");
		menu.setAttribute("aria-expanded", String(open));
	});
	menu.classList.add("menu");
	menu.setAttribute("aria-expanded", "false");
	menu.setAttribute("aria-controls", "pages");
	document.getElementById("top").replaceChildren(
		el(
			"div",
			{ class: "bar" },
			link("home", "Leadbridge", { class: "brand" }),
			finder(),
			menu,
			el(
				"div",
				{ class: "who" },
				el("span", null, `${session.name} · ${session.contract}`),
				languages(place),
				button(t("Sign out"), (event) => run(event.target, place, signOut), "plain"),
				place,
			),
		),
	);
	nav.classList.remove("open");
	navigation(current);
}

// Shows the page of the address. `moved`: the user went there, so the focus moves too.
async function show(moved) {
	leaving.abort();
	leaving = new AbortController();
	const { signal } = leaving;
	for (const open of document.querySelectorAll("dialog")) open.remove();
	const name = nameOf(location.pathname);
	const found = PAGES.find((page) => page.name === name);
	const title = found ? t(found.title) : t("There is no such page");
	document.title = `${title} – Leadbridge`;
	// A page that is drawn again by itself leaves the header: somebody may type in its search.
	if (moved || !document.querySelector("#top .find")) header(name);
	else navigation(name);
	const heading = el("h1", { tabindex: "-1" }, title);
	const body = el("div", { "aria-busy": true });
	main.replaceChildren(heading, body);
	if (moved) {
		scrollTo(0, 0);
		heading.focus();
	}
	const view = {
		signal,
		query: new URLSearchParams(location.search),
		// Not once the user has gone on to another page.
		reload: async () => signal.aborted || show(true),
		// Shows the page's subject, once that is known.
		entitle(text) {
			heading.textContent = text;
			document.title = `${text} – Leadbridge`;
		},
		// Nor this: an answer that comes late leads nobody away from where they are by now.
		async go(name, parameters) {
			if (signal.aborted) return;
			history.pushState(null, "", page(name, parameters));
			await show(true);
		},
		later: () => setTimeout(() => signal.aborted || show(false), 3000),
		// Changes the address's parameters without going anywhere.
		replace(parameters) {
			for (const [key, value] of Object.entries(parameters)) value ? this.query.set(key, value) : this.query.delete(key);
			history.replaceState(null, "", `${location.pathname}?${this.query}`);
		},
	};
	try {
		if (!found) body.append(p(link("home", t("Go to the first page"))));
		else if (!may(found)) body.append(note("", t("This page is for administrators. Ask one if you need something changed here.")));
		else {
			const draw = await found.load();
			const parts = await draw(view);
			if (signal.aborted) return;
			body.replaceChildren(...parts.flat(9).filter(Boolean));
		}
	} catch (error) {
		if (!signal.aborted) {
			showProblem(body, error);
			body.append(...action(t("Try again"), () => show(false)));
		}
	} finally {
		body.removeAttribute("aria-busy");
	}
}

function warn(until, last) {
	const place = document.getElementById("session-warning");
	if (!until) return place.replaceChildren();
	place.replaceChildren(
		el(
			"div",
			{ class: "bar" },
			last
				? note(
						"warn",
						p(
							t("Your session ends at {time}. Save what you work on, then {link}.", {
								time: time(until),
								link: el("a", { href: signInPage() }, t("sign in again")),
							}),
						),
					)
				: note(
						"warn",
						p(t("You will be signed out at {time}.", { time: time(until) })),
						action(t("Stay signed in"), async () => {
							await renew();
							place.replaceChildren();
						}),
					),
		),
	);
}

const WHY = { ended: t("Your session has ended. Sign in again to go on where you were."), out: t("You are signed out.") };

function showSignIn() {
	const query = new URLSearchParams(location.search);
	document.title = `${t("Sign in")} – Leadbridge`;
	const place = el("div");
	document
		.getElementById("top")
		.replaceChildren(
			el("div", { class: "bar" }, el("span", { class: "brand" }, "Leadbridge"), el("div", { class: "who" }, languages(place), place)),
		);
	const contract = input("contract", { value: query.get("contract") ?? "", required: true, autocapitalize: "none", spellcheck: "false" });
	const login = input("login_url", { type: "url", placeholder: "https://acme.my.salesforce.com" });
	const go = (provider) => {
		const name = contract.value.trim();
		if (!name) refuse(t("The contract is missing."), t("Type its name, or open the link of your invitation."), "contract");
		const url = new URL(`oauth/sign-in/${provider}`, root);
		const back = ownPage(query.get("return_to"));
		const target = new URL(back ?? page("home"), root);
		target.searchParams.set("contract", name);
		const parameters = {
			contract: name,
			return_to: target.pathname + target.search,
			login_url: provider === "salesforce" && login.value.trim(),
			switch_user: box.querySelector("input").checked && "true",
		};
		for (const [key, value] of Object.entries(parameters)) if (value) url.searchParams.set(key, value);
		// So that the way back here, and a bookmark, know the contract.
		query.set("contract", name);
		history.replaceState(null, "", `${location.pathname}?${query}`);
		location.assign(url);
	};
	const box = check("switch_user", t("Sign in as another user"), false, t("Asks who signs in, even if you are signed in there."));
	const by = (provider, text) => el("button", { value: provider }, text);
	const why = WHY[query.get("why")];
	main.replaceChildren(
		el("h1", { tabindex: "-1" }, t("Sign in")),
		...[
			why && note(query.get("why") === "out" ? "good" : "warn", why),
			session &&
				note(
					"",
					p(
						t("You are signed in to {contract} as {name}.", { contract: session.contract, name: session.name }),
						" ",
						el("a", { href: page("home") }, t("Go there")),
					),
				),
			card(
				t("Your account"),
				form(
					[
						field(t("Contract"), contract, t("As in the link of your invitation.")),
						el(
							"details",
							{ class: "field" },
							el("summary", null, t("More choices")),
							field(t("Salesforce address"), login, t("Your My Domain, if you do not sign in at login.salesforce.com.")),
							box,
						),
					],
					[by("salesforce", t("Sign in with Salesforce")), by("entra", t("Sign in with Microsoft"))],
					async (fields, submitter) => go(submitter?.value ?? "salesforce"),
				),
			),
			p(t("The first time, open the link of your invitation.")),
		].filter(Boolean),
	);
	if (!contract.value) contract.focus();
}

async function start() {
	document.querySelector(".skip").textContent = t("Skip to the content");
	nav.setAttribute("aria-label", t("Pages"));
	await openSession();
	const asked = new URLSearchParams(location.search).get("contract");
	if (nameOf(location.pathname) === "sign-in") return showSignIn();
	if (!session) return location.replace(signInPage());
	// The address asks for a contract other than the session's.
	if (asked && asked !== session.contract) return location.replace(signInPage(null, asked));
	if (!asked) {
		const url = new URL(location.href);
		url.searchParams.set("contract", session.contract);
		history.replaceState(null, "", url);
	}
	addEventListener("popstate", () => show(true));
	document.addEventListener("click", (event) => {
		/** @type {HTMLAnchorElement | null} */
		const link = event.target instanceof Element ? event.target.closest("a[data-nav]") : null;
		if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
		event.preventDefault();
		history.pushState(null, "", link.href);
		show(true);
	});
	document.addEventListener("keydown", seek);
	keepSession(warn);
	await show(false);
}

// Starts; where the API says when to come back, it does so by itself, and shows quietly what is said by then.
function begin(again = null) {
	start().catch((error) => {
		const problem = asProblem(error);
		const wait = problem.retry_after;
		const place = again ?? el("div", { role: wait && "status" });
		if (!again) {
			main.replaceChildren(el("h1", null, "Leadbridge"), place, ...action(t("Try again"), () => location.reload()));
		}
		if (!wait) return showProblem(place, error);
		place.replaceChildren(problemNote(problem, "warn"));
		setTimeout(begin, wait * 1000, place);
	});
}

begin();
