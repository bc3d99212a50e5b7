"""The client of Tornado."""
import asyncio
import sys

from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.websocket import websocket_connect

from shared import MESSAGES, said


async def main(base):
    c = await websocket_connect(base + "/ws", subprotocols=["chat"], compression_options={}, max_message_size=1 << 24)
    said("connected", c.selected_subprotocol)
    for m in MESSAGES:
        await c.write_message(m, binary=isinstance(m, bytes))
        said("got", await c.read_message())
    c.ping(b"ping")
    c.close(1000, "bye")
    said("got", await c.read_message(), c.close_code, c.close_reason)
    try:
        await websocket_connect(base + "/none")
    except HTTPClientError as e:
        said("refused", e.code)
    r = await AsyncHTTPClient().fetch(base.replace("ws://", "http://") + "/echo", method="POST", body="x" * 100000, expect_100_continue=True)
    said(r.code, r.reason, [x for x in r.headers.get_all() if x[0] != "Date"], r.body)


asyncio.run(main(sys.argv[1]))
