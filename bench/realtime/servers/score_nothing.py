"""A scoring script that does nothing: what it costs to serve is the server's."""


def init() -> None:
    pass


def run(raw_data: str) -> list[float]:
    return [0.0]
