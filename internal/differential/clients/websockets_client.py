"""The client of websockets."""
import asyncio
import sys

import websockets

from shared import MESSAGES, said


async def main(base):
    async with websockets.connect(base + "/ws", subprotocols=["chat", "other"], max_size=None) as c:
        said("connected", c.subprotocol, sorted((k.lower(), v) for k, v in c.response_headers.raw_items()))
        for m in MESSAGES:
            await c.send(m)
            said("got", await c.recv())
        await c.send(iter(["in ", "frag", "ments"]))
        said("got", await c.recv())
        pong = await c.ping(b"ping of ours")
        await asyncio.wait_for(pong, 5)
        said("pong")
        await c.close(1000, "bye")
        said("closed", c.close_code, c.close_reason)
    try:
        await websockets.connect(base + "/none")
    except websockets.InvalidStatusCode as e:
        said("refused", e.status_code, sorted(k.lower() for k in e.headers))


asyncio.run(main(sys.argv[1]))
