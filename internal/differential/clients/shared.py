"""What the clients in Python send, and how they tell what they get."""
import hashlib

MESSAGES = ["hello", b"\x00\xff\x01", "", b"", "grüße, 世界", "x" * 126, "y" * 70000, b"\x01" * 1000000]


def said(*what):
    print(*[part(w) for w in what], flush=True)


def part(w):
    if isinstance(w, (str, bytes)) and len(w) > 100:
        b = w.encode() if isinstance(w, str) else w
        return "%s of %d, %s" % (type(w).__name__, len(w), hashlib.sha256(b).hexdigest()[:16])
    if isinstance(w, list):
        return [x for x in w if not (isinstance(x, tuple) and x[0] in ("date", "sec-websocket-accept"))]
    return repr(w)
