"""Engines that Kubernetes knows: EndpointSlices by label, listed and watched.

The protocol of lists and watches (versions that expire, bookmarks, tokens that change on the disk)
is what matters here and is ours to get right with any client; below it are http.client and ssl.
"""
