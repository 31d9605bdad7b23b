"""Values that may repeat under one name: HTTP headers (any case) and query or form fields.

What a scoring script's raw request and response hold where Flask is not installed; the everyday methods have
the names and meaning that such scripts expect. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Generic, Iterable, Iterator, Mapping, TypeVar

Value = TypeVar("Value")
Default = TypeVar("Default")


class MultiDict(Generic[Value]):
    """Ordered pairs of names and values; indexing gives the first value of a name."""

    def __init__(self, pairs: Iterable[tuple[str, Value]] = ()) -> None:
        self._pairs: list[tuple[str, Value]] = list(pairs)

    @staticmethod
    def _key(name: str) -> str:
        return name

    def __getitem__(self, name: str) -> Value:
        wanted = self._key(name)
        for key, value in self._pairs:
            if self._key(key) == wanted:
                return value
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(self._key(key) == self._key(name) for key, _ in self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"

    def _firsts(self) -> dict[str, tuple[str, Value]]:
        found: dict[str, tuple[str, Value]] = {}
        for name, value in self._pairs:
            found.setdefault(self._key(name), (name, value))
        return found

    def keys(self) -> list[str]:
        """Each name once, in order."""
        return [name for name, _ in self._firsts().values()]

    def values(self) -> list[Value]:
        """The first value of each name."""
        return [value for _, value in self._firsts().values()]

    def items(self, multi: bool = False) -> list[tuple[str, Value]]:
        """Each name with its first value, or every pair when `multi`."""
        return list(self._pairs) if multi else list(self._firsts().values())

    def get(self, name: str, default: Any = None, type: Any = None) -> Any:  # noqa: A002 - scripts say so
        """The first value, passed through `type`; `default` when it is absent or `type` refuses it."""
        try:
            value = self[name]
            return value if type is None else type(value)
        except (KeyError, ValueError, TypeError):
            return default

    def getlist(self, name: str, type: Any = None) -> list[Any]:  # noqa: A002 - scripts say so
        """Every value of `name`, in order."""
        wanted = self._key(name)
        found = [value for key, value in self._pairs if self._key(key) == wanted]
        return found if type is None else [type(value) for value in found]

    def lists(self) -> list[tuple[str, list[Value]]]:
        """Each name with all its values."""
        found: dict[str, tuple[str, list[Value]]] = {}
        for name, value in self._pairs:
            found.setdefault(self._key(name), (name, []))[1].append(value)
        return list(found.values())

    def to_dict(self, flat: bool = True) -> dict[str, Any]:
        """A plain dict: first values, or lists of all when not `flat`."""
        return dict(self.items()) if flat else dict(self.lists())


class Headers(MultiDict[str]):
    """HTTP headers: names in any case, values text; may be changed."""

    def __init__(self, pairs: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        listed = pairs.items() if isinstance(pairs, Mapping) else pairs or ()
        super().__init__((name, _clean(value)) for name, value in listed)

    @staticmethod
    def _key(name: str) -> str:
        return name.lower()

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._pairs))

    def __len__(self) -> int:
        return len(self._pairs)

    def keys(self) -> list[str]:
        """Names as sent, repeats included, as Flask's headers give them."""
        return [name for name, _ in self._pairs]

    def values(self) -> list[str]:
        """Values in the order of `keys`."""
        return [value for _, value in self._pairs]

    def items(self, multi: bool = True) -> list[tuple[str, str]]:
        """Every pair in order; `multi` is accepted for likeness."""
        return list(self._pairs)

    def add(self, name: str, value: Any, **parameters: Any) -> None:
        """One more header; `parameters` follow the value (``filename="x"``)."""
        text = _clean(value)
        for key, parameter in parameters.items():
            text += '; {}="{}"'.format(key.replace("_", "-"), parameter)
        self._pairs.append((name, text))

    add_header = add

    def set(self, name: str, value: Any) -> None:
        """Replace every header of this name, keeping the first one's place."""
        text = _clean(value)
        wanted = name.lower()
        places = [place for place, (key, _) in enumerate(self._pairs) if key.lower() == wanted]
        if not places:
            self._pairs.append((name, text))
            return
        self._pairs[places[0]] = (name, text)
        for place in reversed(places[1:]):
            del self._pairs[place]

    __setitem__ = set  # noqa: A003 - the method above

    def remove(self, name: str) -> None:
        """Remove every header of this name; none is no error."""
        self._pairs = [(key, value) for key, value in self._pairs if key.lower() != name.lower()]

    __delitem__ = remove

    def pop(self, name: str, default: str | None = None) -> str | None:
        """Remove and return the first value of `name`, or `default`."""
        value: str | None = self.get(name, default)
        self.remove(name)
        return value

    def setdefault(self, name: str, value: Any) -> str:
        """The first value of `name`, which becomes `value` if there is none."""
        if name not in self:
            self.add(name, value)
        return self[name]

    def extend(self, pairs: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add each of `pairs`."""
        for name, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
            self.add(name, value)

    def update(self, pairs: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Set each of `pairs`."""
        for name, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
            self.set(name, value)


def _clean(value: Any) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    if "\r" in text or "\n" in text:
        raise ValueError("a header value may not hold a line break")
    return text
