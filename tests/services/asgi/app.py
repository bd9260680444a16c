"""An ASGI application on Starlette, served by uvicorn."""
import asyncio
import contextlib
import os

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute


@contextlib.asynccontextmanager
async def lifespan(app):
    print("starting up", flush=True)
    yield
    print("shutting down", flush=True)


async def home(request):
    return JSONResponse({
        "revision": os.environ.get("K_REVISION"),
        "scheme": request.url.scheme,
        "host": request.headers["host"],
        "client": request.client.host if request.client else None,
        "query": dict(request.query_params),
    })


async def upload(request):
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return JSONResponse({"bytes": size, "type": request.headers.get("content-type")})


async def count(request):
    async def numbers():
        for number in range(3):
            yield f"{number}\n"
            await asyncio.sleep(0.3)
    return StreamingResponse(numbers(), media_type="text/plain")


async def echo(socket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text.upper())


app = Starlette(lifespan=lifespan, routes=[
    Route("/", home),
    Route("/upload", upload, methods=["POST"]),
    Route("/count", count),
    WebSocketRoute("/echo", echo),
])
