started = []


def init():
    started.append("itself")


def run(data):
    return started
