// Reads zip files without holding them: the central directory first, then the entries that are wanted, as streams.

import { Refusal, refuse } from "./dom.js";
import { t } from "./words.js";

const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
// The end record with the longest comment, and the locator before it.
const LONGEST_END = 22 + 65_535 + 20;
// The largest directory that is read, in bytes.
const MOST_DIRECTORY = 32 * 1024 * 1024;
const NONE_16 = 0xffff;
const NONE_32 = 0xffffffff;

const AGAIN = t("Download it from LinkedIn again, and choose it as it is.");
const cutOff = () => refuse(t("The file is cut off: a part of it is missing."), AGAIN, "files");
const damaged = (name) => refuse(t("{name} in the file is damaged.", { name }), AGAIN, "files");

/** @param {Blob} blob */
const bytesOf = async (blob, from, to) => new DataView(await blob.slice(from, to).arrayBuffer());

// A number of 64 bits; no file is larger than what a number holds exactly.
function long(view, at) {
	const value = view.getBigUint64(at, true);
	if (value > BigInt(Number.MAX_SAFE_INTEGER)) cutOff();
	return Number(value);
}

/**
 * True for a file that begins as a zip does.
 * @param {Blob} blob
 */
export async function isZip(blob) {
	const start = await bytesOf(blob, 0, 4);
	return start.byteLength === 4 && [LOCAL, END].includes(start.getUint32(0, true));
}

// The place of the directory: its offset, size and number of entries.
/** @param {Blob} blob */
async function directoryOf(blob) {
	const from = Math.max(0, blob.size - LONGEST_END);
	const tail = await bytesOf(blob, from, blob.size);
	let at = tail.byteLength - 22;
	// A comment may hold bytes that look like the record: then its own comment would not end with the file.
	const isEnd = () => tail.getUint32(at, true) === END && at + 22 + tail.getUint16(at + 20, true) <= tail.byteLength;
	while (at >= 0 && !isEnd()) at--;
	if (at < 0) cutOff();
	const disks = [tail.getUint16(at + 4, true), tail.getUint16(at + 6, true)];
	let [count, size, offset] = [tail.getUint16(at + 10, true), tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)];
	if (at >= 20 && tail.getUint32(at - 20, true) === LOCATOR_64) {
		const place = long(tail, at - 12);
		const record = await bytesOf(blob, place, place + 56);
		if (record.byteLength < 56 || record.getUint32(0, true) !== END_64) cutOff();
		[count, size, offset] = [long(record, 32), long(record, 40), long(record, 48)];
	} else if (disks.some((disk) => disk !== 0 && disk !== NONE_16)) {
		refuse(t("The file is one part of a zip that was split."), t("Choose the whole file."), "files");
	}
	if (offset + size > blob.size) cutOff();
	if (size > MOST_DIRECTORY) refuse(t("The file holds too many files."), t("Choose the file that LinkedIn gave you."), "files");
	return { count, size, offset };
}

// The sizes and the place of an entry, from its extra field where they need 64 bits.
function placeOf(view, at, nameLength, extraLength) {
	const found = { size: view.getUint32(at + 24, true), packed: view.getUint32(at + 20, true), offset: view.getUint32(at + 42, true) };
	const end = at + 46 + nameLength + extraLength;
	for (let field = at + 46 + nameLength; field + 4 <= end;) {
		const [id, length] = [view.getUint16(field, true), view.getUint16(field + 2, true)];
		if (id === 1) {
			let place = field + 4;
			for (const name of ["size", "packed", "offset"]) {
				if (found[name] !== NONE_32) continue;
				if (place + 8 > Math.min(end, field + 4 + length)) cutOff();
				found[name] = long(view, place);
				place += 8;
			}
		}
		field += 4 + length;
	}
	return found;
}

/**
 * A file in a zip; `open` gives its content.
 * @typedef {object} Entry
 * @property {string} name
 * @property {number} size
 * @property {() => Promise<ReadableStream<Uint8Array>>} open
 */

/**
 * The files in a zip, in the order of its directory.
 * @param {Blob} blob
 * @returns {Promise<Entry[]>}
 */
export async function entriesOf(blob) {
	if (!(await isZip(blob))) refuse(t("The file is no zip."), t("Choose the zip that LinkedIn gave you, or CSV files of it."), "files");
	const { count, size, offset } = await directoryOf(blob);
	const view = await bytesOf(blob, offset, offset + size);
	const entries = [];
	for (let at = 0, read = 0; read < count; read++) {
		if (at + 46 > view.byteLength || view.getUint32(at, true) !== ENTRY) cutOff();
		const [nameLength, extraLength, commentLength] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
		if (at + 46 + nameLength + extraLength > view.byteLength) cutOff();
		const name = new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, nameLength));
		const header = {
			name,
			flags: view.getUint16(at + 8, true),
			method: view.getUint16(at + 10, true),
			crc: view.getUint32(at + 16, true),
		};
		const place = placeOf(view, at, nameLength, extraLength);
		entries.push({ name, size: place.size, open: () => open(blob, header, place) });
		at += 46 + nameLength + extraLength + commentLength;
	}
	return entries;
}

/** @param {Blob} blob */
async function open(blob, { name, flags, method, crc }, { size, packed, offset }) {
	if (flags & 1)
		refuse(t("{name} in the file is encrypted.", { name }), t("Unpack it with its password, and choose the CSV files."), "files");
	if (method !== 0 && method !== 8)
		refuse(t("{name} is packed in a way that this page does not read.", { name }), t("Unpack it, and choose the CSV files."), "files");
	const local = await bytesOf(blob, offset, offset + 30);
	if (local.byteLength < 30 || local.getUint32(0, true) !== LOCAL) cutOff();
	const start = offset + 30 + local.getUint16(26, true) + local.getUint16(28, true);
	if (start + packed > blob.size) cutOff();
	const content = blob.slice(start, start + packed).stream();
	const plain = method === 0 ? content : content.pipeThrough(new DecompressionStream("deflate-raw"));
	return checked(plain, name, size, crc);
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
	let value = byte;
	for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
	return value;
});

// The content of an entry, which fails unless it has the size and the checksum that the directory says.
/**
 * @param {ReadableStream<Uint8Array>} stream
 * @returns {ReadableStream<Uint8Array>}
 */
function checked(stream, name, size, crc) {
	const reader = stream.getReader();
	let [read, sum] = [0, 0xffffffff];
	return new ReadableStream(
		{
			async pull(to) {
				try {
					const { done, value } = await reader.read();
					if (done) {
						if (read !== size || (sum ^ 0xffffffff) >>> 0 !== crc) damaged(name);
						return to.close();
					}
					read += value.length;
					if (read > size) damaged(name);
					for (let at = 0; at < value.length; at++) sum = (sum >>> 8) ^ CRC[(sum ^ value[at]) & 255];
					to.enqueue(value);
				} catch (error) {
					reader.cancel().catch(() => {});
					// The platform says of content that does not unpack no more than that.
					if (error instanceof Refusal) throw error;
					damaged(name);
				}
			},
			cancel: (reason) => reader.cancel(reason),
		},
		{ highWaterMark: 0 },
	);
}
