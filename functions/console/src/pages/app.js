// Starts the pages: the signed-in user, the page, navigation.

import { keepSession, link, openSession, ownPage, page, renew, root, session, signInPage, signOut } from "./api.js";
import { homePage, linkedinPage, myCrmPage } from "./connections.js";
import { crmPage } from "./crm.js";
import { action, button, card, check, el, field, form, input, li, note, p, refuse, run, showProblem, time } from "./dom.js";
import { COMPANIES, directoryPage, PEOPLE } from "./directory.js";
import { entryPage } from "./entry.js";
import { ratesPage } from "./rates.js";
import { auditPage, seatsPage, tokensPage } from "./seats.js";
import { uploadPage } from "./upload.js";

/**
 * name in the address, title, for administrators only, what it shows, the page that leads there
 * @type {[string, string, boolean, (view: any) => Promise<any[]>, string?][]}
 */
const PAGES = [
	["home", "Home", false, homePage],
	["crm-production", "Production CRM", true, crmPage("production")],
	["crm-sandbox", "Sandbox CRM", true, crmPage("sandbox")],
	["linkedin", "LinkedIn", false, linkedinPage],
	["my-crm", "My CRM sign-in", false, myCrmPage],
	["people", "People", false, directoryPage(PEOPLE)],
	["person", "Person", false, entryPage(PEOPLE), "people"],
	["upload-people", "Upload people", true, uploadPage(PEOPLE), "people"],
	["companies", "Companies", false, directoryPage(COMPANIES)],
	["company", "Company", false, entryPage(COMPANIES), "companies"],
	["upload-companies", "Upload companies", true, uploadPage(COMPANIES), "companies"],
	["match-rates", "Match rates", true, ratesPage],
	["seats", "Seats", true, seatsPage],
	["api-tokens", "API tokens", true, tokensPage],
	["audit-log", "Audit log", true, auditPage],
];

const main = document.getElementById("main");
const nameOf = (path) => path.split("/").pop();
const may = (administrators) => !administrators || session.role === "administrator";
let leaving = new AbortController();

function header(current) {
	const above = PAGES.find(([name]) => name === current)?.[4];
	const here = (name) => (name === current ? "page" : name === above && "true");
	const links = PAGES.filter(([, , administrators, , parent]) => may(administrators) && !parent).map(([name, title]) =>
		li(link(name, title, { "aria-current": here(name) })),
	);
	const place = el("div");
	document.getElementById("top").replaceChildren(
		el(
			"div",
			{ class: "bar" },
			link("home", "Leadbridge", { class: "brand" }),
			el(
				"div",
				{ class: "who" },
				el("span", null, `${session.name} · ${session.contract}`),
				button("Sign out", (event) => run(event.target, place, signOut), "plain"),
				place,
			),
			el("nav", { "aria-label": "Pages" }, el("ul", null, links)),
		),
	);
}

// Shows the page of the address. `moved`: the user went there, so the focus moves too.
async function show(moved) {
	leaving.abort();
	leaving = new AbortController();
	const { signal } = leaving;
	for (const open of document.querySelectorAll("dialog")) open.remove();
	const name = nameOf(location.pathname);
	const found = PAGES.find(([known]) => known === name);
	const title = found?.[1] ?? "There is no such page";
	document.title = `${title} – Leadbridge`;
	header(name);
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
		reload: () => show(true),
		// Shows the page's subject, once that is known.
		entitle(text) {
			heading.textContent = text;
			document.title = `${text} – Leadbridge`;
		},
		go(name, parameters) {
			history.pushState(null, "", page(name, parameters));
			return show(true);
		},
		later: () => setTimeout(() => signal.aborted || show(false), 3000),
		// Changes the address's parameters without going anywhere.
		replace(parameters) {
			for (const [key, value] of Object.entries(parameters)) value ? this.query.set(key, value) : this.query.delete(key);
			history.replaceState(null, "", `${location.pathname}?${this.query}`);
		},
	};
	try {
		if (!found) body.append(p(link("home", "Go to the first page")));
		else if (!may(found[2])) body.append(note("", "This page is for administrators. Ask one if you need something changed here."));
		else {
			const parts = await found[3](view);
			if (signal.aborted) return;
			body.replaceChildren(...parts.flat(9).filter(Boolean));
		}
	} catch (error) {
		if (!signal.aborted) {
			showProblem(body, error);
			body.append(...action("Try again", () => show(false)));
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
							"Your session ends at ",
							time(until),
							". Save what you work on, then ",
							el("a", { href: signInPage() }, "sign in again"),
							".",
						),
					)
				: note(
						"warn",
						p("You will be signed out at ", time(until), ". "),
						action("Stay signed in", async () => {
							await renew();
							place.replaceChildren();
						}),
					),
		),
	);
}

const WHY = { ended: "Your session has ended. Sign in again to go on where you were.", out: "You are signed out." };

function showSignIn() {
	const query = new URLSearchParams(location.search);
	document.title = "Sign in – Leadbridge";
	document.getElementById("top").replaceChildren(el("div", { class: "bar" }, el("span", { class: "brand" }, "Leadbridge")));
	const contract = input("contract", { value: query.get("contract") ?? "", required: true, autocapitalize: "none", spellcheck: "false" });
	const login = input("login_url", { type: "url", placeholder: "https://acme.my.salesforce.com" });
	const go = (provider) => {
		const name = contract.value.trim();
		if (!name) refuse("The contract is missing.", "Type its name, or open the link of your invitation.", "contract");
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
	const box = check("switch_user", "Sign in as another user", false, "Asks who signs in, even if you are signed in there.");
	const by = (provider, text) => el("button", { value: provider }, text);
	const why = WHY[query.get("why")];
	main.replaceChildren(
		el("h1", { tabindex: "-1" }, "Sign in"),
		...[
			why && note(query.get("why") === "out" ? "good" : "warn", why),
			session &&
				note("", p(`You are signed in to ${session.contract} as ${session.name}. `, el("a", { href: page("home") }, "Go there"))),
			card(
				"Your account",
				form(
					[
						field("Contract", contract, "As in the link of your invitation."),
						el(
							"details",
							{ class: "field" },
							el("summary", null, "More choices"),
							field("Salesforce address", login, "Your My Domain, if you do not sign in at login.salesforce.com."),
							box,
						),
					],
					[by("salesforce", "Sign in with Salesforce"), by("entra", "Sign in with Microsoft")],
					async (fields, submitter) => go(submitter?.value ?? "salesforce"),
				),
			),
			p("The first time, open the link of your invitation."),
		].filter(Boolean),
	);
	if (!contract.value) contract.focus();
}

async function start() {
	await openSession();
	const asked = new URLSearchParams(location.search).get("contract");
	if (nameOf(location.pathname) === "sign-in") return showSignIn();
	if (!session) return location.replace(signInPage());
	// Another contract than the one somebody is signed in to.
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
	keepSession(warn);
	await show(false);
}

start().catch((error) => {
	main.replaceChildren(el("h1", null, "Leadbridge"));
	const place = el("div");
	main.append(place, ...action("Try again", () => location.reload()));
	showProblem(place, error);
});
