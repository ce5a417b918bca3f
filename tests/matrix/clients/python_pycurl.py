"""libcurl by way of pycurl, which Debian links to its GnuTLS build: one handle for everything."""

import io
import os
import urllib.parse

import pycurl
from steps import MANY, NAMES, PART, step

curl = pycurl.Curl()


def prepared(path, **options):
    curl.reset()
    curl.setopt(pycurl.URL, f"ftp://localhost:{os.environ['FTPS_PORT']}/{urllib.parse.quote(path)}")
    curl.setopt(pycurl.USERPWD, os.environ["FTPS_USER"] + ":" + os.environ["FTPS_PASSWORD"])
    curl.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL)
    curl.setopt(pycurl.CAINFO, os.environ["FTPS_AUTHORITY"])
    curl.setopt(pycurl.IPRESOLVE, pycurl.IPRESOLVE_V4)
    curl.setopt(
        pycurl.SSLVERSION,
        {
            "1.2": pycurl.SSLVERSION_TLSv1_2 | pycurl.SSLVERSION_MAX_TLSv1_2,
            "1.3": pycurl.SSLVERSION_TLSv1_3,
        }[os.environ["FTPS_TLS"]],
    )
    for option, value in options.items():
        curl.setopt(getattr(pycurl, option), value)


def up(local, remote, **options):
    with open(local, "rb") as source:
        prepared(remote, UPLOAD=1, READDATA=source, INFILESIZE_LARGE=os.path.getsize(local), **options)
        curl.perform()


def down(remote, local, mode="wb", **options):
    with open(local, mode) as target:
        prepared(remote, WRITEDATA=target, **options)
        curl.perform()


with step("list") as names:
    listing = io.BytesIO()
    prepared("listed/", DIRLISTONLY=1, WRITEDATA=listing)
    curl.perform()
    names += listing.getvalue().decode().splitlines()
with step("upload"):
    up("up", "up")
with step("upload-empty"):
    up("empty", "empty")
with step("download"):
    down("down", "down")
with step("resume-upload"):
    up("part-up", "part-up", RESUME_FROM_LARGE=-1)
with step("resume-download"):
    down("part-down", "part-down", "ab", RESUME_FROM_LARGE=PART)
with step("rename"):
    prepared("", QUOTE=["RNFR old", "RNTO new"], NOBODY=1)
    curl.perform()
with step("delete"):
    prepared("", QUOTE=["DELE gone"], NOBODY=1)
    curl.perform()
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
