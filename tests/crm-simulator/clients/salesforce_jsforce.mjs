// jsforce against the simulator.

import { randomUUID } from "node:crypto";
import jsforce from "jsforce";
import { check, control, main, refused, salesforce } from "./check.mjs";

const token = await control("POST", "/tokens", { provider: "salesforce", org: "production" });
const open = (accessToken) =>
  new jsforce.Connection({ instanceUrl: salesforce, accessToken, version: "67.0", maxRequest: 5 });
const connection = open(token.access_token);
const code = (wanted) => (error) => error.errorCode === wanted || error.name === wanted;

async function records() {
  const made = await connection.sobject("Lead").create({ LastName: "Forge", Company: "Jay & Sons", Email: "jay@jsforce.example" });
  check("create", made.success && made.id.length === 18, made);
  const row = await connection.sobject("Lead").retrieve(made.id);
  check("retrieve", row.Company === "Jay & Sons" && row.HasOptedOutOfEmail === false, row);
  const changed = await connection.sobject("Lead").update({ Id: made.id, Title: "CEO" });
  check("update", changed.success, changed);
  const several = await connection.sobject("Lead").create([
    { LastName: "One", Company: "Coll" },
    { LastName: "Two" },
  ]);
  check("collection: one good, one bad", several[0].success && !several[1].success, several);
  check("collection: the reason", several[1].errors[0].statusCode === "REQUIRED_FIELD_MISSING", several[1].errors);
  const updated = await connection.sobject("Lead").update([{ Id: several[0].id, FirstName: "Only" }]);
  check("collection update", updated[0].success, updated);
  const strict = await connection.requestPost("/services/data/v67.0/composite/sobjects", {
    allOrNone: true,
    records: [
      { attributes: { type: "Lead" }, LastName: "Strict", Company: "Coll" },
      { attributes: { type: "Lead" }, LastName: "Strict" },
    ],
  });
  check("all or none", strict[0].errors[0].statusCode === "ALL_OR_NONE_OPERATION_ROLLED_BACK", strict);
  await refused("an unknown field", () => connection.sobject("Lead").create({ LastName: "x", Company: "y", Nope__c: 1 }), code("INVALID_FIELD"));
  await refused("too long", () => connection.sobject("Lead").create({ LastName: "x".repeat(81), Company: "y" }), code("STRING_TOO_LONG"));
  await refused("a bad address", () => connection.sobject("Lead").create({ LastName: "x", Company: "y", Email: "nope" }), code("INVALID_EMAIL_ADDRESS"));
  const gone = await connection.sobject("Lead").destroy([made.id, several[0].id]);
  check("collection delete", gone.every((one) => one.success), gone);
  await refused("deleted twice", () => connection.sobject("Lead").destroy(made.id), code("ENTITY_IS_DELETED"));
}

async function upsert() {
  const key = randomUUID();
  const lead = { Leadbridge_Id__c: key, LastName: "Up", Company: "Sert" };
  const first = await connection.sobject("Lead").upsert(lead, "Leadbridge_Id__c");
  check("upsert creates", first.success && first.created === true, first);
  const second = await connection.sobject("Lead").upsert({ ...lead, LastName: "Down" }, "Leadbridge_Id__c");
  check("upsert updates", second.success && second.id === first.id && second.created === false, second);
  const many = await connection.sobject("Contact").upsert(
    [{ Leadbridge_Id__c: randomUUID(), LastName: "A" }, { Leadbridge_Id__c: randomUUID(), LastName: "B" }],
    "Leadbridge_Id__c",
  );
  check("upsert several", many.every((one) => one.success), many);
  await refused("the key is unique", () => connection.sobject("Lead").create(lead), code("DUPLICATE_VALUE"));
}

async function queries() {
  const company = randomUUID();
  for (let start = 0; start < 600; start += 200) {
    const rows = Array.from({ length: 200 }, (_, n) => ({ LastName: `Row ${start + n}`, Company: company }));
    await connection.sobject("Lead").create(rows);
  }
  const page = await connection.query(`SELECT Id, LastName FROM Lead WHERE Company = '${company}'`, {
    headers: { "Sforce-Query-Options": "batchSize=200" },
    autoFetch: true,
    maxFetch: 1000,
  });
  check("query follows pages", page.records.length === 600, page.records.length);
  const found = await connection
    .sobject("Lead")
    .find({ Company: company, LastName: { $like: "Row 1%" } }, ["Id", "Owner.Name"])
    .sort({ LastName: -1 })
    .limit(5);
  check("find", found.length === 5 && found[0].Owner.Name === "Ada Admin", found);
  check("count", (await connection.query(`SELECT COUNT() FROM Lead WHERE Company = '${company}'`)).totalSize === 600);
  await refused("an unknown object", () => connection.query("SELECT Id FROM Nothing"), code("INVALID_TYPE"));
}

async function describe() {
  const lead = await connection.sobject("Lead").describe();
  check("describe", lead.fields.some((field) => field.name === "Leadbridge_Id__c" && field.externalId), lead.fields.length);
  const all = await connection.describeGlobal();
  check("describe global", all.sobjects.some((object) => object.name === "Contact"), all.sobjects.length);
  const who = await connection.identity();
  check("identity", who.organization_id === token.organization_id, who);
  check("versions", (await connection.request("/services/data")).some((row) => row.version === "67.0"));
  check("usage", connection.limitInfo.apiUsage?.limit === 100000, connection.limitInfo);
}

async function composite() {
  const answer = await connection.requestPost("/services/data/v67.0/composite", {
    allOrNone: true,
    compositeRequest: [
      { method: "POST", url: "/services/data/v67.0/sobjects/Contact", referenceId: "c", body: { LastName: "Comp" } },
      {
        method: "PATCH",
        url: `/services/data/v67.0/sobjects/Lead/Leadbridge_Id__c/${randomUUID()}`,
        referenceId: "l",
        body: { LastName: "Comp", Company: "Osite", Leadbridge_Contact__c: "@{c.id}" },
      },
      { method: "GET", url: "/services/data/v67.0/sobjects/Lead/@{l.id}?fields=Leadbridge_Contact__c", referenceId: "g" },
    ],
  });
  const [contact, lead, read] = answer.compositeResponse;
  check("composite", contact.httpStatusCode === 201 && lead.httpStatusCode === 201, answer);
  check("composite: the reference", read.body.Leadbridge_Contact__c === contact.body.id, read);
}

const newClient = () =>
  new jsforce.OAuth2({
    loginUrl: salesforce,
    clientId: "leadbridge-salesforce",
    clientSecret: "salesforce-app-secret",
    redirectUri: "https://app.example/cb",
    useVerifier: true,
  });

async function codeOf(oauth2, scope = "openid api refresh_token") {
  const back = await fetch(oauth2.getAuthorizationUrl({ scope, state: "st" }), { redirect: "manual" });
  const location = new URL(back.headers.get("location"));
  check("state comes back", location.searchParams.get("state") === "st", location.href);
  return location.searchParams.get("code");
}

async function signIn() {
  const oauth2 = newClient();
  const own = new jsforce.Connection({ oauth2, version: "67.0" });
  const user = await own.authorize(await codeOf(oauth2));
  check("authorize", user.organizationId === token.organization_id, user);
  const who = await own.identity();
  check("identity", who.user_id === user.id && who.username === "admin@leadbridge.example", who);
  const info = await own.request("/services/oauth2/userinfo");
  check("userinfo", info.user_id === user.id && info.sub.endsWith(`/id/${user.organizationId}/${user.id}`), info);
  let refreshed = 0;
  own.on("refresh", () => (refreshed += 1));
  await control("POST", "/tokens/expire", { provider: "salesforce", access_token: own.accessToken });
  check("an expired session is renewed by itself", (await own.query("SELECT Id FROM Organization")).totalSize === 1);
  check("one refresh", refreshed === 1, refreshed);
  const { refreshToken } = own;
  await own.logout(true);
  await refused("a revoked grant", () => oauth2.refreshToken(refreshToken), code("invalid_grant"));
}

async function refusals() {
  const wrong = newClient();
  const good = await codeOf(wrong);
  wrong.codeVerifier = "w".repeat(43);
  await refused("a wrong verifier", () => wrong.requestToken(good), code("invalid_request"));

  const oauth2 = newClient();
  const once = await codeOf(oauth2);
  const answer = await oauth2.requestToken(once);
  check("an identity token", answer.id_token.split(".").length === 3, answer);
  await refused("a used code", () => oauth2.requestToken(once), code("invalid_grant"));
  await refused("takes back what it gave", () => oauth2.refreshToken(answer.refresh_token), code("invalid_grant"));
}

async function rotation() {
  await control("PATCH", "/settings", { salesforce: { refresh_rotation: true } });
  try {
    const oauth2 = newClient();
    const first = await oauth2.requestToken(await codeOf(oauth2));
    const second = await oauth2.refreshToken(first.refresh_token);
    check("a refresh gives another token", second.refresh_token && second.refresh_token !== first.refresh_token, second);
    const third = await oauth2.refreshToken(second.refresh_token);
    await refused("the old one is refused", () => oauth2.refreshToken(second.refresh_token), code("invalid_grant"));
    await refused("and its use ends the chain", () => oauth2.refreshToken(third.refresh_token), code("invalid_grant"));
  } finally {
    await control("PATCH", "/settings", { salesforce: { refresh_rotation: false } });
  }
}

async function permissions() {
  const blocked = async (access) => {
    await control("PATCH", "/settings", { salesforce: { app_access: access } });
    const back = await fetch(newClient().getAuthorizationUrl({ scope: "api" }), { redirect: "manual" });
    return new URL(back.headers.get("location")).searchParams.get("error");
  };
  try {
    check("a blocked app", (await blocked("blocked")) === "OAUTH_APP_BLOCKED");
    check("an app that is not installed", (await blocked("not_installed")) === "invalid_client");
  } finally {
    await control("PATCH", "/settings", { salesforce: { app_access: "allowed" } });
  }
  await control("PATCH", "/settings", { salesforce: { api_enabled: false } });
  try {
    await refused("no API", () => open(token.access_token).query("SELECT Id FROM User"), code("API_DISABLED_FOR_ORG"));
  } finally {
    await control("PATCH", "/settings", { salesforce: { api_enabled: true } });
  }
  const stages = await connection.query("SELECT ApiName FROM OpportunityStage WHERE IsActive = true ORDER BY SortOrder");
  check("stages", stages.records[0].ApiName === "Prospecting", stages);
  await refused("no currencies", () => connection.query("SELECT IsoCode FROM CurrencyType"), code("INVALID_TYPE"));
}

await main(records, upsert, queries, describe, composite, signIn, refusals, rotation, permissions);
