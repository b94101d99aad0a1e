"""A TCP proxy that lets every byte wait: `python3 delay.py HOST:PORT MILLISECONDS` listens on a port that its first line names.

Half of the round trip on the way there, half on the way back; what is on its way does not hold up what follows.
"""

import asyncio
import sys
import time


async def carry(reader, writer, wait):
    """Everything, each piece so much later."""
    pieces = asyncio.Queue(64)

    async def take():
        while piece := await reader.read(1 << 16):
            await pieces.put((time.monotonic() + wait, piece))
        await pieces.put((time.monotonic() + wait, b""))

    taking = asyncio.ensure_future(take())
    try:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not piece:
                writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()
    except (ConnectionError, OSError):
        writer.close()
    finally:
        taking.cancel()


async def main(target, wait):
    host, port = target.rsplit(":", 1)

    async def connected(reader, writer):
        # A connection is made in a round trip of its own.
        await asyncio.sleep(2 * wait)
        to_store, from_store = None, None
        try:
            to_store, from_store = (await asyncio.open_connection(host, int(port)))[::-1]
            await asyncio.gather(carry(reader, to_store, wait), carry(from_store, writer, wait))
        except (ConnectionError, OSError):
            pass
        for one in (writer, to_store):
            if one:
                one.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print("127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]) / 2000))
