"""Serve: a page and an API on one's own machine, for `derain serve`.

One process answers clients (`app.py` behind `guard.py`) and keeps the queue (`queue.py`,
`jobs.py`). It never decodes an image: that is done in worker processes of their own (`pool.py`
starts them, `worker.py` is what runs in them), so that a decoder that crashes takes no client's
connection with it.
"""
