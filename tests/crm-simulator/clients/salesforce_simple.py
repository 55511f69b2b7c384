"""simple-salesforce and msal against the simulator, over https with its own authority."""

import base64
import hashlib
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

with open(sys.argv[1], encoding="utf-8") as file:
    SIM = json.load(file)["simulator"]
os.environ["REQUESTS_CA_BUNDLE"] = SIM["ca_file"]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

import msal  # noqa: E402
import requests  # noqa: E402
from simple_salesforce import Salesforce  # noqa: E402
from simple_salesforce.exceptions import (  # noqa: E402
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

# Makes a second run independent of what the first left behind.
MARK = uuid.uuid4().hex[:12]
PASSED = FAILED = 0


def check(what, condition, seen=""):
    global PASSED, FAILED
    if condition:
        PASSED += 1
    else:
        FAILED += 1
        print(f"FAILED {what}: {seen}")


def control(method, path, body=None):
    request = urllib.request.Request(SIM["control"] + path, method=method)
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, data) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def raises(what, kind, run, code=None):
    try:
        run()
    except kind as error:
        check(what, code is None or any(row["errorCode"] == code for row in error.content), error)
        return error
    except Exception as error:  # noqa: BLE001
        check(what, False, repr(error))
    else:
        check(what, False, "no error")
    return None


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
    raises("a missing field is refused", SalesforceMalformedRequest,
           lambda: sf.Lead.create({"LastName": "x"}), "REQUIRED_FIELD_MISSING")
    raises("an unknown field is refused", SalesforceMalformedRequest,
           lambda: sf.Lead.create({"LastName": "x", "Company": "y", "Foo__c": 1}), "INVALID_FIELD")
    raises("a restricted choice is refused", SalesforceMalformedRequest,
           lambda: sf.Lead.create({"LastName": "x", "Company": "y", "Rating": "Boiling"}),
           "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")
    raises("a missing row is not found", SalesforceResourceNotFound, lambda: sf.Lead.get("00Q5f0000000zzz"))

    key = str(uuid.uuid4())
    path = f"Leadbridge_Id__c/{key}"
    fields = {"LastName": "Upsert", "Company": f"Acme {MARK}"}
    check("upsert creates", sf.Lead.upsert(path, fields) == 201)
    check("upsert updates", sf.Lead.upsert(path, {"FirstName": "Uma"}) == 200)
    found = sf.Lead.get_by_custom_id("Leadbridge_Id__c", key)
    check("upsert wrote one row", found["Name"] == "Uma Upsert", found)
    raises("the key is unique", SalesforceMalformedRequest,
           lambda: sf.Lead.create({**fields, "Leadbridge_Id__c": key.upper()}), "DUPLICATE_VALUE")
    raises("upsert needs an external id", SalesforceResourceNotFound,
           lambda: sf.Lead.upsert("Company/Acme", fields), "NOT_FOUND")

    result = sf.query(f"SELECT Id, Name, Owner.Name FROM Lead WHERE Email = 'ONEIL@{MARK}.example' AND LastName LIKE 'o_Neil%'")
    check("query finds by text, case ignored", result["totalSize"] == 1 and result["done"], result)
    check("query follows a look-up", result["records"][0]["Owner"]["Name"] == "Ada Admin", result)
    check("count", sf.query(f"SELECT COUNT() FROM Lead WHERE Company = 'Acme {MARK}'")["totalSize"] == 2)
    raises("an unknown column is refused", SalesforceMalformedRequest,
           lambda: sf.query("SELECT Foo FROM Lead"), "INVALID_FIELD")
    raises("a malformed query is refused", SalesforceMalformedRequest,
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
    raises("a deleted row is gone", SalesforceResourceNotFound, lambda: sf.Contact.delete(first), "ENTITY_IS_DELETED")
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
    raises("an expired session is refused", SalesforceExpiredSession, lambda: sf.Lead.get(made["id"]), "INVALID_SESSION_ID")
    renewed = requests.post(SIM["salesforce"] + "/services/oauth2/token", timeout=10, data={
        "grant_type": "refresh_token", "refresh_token": token["refresh_token"],
        "client_id": "leadbridge-salesforce", "client_secret": "salesforce-app-secret"}).json()
    sf = Salesforce(instance_url=renewed["instance_url"], session_id=renewed["access_token"])
    check("a refreshed session works", sf.Lead.get(made["id"])["Id"] == made["id"])
    check("the answer has no new refresh token", "refresh_token" not in renewed, list(renewed))


def code_of(url):
    answer = requests.get(url, allow_redirects=False, timeout=10)
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers["location"]).query))


def salesforce_sign_in():
    verifier = "v" * 64
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    query = {"response_type": "code", "client_id": "leadbridge-salesforce", "redirect_uri": "https://app.example/cb",
             "state": "s 1", "scope": "api refresh_token", "code_challenge": challenge, "login_hint": "sandbox-user@sandbox.leadbridge.example"}
    address = SIM["salesforce"] + "/services/oauth2/authorize?" + urllib.parse.urlencode(query)
    token = SIM["salesforce"] + "/services/oauth2/token"
    form = {"grant_type": "authorization_code", "client_id": "leadbridge-salesforce",
            "client_secret": "salesforce-app-secret", "redirect_uri": "https://app.example/cb"}
    back = code_of(address)
    check("state comes back", back["state"] == "s 1", back)
    refused = requests.post(token, data={**form, "code": back["code"]}, timeout=10).json()
    check("PKCE: a missing verifier", refused["error"] == "invalid_grant", refused)
    refused = requests.post(token, data={**form, "code": back["code"], "code_verifier": "w" * 64}, timeout=10).json()
    check("PKCE: a wrong verifier", refused["error"] == "invalid_request", refused)
    answer = requests.post(token, data={**form, "code": back["code"], "code_verifier": verifier}, timeout=10).json()
    check("the code gives tokens", answer.get("refresh_token", "").startswith("5Aep"), answer)
    identity = requests.get(answer["id"], headers={"Authorization": "Bearer " + answer["access_token"]}, timeout=10).json()
    check("the hint chose the sandbox", identity["username"] == "sandbox-user@sandbox.leadbridge.example", identity)


def entra():
    authority = SIM["dataverse"] + "/organizations"
    app = msal.ConfidentialClientApplication(
        "leadbridge-dataverse", client_credential="dataverse-app-secret", authority=authority,
        instance_discovery=False, verify=SIM["ca_file"])
    scope = [SIM["dataverse"] + "/.default"]
    flow = app.initiate_auth_code_flow(scope, redirect_uri="https://app.example/cb", login_hint="admin@leadbridge.example")
    result = app.acquire_token_by_auth_code_flow(flow, code_of(flow["auth_uri"]))
    check("msal: code flow", "access_token" in result, result)
    check("msal: claims", result.get("id_token_claims", {}).get("preferred_username") == "admin@leadbridge.example", result.get("id_token_claims"))
    api = SIM["dataverse"] + "/api/data/v9.2/WhoAmI"
    who = requests.get(api, headers={"Authorization": "Bearer " + result["access_token"]}, timeout=10)
    check("the token works", who.status_code == 200 and "OrganizationId" in who.json(), who.text)
    check("msal: refresh", "access_token" in app.acquire_token_by_refresh_token(result["refresh_token"], scope))
    check("msal: client credentials", "access_token" in app.acquire_token_for_client(scope))
    check("a bad token is refused", requests.get(api, headers={"Authorization": "Bearer x"}, timeout=10).status_code == 401)


for part in (salesforce, salesforce_sign_in, entra):
    try:
        part()
    except Exception as error:  # noqa: BLE001
        check(part.__name__, False, repr(error))
print(f"{PASSED} passed, {FAILED} failed")
sys.exit(1 if FAILED else 0)
