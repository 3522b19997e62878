"""A name server of the world outside, which knows the names that it is given and no other."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@contextmanager
def name_server(records: Mapping[str, str]) -> Iterator[str]:
    """`records` are a type and its data ("A 192.0.2.1") by name; yields ADDRESS@PORT, as unbound has it."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            packet, listening = self.request
            query = dns.message.from_wire(packet)
            answer = dns.message.make_response(query, recursion_available=True)
            question = query.question[0]
            kind, _, data = records.get(question.name.to_text().lower(), "").partition(" ")
            if not kind:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif kind == dns.rdatatype.to_text(question.rdtype):
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, data))
            listening.sendto(answer.to_wire(), self.client_address)

    with socketserver.UDPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1@{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
