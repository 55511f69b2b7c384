"""Rows of a Salesforce object as simple-salesforce reads them, as canonical JSON lines.

    rows_salesforce.py --base URL --token TOKEN --object Contact --fields Id,Name --out FILE
                       [--ca FILE] [--how bulk|rest] [--all] [--page ROWS] [--where CONDITION]
    rows_salesforce.py sim.json     # checks itself against the simulator

One row a line, in the order of the ids: keys sorted, no blanks, empty values null, numbers without a needless
fraction, times as YYYY-MM-DDTHH:MM:SSZ. Bulk and REST give the same lines, and so does the control API.
"""

import argparse
import csv
import io
import json
import os
import re
import sys

NUMBERS = {"int", "double", "currency", "percent"}


def canonical(kind, value):
    """A value of CSV or JSON, as its field's type has it."""
    if kind == "boolean":
        return value in (True, "true")
    if value is None or value == "":
        return None
    if kind in NUMBERS:
        number = float(value)
        return int(number) if number.is_integer() else number
    if kind == "datetime":
        time = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.000(Z|\+0000)", value)
        if not time:
            raise ValueError(f"not a time of Salesforce: {value}")
        return time[1] + "Z"
    return value


def write(path, rows):
    rows = sorted(rows, key=lambda row: row["Id"])
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n")


def connect(base, token):
    from simple_salesforce import Salesforce

    return Salesforce(instance_url=base, session_id=token, version="67.0")


def kinds(sf, name, fields):
    described = {field["name"]: field["type"] for field in getattr(sf, name).describe()["fields"]}
    return {field: described[field] for field in fields}


def by_bulk(sf, name, fields, everything=False, page=50_000, where=""):
    """Rows of a query job, and how many pages they came in."""
    types = kinds(sf, name, fields)
    job = getattr(sf.bulk2, name)
    read = job.query_all if everything else job.query
    rows, pages = [], 0
    for text in read(f"SELECT {', '.join(fields)} FROM {name}{where}", max_records=page, wait=1):
        found = list(csv.reader(io.StringIO(text, newline="")))
        if found[0] != fields:
            raise ValueError(f"the header is {found[0]}")
        rows += [{field: canonical(types[field], cell) for field, cell in zip(fields, line, strict=True)} for line in found[1:]]
        pages += 1
    return rows, pages


def by_rest(sf, name, fields, everything=False, where=""):
    """Rows of a query, page by page."""
    types = kinds(sf, name, fields)
    query = f"SELECT {', '.join(fields)} FROM {name}{where}"
    page = sf.query(query, include_deleted=everything)
    rows, pages = [], 0
    while True:
        rows += [{field: canonical(types[field], row[field]) for field in fields} for row in page["records"]]
        pages += 1
        if page["done"]:
            return rows, pages
        page = sf.query_more(page["nextRecordsUrl"], identifier_is_url=True)


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("base", "token", "object", "fields", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--ca")
    parser.add_argument("--how", choices=("bulk", "rest"), default="bulk")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--page", type=int, default=50_000)
    parser.add_argument("--where", default="")
    return parser.parse_args()


def from_arguments():
    wish = arguments()
    if wish.ca:
        os.environ["REQUESTS_CA_BUNDLE"] = wish.ca
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    sf = connect(wish.base, wish.token)
    where = f" WHERE {wish.where}" if wish.where else ""
    fields = wish.fields.split(",")
    if wish.how == "bulk":
        rows, _ = by_bulk(sf, wish.object, fields, wish.all, wish.page, where)
    else:
        rows, _ = by_rest(sf, wish.object, fields, wish.all, where)
    write(wish.out, rows)


def check_itself():
    import tempfile

    from support.check import SIM, Settings, check, control, main, raises

    fields = ["Id", "AccountId", "LastName", "Name", "Email", "MailingStreet", "Description", "DoNotCall", "IsDeleted", "SystemModstamp"]
    money = ["Id", "Name", "Amount", "ExpectedRevenue", "Probability", "IsWon", "CloseDate", "CreatedDate"]
    token = control("POST", "/tokens", {"provider": "salesforce", "org": "sandbox"})
    sf = connect(token["instance_url"], token["access_token"])
    known = control("GET", "/records/salesforce-sandbox/Contact?include_deleted=true")

    def held(name, wanted, everything=False):
        types = kinds(sf, name, wanted)
        rows = control("GET", f"/records/salesforce-sandbox/{name}?include_deleted=true")
        return [{field: canonical(types[field], row.get(field)) for field in wanted}
                for row in rows if everything or not row.get("IsDeleted")]

    def same(left, right):
        def key(row):
            return row["Id"]
        return sorted(left, key=key) == sorted(right, key=key)

    def rows():
        for name, count in (("Account", 40), ("Contact", 4500), ("Opportunity", 300)):
            control("POST", "/generate", {"system": "salesforce-sandbox", "object": name, "count": count, "seed": 5})
        contacts = control("GET", "/records/salesforce-sandbox/Contact")
        for row in contacts[-3:]:
            control("DELETE", f"/records/salesforce-sandbox/Contact/{row['Id']}")
        loser, winner = contacts[-4]["Id"], contacts[-5]["Id"]
        control("POST", f"/records/salesforce-sandbox/Contact/{loser}/merge", {"into": winner})
        found, pages = by_bulk(sf, "Contact", fields, page=1000)
        check("a query job comes in pages", pages == -(-len(found) // 1000) and pages > 4, pages)
        check("and is what the organisation holds", same(found, held("Contact", fields)), len(found))
        found, pages = by_bulk(sf, "Contact", [*fields, "MasterRecordId"], everything=True, page=2000)
        check("queryAll has the deleted rows", same(found, held("Contact", [*fields, "MasterRecordId"], True)), len(found))
        check("four of them", sum(row["IsDeleted"] for row in found) - sum(bool(row.get("IsDeleted")) for row in known) == 4)
        check("a merged one names the winner", any(row["Id"] == loser and row["MasterRecordId"] == winner for row in found))
        found, pages = by_rest(sf, "Contact", fields, everything=True)
        check("REST pages the same", pages > 2 and same(found, held("Contact", fields, True)), pages)
        found, _ = by_bulk(sf, "Opportunity", money)
        check("numbers and dates", same(found, held("Opportunity", money)), found[:1])
        found, _ = by_bulk(sf, "Contact", ["Id"], where=" WHERE LastName = 'nobody at all'")
        check("nothing is a page, too", found == [], found)
        with Settings("salesforce-sandbox", bulk_page_rows=700):
            found, pages = by_bulk(sf, "Contact", ["Id"])
        check("the server's own pages", pages == -(-len(found) // 700), pages)
        with Settings("salesforce-sandbox", bulk_fail_jobs=1):
            raises("a failed job", Exception, lambda: by_bulk(sf, "Contact", ["Id"]))
        raises("what a job cannot do", Exception, lambda: list(sf.bulk2.Contact.query("SELECT COUNT() FROM Contact")))

    def files():
        with tempfile.TemporaryDirectory() as folder:
            texts = []
            for how in ("bulk", "rest"):
                out = os.path.join(folder, how)
                sys.argv = [sys.argv[0], "--base", token["instance_url"], "--token", token["access_token"], "--ca", SIM["ca_file"],
                            "--object", "Opportunity", "--fields", ",".join(money), "--how", how, "--all", "--out", out]
                from_arguments()
                with open(out, encoding="utf-8") as file:
                    texts.append(file.read())
        check("both ways give the same lines", texts[0] == texts[1] and texts[0].count("\n") >= 300, texts[0][:200])

    main(rows, files)


if any(argument.startswith("--") for argument in sys.argv[1:]):
    from_arguments()
else:
    check_itself()
