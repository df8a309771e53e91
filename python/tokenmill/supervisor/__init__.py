"""The process that `tokenmill up` is: holds the sockets, starts, watches, drains and replaces."""
