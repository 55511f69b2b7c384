// A member's own LinkedIn archive ("Get a copy of your data"): its files, its people, and the activities in it (WB-8, WB-10).
// Nothing here calls anybody, and no message is kept longer than it is looked at.

import { rowsOf } from "./csv.js";
import { refuse } from "./dom.js";
import { entriesOf, isZip } from "./zip.js";
import { t } from "./words.js";

// The earliest day of an activity.
export const EARLIEST = "2021-06-23";
// The longest text of an activity, name of a thread, and address of a profile, in characters.
const MOST_TEXT = 30_000;
const MOST_THREAD = 200;
const MOST_ADDRESS = 500;
// Files of one zip that are read: an archive has one of each kind.
const MOST_FILES = 20;
// Rows among which a file's header is looked for: Connections.csv begins with notes.
const HEADER_WITHIN = 20;
// People of a conversation that are kept: with three, one of whom is the member, it is a group.
const MOST_PEOPLE = 8;
// Closed accounts: a name without an address.
const CLOSED = "LinkedIn Member";

/** The files that are read, by name, each with the columns that it cannot do without. */
const KINDS = {
	messages: ["conversation id", "from", "sender profile url", "date", "content"],
	connections: ["first name", "last name", "url"],
	invitations: ["to", "sent at", "direction", "inviteeprofileurl"],
};

/** The reasons for which a message or an invitation is left out. */
export const REASONS = {
	received: t("Messages that others wrote: what you sent is logged"),
	incoming: t("Invitations that others sent"),
	before: t("Before the date"),
	group: t("Group conversations"),
	nobody: t("With members who have no profile address"),
	draft: t("Drafts"),
	spam: t("In the spam folder"),
	empty: t("Without a text"),
	long: t("Longer than 30,000 characters"),
	date: t("With a time that cannot be read"),
	logged: t("Logged already"),
};

/**
 * A file of an archive.
 * @typedef {object} Source
 * @property {keyof typeof KINDS} kind
 * @property {string} name
 * @property {number} size
 * @property {() => Promise<ReadableStream<Uint8Array>>} open
 */

/** @typedef {{ external_id: string, name?: string, first_name?: string, last_name?: string, emails?: string[], company?: string, title?: string }} Person */

/**
 * The people and conversations of an archive.
 * @typedef {object} Survey
 * @property {Map<string, string[]>} conversations the addresses in each
 * @property {Set<string>} groups conversations with further people, whose addresses are not known
 * @property {Map<string, string>} names names by address
 * @property {Map<string, Person>} connections by address
 * @property {number} unnamed connections without an address
 * @property {Map<string, number>} inviters the senders of outgoing invitations
 */

/**
 * An activity of an archive, with the address of the person that it was with.
 * @typedef {object} Found
 * @property {string} key
 * @property {"message" | "inmail" | "connection_request"} kind
 * @property {string} person
 * @property {number} occurred_at
 * @property {string} [thread]
 * @property {string} title
 * @property {string} text
 */

// -- Texts

// The characters of Windows-1252 that have other numbers in Unicode, by byte.
const OTHERS = new Map([..."€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"].map((character, at) => [character, 0x80 + at]));
// The bytes of such a text for a letter: the first byte of a Latin or Cyrillic one and one more byte, or a first byte and two more.
const MORE = "[\\u0080-\\u00bf\\u0152-\\u02dc\\u2013-\\u2122]";
const SUSPECT = new RegExp(`[\\u00c2-\\u00c5\\u00d0\\u00d1]${MORE}|[\\u00e0-\\u00f4]${MORE}{2}`);

// A text whose UTF-8 was once read as Windows-1252 ("Ã©"), as it was; any other stays.
export function mended(text) {
	if (!SUSPECT.test(text)) return text;
	const bytes = new Uint8Array(text.length);
	for (let at = 0; at < text.length; at++) {
		const code = text.charCodeAt(at);
		const byte = code < 0x100 ? code : OTHERS.get(text[at]);
		if (byte === undefined) return text;
		bytes[at] = byte;
	}
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch {
		return text;
	}
}

const TAGS = "a|b|blockquote|br|code|div|em|i|li|ol|p|pre|span|strong|u|ul";
const TAG = new RegExp(`</?(?:${TAGS})(?:\\s[^<>]*)?/?>`, "gi");
const BREAK = /<br\s*\/?>|<\/(?:p|div|li|blockquote|pre)>/gi;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " " };

function character(whole, name) {
	if (name[0] !== "#") return ENTITIES[name.toLowerCase()] ?? whole;
	const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
	return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
}

// A message's text without its HTML, where it has any. Its lines end in one way, whichever program wrote the file.
export function plain(written) {
	const text = written.replace(/\r\n?/g, "\n");
	if (text.search(TAG) < 0) return text.trim();
	const bare = text.replace(BREAK, "\n").replace(TAG, "");
	return bare.replace(/&(#x[0-9a-f]{1,6}|#\d{1,7}|[a-z]{2,6});/gi, character).trim();
}

// Addresses by their spelling in the files, where the same ones come again and again.
const MOST_SPELLINGS = 5000;
/** @type {Map<string, string>} */
const spellings = new Map();

// The one spelling of a profile's address; nothing for any other address.
export function addressOf(text) {
	if (text.length > MOST_ADDRESS) return "";
	let address = spellings.get(text);
	if (address === undefined) {
		if (spellings.size >= MOST_SPELLINGS) spellings.clear();
		spellings.set(text, (address = oneSpelling(text)));
	}
	return address;
}

function oneSpelling(text) {
	let url;
	try {
		url = new URL(/^https?:/i.test(text.trim()) ? text.trim() : `https://${text.trim()}`);
	} catch {
		return "";
	}
	const [, at, name] = url.pathname.split("/");
	if (!/(^|\.)linkedin\.com$/.test(url.hostname) || at !== "in" || !name) return "";
	try {
		const decoded = decodeURIComponent(name).normalize("NFC");
		// A member's number, which some files have in place of the name, distinguishes case.
		const one = /^ACo[A-Za-z]A/.test(decoded) ? decoded : decoded.toLowerCase();
		const address = `https://www.linkedin.com/in/${encodeURIComponent(one)}`;
		return address.length > MOST_ADDRESS ? "" : address;
	} catch {
		return "";
	}
}

const addressesOf = (text) =>
	[
		...new Set(
			text
				.split(/[;,\s]+/)
				.filter(Boolean)
				.map(addressOf),
		),
	].filter(Boolean);

// -- Times

// `2026-01-01 10:00:00 UTC` in milliseconds.
export function messageTime(text) {
	const found = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?: UTC)?$/.exec(text.trim());
	if (!found) return NaN;
	const iso = `${found[1]}-${found[2]}-${found[3]}T${found[4]}:${found[5]}:${found[6]}.000Z`;
	const at = Date.parse(iso);
	// 30 February is none.
	return Number.isNaN(at) || new Date(at).toISOString() !== iso ? NaN : at;
}

// `1/15/24, 9:30 AM` in milliseconds. The file names no zone: it is read as UTC, as in the other files.
export function invitationTime(text) {
	const found = /^(\d{1,2})\/(\d{1,2})\/(\d{2}|\d{4}),? (\d{1,2}):(\d\d)[\s\u202f]?([AP])M$/i.exec(text.trim());
	if (!found) return NaN;
	const [month, day, year, hour, minute] = found.slice(1, 6).map(Number);
	if (hour < 1 || hour > 12 || minute > 59) return NaN;
	const full = found[3].length === 2 ? 2000 + year : year;
	const at = Date.UTC(full, month - 1, day, (hour % 12) + (found[6].toUpperCase() === "P" ? 12 : 0), minute);
	const date = new Date(at);
	return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? at : NaN;
}

export const startOf = (day) => Date.parse(`${day}T00:00:00Z`);

// -- Files

// In characters as the functions count them: some take two places here.
const isLong = (text) => text.length > MOST_TEXT && [...text].length > MOST_TEXT;

const nameOf = (path) => path.split("/").pop();
const named = (path) =>
	/** @type {keyof typeof KINDS} */ (/^(messages|connections|invitations)\.csv$/i.exec(nameOf(path))?.[1].toLowerCase());

/**
 * The rows below a file's header, in groups, with a function that gives a row's value in a column.
 * @param {Pick<Source, "name" | "open"> & { kind?: Source["kind"] }} source
 * @param {(bytes: number) => void} [read]
 * @returns {AsyncGenerator<{ kind: Source["kind"], rows: string[][], value: (row: string[], column: string) => string }>}
 */
export async function* tableOf(source, read) {
	let seen = 0;
	let kind;
	/** @type {Map<string, number>} */
	let columns;
	const value = (row, column) => mended(row[columns.get(column) ?? -1] ?? "").trim();
	for await (let rows of rowsOf(await source.open(), source.name, read)) {
		if (!columns) {
			const kinds = source.kind ? [source.kind] : Object.keys(KINDS);
			const at = rows.findIndex((row) => {
				const names = row.map((name) => name.trim().toLowerCase().replace(/\s+/g, " "));
				kind = kinds.find((kind) => KINDS[kind].every((needed) => names.includes(needed)));
				if (kind) columns = new Map(names.map((name, index) => [name, index]));
				return kind;
			});
			if (at < 0) {
				seen += rows.length;
				if (seen > HEADER_WITHIN) return;
				continue;
			}
			rows = rows.slice(at + 1);
		}
		yield { kind, rows, value };
	}
}

// The kind of a file by its header; nothing for one that is not read.
async function kindOf(source) {
	for await (const { kind } of tableOf(source)) return kind;
	return null;
}

/**
 * The files of an archive among those that were chosen, and what is not read of them.
 * @param {Iterable<File>} files zips, and CSV files
 * @returns {Promise<{ sources: Source[], unread: string[] }>}
 */
export async function sourcesOf(files) {
	const sources = [];
	const unread = [];
	const take = async (source) => {
		const kind = await kindOf(source);
		if (kind) sources.push({ ...source, kind });
		else unread.push(t("{name}: none of its columns is known.", { name: source.name }));
	};
	for (const file of files) {
		if (await isZip(file)) {
			const known = (await entriesOf(file)).filter(({ name }) => named(name));
			if (known.length > MOST_FILES)
				refuse(
					t("{name} holds too many files of the same names.", { name: file.name }),
					t("Choose the zip that LinkedIn gave you."),
					"files",
				);
			if (!known.length) unread.push(t("{name}: none of the files in it is known.", { name: file.name }));
			for (const { name, size, open } of known) await take({ kind: named(name), name: nameOf(name), size, open });
		} else if (/\.csv$/i.test(file.name)) {
			await take({ kind: named(file.name), name: file.name, size: file.size, open: async () => file.stream() });
		} else
			refuse(
				t("{name} is no zip and no CSV file.", { name: file.name }),
				t("Choose the zip that LinkedIn gave you, or CSV files of it."),
				"files",
			);
	}
	if (!sources.length)
		refuse(
			unread.join(" ") || t("No file is chosen."),
			t("Choose a copy of your data with messages.csv, Connections.csv or Invitations.csv, as LinkedIn made it."),
			"files",
		);
	return { sources, unread };
}

// -- People

/** @returns {Survey} */
const nothing = () => ({
	conversations: new Map(),
	groups: new Set(),
	names: new Map(),
	connections: new Map(),
	unnamed: 0,
	inviters: new Map(),
});

/** @param {Survey} survey */
function name(survey, address, text) {
	if (address && text && text !== CLOSED && !survey.names.has(address)) survey.names.set(address, text);
}

const READ = {
	/** @param {Survey} survey */
	messages(survey, row, value) {
		const id = value(row, "conversation id");
		const sender = addressOf(value(row, "sender profile url"));
		const recipients = addressesOf(value(row, "recipient profile urls"));
		const to = value(row, "to");
		name(survey, sender, value(row, "from"));
		if (recipients.length === 1) name(survey, recipients[0], to);
		// Somebody without an address beside one with it.
		if (recipients.length && to !== CLOSED && to.includes(CLOSED)) survey.groups.add(id);
		let people = survey.conversations.get(id);
		if (!people) survey.conversations.set(id, (people = []));
		for (const address of [sender, ...recipients])
			if (address && people.length < MOST_PEOPLE && !people.includes(address)) people.push(address);
	},
	/** @param {Survey} survey */
	connections(survey, row, value) {
		const address = addressOf(value(row, "url"));
		const email = value(row, "email address");
		/** @type {[string, any][]} */
		const given = [
			["external_id", address],
			["first_name", value(row, "first name")],
			["last_name", value(row, "last name")],
			["emails", email && [email]],
			["company", value(row, "company")],
			["title", value(row, "position")],
		];
		const person = Object.fromEntries(given.filter(([, text]) => text));
		if (address && (person.first_name || person.last_name)) survey.connections.set(address, /** @type {Person} */ (person));
		// Rows of commas alone are nobody.
		else if (Object.keys(person).length) survey.unnamed += 1;
	},
	/** @param {Survey} survey */
	invitations(survey, row, value) {
		if (value(row, "direction").toUpperCase() !== "OUTGOING") return;
		const inviter = addressOf(value(row, "inviterprofileurl"));
		if (inviter) survey.inviters.set(inviter, (survey.inviters.get(inviter) ?? 0) + 1);
		name(survey, inviter, value(row, "from"));
		name(survey, addressOf(value(row, "inviteeprofileurl")), value(row, "to"));
	},
};

/**
 * Reads an archive once, for its people and conversations.
 * @param {Source[]} sources
 * @param {AbortSignal} signal
 * @param {(bytes: number) => void} [read]
 */
export async function surveyOf(sources, signal, read) {
	const survey = nothing();
	for (const source of sources)
		for await (const { kind, rows, value } of tableOf(source, read)) {
			if (signal.aborted) return survey;
			for (const row of rows) READ[kind](survey, row, value);
		}
	return survey;
}

/**
 * The members whose archive it can be, the likeliest first: who sent its outgoing invitations, then those in most conversations.
 * @param {Survey} survey
 */
export function ownersOf(survey) {
	const counts = new Map();
	for (const people of survey.conversations.values()) for (const address of people) counts.set(address, (counts.get(address) ?? 0) + 1);
	const rank = (address) => [survey.inviters.get(address) ?? 0, counts.get(address) ?? 0];
	const all = [...new Set([...survey.inviters.keys(), ...counts.keys()])];
	all.sort((a, b) => rank(b)[0] - rank(a)[0] || rank(b)[1] - rank(a)[1]);
	return all.slice(0, 5).map((address) => ({ address, name: survey.names.get(address) ?? "" }));
}

/**
 * @param {Survey} survey
 * @returns {Person}
 */
export function personOf(survey, address) {
	const name = survey.names.get(address);
	return survey.connections.get(address) ?? { external_id: address, ...(name && { name }) };
}

// -- Activities

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

// The key of an activity: a hash of what it is.
async function keyOf(parts) {
	const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(parts)));
	let key = "archive-";
	for (const byte of new Uint8Array(hash)) key += HEX[byte];
	return key;
}

/**
 * What to read of an archive: whose it is, and the first millisecond.
 * @typedef {{ owner: string, since: number }} Choice
 */

const yes = (text) => /^(yes|true|1)$/i.test(text);

const FIND = {
	/** @param {Survey} survey @param {Choice} choice */
	messages(survey, { owner, since }, row, value) {
		const folder = value(row, "folder");
		if (/draft/i.test(folder) || yes(value(row, "is message draft"))) return "draft";
		if (/spam/i.test(folder)) return "spam";
		if (addressOf(value(row, "sender profile url")) !== owner) return "received";
		const occurred_at = messageTime(value(row, "date"));
		if (Number.isNaN(occurred_at)) return "date";
		if (occurred_at < since) return "before";
		const id = value(row, "conversation id");
		const others = (survey.conversations.get(id) ?? []).filter((address) => address !== owner);
		if (others.length > 1 || survey.groups.has(id)) return "group";
		if (!others.length) return "nobody";
		const [title, text] = [plain(value(row, "subject")), plain(value(row, "content"))];
		if (!text) return "empty";
		if (isLong(text)) return "long";
		// The member's own address is not part of it: it may change. Nor is how the file writes times and lines.
		const parts = ["message", id, "sent", occurred_at, title, text];
		const thread = id.length <= MOST_THREAD ? id : undefined;
		return { parts, kind: title ? "inmail" : "message", person: others[0], occurred_at, thread, title, text };
	},
	connections: () => null,
	/** @param {Survey} _survey @param {Choice} choice */
	invitations(_survey, { owner, since }, row, value) {
		const inviter = addressOf(value(row, "inviterprofileurl"));
		if (value(row, "direction").toUpperCase() !== "OUTGOING" || (inviter && inviter !== owner)) return "incoming";
		const occurred_at = invitationTime(value(row, "sent at"));
		if (Number.isNaN(occurred_at)) return "date";
		if (occurred_at < since) return "before";
		const person = addressOf(value(row, "inviteeprofileurl"));
		if (!person) return "nobody";
		const text = plain(value(row, "message"));
		if (isLong(text)) return "long";
		return { parts: ["invitation", person, occurred_at, text], kind: "connection_request", person, occurred_at, title: "", text };
	},
};

/**
 * The activities of an archive, in groups, as they are read; what is left out is counted.
 * @param {Source[]} sources
 * @param {Survey} survey
 * @param {Choice} choice
 * @param {AbortSignal} signal
 * @param {(reason: string) => void} leave told of each that is left out
 * @param {(bytes: number) => void} [read]
 * @returns {AsyncGenerator<Found[]>}
 */
export async function* activitiesOf(sources, survey, choice, signal, leave, read) {
	for (const source of sources) {
		if (source.kind === "connections") continue;
		for await (const { kind, rows, value } of tableOf(source, read)) {
			if (signal.aborted) return;
			const found = [];
			for (const row of rows) {
				const one = FIND[kind](survey, choice, row, value);
				if (typeof one === "string") leave(one);
				else if (one) found.push(one);
			}
			const keys = await Promise.all(found.map(({ parts }) => keyOf(parts)));
			yield found.map(({ parts: _, ...one }, index) => ({ key: keys[index], ...one }));
		}
	}
}

/**
 * Groups of a size, of groups of any size. One of a key stays: parts of an archive may overlap.
 * @param {AsyncIterable<Found[]>} groups
 */
export async function* grouped(groups, size) {
	/** @type {Map<string, Found>} */
	let open = new Map();
	for await (const group of groups)
		for (const found of group) {
			open.set(found.key, found);
			if (open.size < size) continue;
			yield [...open.values()];
			open = new Map();
		}
	if (open.size) yield [...open.values()];
}

/**
 * Items in parts that one request can take.
 * @template T
 * @param {T[]} items
 * @param {number} most items of a request
 * @param {number} bytes of a request
 */
export function parted(items, most, bytes) {
	/** @type {T[][]} */
	const parts = [];
	let size = Infinity;
	for (const item of items) {
		const own = new TextEncoder().encode(JSON.stringify(item)).length + 1;
		if (size + own > bytes || parts.at(-1).length >= most) {
			parts.push([]);
			size = 0;
		}
		parts.at(-1).push(item);
		size += own;
	}
	return parts;
}
