// The readers of zips, of CSV and of LinkedIn archives (WB-8, WB-10): `npm test`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";

import * as read from "../src/pages/archive-read.js";
import { parser, rowsOf } from "../src/pages/csv.js";
import { Refusal } from "../src/pages/dom.js";
import { entriesOf } from "../src/pages/zip.js";

// -- Zips as other programs write them

function crcOf(bytes) {
	let crc = 0xffffffff;
	for (const byte of bytes) {
		crc ^= byte;
		for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
	}
	return (crc ^ 0xffffffff) >>> 0;
}

// Little-endian numbers: `[2, 4, 8][size]` bytes each.
function packed(...fields) {
	const parts = fields.map(([size, value]) => {
		const part = Buffer.alloc(size);
		if (size === 8) part.writeBigUInt64LE(BigInt(value));
		else part.writeUIntLE(value, 0, size);
		return part;
	});
	return Buffer.concat(parts);
}

/** @param {{ name: string, text: string, stored?: boolean, flags?: number, method?: number }[]} files */
function zipOf(files, { wide = false, comment = "", disk = 0 } = {}) {
	const [bodies, directory] = [[], []];
	let offset = 0;
	for (const { name, text, stored = false, flags = 0x800, method = stored ? 0 : 8 } of files) {
		const plain = Buffer.from(text);
		const content = stored ? plain : deflateRawSync(plain);
		const path = Buffer.from(name);
		const crc = crcOf(plain);
		// The local header has an extra field of its own, and no sizes, as of a program that writes as it goes.
		const extra = packed([2, 0x5455], [2, 1], [1, 0]);
		const local = packed(
			[4, 0x04034b50],
			[2, 20],
			[2, flags | 8],
			[2, method],
			[4, 0],
			[4, 0],
			[4, 0],
			[4, 0],
			[2, path.length],
			[2, extra.length],
		);
		const body = Buffer.concat([local, path, extra, content]);
		const sizes = wide ? [0xffffffff, 0xffffffff, 0xffffffff] : [content.length, plain.length, offset];
		const more = wide ? packed([2, 1], [2, 24], [8, plain.length], [8, content.length], [8, offset]) : Buffer.alloc(0);
		directory.push(
			packed([4, 0x02014b50], [2, 20], [2, 20], [2, flags | 8], [2, method], [4, 0], [4, crc], [4, sizes[0]], [4, sizes[1]]),
			packed([2, path.length], [2, more.length], [2, 0], [2, 0], [2, 0], [4, 0], [4, sizes[2]]),
			path,
			more,
		);
		bodies.push(body);
		offset += body.length;
	}
	const all = Buffer.concat(directory);
	const end64 = packed(
		[4, 0x06064b50],
		[8, 44],
		[2, 45],
		[2, 45],
		[4, 0],
		[4, 0],
		[8, files.length],
		[8, files.length],
		[8, all.length],
		[8, offset],
	);
	const locator = packed([4, 0x07064b50], [4, 0], [8, offset + all.length], [4, 1]);
	const [count, size, at] = wide ? [0xffff, 0xffffffff, 0xffffffff] : [files.length, all.length, offset];
	const end = packed([4, 0x06054b50], [2, disk], [2, disk], [2, count], [2, count], [4, size], [4, at], [2, comment.length]);
	return Buffer.concat([...bodies, all, ...(wide ? [end64, locator] : []), end, Buffer.from(comment)]);
}

const file = (name, content) => new File([content], name);
const textOf = async (entry) => new Response(await entry.open()).text();

async function contents(zip) {
	const found = {};
	for (const entry of await entriesOf(new Blob([zip]))) found[entry.name] = await textOf(entry);
	return found;
}

// The problem with which something is refused; every other error fails the test.
async function refusal(work) {
	try {
		await work();
	} catch (error) {
		assert.ok(error instanceof Refusal, error.stack);
		assert.ok(error.problem.next_step);
		return error.problem.detail;
	}
	return "nothing";
}

const LONG = "A long text. ".repeat(20_000);
const FILES = [
	{ name: "messages.csv", text: LONG },
	{ name: "Ordner/Größe.csv", text: "stored", stored: true },
	{ name: "empty.csv", text: "" },
];
const CONTENTS = Object.fromEntries(FILES.map(({ name, text }) => [name, text]));

test("zips are read by their directory: packed or stored, with 64 bits, with a comment", async () => {
	for (const options of [{}, { wide: true }, { comment: "PK\u0005\u0006 is no end" }])
		assert.deepEqual(await contents(zipOf(FILES, options)), CONTENTS);
	assert.deepEqual(await contents(zipOf([])), {});
});

test("no part of a zip is taken for the whole", async () => {
	for (const wide of [false, true]) {
		const zip = zipOf([{ name: "a.csv", text: "some text" }], { wide });
		for (let length = 4; length < zip.length; length++)
			assert.match(await refusal(() => contents(zip.subarray(0, length))), /cut off/, `${length} of ${zip.length}`);
		assert.match(await refusal(() => contents(zip.subarray(40))), /no zip/);
	}
});

test("content that is not as the directory says is damaged", async () => {
	for (const stored of [false, true]) {
		const zip = zipOf([{ name: "a.csv", text: LONG, stored }]);
		const changed = Buffer.from(zip);
		changed[50] ^= 0x55;
		assert.match(await refusal(() => contents(changed)), /a\.csv in the file is damaged/);
	}
	// Every byte of the directory, of the headers and of the content: read as it was, or refused.
	const zip = zipOf([{ name: "a.csv", text: "some text" }]);
	for (let at = 0; at < zip.length; at++) {
		const changed = Buffer.from(zip);
		changed[at] ^= 0xff;
		await refusal(() => contents(changed));
	}
});

test("zips that cannot be read say why", async () => {
	const one = { name: "a.csv", text: "a" };
	assert.match(await refusal(() => contents(zipOf([{ ...one, flags: 1 }]))), /encrypted/);
	assert.match(await refusal(() => contents(zipOf([{ ...one, method: 12 }]))), /packed in a way/);
	assert.match(await refusal(() => contents(zipOf([one], { disk: 1 }))), /split/);
	assert.match(await refusal(() => contents("PDF and more")), /no zip/);
	assert.match(await refusal(() => contents("")), /no zip/);
});

// -- CSV

// Numbers that look random and are the same each time.
function* numbers(seed) {
	for (let state = seed; ;) {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		yield state / 2 ** 32;
	}
}

const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
const csvOf = (rows, line = "\n") => rows.map((row) => row.map(quoted).join(",") + line).join("");

async function* pieces(bytes, next) {
	for (let at = 0; at < bytes.length;) {
		const size = 1 + Math.floor(next() * 7);
		yield bytes.subarray(at, at + size);
		at += size;
	}
}

test("CSV is read the same wherever it is split", async () => {
	const random = numbers(7);
	const next = () => random.next().value;
	const cells = ["", "a", 'say "hi"', "two\nlines", "two\r\nlines", "a,b", '"', "é🚀", " x ", '""'];
	for (let round = 0; round < 300; round++) {
		const width = 1 + Math.floor(next() * 4);
		const rows = Array.from({ length: 1 + Math.floor(next() * 5) }, () => [
			"row",
			...Array.from({ length: width }, () => cells[Math.floor(next() * cells.length)]),
		]);
		const line = ["\n", "\r\n", "\r"][round % 3];
		let text = csvOf(rows, line);
		if (next() < 0.5) text = text.slice(0, -line.length);
		const bytes = Buffer.from((next() < 0.5 ? "\ufeff" : "") + text);
		const found = [];
		for await (const some of rowsOf(ReadableStream.from(pieces(bytes, next)), "a.csv")) found.push(...some);
		assert.deepEqual(found, rows, JSON.stringify(text));
	}
});

test("CSV that is cut off within quotes says so, and odd quotes are text", async () => {
	const all = (text) => {
		const parse = parser("a.csv");
		return [...parse.push(text), ...parse.end()];
	};
	assert.match(await refusal(() => all('a,b\n1,"two')), /a\.csv ends within a text/);
	assert.deepEqual(all('a"b,"c"d,\n\n,\r\n"'.slice(0, -1)), [
		['a"b', "cd", ""],
		["", ""],
	]);
	assert.match(await refusal(() => all(`"${"x".repeat(5_000_000)}`)), /quotes/);
	assert.match(await refusal(() => all(",".repeat(5_000_000))), /a\.csv has a row that is too long/);
	assert.match(await refusal(() => all(`${"x".repeat(1_000_000)},`.repeat(5))), /a\.csv has a row that is too long/);
});

test("a file that cannot be read to its end says so", async () => {
	const stream = new ReadableStream({ pull: (to) => to.error(new DOMException("It was changed.", "NotReadableError")) });
	assert.match(await refusal(() => rowsOf(stream, "a.csv").next()), /a\.csv could not be read to its end/);
});

// -- Archives

test("addresses of profiles have one spelling", () => {
	for (const text of [
		"https://www.linkedin.com/in/ada-lovelace",
		"http://uk.linkedin.com/in/Ada-Lovelace/?trk=x",
		" linkedin.com/in/ada-lovelace#top ",
	])
		assert.equal(read.addressOf(text), "https://www.linkedin.com/in/ada-lovelace");
	assert.equal(read.addressOf("https://www.linkedin.com/in/andr%C3%A9"), read.addressOf("https://www.linkedin.com/in/André"));
	assert.equal(read.addressOf("https://www.linkedin.com/in/ACoAAB1cD"), "https://www.linkedin.com/in/ACoAAB1cD");
	for (const text of [
		"",
		"x",
		"https://www.linkedin.com/company/acme",
		"https://linkedin.com.evil.example/in/a",
		"https://www.linkedin.com/in/",
		"https://www.linkedin.com/in/%E0%A4%A",
		`https://www.linkedin.com/in/${"a".repeat(10_000)}`,
		`https://www.linkedin.com/in/${"é".repeat(400)}`,
	])
		assert.equal(read.addressOf(text), "", text);
});

test("times are those that the files have", () => {
	assert.equal(read.messageTime("2026-01-01 10:00:00 UTC"), Date.UTC(2026, 0, 1, 10));
	assert.equal(read.invitationTime("1/15/24, 9:30 AM"), Date.UTC(2024, 0, 15, 9, 30));
	assert.equal(read.invitationTime("12/31/2023, 12:05 PM"), Date.UTC(2023, 11, 31, 12, 5));
	assert.equal(read.invitationTime("1/15/24, 12:00\u202fAM"), Date.UTC(2024, 0, 15));
	for (const text of ["", "2026-02-30 10:00:00 UTC", "2026-01-01T10:00:00Z", "1/1/26"])
		assert.ok(Number.isNaN(read.messageTime(text)), text);
	for (const text of ["", "15/1/24, 9:30 AM", "2/30/24, 9:30 AM", "1/15/24, 13:30 PM"])
		assert.ok(Number.isNaN(read.invitationTime(text)), text);
});

test("texts are as they were written", () => {
	for (const text of ["Café – „Größe“", "Привет 🚀", "naïve", "日本"]) {
		const wrong = new TextDecoder("windows-1252").decode(new TextEncoder().encode(text));
		assert.equal(read.mended(wrong), text);
		assert.equal(read.mended(text), text);
	}
	assert.equal(read.mended("»PÅ«"), "»PÅ«");
	assert.equal(
		read.plain('<p class="x">Hello &amp; welcome</p><p>1 &lt; 2<br>&#233;&#x1F680;&bogus;</p>'),
		"Hello & welcome\n1 < 2\né🚀&bogus;",
	);
	assert.equal(read.plain(" if a < b then <x> &amp; "), "if a < b then <x> &amp;");
});

const at = (name) => `https://www.linkedin.com/in/${name}`;
const ME = at("sol-seller");
const HEAD = [
	"CONVERSATION ID",
	"CONVERSATION TITLE",
	"FROM",
	"SENDER PROFILE URL",
	"TO",
	"RECIPIENT PROFILE URLS",
	"DATE",
	"SUBJECT",
	"CONTENT",
	"FOLDER",
];
const sent = (id, to, url, content, { date = "2024-03-05 10:00:00 UTC", subject = "", folder = "SENT" } = {}) => [
	id,
	"",
	"Sol Seller",
	ME,
	to,
	url,
	date,
	subject,
	content,
	folder,
];
const got = (id, from, url, content) => [id, "", from, url, "Sol Seller", ME, "2024-03-05 09:00:00 UTC", "", content, "INBOX"];
const MESSAGES = [
	HEAD,
	sent("1", "Ada Lovelace", at("ada"), 'Hello Ada,\nsay "hi", please.'),
	got("1", "Ada Lovelace", at("ada"), "Hi."),
	sent("2", "Grace Hopper", at("grace"), "<p>An offer</p>", { subject: "Compilers" }),
	sent("3", "Ada Lovelace,Bob", `${at("ada")};${at("bob")}`, "To all"),
	sent("4", "Ada Lovelace, LinkedIn Member", at("ada"), "To two"),
	sent("5", "LinkedIn Member", "", "Gone"),
	sent("1", "Ada Lovelace", at("ada"), "Long ago", { date: "2021-06-22 23:59:59 UTC" }),
	sent("1", "Ada Lovelace", at("ada"), "Not yet", { folder: "DRAFTS" }),
	sent("1", "Ada Lovelace", at("ada"), "Junk", { folder: "SPAM" }),
	sent("1", "Ada Lovelace", at("ada"), " "),
	sent("1", "Ada Lovelace", at("ada"), "When?", { date: "yesterday" }),
	sent("1", "Ada Lovelace", at("ada"), "x".repeat(30_001)),
	// Without recipients, as in older files: whom it was with follows from the conversation.
	sent("1", "", "", "Older"),
];
const CONNECTIONS =
	'Notes:\n"When exporting your connection data, you may notice that some of the email addresses are missing. ""x"""\n\n' +
	csvOf([
		["First Name", "Last Name", "URL", "Email Address", "Company", "Position", "Connected On"],
		["Ada", "Lovelace", "https://www.linkedin.com/in/Ada", "ada@engines.example", "Engines, Ltd", "Countess", "15 Jan 2024"],
		["", "", "", "", "", "", ""],
		["No", "Address", "", "", "", "", "15 Jan 2024"],
	]);
const INVITATIONS = csvOf([
	["From", "To", "Sent At", "Message", "Direction", "inviterProfileUrl", "inviteeProfileUrl"],
	["Sol Seller", "Carl Cut", "1/15/24, 9:30 AM", "Let us talk", "OUTGOING", ME, at("carl")],
	["Dora Doe", "Sol Seller", "1/15/24, 9:30 AM", "", "INCOMING", at("dora"), ME],
]);

/** @param {File[]} files */
async function logged(files, since = "2021-06-23", owner = ME) {
	const { signal } = new AbortController();
	const { sources, unread } = await read.sourcesOf(files);
	const survey = await read.surveyOf(sources, signal);
	const left = {};
	const found = [];
	const leave = (reason) => (left[reason] = (left[reason] ?? 0) + 1);
	for await (const group of read.grouped(read.activitiesOf(sources, survey, { owner, since: read.startOf(since) }, signal, leave), 2)) {
		assert.ok(group.length <= 2);
		found.push(...group);
	}
	return { survey, unread, left, found };
}

const whole = (messages = csvOf(MESSAGES)) =>
	file(
		"Basic_LinkedInDataExport.zip",
		zipOf([
			{ name: "Messages.csv", text: messages },
			{ name: "Connections.csv", text: CONNECTIONS, stored: true },
			{ name: "Invitations.csv", text: INVITATIONS },
			{ name: "guide_messages.csv", text: "x\n" },
			{ name: "Rich Media.csv", text: "x\n" },
		]),
	);

test("an archive is its member's messages, invitations and connections", async () => {
	const { survey, unread, left, found } = await logged([whole()]);
	assert.deepEqual(unread, []);
	assert.deepEqual(read.ownersOf(survey)[0], { address: ME, name: "Sol Seller" });
	assert.deepEqual(left, { received: 1, group: 2, nobody: 1, before: 1, draft: 1, spam: 1, empty: 1, date: 1, long: 1, incoming: 1 });
	assert.deepEqual(
		found.map(({ key: _, ...rest }) => rest),
		[
			{
				kind: "message",
				person: at("ada"),
				occurred_at: Date.UTC(2024, 2, 5, 10),
				thread: "1",
				title: "",
				text: 'Hello Ada,\nsay "hi", please.',
			},
			{
				kind: "inmail",
				person: at("grace"),
				occurred_at: Date.UTC(2024, 2, 5, 10),
				thread: "2",
				title: "Compilers",
				text: "An offer",
			},
			{ kind: "message", person: at("ada"), occurred_at: Date.UTC(2024, 2, 5, 10), thread: "1", title: "", text: "Older" },
			{ kind: "connection_request", person: at("carl"), occurred_at: Date.UTC(2024, 0, 15, 9, 30), title: "", text: "Let us talk" },
		],
	);
	assert.deepEqual(read.personOf(survey, at("ada")), {
		external_id: at("ada"),
		first_name: "Ada",
		last_name: "Lovelace",
		emails: ["ada@engines.example"],
		company: "Engines, Ltd",
		title: "Countess",
	});
	assert.deepEqual(read.personOf(survey, at("carl")), { external_id: at("carl"), name: "Carl Cut" });
	assert.equal(survey.unnamed, 1);
	assert.equal((await logged([whole()], "2024-03-06")).found.length, 0);
	assert.equal((await logged([whole()], "2021-06-23", at("somebody-else"))).found.length, 0);
});

test("keys follow from the messages: other files of the same say the same", async () => {
	const keys = async (...files) => (await logged(files)).found.map(({ key }) => key).sort();
	const expected = await keys(whole());
	assert.equal(new Set(expected).size, 4);
	// A newer archive, the parts of one, one that was decoded wrongly, columns in another order and case.
	const accented = (text) => csvOf([HEAD, sent("1", "Ada", at("ada"), text)]);
	assert.deepEqual(await keys(whole(csvOf([...MESSAGES, got("9", "Zoe", at("zoe"), "New")]))), expected);
	assert.deepEqual(await keys(file("a.csv", csvOf(MESSAGES)), file("Invitations.csv", INVITATIONS)), expected);
	const wrong = new TextDecoder("windows-1252").decode(new TextEncoder().encode("Café"));
	assert.deepEqual(await keys(file("messages.csv", accented(wrong))), await keys(file("messages.csv", accented("Café"))));
	const turned = MESSAGES.map((row) => [...row].reverse());
	turned[0] = turned[0].map((name) => name.toLowerCase());
	assert.deepEqual(await keys(file("messages.csv", csvOf(turned)), file("Invitations.csv", INVITATIONS)), expected);
	assert.notDeepEqual(await keys(file("messages.csv", accented("Café"))), await keys(file("messages.csv", accented("Cafe"))));
	// Other line ends, within a message too, and times without their zone.
	const again = MESSAGES.map((row) => row.map((cell) => cell.replace("\n", "\r\n").replace(/ UTC$/, "")));
	const invitations = INVITATIONS.replaceAll("9:30 AM", "9:30\u202fam").replaceAll("\n", "\r\n");
	assert.deepEqual(await keys(file("messages.csv", csvOf(again, "\r\n")), file("Invitations.csv", invitations)), expected);
});

test("files that are none of an archive say so", async () => {
	const of = (...files) => refusal(() => read.sourcesOf(files));
	assert.match(await of(file("a.pdf", "x")), /a\.pdf is no zip and no CSV/);
	assert.match(await of(file("a.zip", "x")), /a\.zip is no zip/);
	assert.match(await of(file("a.zip", zipOf([{ name: "photo.jpg", text: "x" }]))), /none of the files in it is known/);
	assert.match(await of(file("messages.csv", "x,y\n1,2\n")), /none of its columns is known/);
	assert.match(await of(file("other.csv", "x\n".repeat(100))), /none of its columns is known/);
	assert.match(await of(), /No file is chosen/);
	const many = Array.from({ length: 21 }, (_, at) => ({ name: `../${at}/messages.csv`, text: csvOf(MESSAGES) }));
	assert.match(await of(file("a.zip", zipOf(many))), /too many files/);
	const { sources, unread } = await read.sourcesOf([
		file("b.zip", zipOf([{ name: "messages.csv", text: "x\n" }])),
		file("Invitations.csv", INVITATIONS),
	]);
	assert.deepEqual([sources.length, unread], [1, ["messages.csv: none of its columns is known."]]);
});

test("requests hold no more than they may", () => {
	const parts = read.parted(
		Array.from({ length: 250 }, (_, index) => ({ text: "é".repeat(index === 7 ? 900 : 10) })),
		100,
		2000,
	);
	assert.equal(parts.flat().length, 250);
	for (const part of parts) assert.ok(part.length <= 100 && Buffer.byteLength(JSON.stringify(part)) <= 2002);
	assert.deepEqual(read.parted([], 100, 2000), []);
});
