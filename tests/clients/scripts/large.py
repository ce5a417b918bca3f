"""Moves one large file with the resuming ftplib. Arguments: up or down, the local file."""

import sys

from ftps import login

way, path = sys.argv[1:]
ftp = login()
if way == "up":
    with open(path, "rb") as source:
        assert ftp.storbinary("STOR file", source, blocksize=256 * 1024).startswith("226")
else:
    with open(path, "wb") as target:
        assert ftp.retrbinary("RETR file", target.write, blocksize=256 * 1024).startswith("226")
ftp.quit()
