// The start of the pages while the API does not answer yet.

import assert from "node:assert/strict";
import { test } from "node:test";

// As much of a document as the start needs.
class Element {
	constructor(name) {
		Object.assign(this, { name, children: [], attributes: {}, text: "" });
	}
	append(...children) {
		this.children.push(...children);
	}
	replaceChildren(...children) {
		this.children = children;
	}
	setAttribute(key, value) {
		this.attributes[key] = value;
	}
	getAttribute(key) {
		return this.attributes[key] ?? null;
	}
	addEventListener() {}
	focus() {}
	set textContent(text) {
		this.children = [text];
	}
	get textContent() {
		return this.children.map((child) => (child instanceof Element ? child.textContent : String(child))).join("");
	}
}

const places = new Map();
const place = (id) => {
	if (!places.has(id)) places.set(id, new Element(id));
	return places.get(id);
};
const LOCATION = new URL("https://leadbridge.example/app/home");

Object.assign(globalThis, {
	location: LOCATION,
	document: {
		createElement: (name) => new Element(name),
		documentElement: new Element("html"),
		getElementById: place,
		querySelector: place,
	},
});

const starting = { status: 503, code: "starting", detail: "It starts.", next_step: "Wait for it." };
const broken = { status: 500, code: "internal", detail: "It is broken.", next_step: "Tell the operator." };

const answered = (problem, headers) =>
	new Response(JSON.stringify(problem), { status: problem.status, headers: { "content-type": "application/problem+json", ...headers } });

test("a start that is tried again by itself shows the problem that ends it", async () => {
	const answers = [answered(starting, { "retry-after": "0.01" }), answered(broken, {})];
	globalThis.fetch = async () => answers.shift();
	await import("../src/pages/app.js");
	const until = async (text) => {
		for (let tries = 0; tries < 200 && !place("main").textContent.includes(text); tries++)
			await new Promise((done) => setTimeout(done, 10));
		const shown = place("main").textContent;
		assert.ok(shown.includes(text), shown);
	};
	await until("It starts.");
	await until("It is broken.");
	assert.ok(!place("main").textContent.includes("It starts."), place("main").textContent);
});
