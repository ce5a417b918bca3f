"""Goes on with an upload as FileZilla does: by the size that its own listing shows."""

import io
import os
import random
import socket
import sys

from ftps import login

version = sys.argv[1]
content = random.Random(2).randbytes(3_000_000)

first = login(version=version)
first.voidcmd("TYPE I")
conn = first.transfercmd("STOR file")
conn.sendall(content[:2_000_000])
# Cut both connections without a word of TLS, as a router does.
socket.socket(fileno=os.dup(conn.fileno())).shutdown(socket.SHUT_WR)
conn.close()
first.sock.close()

# It logs in again at once, by a session of its own.
second = login(version=version)
for _ in range(100):
    second.sendcmd("CWD /")
    second.voidcmd("TYPE I")
    facts = dict(second.mlsd())
    if "file" in facts:
        break
size = int(facts["file"]["size"])
assert 0 < size <= 2_000_000, size
other = login(version=version)
assert second.storbinary("STOR file", io.BytesIO(content[size:]), rest=size).startswith("226")
assert second.sendcmd("REST 0").startswith("350")
assert int(dict(second.mlsd())["file"]["size"]) == len(content)
got = io.BytesIO()
other.retrbinary("RETR file", got.write)
assert got.getvalue() == content
second.quit()
other.quit()
