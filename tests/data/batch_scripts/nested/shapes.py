def area_of(name):
    return len(name)
