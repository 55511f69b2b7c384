// dynamics-web-api against the simulator.

import { randomUUID } from "node:crypto";
import { DynamicsWebApi } from "dynamics-web-api";
import { check, control, dataverse, main, refused } from "./check.mjs";

const token = await control("POST", "/tokens", { provider: "dataverse" });
const api = new DynamicsWebApi({
  serverUrl: dataverse,
  dataApi: { version: "9.2" },
  onTokenRefresh: async () => token.access_token,
});
const status = (wanted, code) => (error) => error.status === wanted && (!code || error.code === code);

async function records() {
  const who = await api.callFunction({ name: "WhoAmI" });
  check("WhoAmI", who.OrganizationId === token.organization_id, who);
  const id = await api.create({ collection: "leads", data: { subject: "Demo", firstname: "Di", lastname: "Wa", emailaddress1: "di@dwa.example" } });
  check("create gives the id", /^[0-9a-f-]{36}$/.test(id), id);
  const row = await api.retrieve({ collection: "leads", key: id, select: ["fullname", "statecode", "_ownerid_value"], includeAnnotations: "*" });
  check("retrieve", row.fullname === "Di Wa" && row.statecode === 0 && row["@odata.etag"], row);
  check("formatted values", row["statecode@OData.Community.Display.V1.FormattedValue"] === "Open", row);
  const full = await api.create({ collection: "leads", data: { lastname: "Rep" }, returnRepresentation: true });
  check("representation", full.lastname === "Rep" && full.leadid, full);
  await api.update({ collection: "leads", key: id, data: { jobtitle: "CTO" } });
  check("update", (await api.retrieve({ collection: "leads", key: id, select: ["jobtitle"] })).jobtitle === "CTO");
  await refused("an unknown property", () => api.create({ collection: "leads", data: { nope: 1 } }), status(400, "0x80060888"));
  await refused("too long", () => api.create({ collection: "leads", data: { firstname: "x".repeat(51) } }), status(400, "0x80044331"));
  await refused("a missing row", () => api.retrieve({ collection: "leads", key: randomUUID() }), status(404, "0x80040217"));
  const again = await api.retrieve({ collection: "leads", key: id, select: ["jobtitle"] });
  await api.update({ collection: "leads", key: id, data: { jobtitle: "CIO" }, ifmatch: again["@odata.etag"] });
  const stale = await api.update({ collection: "leads", key: id, data: { jobtitle: "CFO" }, ifmatch: again["@odata.etag"] });
  check("a stale etag changes nothing", stale === false, stale);
  check("delete", await api.deleteRecord({ collection: "leads", key: id }));
  await refused("deleted", () => api.retrieve({ collection: "leads", key: id }), status(404));
}

async function upsert() {
  const key = randomUUID();
  const data = { lastname: "Upsert" };
  await api.upsert({ collection: "contacts", key, data, ifnonematch: "*" });
  check("created once", (await api.retrieve({ collection: "contacts", key, select: ["lastname"] })).lastname === "Upsert");
  const second = await api.upsert({ collection: "contacts", key, data: { lastname: "Twice" }, ifnonematch: "*" });
  check("not created twice", second === null || second === undefined, second);
  check("and unchanged", (await api.retrieve({ collection: "contacts", key, select: ["lastname"] })).lastname === "Upsert");
  const absent = await api.upsert({ collection: "contacts", key: randomUUID(), data, ifmatch: "*" });
  check("update only", absent === null || absent === undefined, absent);
}

async function paging() {
  const mark = randomUUID();
  for (let n = 0; n < 25; n += 1) {
    await api.create({ collection: "accounts", data: { name: `${mark} ${n}`, numberofemployees: n } });
  }
  const filter = `startswith(name,'${mark}') and numberofemployees ge 5`;
  const first = await api.retrieveMultiple({ collection: "accounts", select: ["name"], filter, orderBy: ["numberofemployees desc"], maxPageSize: 8, count: true });
  check("a page", first.value.length === 8 && first.oDataCount === 20, first.oDataCount);
  check("order", first.value[0].name === `${mark} 24`, first.value[0]);
  const next = await api.retrieveMultiple({ collection: "accounts", maxPageSize: 8 }, first.oDataNextLink);
  check("the next page", next.value.length === 8 && next.value[0].name === `${mark} 16`, next.value[0]);
  const all = await api.retrieveAll({ collection: "accounts", select: ["name"], filter });
  check("retrieveAll", all.value.length === 20, all.value.length);
  check("count", (await api.count({ collection: "accounts", filter })) === 20);
}

async function tracking() {
  const start = await api.retrieveMultiple({ collection: "contacts", select: ["lastname"], trackChanges: true });
  check("a delta link", Boolean(start.oDataDeltaLink), start);
  const id = await api.create({ collection: "contacts", data: { lastname: "Delta" } });
  const old = start.value[0];
  await api.deleteRecord({ collection: "contacts", key: old.contactid });
  const delta = await api.retrieveMultiple({ collection: "contacts", select: ["lastname"] }, start.oDataDeltaLink);
  check("the new row", delta.value.some((row) => row.contactid === id), delta.value);
  check("the deleted row", delta.value.some((row) => row.reason === "deleted" && row.id === old.contactid), delta.value);
}

async function batch() {
  const [contact, lead] = [randomUUID(), randomUUID()];
  const create = async () => {
    api.startBatch();
    api.upsert({ collection: "contacts", key: contact, data: { lastname: "Batch" }, ifnonematch: "*", contentId: "1" });
    api.upsert({
      collection: "leads",
      key: lead,
      data: { lastname: "Batch", "parentcontactid@odata.bind": `/contacts(${contact})` },
      ifnonematch: "*",
      contentId: "2",
    });
    return api.executeBatch();
  };
  await create();
  const row = await api.retrieve({ collection: "leads", key: lead, select: ["_parentcontactid_value"] });
  check("a change set binds", row._parentcontactid_value === contact, row);
  await refused("again: refused", create, (error) => status(412)(error) || error.length === 1);

  const other = randomUUID();
  api.startBatch();
  api.upsert({ collection: "contacts", key: other, data: { lastname: "Lost" }, contentId: "1" });
  api.create({ collection: "leads", data: { lastname: "x", nope: 1 }, contentId: "2" });
  await refused("a bad part", () => api.executeBatch(), () => true);
  await refused("rolls back the good one", () => api.retrieve({ collection: "contacts", key: other }), status(404));

  api.startBatch();
  api.create({ collection: "contacts", data: { lastname: "Ref" }, contentId: "1" });
  api.create({ collection: "leads", data: { lastname: "Ref", "parentcontactid@odata.bind": "$1" }, contentId: "2" });
  const made = await api.executeBatch();
  check("content ids", made.length === 2, made);

  api.startBatch();
  api.retrieveMultiple({ collection: "leads", select: ["lastname"], top: 1 });
  api.retrieveMultiple({ collection: "contacts", select: ["lastname"], top: 1 });
  const read = await api.executeBatch();
  check("reads", read.length === 2 && read[0].value.length === 1, read);
}

async function metadata() {
  const lead = await api.retrieveEntity({ key: "LogicalName='lead'", select: ["LogicalName", "EntitySetName"], expand: [{ property: "Attributes", select: ["LogicalName", "AttributeType"] }] });
  check("a table", lead.EntitySetName === "leads" && lead.Attributes.length > 30, lead);
  const lists = await api.retrieveAttributes({
    entityKey: "LogicalName='lead'",
    castType: "Microsoft.Dynamics.CRM.PicklistAttributeMetadata",
    select: ["LogicalName"],
    expand: [{ property: "OptionSet", select: ["Options"] }],
  });
  const source = lists.value.find((column) => column.LogicalName === "leadsourcecode");
  check("option sets", source.OptionSet.Options.some((option) => option.Value === 8 && option.Label.UserLocalizedLabel.Label === "Web"), source);
  const texts = await api.retrieveAttributes({ entityKey: "LogicalName='contact'", castType: "Microsoft.Dynamics.CRM.StringAttributeMetadata", select: ["LogicalName", "MaxLength", "FormatName"] });
  const email = texts.value.find((column) => column.LogicalName === "emailaddress1");
  check("lengths and formats", email.MaxLength === 100 && email.FormatName.Value === "Email", email);
  check("$metadata", (await api.retrieveCsdlMetadata()).includes("parentcontactid"));
}

await main(records, upsert, paging, tracking, batch, metadata);
