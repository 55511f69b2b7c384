"""msal against the simulator's Entra: https with its own authority, PKCE and nonce as msal makes them."""

from support.check import SIM, Settings, check, main, raises, sent_back, verified  # isort: skip

import msal
import requests

BASE = SIM["dataverse"]
SCOPE = [BASE + "/user_impersonation"]
CLIENT = "leadbridge-dataverse"
CALLBACK = "https://app.example/cb"
TENANT = "5f1d0000-0000-4000-8000-00000000c001"
FOREIGN = "5f1d0000-0000-4000-8000-00000000c002"


def app(tenant="organizations"):
    return msal.ConfidentialClientApplication(
        CLIENT, client_credential="dataverse-app-secret", authority=f"{BASE}/{tenant}",
        instance_discovery=False, verify=SIM["ca_file"])


def started(own, user="admin@leadbridge.example"):
    return own.initiate_auth_code_flow(SCOPE, redirect_uri=CALLBACK, login_hint=user)


def signed_in(own, user="admin@leadbridge.example"):
    flow = started(own, user)
    return own.acquire_token_by_auth_code_flow(flow, sent_back(flow["auth_uri"]))


def who(result):
    headers = {"Authorization": "Bearer " + result["access_token"]}
    return requests.get(BASE + "/api/data/v9.2/WhoAmI", headers=headers, timeout=10)


def code_flow():
    own = app()
    flow = started(own)
    check("msal asks with PKCE and a nonce", flow["code_verifier"] and flow["nonce"] and "code_challenge=" in flow["auth_uri"])
    back = sent_back(flow["auth_uri"])
    result = own.acquire_token_by_auth_code_flow(flow, back)
    check("the code gives tokens", "refresh_token" in result, result.get("error_description"))
    told = verified(result["id_token"], f"{BASE}/organizations/discovery/v2.0/keys", CLIENT, f"{BASE}/{TENANT}/v2.0")
    check("the identity token is signed, and its own", told["tid"] == TENANT and told["ver"] == "2.0", told)
    check("who signed in", told["preferred_username"] == "admin@leadbridge.example" and told["name"] == "Ada Admin", told)
    account = own.get_accounts()[0]
    check("msal knows the account", account["home_account_id"] == f"{told['oid']}.{TENANT}", account)
    answer = who(result)
    check("the token works", answer.status_code == 200 and "OrganizationId" in answer.json(), answer.text)
    head, body, signature = result["id_token"].split(".")
    forged = ".".join([head, body[:-4] + ("AAAA" if body[-4:] != "AAAA" else "BBBB"), signature])
    raises("a forged one is told", Exception,
           lambda: verified(forged, f"{BASE}/organizations/discovery/v2.0/keys", CLIENT, f"{BASE}/{TENANT}/v2.0"),
           lambda error: type(error).__module__.startswith("jwt"))
    silent = own.acquire_token_silent(SCOPE, account=account, force_refresh=True)
    check("silently renewed", silent and silent["access_token"] != result["access_token"], silent)
    check("a tenant's own address", "access_token" in signed_in(app(TENANT)))


def refusals():
    own = app()
    flow = started(own)
    again = own.acquire_token_by_auth_code_flow(dict(flow), back := sent_back(flow["auth_uri"]))
    check("a code is good once", "access_token" in again, again)
    again = own.acquire_token_by_auth_code_flow(dict(flow), back)
    check("and no second time", again.get("error") == "invalid_grant" and again["error_codes"] == [54005], again)

    flow = started(own)
    flow["code_verifier"] = "w" * 43
    wrong = own.acquire_token_by_auth_code_flow(flow, sent_back(flow["auth_uri"]))
    check("a wrong verifier", wrong.get("error") == "invalid_grant" and wrong["error_codes"] == [501481], wrong)

    flow = started(own)
    back = sent_back(flow["auth_uri"])
    flow["nonce"] = "another one"
    raises("a wrong nonce is told", Exception, lambda: own.acquire_token_by_auth_code_flow(flow, back),
           lambda error: "nonce" in str(error).lower())
    flow = started(own)
    raises("a wrong state is told", ValueError,
           lambda: own.acquire_token_by_auth_code_flow(flow, {**sent_back(flow["auth_uri"]), "state": "x"}),
           lambda error: "state" in str(error))
    bad = msal.ConfidentialClientApplication(
        CLIENT, client_credential="wrong", authority=f"{BASE}/organizations", instance_discovery=False, verify=SIM["ca_file"])
    flow = started(bad)
    wrong = bad.acquire_token_by_auth_code_flow(flow, sent_back(flow["auth_uri"]))
    check("a wrong secret", wrong.get("error") == "invalid_client", wrong)

    for consent, error in [("required", "consent_required"), ("admin_required", "access_denied")]:
        with Settings("dataverse", consent=consent):
            denied = signed_in(own)
        check(f"consent {consent}", denied.get("error") == error, denied)
    with Settings("dataverse", deny_consent=True):
        denied = signed_in(own)
    check("consent refused", denied.get("error") == "access_denied", denied)


def refreshes():
    own = app()
    first = signed_in(own)
    second = own.acquire_token_by_refresh_token(first["refresh_token"], SCOPE)
    check("a refresh gives another token", second.get("refresh_token") not in (None, first["refresh_token"]), second)
    check("old ones stay good", "access_token" in own.acquire_token_by_refresh_token(first["refresh_token"], SCOPE))
    with Settings("dataverse", refresh_rotation=True):
        third = own.acquire_token_by_refresh_token(second["refresh_token"], SCOPE)
        reused = own.acquire_token_by_refresh_token(second["refresh_token"], SCOPE)
        check("rotated: the old one is refused", reused.get("error") == "invalid_grant", reused)
        ended = own.acquire_token_by_refresh_token(third["refresh_token"], SCOPE)
        check("and its use ends the chain", ended.get("error") == "invalid_grant", ended)
        check("with its sessions", who(third).status_code == 401)
    check("another sign-in is another chain", "access_token" in signed_in(own))


def others():
    own = app()
    stranger = signed_in(own, "visitor@elsewhere.example")
    check("somebody of another tenant signs in", stranger["id_token_claims"]["tid"] == FOREIGN, stranger)
    answer = who(stranger)
    check("and is nobody in the organisation", answer.status_code == 403 and answer.json()["error"]["code"] == "0x80072560", answer.text)
    seller = signed_in(own, "seller@leadbridge.example")
    admin = signed_in(own)
    check("each has a subject", seller["id_token_claims"]["sub"] != admin["id_token_claims"]["sub"])
    check("and is another user", who(seller).json()["UserId"] != who(admin).json()["UserId"])
    raises("an unknown user stays on the page", KeyError, lambda: signed_in(own, "nobody@leadbridge.example"))
    application = app().acquire_token_for_client([BASE + "/.default"])
    check("client credentials", "access_token" in application and "refresh_token" not in application, application)
    check("an application user", who(application).status_code == 200)
    with Settings("dataverse", application_user=False):
        application = app().acquire_token_for_client([BASE + "/.default"])
        check("an application that is no user", who(application).status_code == 403)


main(code_flow, refusals, refreshes, others)
