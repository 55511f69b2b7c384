"""simple-salesforce against the simulator, over https with its own authority; and Salesforce's sign-in."""

import base64
import hashlib
import urllib.parse
import uuid

from support.check import SIM, check, control, main, raises, sent_back, verified  # isort: skip

import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

# Makes a second run independent of what the first left behind.
MARK = uuid.uuid4().hex[:12]


def refused(what, kind, run, code=None):
    raises(what, kind, run, lambda error: code is None or any(row["errorCode"] == code for row in error.content))


def salesforce():
    token = control("POST", "/tokens", {"provider": "salesforce", "org": "production"})
    sf = Salesforce(instance_url=token["instance_url"], session_id=token["access_token"], version="67.0")

    made = sf.Lead.create({"LastName": "O'Neil", "Company": f"Acme {MARK}", "Email": f"oneil@{MARK}.example"})
    check("create answers success", made["success"] is True and made["errors"] == [], made)
    check("an id has 18 characters", len(made["id"]) == 18 and made["id"].startswith("00Q"), made)
    row = sf.Lead.get(made["id"])
    check("get reads it back", row["LastName"] == "O'Neil" and row["Status"] == "Open - Not Contacted", row)
    check("attributes name the type", row["attributes"]["type"] == "Lead", row["attributes"])
    check("update answers 204", sf.Lead.update(made["id"], {"FirstName": "Ann", "Score__c": 12.5}) == 204)
    check("15 characters are enough", sf.Lead.get(made["id"][:15])["Name"] == "Ann O'Neil")
    refused("a missing field is refused", SalesforceMalformedRequest,
            lambda: sf.Lead.create({"LastName": "x"}), "REQUIRED_FIELD_MISSING")
    refused("an unknown field is refused", SalesforceMalformedRequest,
            lambda: sf.Lead.create({"LastName": "x", "Company": "y", "Foo__c": 1}), "INVALID_FIELD")
    refused("a restricted choice is refused", SalesforceMalformedRequest,
            lambda: sf.Lead.create({"LastName": "x", "Company": "y", "Rating": "Boiling"}),
           "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")
    refused("a missing row is not found", SalesforceResourceNotFound, lambda: sf.Lead.get("00Q5f0000000zzz"))

    key = str(uuid.uuid4())
    path = f"Leadbridge_Id__c/{key}"
    fields = {"LastName": "Upsert", "Company": f"Acme {MARK}"}
    check("upsert creates", sf.Lead.upsert(path, fields) == 201)
    check("upsert updates", sf.Lead.upsert(path, {"FirstName": "Uma"}) == 200)
    found = sf.Lead.get_by_custom_id("Leadbridge_Id__c", key)
    check("upsert wrote one row", found["Name"] == "Uma Upsert", found)
    refused("the key is unique", SalesforceMalformedRequest,
            lambda: sf.Lead.create({**fields, "Leadbridge_Id__c": key.upper()}), "DUPLICATE_VALUE")
    refused("upsert needs an external id", SalesforceResourceNotFound,
            lambda: sf.Lead.upsert("Company/Acme", fields), "NOT_FOUND")

    result = sf.query(f"SELECT Id, Name, Owner.Name FROM Lead WHERE Email = 'ONEIL@{MARK}.example' AND LastName LIKE 'o_Neil%'")
    check("query finds by text, case ignored", result["totalSize"] == 1 and result["done"], result)
    check("query follows a look-up", result["records"][0]["Owner"]["Name"] == "Ada Admin", result)
    check("count", sf.query(f"SELECT COUNT() FROM Lead WHERE Company = 'Acme {MARK}'")["totalSize"] == 2)
    refused("an unknown column is refused", SalesforceMalformedRequest,
            lambda: sf.query("SELECT Foo FROM Lead"), "INVALID_FIELD")
    refused("a malformed query is refused", SalesforceMalformedRequest,
            lambda: sf.query("SELECT Id FORM Lead"), "MALFORMED_QUERY")

    for start in range(0, 2300, 200):
        size = min(200, 2300 - start)
        rows = [{"attributes": {"type": "Contact"}, "LastName": f"Bulk {MARK} {start + n:05}"} for n in range(size)]
        done = sf.restful("composite/sobjects", method="POST", json={"allOrNone": False, "records": rows})
        if not all(row["success"] for row in done):
            check("collection creates", False, done[:1])
    paged = sf.query(f"SELECT Id FROM Contact WHERE LastName LIKE 'Bulk {MARK} %' ORDER BY LastName")
    check("a page holds 2000", len(paged["records"]) == 2000 and not paged["done"], paged["totalSize"])
    check("query_all follows pages", len(sf.query_all(f"SELECT Id FROM Contact WHERE LastName LIKE 'Bulk {MARK} %'")["records"]) == 2300)
    first = paged["records"][0]["Id"]
    check("delete answers 204", sf.Contact.delete(first) == 204)
    refused("a deleted row is gone", SalesforceResourceNotFound, lambda: sf.Contact.delete(first), "ENTITY_IS_DELETED")
    check("query passes over deleted rows", sf.query(f"SELECT Id FROM Contact WHERE Id = '{first}'")["totalSize"] == 0)
    deleted = sf.query(f"SELECT Id, IsDeleted FROM Contact WHERE Id = '{first}'", include_deleted=True)
    check("queryAll sees them", deleted["totalSize"] == 1 and deleted["records"][0]["IsDeleted"], deleted)

    described = {field["name"]: field for field in sf.Lead.describe()["fields"]}
    required = sorted(n for n, f in described.items() if f["createable"] and not f["nillable"] and not f["defaultedOnCreate"])
    check("describe tells what is required", required == ["Company", "LastName"], required)
    check("describe tells the external id", described["Leadbridge_Id__c"]["externalId"] and described["Leadbridge_Id__c"]["unique"])
    check("describe lists the objects", {"Lead", "Contact", "Task"} <= {o["name"] for o in sf.describe()["sobjects"]})
    check("limits", sf.limits()["DailyApiRequests"]["Max"] == 100000)
    check("usage is told", sf.api_usage["api-usage"].total == 100000, sf.api_usage)

    both = sf.restful("composite", method="POST", json={"allOrNone": True, "compositeRequest": [
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Contact", "referenceId": "c", "body": {"LastName": "Composite"}},
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Lead", "referenceId": "l",
         "body": {"LastName": "Composite", "Company": "Acme", "Leadbridge_Contact__c": "@{c.id}"}}]})
    statuses = [part["httpStatusCode"] for part in both["compositeResponse"]]
    check("composite creates both", statuses == [201, 201], both)
    bad = sf.restful("composite", method="POST", json={"allOrNone": True, "compositeRequest": [
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Contact", "referenceId": "c", "body": {"LastName": "Rollback"}},
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Lead", "referenceId": "l", "body": {"LastName": "Rollback"}}]})
    codes = [part["body"][0]["errorCode"] for part in bad["compositeResponse"]]
    check("composite names the guilty", codes == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING"], codes)
    check("composite rolls back", sf.query("SELECT COUNT() FROM Contact WHERE LastName = 'Rollback'")["totalSize"] == 0)

    control("POST", "/tokens/expire", {"provider": "salesforce", "access_token": token["access_token"]})
    refused("an expired session is refused", SalesforceExpiredSession, lambda: sf.Lead.get(made["id"]), "INVALID_SESSION_ID")
    renewed = requests.post(SIM["salesforce"] + "/services/oauth2/token", timeout=10, data={
        "grant_type": "refresh_token", "refresh_token": token["refresh_token"],
        "client_id": "leadbridge-salesforce", "client_secret": "salesforce-app-secret"}).json()
    sf = Salesforce(instance_url=renewed["instance_url"], session_id=renewed["access_token"])
    check("a refreshed session works", sf.Lead.get(made["id"])["Id"] == made["id"])
    check("the answer has no new refresh token", "refresh_token" not in renewed, list(renewed))


def salesforce_sign_in():
    base = SIM["salesforce"]
    found = requests.get(base + "/.well-known/openid-configuration", timeout=10).json()
    check("discovery names the issuer", found["issuer"] == base, found)
    verifier = "v" * 64
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    query = {"response_type": "code", "client_id": "leadbridge-salesforce", "redirect_uri": "https://app.example/cb",
             "state": "s 1", "nonce": "n 1", "prompt": "login", "scope": "openid email profile api refresh_token",
             "code_challenge": challenge, "code_challenge_method": "S256",
             "login_hint": "sandbox-user@sandbox.leadbridge.example"}
    address = found["authorization_endpoint"] + "?" + urllib.parse.urlencode(query)
    app = {"client_id": "leadbridge-salesforce", "client_secret": "salesforce-app-secret"}

    def post(what, **form):
        return requests.post(found[what], data={**app, **form}, timeout=10)

    def redeem(code, **form):
        return post("token_endpoint", grant_type="authorization_code", redirect_uri=query["redirect_uri"], code=code, **form).json()

    back = sent_back(address)
    check("state comes back", back["state"] == "s 1", back)
    answer = redeem(back["code"])
    check("PKCE: a missing verifier", answer["error"] == "invalid_grant", answer)
    answer = redeem(back["code"], code_verifier="w" * 64)
    check("PKCE: a wrong verifier", answer["error"] == "invalid_request", answer)
    answer = redeem(back["code"], code_verifier=verifier)
    check("the code gives tokens", answer.get("refresh_token", "").startswith("5Aep"), answer)
    told = verified(answer["id_token"], found["jwks_uri"], "leadbridge-salesforce", base)
    check("the identity token is signed, and its own", told["nonce"] == "n 1" and told["sub"] == answer["id"], told)
    left = hashlib.sha256(answer["access_token"].encode()).digest()[:16]
    check("and goes with the access token", told["at_hash"] == base64.urlsafe_b64encode(left).rstrip(b"=").decode(), told)
    headers = {"Authorization": "Bearer " + answer["access_token"]}
    identity = requests.get(answer["id"], headers=headers, timeout=10).json()
    check("the hint chose the sandbox", identity["username"] == query["login_hint"] == told["preferred_username"], identity)
    info = requests.get(found["userinfo_endpoint"], headers=headers, timeout=10).json()
    check("userinfo is of the same", info["sub"] == told["sub"] and info["email"] == told["email"], info)
    sf = Salesforce(instance_url=answer["instance_url"], session_id=answer["access_token"])
    check("the session works", sf.query("SELECT Id FROM Organization")["totalSize"] == 1)

    renewed = post("token_endpoint", grant_type="refresh_token", refresh_token=answer["refresh_token"]).json()
    again = verified(renewed["id_token"], found["jwks_uri"], "leadbridge-salesforce", base)
    check("a refresh tells again, without the nonce", again["sub"] == told["sub"] and "nonce" not in again, again)
    reused = redeem(back["code"], code_verifier=verifier)
    check("a used code", reused["error"] == "invalid_grant", reused)
    ended = post("token_endpoint", grant_type="refresh_token", refresh_token=answer["refresh_token"]).json()
    check("takes back what it gave", ended["error"] == "invalid_grant", ended)

    back = sent_back(address)
    answer = redeem(back["code"], code_verifier=verifier)
    check("revoking", post("revocation_endpoint", token=answer["refresh_token"]).status_code == 200)
    ended = post("token_endpoint", grant_type="refresh_token", refresh_token=answer["refresh_token"]).json()
    check("a revoked refresh token", ended["error"] == "invalid_grant", ended)
    headers = {"Authorization": "Bearer " + answer["access_token"]}
    check("and its sessions", requests.get(base + "/services/data/v67.0/limits", headers=headers, timeout=10).status_code == 401)
    twice = post("revocation_endpoint", token=answer["refresh_token"])
    check("revoked twice", twice.status_code == 400 and twice.json()["error"] == "invalid_token", twice.text)


main(salesforce, salesforce_sign_in)
