"""Tornado."""
import asyncio
import sys

sys.path = [p for p in sys.path if not p.endswith("servers")]
import tornado.web
import tornado.websocket


class Page(tornado.web.RequestHandler):
    def get(self):
        self.write("a page\n")

    head = delete = options = get

    def post(self):
        self.write(self.request.body)

    put = patch = post


class Socket(tornado.websocket.WebSocketHandler):
    def check_origin(self, origin):
        return True

    def select_subprotocol(self, offered):
        return offered[0] if offered else None

    def get_compression_options(self):
        return {}

    def on_message(self, message):
        self.write_message(message, binary=isinstance(message, bytes))


async def main():
    app = tornado.web.Application([("/ws", Socket), ("/(?:echo)?", Page)])
    app.listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
