"""ftplib as it is, for a user whose data connections have to resume. Argument: version of TLS."""

import ftplib
import io
import sys

from ftps import Resuming, login, refused

ftp = login(ftplib.FTP_TLS, sys.argv[1])
for _ in range(3):
    with refused("522") as heard:
        ftp.retrlines("LIST")
    with refused("522"):
        ftp.storbinary("STOR file", io.BytesIO(b"content"))
    with refused("522"):
        ftp.retrbinary("RETR there", lambda piece: sys.exit("content came"))
print(heard[0])
# The session is as good as before.
assert ftp.pwd() == "/"
assert ftp.size("there") == 5
ftp.quit()

resuming = login(Resuming, sys.argv[1])
assert resuming.nlst() == ["there"]
resuming.quit()
