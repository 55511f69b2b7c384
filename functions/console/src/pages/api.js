// The way to the functions: addresses, the session, problems.

import { announce, el, Refusal } from "./dom.js";
import { t } from "./words.js";

// The address of the functions: one level above the pages.
export const root = new URL("..", location.href);
const PAGES = `${root.pathname}app/`;

/** @typedef {import("../../types/openapi").components["schemas"]} Api the API's types, by name */

/**
 * The session; null while nobody is known to be signed in.
 * @type {Api["SessionView"] | null}
 */
export let session = null;

const unreachable = { status: 0, detail: t("Leadbridge could not be reached."), next_step: t("Check your connection, then try again.") };
const unexpected = (status) => ({
	status,
	detail: t("Leadbridge could not do this now ({status}).", { status }),
	next_step: t("Try again in a minute."),
});

// The lead of the functions' clock over this one, in milliseconds.
let ahead = 0;

const JSON_TYPE = "application/json";

// `type`: the content type of a body that is sent unchanged; `more`: further headers; `cache`: the browser's part in it.
async function send(method, path, body, type = JSON_TYPE, more = {}, cache = /** @type {RequestCache} */ ("no-store")) {
	const headers = { accept: JSON_TYPE, ...more };
	if (body !== undefined) headers["content-type"] = type;
	if (method !== "GET" && session) headers["x-csrf-token"] = session.csrf_token;
	let answer;
	try {
		answer = await fetch(new URL(path, root), { method, headers, body, cache });
	} catch {
		throw new Refusal(unreachable);
	}
	const date = Date.parse(answer.headers.get("date") ?? "");
	if (date) ahead = date - Date.now();
	return answer;
}

async function request(method, path, body, type = JSON_TYPE, more = {}, cache = undefined) {
	if (body !== undefined && type === JSON_TYPE) body = JSON.stringify(body);
	const answer = await send(method, path, body, type, more, cache);
	const data = await answer.json().catch(() => null);
	if (answer.ok) return data;
	const retry_after = Number(answer.headers.get("retry-after")) || undefined;
	throw new Refusal({ ...(data?.next_step ? data : unexpected(answer.status)), retry_after });
}

async function guarded(method, path, body, type) {
	try {
		return await request(method, path, body, type);
	} catch (error) {
		if (error.problem?.status !== 401) throw error;
		location.assign(signInPage("ended"));
		return new Promise(() => {});
	}
}

// A call of the API; a session that has ended leads to the sign-in, and from there back here.
export const api = (method, path, body, type) => guarded(method, `api/v1${path}`, body, type);

export const get = (path) => api("GET", path);

// A part of the API's description: `index`, or `part=` and the first name of paths. The browser keeps it, and asks whether
// it is still the one.
export const description = (part) => request("GET", `api/v1/openapi.json?${part}`, undefined, undefined, {}, "no-cache");

// A call with the session's own rights, and its whole answer, whatever that is. `path` is one of the description,
// `body` a text that is sent as it is.
export async function attempt(method, path, body, type) {
	const began = performance.now();
	const answer = await send(method, path.slice(1), body, type);
	const text = await answer.text();
	const duration = Math.round(performance.now() - began);
	return { status: answer.status, headers: [...answer.headers], text, duration };
}

// A post to a form as a page that has it makes it. `text` is JSON, sent as it is: it may be signed.
export const sendForm = (key, text, headers) => request("POST", `forms/${key}`, text, `${JSON_TYPE}; charset=utf-8`, headers);

export async function openSession() {
	try {
		session = await request("GET", "api/v1/session");
	} catch (error) {
		if (error.problem?.status !== 401) throw error;
		session = null;
	}
	return session;
}

async function leave(path) {
	await api("DELETE", path);
	location.assign(page("sign-in", { why: "out" }));
}
export const signOut = () => leave("/session");
export const signOutEverywhere = () => leave("/sessions");

export function page(name, parameters = {}) {
	const url = new URL(PAGES + name, root);
	const all = { contract: session?.contract, ...parameters };
	for (const [key, value] of Object.entries(all)) if (value) url.searchParams.set(key, value);
	return url.pathname + url.search;
}

export const link = (name, text, attributes, parameters) =>
	el("a", { href: page(name, parameters), "data-nav": true, ...attributes }, text);

// The sign-in, which leads back to the current page.
export function signInPage(why, contract = new URLSearchParams(location.search).get("contract") ?? session?.contract) {
	return page("sign-in", { contract, why, return_to: location.pathname + location.search });
}

// A path of one of our pages; anything else is none.
export const ownPage = (path) => (path?.startsWith(PAGES) && !path.includes("\\") ? path : null);

// Starts a sign-in at a provider and goes there; it leads back to this page.
export async function goAuthorize(provider, body) {
	const return_to = location.pathname + location.search;
	const { authorize_url } = await guarded("POST", `oauth/${provider}/start`, { ...body, return_to });
	const url = new URL(authorize_url);
	if (!/^https?:$/.test(url.protocol)) throw new Refusal(unexpected(502));
	location.assign(url);
	// The browser leaves the page, so callers that wait for this need not continue.
	return new Promise(() => {});
}

// -- Staying signed in while the user works

// Half of a token's life: then it is renewed, if there was input.
const RENEW_MS = 15 * 60 * 1000;
const WARN_MS = 3 * 60 * 1000;
let used = false;

export async function renew() {
	session = await api("POST", "/session/renew");
}

// Renews the session while there is input; calls `warn` when its end is near, or no longer.
export function keepSession(warn) {
	for (const event of ["pointerdown", "keydown", "input"])
		addEventListener(
			event,
			() => {
				used = true;
			},
			{ passive: true, capture: true },
		);
	let warned = null;
	const look = async () => {
		const left = () => session.valid_until - Date.now() - ahead;
		const last = () => session.valid_until >= session.session_ends_at;
		if (used && left() < RENEW_MS && left() > 0 && !last()) {
			used = false;
			await renew().catch(() => {});
		}
		// Another page of this browser may have renewed it.
		if (left() < WARN_MS && !(await openSession().catch(() => session))) return location.assign(signInPage("ended"));
		const near = left() < WARN_MS ? session.valid_until : null;
		if (near === warned) return;
		warned = near;
		warn(near, last());
		if (near) announce(t("Your session ends soon."));
	};
	setInterval(look, 15_000);
	document.addEventListener("visibilitychange", () => {
		if (!document.hidden) look();
	});
}
