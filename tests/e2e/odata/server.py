"""An independent OData v4 server with Dataverse's contacts, for the importer to read.

    python server.py ROWS FIELD...

Serves ROWS contacts at /api/data/v9.2/contacts of a port that it prints, in pages of at most 500, with
change tracking. Rows are changed and deleted by OData's own PATCH and DELETE. It ends with its input.
"""

import datetime
import socketserver
import sys
import threading
import uuid
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from odatapy.data import Entity, ValueType
from odatapy.edm.csdl import (
    CsdlAbstractEdmProvider,
    CsdlEntityContainer,
    CsdlEntitySet,
    CsdlEntityType,
    CsdlProperty,
    CsdlPropertyRef,
    CsdlSchema,
)
from odatapy.server import OData
from odatapy.server.adapters import ODataWSGIApp
from odatapy.server.inmemory import InMemoryDataStore, InMemoryProcessor

PAGE_ROWS = 500
KEY = "contactid"
FIRST_CHANGE = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def type_of(field):
    if field == KEY or field.endswith("_value"):
        return "Edm.Guid"
    if field.endswith("edon"):
        return "Edm.DateTimeOffset"
    return "Edm.Int32" if field.endswith("code") and field != "address1_postalcode" else "Edm.String"


class Provider(CsdlAbstractEdmProvider):
    def __init__(self, fields):
        super().__init__()
        self.fields = fields

    def get_schemas(self):
        contact = CsdlEntityType(
            name="contact",
            key=[CsdlPropertyRef(name=KEY)],
            properties=[
                CsdlProperty(name=field, type=type_of(field), nullable=field != KEY)
                for field in self.fields
            ],
        )
        sets = [CsdlEntitySet(name="contacts", type="Microsoft.Dynamics.CRM.contact")]
        container = CsdlEntityContainer(name="Container", entity_sets=sets)
        return [
            CsdlSchema(
                namespace="Microsoft.Dynamics.CRM",
                entity_types=[contact],
                entity_container=container,
            )
        ]


def value(field, kind, number):
    if field == KEY:
        return uuid.UUID(int=number + 1)
    if kind == "Edm.DateTimeOffset":
        return FIRST_CHANGE + datetime.timedelta(seconds=number, milliseconds=250)
    if number % 7 == len(field) % 7:
        return None
    if kind == "Edm.Guid":
        return uuid.UUID(int=0xAB << 64 | number)
    if kind == "Edm.Int32":
        return number
    return f'{field} {number} "Ångström"\n株'


class Threads(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def main():
    rows, fields = int(sys.argv[1]), sys.argv[2:]
    contacts = []
    for number in range(rows):
        entity = Entity()
        for field in fields:
            kind = type_of(field)
            entity.set_property(field, value(field, kind, number), ValueType.PRIMITIVE, kind)
        contacts.append(entity)
    store = InMemoryDataStore()
    store.set_entities("contacts", contacts)
    odata = OData.new_instance()
    handler = odata.create_handler(odata.create_service_metadata(Provider(fields)))
    handler.register(InMemoryProcessor(store, page_size=PAGE_ROWS))
    app = ODataWSGIApp(handler, mount_path="/api/data/v9.2")
    server = make_server("127.0.0.1", 0, app, server_class=Threads, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


main()
