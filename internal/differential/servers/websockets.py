"""websockets."""
import asyncio
import sys

sys.path = [p for p in sys.path if not p.endswith("servers")]
import logging

import websockets

logging.disable(logging.CRITICAL)


async def echo(socket, *_):
    async for message in socket:
        await socket.send(message)


async def main():
    async with websockets.serve(echo, "127.0.0.1", int(sys.argv[1]), subprotocols=["chat"], ping_interval=None):
        await asyncio.Event().wait()


asyncio.run(main())
