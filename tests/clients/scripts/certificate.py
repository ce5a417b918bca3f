"""ftplib with a client certificate. Arguments: stock or resuming, version of TLS, number of files."""

import ftplib
import io
import sys

from ftps import Resuming, login

kind, version, count = sys.argv[1:]
ftp = login({"stock": ftplib.FTP_TLS, "resuming": Resuming}[kind], version)
for number in range(int(count)):
    content = f"content {number}".encode()
    assert ftp.storbinary(f"STOR py-{number}", io.BytesIO(content)).startswith("226")
    got = io.BytesIO()
    ftp.retrbinary(f"RETR py-{number}", got.write)
    assert got.getvalue() == content
print(ftp.lastresp)
ftp.quit()
