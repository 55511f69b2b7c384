// The cells of exported files (LG-8): `npm test`.

import assert from "node:assert/strict";
import { test } from "node:test";

// The address that a page would have; read when the modules are loaded.
Object.assign(globalThis, { location: new URL("https://leadbridge.example/app/roi") });
const { cell } = await import("../src/pages/export.js");

test("a cell is no formula, and a number stays one", () => {
	for (const [value, written] of [
		["=1+1", "'=1+1"],
		["-1+1", "'-1+1"],
		["-cmd", "'-cmd"],
		["+49 30 1", "'+49 30 1"],
		["@x", "'@x"],
		["a;-1", "a;'-1"],
		["-1\n=1", "'-1\n'=1"],
		['say "x"', 'say ""x""'],
		["-12.50", "-12.50"],
		[-12.5, "-12.5"],
		[0, "0"],
		[null, ""],
	]) {
		assert.equal(cell(value), `"${written}"`);
	}
});
