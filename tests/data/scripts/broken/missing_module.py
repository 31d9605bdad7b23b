import a_module_that_nobody_has


def init():
    a_module_that_nobody_has.load()


def run(data):
    return data
