"""An app for WSGI servers."""


def app(environ, start_response):
    chunked = environ.get("HTTP_TRANSFER_ENCODING")
    body = environ["wsgi.input"].read() if chunked else environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if not environ["PATH_INFO"].startswith("/echo"):
        body = b"a page\n"
    if environ["REQUEST_METHOD"] == "HEAD":
        body = b""
    start_response("200 OK", [("content-type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
