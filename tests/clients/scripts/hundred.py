"""A hundred data connections on one control connection, up, down and listing by turns. Arguments:
version of TLS, prefix of the names."""

import io
import sys

from ftps import login

version, prefix = sys.argv[1:]
ftp = login(version=version)
for number in range(34):
    name, content = f"{prefix}-{number}", f"{prefix} content {number}".encode()
    assert ftp.storbinary("STOR " + name, io.BytesIO(content)).startswith("226")
    got = io.BytesIO()
    ftp.retrbinary("RETR " + name, got.write)
    assert got.getvalue() == content, name
    assert name in ftp.nlst(), name
ftp.quit()
