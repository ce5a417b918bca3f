"""ftplib as it is, or with the subclass that resumes. Argument: stock or resuming."""

import ftplib
import os
import sys

from ftps import Resuming, login
from steps import MANY, NAMES, PART, step

kind = {"stock": ftplib.FTP_TLS, "resuming": Resuming}[sys.argv[1]]
ftp = login(kind, os.environ["FTPS_TLS"])


def up(local, remote, rest=None):
    with open(local, "rb") as source:
        source.seek(rest or 0)
        ftp.storbinary("STOR " + remote, source, rest=rest)


def down(remote, local, rest=None):
    with open(local, "ab" if rest else "wb") as target:
        ftp.retrbinary("RETR " + remote, target.write, rest=rest)


with step("list") as names:
    names += ftp.nlst("listed")
with step("upload"):
    up("up", "up")
with step("upload-empty"):
    up("empty", "empty")
with step("download"):
    down("down", "down")
with step("resume-upload"):
    up("part-up", "part-up", ftp.size("part-up"))
with step("resume-download"):
    down("part-down", "part-down", PART)
with step("rename"):
    ftp.rename("old", "new")
with step("delete"):
    ftp.delete("gone")
with step("names"):
    for name in NAMES:
        up("names/" + name, "names/" + name)
        down("names/" + name, "back-names/" + name)
with step("upload-200"):
    for name in MANY:
        up("many/" + name, "many/" + name)
with step("download-200"):
    for name in MANY:
        down("store/" + name, "back-many/" + name)
ftp.quit()
