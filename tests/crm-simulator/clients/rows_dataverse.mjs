// Rows of a Dataverse table as dynamics-web-api reads them, as canonical JSON lines.
//
//   rows_dataverse.mjs --base URL --token TOKEN --object contacts --fields contactid,lastname --out FILE
//                      [--page ROWS] [--track] [--delta LINK] [--link-out FILE]
//   rows_dataverse.mjs sim.json     # checks itself against the simulator
//
// One row a line, in the order of the ids: keys sorted, no blanks, without annotations; a deleted row is
// {"id":…,"reason":"deleted"}. --track asks for a delta link, --delta follows one; --link-out receives the next.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { DynamicsWebApi } from "dynamics-web-api";

function connect(base, token) {
  return new DynamicsWebApi({ serverUrl: base, dataApi: { version: "9.2" }, onTokenRefresh: async () => token });
}

// The client makes dates of times; lines have them as they were sent.
function plain(value) {
  return value instanceof Date ? value.toISOString().replace(".000Z", "Z") : (value ?? null);
}

function canonical(row, fields) {
  if (row.reason) return { id: row.id, reason: row.reason };
  return Object.fromEntries([...fields].sort().map((field) => [field, plain(row[field])]));
}

const order = (left, right) => (left < right ? -1 : left > right ? 1 : 0);
const lines = (rows) => rows.map((row) => `${JSON.stringify(row)}\n`).sort(order).join("");

// All rows at once: the client follows the pages.
async function all(api, collection, fields, page) {
  const found = await api.retrieveAll({ collection, select: fields, maxPageSize: page });
  return found.value.map((row) => canonical(row, fields));
}

// Rows with a delta link, from the start or from such a link.
async function tracked(api, collection, fields, page, link) {
  const request = { collection, select: fields, maxPageSize: page };
  let found = link
    ? await api.retrieveMultiple({ collection, maxPageSize: page }, link)
    : await api.retrieveMultiple({ ...request, trackChanges: true });
  const rows = [];
  let pages = 1;
  for (;;) {
    rows.push(...found.value.map((row) => canonical(row, fields)));
    if (!found.oDataNextLink) return { rows, pages, link: found.oDataDeltaLink };
    found = await api.retrieveMultiple({ collection, maxPageSize: page }, found.oDataNextLink);
    pages += 1;
  }
}

async function fromArguments(args) {
  const text = { type: "string" };
  const options = { base: text, token: text, object: text, fields: text, out: text, page: text, delta: text, "link-out": text, track: { type: "boolean" } };
  const { values } = parseArgs({ args, options });
  const api = connect(values.base, values.token);
  const fields = values.fields.split(",");
  const page = Number(values.page ?? 5000);
  if (!values.track && !values.delta) {
    writeFileSync(values.out, lines(await all(api, values.object, fields, page)));
    return;
  }
  const found = await tracked(api, values.object, fields, page, values.delta);
  writeFileSync(values.out, lines(found.rows));
  if (values["link-out"]) writeFileSync(values["link-out"], found.link);
}

async function checkItself() {
  const { check, control, dataverse, main, refused } = await import("./check.mjs");
  const { access_token: token } = await control("POST", "/tokens", { provider: "dataverse" });
  const api = connect(dataverse, token);
  const fields = ["contactid", "lastname", "fullname", "description", "_parentcustomerid_value", "statecode", "donotphone", "modifiedon", "versionnumber"];
  const held = async () => (await control("GET", "/records/dataverse/contact")).map((row) => canonical(row, fields));
  const same = (left, right) => lines(left) === lines(right);

  async function reading() {
    await control("POST", "/generate", { system: "dataverse", object: "account", count: 30, seed: 5 });
    await control("POST", "/generate", { system: "dataverse", object: "contact", count: 1200, seed: 5 });
    check("retrieveAll is what the organisation holds", same(await all(api, "contacts", fields, 500), await held()));
    const full = await tracked(api, "contacts", fields, 500);
    check("so is a read with tracking", full.pages > 2 && same(full.rows, await held()), full.pages);
    const rows = await control("GET", "/records/dataverse/contact");
    for (const row of rows.slice(0, 5)) await control("PATCH", `/records/dataverse/contact/${row.contactid}`, { lastname: "Changed" });
    const gone = rows.slice(5, 12).map((row) => row.contactid);
    for (const id of gone) await control("DELETE", `/records/dataverse/contact/${id}`);
    const [loser, winner] = rows.slice(12, 14).map((row) => row.contactid);
    await control("POST", `/records/dataverse/contact/${loser}/merge`, { into: winner });
    const made = await api.create({ collection: "contacts", data: { lastname: "Ünder \"new\"\n" } });
    const delta = await tracked(api, "contacts", fields, 4, full.link);
    const deleted = delta.rows.filter((row) => row.reason).map((row) => row.id);
    check("the delta comes in pages", delta.pages > 3, delta.pages);
    check("it has the deleted rows", deleted.sort(order).join() === gone.sort(order).join(), deleted);
    const ids = delta.rows.filter((row) => !row.reason).map((row) => row.contactid);
    check("and the changed, merged and new ones", ids.length === 8 && [made, loser, winner].every((id) => ids.includes(id)), ids);
    const after = new Map(full.rows.map((row) => [row.contactid, row]));
    for (const row of delta.rows) row.reason ? after.delete(row.id) : after.set(row.contactid, row);
    check("both together are what the organisation holds", same([...after.values()], await held()));
    await control("POST", `/records/dataverse/contact/${gone[0]}/restore`);
    const last = await tracked(api, "contacts", fields, 500, delta.link);
    check("a restored row comes back", last.rows.length === 1 && last.rows[0].contactid === gone[0], last.rows);
    await control("POST", "/dataverse/expire-deltas");
    await refused("an expired link", () => tracked(api, "contacts", fields, 500, last.link), (error) => error.code === "0x80044352");
  }

  async function files() {
    const folder = mkdtempSync(join(tmpdir(), "rows-"));
    const [plain, full, delta, link] = ["plain", "full", "delta", "link"].map((name) => join(folder, name));
    const args = ["--base", dataverse, "--token", token, "--object", "contacts", "--fields", fields.join(), "--page", "300"];
    await fromArguments([...args, "--out", plain]);
    await fromArguments([...args, "--track", "--out", full, "--link-out", link]);
    await fromArguments([...args, "--delta", readFileSync(link, "utf8"), "--out", delta]);
    const [first, second, third] = [plain, full, delta].map((path) => readFileSync(path, "utf8"));
    rmSync(folder, { recursive: true });
    check("both ways give the same lines", first === second && first === lines(await held()), first.slice(0, 300));
    check("nothing has changed since", third === "", third);
  }

  await main(reading, files);
}

const args = process.argv.slice(2);
await (args.some((arg) => arg.startsWith("--")) ? fromArguments(args) : checkItself());
