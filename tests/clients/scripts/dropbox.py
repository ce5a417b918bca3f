"""ftplib delivers to a directory that takes files and tells nothing. Arguments: where, a name, a file."""

import sys

from ftps import login, refused

where, name, source = sys.argv[1:]
ftp = login()
ftp.cwd(where)
with open(source, "rb") as content:
    assert ftp.storbinary("STOR " + name, content).startswith("226")
for look in [ftp.nlst, lambda: list(ftp.mlsd()), lambda: ftp.size(name)]:
    with refused("550"):
        look()
with refused("550"):
    ftp.retrbinary("RETR " + name, print)
with open(source, "rb") as content, refused("553"):
    ftp.storbinary("STOR " + name, content)
ftp.quit()
