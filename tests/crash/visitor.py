"""A signed-in person without a browser: requests, cookies, and the hidden fields of forms."""

import http.client
import re
import urllib.parse
from http.cookies import SimpleCookie

from tests.system import System, sign_in_link

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
DIGEST = re.compile(r'name="digest" value="([^"]+)"')
UNREACHABLE = (ConnectionError, http.client.HTTPException, TimeoutError)


class Visitor:
    def __init__(self, system: System) -> None:
        self.system = system
        self.cookies: dict[str, str] = {}
        link = sign_in_link(system)
        assert self._request("GET", link.removeprefix(system.site))[0] == 302

    def status(self, path: str) -> int:
        return self._request("GET", path)[0]

    def accept(self, proposal: int) -> int:
        """Open the proposal and press Accept; the status of the answer, or 0 where none came."""
        try:
            _, page = self._request("GET", f"/proposals/{proposal}/")
            found = DIGEST.search(page)
            fields = {"digest": found[1] if found else "", "csrfmiddlewaretoken": TOKEN.findall(page)[0]}
            return self._request("POST", f"/proposals/{proposal}/accept/", fields)[0]
        except UNREACHABLE:
            return 0

    def _request(self, method: str, path: str, fields: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("localhost", self.system.port, timeout=30)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if fields is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, urllib.parse.urlencode(fields or {}), headers)
            answer = connection.getresponse()
            for line in answer.headers.get_all("Set-Cookie") or []:
                self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
            return answer.status, answer.read().decode()
        finally:
            connection.close()
