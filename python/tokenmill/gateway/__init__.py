"""A worker: the ASGI app that dispatches (`app.py`), and the process that serves it (`worker.py`).

No database and no Litestar is imported here.
"""
