"""aiohttp."""
import sys

sys.path = [p for p in sys.path if not p.endswith("servers")]
from aiohttp import WSMsgType, web


async def page(request):
    if request.path.startswith("/echo"):
        return web.Response(body=await request.read())
    return web.Response(text="a page\n")


async def socket(request):
    ws = web.WebSocketResponse(protocols=["chat"])
    await ws.prepare(request)
    async for message in ws:
        if message.type == WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await ws.send_bytes(message.data)
    return ws


app = web.Application()
app.router.add_get("/ws", socket)
app.router.add_route("*", "/{rest:.*}", page)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
