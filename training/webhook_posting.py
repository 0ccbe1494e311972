"""One signed HTTP request to an address that somebody typed: where it may go, and what is made of the answer.

The address is looked up once and the connection goes to what was found, so that a name cannot point elsewhere between
the check and the request. Redirects are not followed, no proxy is used, and the whole exchange has one deadline.
"""

import base64
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Timer
from urllib.parse import SplitResult, urlsplit

SECONDS = 10.0
MOST_BYTES = 1000
MOST_SHOWN = 200
LONGEST_URL = 500
# Names and numbers that lead to an IPv4 address in disguise; nobody's receiver is there.
TRANSLATED = tuple(ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))


class BadAddress(ValueError):
    """An address that nothing is sent to; the text is a sentence."""


class NotTaken(Exception):
    """The receiver did not take it, or could not be reached; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: what the URL says, and the one address that its host was found at."""

    url: SplitResult
    address: str
    port: int


def check_url(url: str, *, private: bool) -> SplitResult:
    """The URL in parts. Raises BadAddress for what nobody may register. `private` permits http and own networks."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadAddress("That is no web address.") from error
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > LONGEST_URL:
        raise BadAddress(f"A web address has at most {LONGEST_URL} printable ASCII characters, and no space.")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise BadAddress("Write the whole web address, such as https://example.org/hooks/ratify.")
    if parts.scheme == "http" and not private:
        raise BadAddress("Use https: what is sent says what is wrong here.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise BadAddress("Leave out names, passwords and what follows a #.")
    return parts


def find(url: str, *, private: bool) -> Target:
    """Look the host up. Raises BadAddress where any of its addresses lies in a network of our own."""
    parts = check_url(url, private=private)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotTaken(f"The name {parts.hostname} leads nowhere.") from error
    addresses = [str(row[4][0]).partition("%")[0] for row in found]
    if not private and not all(is_public(address) for address in addresses):
        raise BadAddress(
            f"{parts.hostname} leads to a private or local address. An administrator can allow such addresses with "
            "WEBHOOKS_TO_PRIVATE."
        )
    return Target(parts, addresses[0], port)


def is_public(address: str) -> bool:
    """Whether an address belongs to somebody on the internet, and is no other one in disguise."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if any(ip in net for net in TRANSLATED):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def headers(*, secret: bytes, message: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks: id, time, and HMAC-SHA256 over both and the body."""
    signed = b".".join([message.encode(), str(timestamp).encode(), body])
    signature = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": message, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}


def post(url: str, *, body: bytes, headers: Mapping[str, str], private: bool, seconds: float = SECONDS) -> int:
    """Send it; the status, which is 2xx. Raises BadAddress, and NotTaken for any other answer and for none."""
    target = find(url, private=private)
    path = target.url.path or "/"
    path = f"{path}?{target.url.query}" if target.url.query else path
    try:
        with _connected(target, seconds) as connection:
            connection.request("POST", path, body=body, headers={**headers, "Host": target.url.netloc})
            answer = connection.getresponse()
            status, said = answer.status, answer.read(MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        what = str(error) or type(error).__name__
        raise NotTaken(f"There was no answer within {seconds:g} seconds, or none that could be read: {what}") from error
    if not 200 <= status < 300:
        raise NotTaken(_refused(status, said))
    return status


@contextmanager
def _connected(target: Target, seconds: float) -> Iterator[http.client.HTTPConnection]:
    """A connection to the address that was checked, cut off after `seconds`, however slowly the other side talks."""
    host = str(target.url.hostname)
    connection = http.client.HTTPConnection(host, target.port, timeout=seconds)
    connection.sock = socket.create_connection((target.address, target.port), timeout=seconds)
    # A second handle on the same connection: shutting it down ends a read that waits, also one beneath TLS.
    handle = connection.sock.dup()
    over = Event()
    deadline = Timer(seconds, _shut, [handle, over])
    deadline.daemon = True
    deadline.start()
    try:
        if target.url.scheme == "https":
            connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
        yield connection
        if over.is_set():  # what was cut off reads like an answer that is short
            raise TimeoutError("it took too long")
    finally:
        deadline.cancel()
        connection.close()
        handle.close()


def _shut(handle: socket.socket, over: Event) -> None:
    over.set()
    with suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)


def _refused(status: int, said: bytes) -> str:
    if 300 <= status < 400:
        return f"It answered {status}, a redirect; these are not followed. Register the address that it leads to."
    words = " ".join("".join(c if c.isprintable() else " " for c in said.decode(errors="replace")).split())
    return f"It answered {status}{f': {words[:MOST_SHOWN]}' if words else '.'}"
