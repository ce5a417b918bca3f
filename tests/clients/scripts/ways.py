"""One file there and back.

Arguments: the host; PASV, EPSV, PORT or EPRT; if need be the source address, and the words of the
refusal that is expected.
"""

import io
import socket
import sys

from ftps import login, refused

host, way, source, refusal = (sys.argv[1:] + [None, None])[:4]
ftp = login(host=host, source=source)
ftp.trust_server_pasv_ipv4_address = True
ftp.set_pasv(way in ("PASV", "EPSV"))
# ftplib speaks of addresses in the way of IPv6 where it thinks to use that.
if way == "EPSV":
    ftp.af = socket.AF_INET6
if way == "EPRT":
    ftp.sendport = ftp.sendeprt

if refusal:
    with refused(refusal[:3]) as heard:
        ftp.storbinary("STOR there-and-back", io.BytesIO(b"content"))
    assert refusal in heard[0], heard
else:
    ftp.storbinary("STOR there-and-back", io.BytesIO(b"content"))
    got = io.BytesIO()
    ftp.retrbinary("RETR there-and-back", got.write)
    assert got.getvalue() == b"content", got.getvalue()
    assert "there-and-back" in ftp.nlst()
    ftp.delete("there-and-back")
ftp.quit()
