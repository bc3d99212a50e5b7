"""websocket-client."""
import sys

import websocket
from websocket import ABNF

from shared import MESSAGES, said

base = sys.argv[1]
c = websocket.create_connection(base + "/ws", subprotocols=["chat"], header=["X-odd_Name: 1"], cookie="a=1; b=2", timeout=10)
said("connected", c.getsubprotocol(), sorted((k, v) for k, v in c.getheaders().items()))
for m in MESSAGES:
    c.send(m, ABNF.OPCODE_BINARY if isinstance(m, bytes) else ABNF.OPCODE_TEXT)
    said("got", *c.recv_data())
c.send_frame(ABNF.create_frame("frag", ABNF.OPCODE_TEXT, fin=0))
c.ping("in between")
c.pong("unasked")
c.send_frame(ABNF.create_frame("ment", ABNF.OPCODE_CONT))
for _ in range(2):
    said("got", *c.recv_data(control_frame=True))
c.send_close(1000, b"bye")
said("got", *c.recv_data(control_frame=True))
c.shutdown()
try:
    websocket.create_connection(base + "/none", timeout=10)
except websocket.WebSocketBadStatusException as e:
    said("refused", e.status_code)
