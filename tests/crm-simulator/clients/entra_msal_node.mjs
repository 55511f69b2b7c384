// msal-node against the simulator's Entra. It speaks https alone, and Node reads extra authorities
// only at its start: so the program starts itself again with the simulator's.

import { spawnSync } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { ConfidentialClientApplication, CryptoProvider } from "@azure/msal-node";
import jwt from "jsonwebtoken";
import { check, main, refused } from "./check.mjs";

const sim = JSON.parse(readFileSync(process.argv[2], "utf8")).simulator;
if (process.env.NODE_EXTRA_CA_CERTS !== sim.ca_file) {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: sim.ca_file };
  const { status } = spawnSync(process.execPath, process.argv.slice(1), { env, stdio: "inherit" });
  process.exit(status ?? 1);
}

const base = sim.dataverse;
const tenant = "5f1d0000-0000-4000-8000-00000000c001";
const redirectUri = "https://app.example/cb";
const scopes = [`${base}/user_impersonation`];
const provider = new CryptoProvider();
const app = () =>
  new ConfidentialClientApplication({
    auth: {
      clientId: "leadbridge-dataverse",
      clientSecret: "dataverse-app-secret",
      authority: `${base}/${tenant}`,
      knownAuthorities: [new URL(base).host],
    },
  });

async function started(own, loginHint = "admin@leadbridge.example") {
  const { verifier, challenge } = await provider.generatePkceCodes();
  const nonce = provider.createNewGuid();
  const url = await own.getAuthCodeUrl({
    scopes,
    redirectUri,
    loginHint,
    nonce,
    state: "st",
    codeChallenge: challenge,
    codeChallengeMethod: "S256",
  });
  const back = await fetch(url, { redirect: "manual" });
  const location = new URL(back.headers.get("location"));
  check("state comes back", location.searchParams.get("state") === "st", location.href);
  return { code: location.searchParams.get("code"), codeVerifier: verifier, nonce };
}

const redeem = (own, { code, codeVerifier, nonce }) =>
  own.acquireTokenByCode({ scopes, redirectUri, code, codeVerifier, nonce });

const invalidGrant = (error) => error.errorCode === "invalid_grant";

async function codeFlow() {
  const own = app();
  const result = await redeem(own, await started(own));
  const keys = await (await fetch(`${base}/${tenant}/discovery/v2.0/keys`)).json();
  const key = createPublicKey({ key: keys.keys[0], format: "jwk" });
  const told = jwt.verify(result.idToken, key, {
    algorithms: ["RS256"],
    audience: "leadbridge-dataverse",
    issuer: `${base}/${tenant}/v2.0`,
  });
  check("the identity token", told.oid === result.account.localAccountId && told.tid === tenant, told);
  check("who signed in", result.account.username === "admin@leadbridge.example", result.account);
  const call = await fetch(`${base}/api/data/v9.2/WhoAmI`, { headers: { Authorization: `Bearer ${result.accessToken}` } });
  check("the token works", call.status === 200, call.status);
  const renewed = await own.acquireTokenSilent({ account: result.account, scopes, forceRefresh: true });
  check("silently renewed", renewed.accessToken !== result.accessToken, renewed);
  const application = await own.acquireTokenByClientCredential({ scopes: [`${base}/.default`] });
  check("client credentials", Boolean(application.accessToken), application);
}

async function refusals() {
  const own = app();
  const once = await started(own);
  await redeem(own, once);
  await refused("a used code", () => redeem(own, once), invalidGrant);
  const wrong = await started(own);
  await refused("a wrong verifier", () => redeem(own, { ...wrong, codeVerifier: "w".repeat(43) }), invalidGrant);
  const other = await started(own);
  await refused("a wrong nonce", () => redeem(own, { ...other, nonce: "another one" }), (error) => error.errorCode === "nonce_mismatch");
}

await main(codeFlow, refusals);
