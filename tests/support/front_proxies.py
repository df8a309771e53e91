"""nginx and HAProxy in front of a gateway, as their manuals set them up; kept connections behind.

Tests with them skip, with the reason, where they are not installed.
"""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    upstream gateway {{ server 127.0.0.1:{upstream}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://gateway;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    http-reuse always
listen gateway
    bind 127.0.0.1:{port}
    server one 127.0.0.1:{upstream}
"""

PROXIES = {"nginx": NGINX, "haproxy": HAPROXY}


@contextlib.asynccontextmanager
async def front_proxy(kind: str, folder: Path, upstream: int) -> AsyncIterator[int]:
    """The port of a proxy of this kind in front of the port `upstream`."""
    program = shutil.which(kind, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(f"{kind} is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    config = folder / f"{kind}.conf"
    config.write_text(PROXIES[kind].format(folder=folder, upstream=upstream, port=port))
    options = {"nginx": ["-p", str(folder), "-c"], "haproxy": ["-db", "-q", "-f"]}[kind]
    process = await asyncio.create_subprocess_exec(program, *options, str(config))
    try:
        await _listens(port, process)
        yield port
    finally:
        process.kill()
        await process.wait()


async def _listens(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(20):
        while process.returncode is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
    raise AssertionError(f"the proxy ended with status {process.returncode}")
