"""URLs as people write them: what may be shown of one, and which place Azure ML's datastore paths mean. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus, unquote, urlsplit

from penstock.errors import DataError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_SIGNED = re.compile(r"(?i)^(x-amz-|x-goog-|x-ms-)")
# A shared access signature's own parameters; they mean nothing else when `sig` is among them.
_SAS = frozenset((
    "sv", "ss", "srt", "sp", "se", "st", "spr", "sip", "sig", "sr", "skoid", "sktid", "skt", "ske", "sks", "skv",
    "sdd", "saoid", "suoid", "scid", "rscc", "rscd", "rsce", "rscl", "rsct",
))  # fmt: skip
_CLOUDFRONT = frozenset(("policy", "signature", "key-pair-id", "expires", "awsaccesskeyid"))
_SECRET = re.compile(r"(?i)(key|token|secret|passw|pwd|auth|sig|credential|code|session|jwt)")
_LONG = 24
"""A value this long is taken for a secret whatever its name."""

DATASTORE = "datastore."
"""Storage options that begin with this say where a datastore lies: ``datastore.NAME``."""

_DATASTORE_PATH = re.compile(
    r"azureml://(?:subscriptions/[^/]+/resource[gG]roups/[^/]+/"
    r"(?:providers/[^/]+/)?workspaces/[^/]+/)?datastores/(?P<name>[^/]+)(?:/paths(?:/(?P<path>.*))?)?\Z",
    re.DOTALL,
)


def scheme_of(location: str) -> str:
    """The scheme of a URL, in lower case; empty for a local path."""
    found = _SCHEME.match(location)
    return found.group(1).lower() if found else ""


def shown(url: str) -> str:
    """`url` as people, files and logs may see it: no user, no password, no signature; of the query what neither
    is called nor looks like a secret, so that two URLs that differ by it still differ."""
    head, _, tail = url.partition("://")
    rest, _, query = tail.partition("?")
    query = query.partition("#")[0]
    host, slash, path = rest.partition("/")
    clean = f"{head}://{host.rpartition('@')[2]}{slash}{path}"
    if not query:
        return clean
    pairs = [pair for pair in query.split("&") if pair]
    names = {pair.partition("=")[0].lower() for pair in pairs}
    kept = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        lower = name.lower()
        if (
            _SIGNED.match(name)
            or ("sig" in names and lower in _SAS)
            or ("signature" in names and lower in _CLOUDFRONT)
        ):
            continue
        hide = equals and (_SECRET.search(name) or len(value) >= _LONG)
        kept.append(f"{name}=***" if hide else pair)
    return clean + (f"?{'&'.join(kept)}" if kept else "")


def redacted(text: str, secrets: Iterable[str]) -> str:
    """`text`, most likely an error of somebody's library, without any of `secrets` (as they are, or escaped as
    in a URL) and without signatures of URLs."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}:
            text = text.replace(form, "***")
    text = re.sub(
        r"(?i)\b(sig|signature|x-amz-[a-z-]+|x-goog-[a-z-]+|accountkey|sharedaccesssignature|password)=[^\s&;,:)'\"]+",
        r"\1=***",
        text,
    )
    return re.sub(r"(\w://)[^\s/@]+@", r"\1***@", text)


def secrets_of(url: str, storage: Mapping[str, str]) -> list[str]:
    """What must not be seen of `url` and of the options in `storage`."""
    found = [value for name, value in storage.items() if _SECRET.search(name) or "connection_string" in name]
    for value in list(found):
        found += [
            part.partition("=")[2]
            for part in value.split(";")
            if part.lower().startswith(("accountkey=", "sharedaccesssignature="))
        ]
    host = url.partition("://")[2].partition("/")[0]
    if "@" in host:
        password = host.rpartition("@")[0].partition(":")[2]
        found += [password, unquote(password)]
    for pair in urlsplit(url).query.split("&"):
        name, _, value = pair.partition("=")
        if _SECRET.search(name):
            found += [value, unquote(value)]
    return [value for value in found if len(value) > 3]


def mapped(location: str, storage: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Where the Azure ML path `location` lies: the place of its datastore, as `storage` or `environment` says it,
    with the path below. Raises DataError where nobody says it."""
    found = _DATASTORE_PATH.match(location)
    if not found:
        raise DataError(
            f"{location} is no path of a datastore",
            hint="azureml://datastores/NAME/paths/FOLDER can be read; for a data asset give the path that it has",
        )
    name = found["name"]
    variable = f"PENSTOCK_DATASTORE_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
    place = storage.get(f"{DATASTORE}{name}") or environment.get(variable)
    if not place:
        raise DataError(
            f"nobody says where the datastore {name} lies, which {location} names",
            hint=f"set the variable {variable}, or the storage option {DATASTORE}{name}, to its place: "
            "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net, or a folder (az ml datastore show tells which)",
        )
    below = (found["path"] or "").lstrip("/")
    return f"{place.rstrip('/')}/{below}" if below else place
