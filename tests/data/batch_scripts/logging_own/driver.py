"""Configures logging for itself."""

import logging

logging.basicConfig(level=logging.DEBUG, format="MINE %(levelname)s %(message)s")


def init():
    logging.debug("deep")


def run(mini_batch):
    logging.info("Executing run method over batch of %d files.", len(mini_batch))
    return mini_batch
