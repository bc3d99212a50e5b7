"""The client of aiohttp, for WebSockets and HTTP."""
import asyncio
import sys

import aiohttp

from shared import MESSAGES, said


async def main(base):
    async with aiohttp.ClientSession(base.replace("ws://", "http://")) as s:
        async with s.ws_connect("/ws", protocols=("chat",), compress=15, max_msg_size=0) as c:
            said("connected", c.protocol, c.compress)
            for m in MESSAGES:
                await (c.send_bytes(m) if isinstance(m, bytes) else c.send_str(m))
                got = await c.receive()
                said("got", str(got.type), got.data)
            await c.close(code=1000, message=b"bye")
            said("closed", c.close_code)
        for method, path, body in [("GET", "/", None), ("GET", "/none", None), ("POST", "/echo", b"x" * 100000), ("PUT", "/echo", b""), ("HEAD", "/", None), ("GET", "/stream", None)]:
            async with s.request(method, path, data=body) as r:
                said(method, path, r.status, r.reason, [(k.decode(), v.decode()) for k, v in r.raw_headers if k.lower() != b"date"], await r.read())


asyncio.run(main(sys.argv[1]))
