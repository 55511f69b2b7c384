// Links between the pages, as the sources write them.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const PAGES = new URL("../src/pages/", import.meta.url);

test("every link leads to a page that exists", () => {
	const read = (name) => readFileSync(new URL(name, PAGES), "utf8");
	const found = [...read("app.js").matchAll(/\bname: "([a-z-]+)",\s+title: /g)].map(([, name]) => name);
	assert.ok(found.includes("my-settings") && found.includes("linkedin-archive"));
	// The sign-in has no entry in the navigation's list.
	const pages = new Set([...found, "sign-in"]);
	let links = 0;
	for (const file of readdirSync(PAGES).filter((name) => name.endsWith(".js")))
		for (const [, name] of read(file).matchAll(/\b(?:link|page|go)\(\s*"([^"]*)"/g)) {
			links += 1;
			assert.ok(pages.has(name), `${file} leads to ${name}`);
		}
	assert.ok(links > 50, String(links));
});

test("the document says of every page what one does first", () => {
	const source = readFileSync(new URL("app.js", PAGES), "utf8");
	const declared = [...source.matchAll(/\{\s+name: "[a-z-]+",\s+title: "([^"]+)",([^{}]*?)load: /g)];
	const pages = declared.map(([, title, more]) => (more.includes("administrators: true") ? `${title} (A)` : title));
	assert.ok(pages.length > 35, String(pages.length));
	const document = readFileSync(new URL("../../../docs/console.md", import.meta.url), "utf8");
	const rows = [...document.matchAll(/^\| ([A-Z][^|]*?)( \(A\))? \|(?:[^|]+\|){2} [\d; ]+ \|$/gm)];
	const named = rows.flatMap(([, titles, mark]) => titles.split(", ").map((title) => title + (mark ?? "")));
	assert.deepEqual(named.toSorted(), ["Sign in", ...pages].toSorted());
});
