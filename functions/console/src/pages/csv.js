// Reads CSV (RFC 4180) as it comes in: quotes, and line breaks within them, may be split anywhere.

import { Refusal, refuse } from "./dom.js";
import { t } from "./words.js";

// The longest cell and row, in characters: a quote that never ends would take the whole file, as would a row.
const MOST_CELL = 4_000_000;
const [COMMA, QUOTE, FEED, RETURN] = [44, 34, 10, 13];

/**
 * A parser that is given text in pieces: `push` gives the rows that ended in it, `end` the last ones. Empty lines are left out.
 * @param {string} name the file's name, for problems
 */
export function parser(name) {
	let cell = "";
	/** @type {string[]} */
	let row = [];
	// The characters of the row's cells, and its commas.
	let width = 0;
	// Within quotes; behind a quote that ends them or is the first of two; behind quotes, so that a further one is text.
	let [quoted, ending, wasQuoted, afterReturn] = [false, false, false, false];
	/** @type {string[][]} */
	let rows = [];
	const take = () => {
		const done = rows;
		rows = [];
		return done;
	};
	const endCell = () => {
		width += cell.length + 1;
		if (width > MOST_CELL)
			refuse(t("{name} has a row that is too long.", { name }), t("Choose the file as LinkedIn made it."), "files");
		row.push(cell);
		[cell, wasQuoted] = ["", false];
	};
	const endRow = () => {
		const blank = !row.length && !cell && !wasQuoted;
		endCell();
		if (!blank) rows.push(row);
		[row, width] = [[], 0];
	};
	/** @param {string} text */
	const push = (text) => {
		let at = 0;
		while (at < text.length) {
			if (ending) {
				ending = false;
				if (text.charCodeAt(at) === QUOTE) {
					cell += '"';
					at++;
				} else quoted = false;
				continue;
			}
			if (quoted) {
				const end = text.indexOf('"', at);
				cell += text.slice(at, end < 0 ? text.length : end);
				if (cell.length > MOST_CELL)
					refuse(t("The quotes of {name} do not fit together.", { name }), t("Choose the file as LinkedIn made it."), "files");
				if (end < 0) break;
				ending = true;
				at = end + 1;
				continue;
			}
			const code = text.charCodeAt(at);
			if (afterReturn) {
				afterReturn = false;
				if (code === FEED) {
					at++;
					continue;
				}
			}
			if (code === COMMA) endCell();
			else if (code === FEED || code === RETURN) {
				endRow();
				afterReturn = code === RETURN;
			} else if (code === QUOTE && !cell && !wasQuoted) [quoted, wasQuoted] = [true, true];
			else {
				let end = at + 1;
				for (; end < text.length; end++) {
					const next = text.charCodeAt(end);
					if (next === COMMA || next === FEED || next === RETURN) break;
				}
				cell += text.slice(at, end);
				if (cell.length > MOST_CELL)
					refuse(t("{name} has a cell that is too long.", { name }), t("Choose the file as LinkedIn made it."), "files");
				at = end;
				continue;
			}
			at++;
		}
		return take();
	};
	const end = () => {
		if (quoted && !ending)
			refuse(
				t("{name} ends within a text: it is cut off.", { name }),
				t("Download it from LinkedIn again, and choose it as it is."),
				"files",
			);
		if (row.length || cell || wasQuoted) endRow();
		return take();
	};
	return { push, end };
}

// The time after which others have their turn, in milliseconds: a stream's pieces follow each other without a pause.
const TURN = 30;

// Lets the page draw and answer. A message, unlike a timer, is not put off in a page that nobody sees.
const pause = () =>
	/** @type {Promise<void>} */ (
		new Promise((done) => {
			const { port1, port2 } = new MessageChannel();
			port1.onmessage = () => {
				port1.close();
				done();
			};
			port2.postMessage(null);
		})
	);

/**
 * The rows of a stream in UTF-8, in the groups in which they come in.
 * @param {ReadableStream<Uint8Array>} stream
 * @param {string} name
 * @param {(bytes: number) => void} [read] told of each piece
 * @returns {AsyncGenerator<string[][]>}
 */
export async function* rowsOf(stream, name, read = () => {}) {
	const parse = parser(name);
	// It removes a byte order mark.
	const decoder = new TextDecoder();
	const reader = stream.getReader();
	let since = performance.now();
	try {
		for (;;) {
			if (performance.now() - since > TURN) {
				await pause();
				since = performance.now();
			}
			const { done, value } = await reader.read().catch((error) => {
				if (error instanceof Refusal) throw error;
				// Such as a file that was moved or changed after it was chosen.
				return refuse(t("{name} could not be read to its end.", { name }), t("Choose it again."), "files");
			});
			if (done) break;
			read(value.length);
			yield parse.push(decoder.decode(value, { stream: true }));
		}
		yield [...parse.push(decoder.decode()), ...parse.end()];
	} finally {
		// A reader that stops early leaves the rest unread.
		reader.cancel().catch(() => {});
	}
}
