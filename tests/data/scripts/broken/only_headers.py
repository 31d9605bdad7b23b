def init():
    pass


def run(request_headers):
    return None
