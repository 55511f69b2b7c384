// A file that grows on the disk while it is made, so that what is written does not stay in memory.

import { el, Refusal } from "./dom.js";
import { t } from "./words.js";

// A draft in the browser's own storage is deleted when it is that old: by then the browser has saved its copy.
const DRAFT_MS = 10 * 60 * 1000;
const DRAFT = "draft-";

const NOT_WRITTEN = {
	detail: t("The file could not be written."),
	next_step: t("Make room on the disk, or choose another place, and press the button again."),
};

/**
 * A file under way.
 * @typedef {object} File
 * @property {string} name
 * @property {(text: string) => Promise<void>} write appends
 * @property {() => Promise<void>} end gives the file to the user
 * @property {() => Promise<void>} drop leaves nothing behind
 */

function download(blob, name) {
	const address = URL.createObjectURL(blob);
	el("a", { href: address, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

async function written(work) {
	try {
		return await work();
	} catch (error) {
		console.error(error);
		throw new Refusal(NOT_WRITTEN);
	}
}

// The browser's own storage for this site; null where there is none, as in some private windows.
async function storage() {
	try {
		return /** @type {any} */ (await navigator.storage.getDirectory());
	} catch {
		return null;
	}
}

/** Deletes drafts that are no longer needed. */
export async function forgetDrafts() {
	const root = await storage();
	if (!root) return;
	try {
		for await (const [name, handle] of root.entries()) {
			if (!name.startsWith(DRAFT)) continue;
			// Its name has the time of its beginning; a large export takes longer.
			const { lastModified } = await handle.getFile();
			if (lastModified < Date.now() - DRAFT_MS) await root.removeEntry(name);
		}
	} catch {
		// One that another page writes to is deleted the next time.
	}
}

// A file at the place that the user chooses; null if they choose none, and undefined where the browser does not ask.
async function chosenFile(name) {
	const { showSaveFilePicker: choose } = /** @type {any} */ (window);
	if (!choose) return undefined;
	try {
		const handle = await choose.call(window, { suggestedName: name });
		const to = await handle.createWritable();
		return { name: handle.name, write: (text) => to.write(text), end: () => to.close(), drop: () => to.abort() };
	} catch (error) {
		// A policy of the organisation may forbid it.
		return error.name === "AbortError" ? null : undefined;
	}
}

// A draft in the browser's own storage, which the browser saves when it is whole: the file is read from the disk.
async function draftFile(name) {
	const root = await storage();
	if (!root) return undefined;
	try {
		const draft = `${DRAFT}${Date.now()}`;
		const handle = await root.getFileHandle(draft, { create: true });
		const to = await handle.createWritable();
		const end = async () => {
			await to.close();
			download(await handle.getFile(), name);
			setTimeout(forgetDrafts, DRAFT_MS + 1000);
		};
		const drop = async () => {
			await to.abort();
			await root.removeEntry(draft);
		};
		return { name, write: (text) => to.write(text), end, drop };
	} catch {
		// A browser without `createWritable`.
		return undefined;
	}
}

// A file in memory, for browsers that offer nothing else.
function memoryFile(name, type) {
	const parts = [];
	const write = async (text) => void parts.push(text);
	const drop = async () => void parts.splice(0);
	return { name, write, end: async () => download(new Blob(parts, { type }), name), drop };
}

/**
 * Begins a file. Must be called at once when a button is pressed: a browser asks for a place only then. Gives null if
 * the user chooses none.
 * @param {string} name
 * @param {string} type
 * @returns {Promise<File | null>}
 */
export async function newFile(name, type) {
	const chosen = await chosenFile(name);
	if (chosen === null) return null;
	const file = chosen ?? (await draftFile(name)) ?? memoryFile(name, type);
	return {
		name: file.name,
		write: (text) => written(() => file.write(text)),
		end: () => written(() => file.end()),
		drop: () => file.drop().catch(() => {}),
	};
}
