// The parts that the two scripts share: the addresses, the control API, and counting.

import { readFileSync } from "node:fs";

const sim = JSON.parse(readFileSync(process.argv[2], "utf8")).simulator;

// Node reads extra authorities only at its start; the same ports answer plain http.
export const salesforce = sim.salesforce.replace("https:", "http:");
export const dataverse = sim.dataverse.replace("https:", "http:");

let passed = 0;
let failed = 0;

export function check(what, condition, seen = "") {
  if (condition) {
    passed += 1;
  } else {
    failed += 1;
    console.log(`FAILED ${what}:`, seen);
  }
}

export async function refused(what, run, test) {
  try {
    const value = await run();
    check(what, false, value);
  } catch (error) {
    check(what, test(error), error);
  }
}

export async function control(method, path, body) {
  const answer = await fetch(sim.control + path, {
    method,
    body: body && JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  const text = await answer.text();
  return text && JSON.parse(text);
}

export async function main(...parts) {
  for (const part of parts) {
    try {
      await part();
    } catch (error) {
      check(part.name, false, error);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
