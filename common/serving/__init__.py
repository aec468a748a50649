"""A local server that answers as ``twinlora predict`` does: what is read and refused, how requests become batches, and
what is counted. See docs/serving.md.

    accept      the body of a request as rows of a task, or an error that says what to correct
    model       an opened artifact and its engine
    steady      an engine whose rows do not depend on the batch that they are in
    ending      an engine that stops when the server has ended
    batching    the queue of one artifact
    counts      what has been answered, and how fast
    app         paths and statuses
    server      the socket, signals, and the end
"""
