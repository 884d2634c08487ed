"""Which site a request is for and from: the names this server answers to, and nobody else's page.

A page of another site cannot read this server's answers, but it can send requests here, and with
DNS rebinding (a name of its own that suddenly means 127.0.0.1) it could read them too. The Host
header tells the second, Origin and Sec-Fetch-Site tell the first:
https://www.w3.org/TR/fetch-metadata/.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import Scope

from searchengine.web.problems import Problem, shown
from searchengine.web.settings import Settings

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_OURS = {"same-origin", "none"}  # "none" is the person: an address typed, a bookmark


class Hosts:
    """The `name:port` pairs that this server goes by."""

    def __init__(self, settings: Settings):
        """Take the loopback names, the address that is listened on, and those the person adds."""
        self._port = settings.port
        wanted = _literal(settings.host)
        self._anywhere = wanted is not None and wanted.is_unspecified
        self._names = {*_LOOPBACK}
        if not self._anywhere:
            self._names.add(_bracketed(settings.host))
        self._extra = {_bracketed(name) for name in settings.hosts}

    def check(self, scope: Scope) -> None:
        """Let requests through that are for this server, and from its own page or from no page.

        Raises:
            Problem: 400 without one Host, 403 for another's name or from another site.
        """
        hosts = header(scope, b"host")
        if len(hosts) != 1:
            raise Problem(400, f"a request needs one Host header; this one has {len(hosts)}")
        if not self._known(hosts[0], scope["scheme"], scope):
            raise Problem(
                403,
                f"{shown(hosts[0])} is not a name of this server; if it should be one, "
                "start the server with --allow-host NAME",
            )
        self._check_origin(scope)
        _check_site(scope)

    def _known(self, host: str, scheme: str, scope: Scope) -> bool:
        """Whether `host` (as in a Host header) is this server."""
        name, port = _split(host)
        served = str(self._port or (scope.get("server") or ("", 0))[1])
        if host in self._extra or (name in self._extra and port in ("", served)):
            return True
        names = self._names | ({_reached(scope)} if self._anywhere else set())
        return name in names and (port or _DEFAULT_PORTS.get(scheme)) == served

    def _check_origin(self, scope: Scope) -> None:
        """Refuse what a page of another origin sends; https is as good as the server's scheme."""
        origins = header(scope, b"origin")
        for origin in origins:
            scheme, mark, host = origin.partition("://")
            ours = (
                mark and scheme in ("https", scope["scheme"]) and self._known(host, scheme, scope)
            )
            # A link from elsewhere may lead here after a form: a navigation that sends "null".
            if not ours and not _opens_page(scope):
                raise Problem(403, f"a page of {shown(origin)} may not send this request")
        if len(origins) > 1:
            raise Problem(400, "a request has one Origin header at most")


def header(scope: Scope, name: bytes) -> list[str]:
    """Every value of the header `name` (lower case) of a request."""
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key == name]


def _check_site(scope: Scope) -> None:
    """Refuse what other sites embed or fetch; they may link to the page."""
    sites = header(scope, b"sec-fetch-site")
    if all(site in _OURS for site in sites) or _opens_page(scope):
        return
    raise Problem(403, "other sites may not use this server")


def _opens_page(scope: Scope) -> bool:
    """Whether a person follows a link to the page itself, in a tab of its own."""
    return (
        scope["path"] == "/"
        and scope["method"] in ("GET", "HEAD")
        and header(scope, b"sec-fetch-mode") == ["navigate"]
        and header(scope, b"sec-fetch-dest") == ["document"]
    )


def _split(host: str) -> Sequence[str]:
    """The name, in lower case and an IPv6 address in its brackets, and the port or ""."""
    name, mark, port = host.rpartition(":")
    if not mark or "]" in port:
        return host.lower(), ""
    return name.lower(), port


def _bracketed(name: str) -> str:
    """`name` as it stands in a Host header."""
    literal = _literal(name)
    return f"[{literal}]" if isinstance(literal, IPv6Address) else name.strip().lower()


def _reached(scope: Scope) -> str:
    """The address of this machine that the connection came in on; no name, so nobody rebinds it."""
    literal = _literal(str((scope.get("server") or ("",))[0]))
    return _bracketed(str(literal)) if literal else ""


def _literal(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address that `text` is, or None for a name."""
    try:
        return ip_address(text.strip("[]"))
    except ValueError:
        return None
