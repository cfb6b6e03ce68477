"""A name server of one name, as the one that a container engine gives its containers: its addresses come and go."""

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

HEADER = 12
"""Bytes before the question."""
ADDRESS_RECORD = 1
RESPONSE = 0x8400
COMPRESSED_NAME = 0xC00C
"""A pointer to the name in the question."""
SECONDS_TO_LIVE = 600


class Name:
    """What the name stands for now; change `addresses` at any time."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.port = 0

    def answer(self, request: bytes) -> bytes:
        """The answer to a question for any name: all addresses, in no promised order."""
        end = request.index(b"\0", HEADER) + 5
        (kind,) = struct.unpack("!H", request[end - 4 : end - 2])
        found = [IPv4Address(address).packed for address in self.addresses] if kind == ADDRESS_RECORD else []
        records = [
            struct.pack("!HHHIH", COMPRESSED_NAME, ADDRESS_RECORD, 1, SECONDS_TO_LIVE, 4) + packed for packed in found
        ]
        header = request[:2] + struct.pack("!HHHHH", RESPONSE, 1, len(records), 0, 0)
        return header + request[HEADER:end] + b"".join(records)


@contextmanager
def a_name(*addresses: str) -> Iterator[Name]:
    """Serve the name over UDP on a free port."""
    name = Name(list(addresses))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            question, link = self.request
            link.sendto(name.answer(question), self.client_address)

    with socketserver.UDPServer(("127.0.0.1", 0), Handler) as server:
        name.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield name
        finally:
            server.shutdown()
            thread.join()
