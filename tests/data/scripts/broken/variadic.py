def init():
    pass


def run(*args, **kwargs):
    return None
