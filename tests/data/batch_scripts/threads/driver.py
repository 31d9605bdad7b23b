"""Reads in threads; one of them goes on for ever."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor


def init():
    threading.Thread(target=lambda: time.sleep(3600), daemon=True).start()


def read(path):
    with open(path) as file:
        return len(file.read())


def run(mini_batch):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(read, mini_batch))
