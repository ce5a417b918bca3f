"""aioftp with explicit TLS, in one session."""

import asyncio
import os

import aioftp
from ftps import context
from steps import MANY, NAMES, PART, step


async def everything():
    client = aioftp.Client(socket_timeout=20)
    await client.connect("localhost", int(os.environ["FTPS_PORT"]))
    await client.upgrade_to_tls(context(os.environ["FTPS_TLS"]))
    await client.login(os.environ["FTPS_USER"], os.environ["FTPS_PASSWORD"])

    async def up(local, remote, offset=0):
        async with client.upload_stream(remote, offset=offset) as stream:
            with open(local, "rb") as source:
                source.seek(offset)
                while piece := source.read(65536):
                    await stream.write(piece)

    async def down(remote, local, offset=0):
        async with client.download_stream(remote, offset=offset) as stream:
            with open(local, "ab" if offset else "wb") as target:
                async for piece in stream.iter_by_block():
                    target.write(piece)

    with step("list") as names:
        names += [str(path) for path, _ in await client.list("listed")]
    with step("upload"):
        await up("up", "up")
    with step("upload-empty"):
        await up("empty", "empty")
    with step("download"):
        await down("down", "down")
    with step("resume-upload"):
        await up("part-up", "part-up", int((await client.stat("part-up"))["size"]))
    with step("resume-download"):
        await down("part-down", "part-down", PART)
    with step("rename"):
        await client.rename("old", "new")
    with step("delete"):
        await client.remove_file("gone")
    with step("names"):
        for name in NAMES:
            await up("names/" + name, "names/" + name)
            await down("names/" + name, "back-names/" + name)
    with step("upload-200"):
        for name in MANY:
            await up("many/" + name, "many/" + name)
    with step("download-200"):
        for name in MANY:
            await down("store/" + name, "back-many/" + name)
    await client.quit()


asyncio.run(everything())
