"""Takes the context by name alone."""


def run(mini_batch, *, mini_batch_context, scale=2):
    return [len(name) * scale + int(mini_batch_context.minibatch_index) for name in mini_batch]
