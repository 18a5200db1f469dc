# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile networks: what can happen between a site and a host ends in the right binary, or in one clear line.

Each row of the table is a host of its own that asks for a version of its own, so all of them run at once. All rows are
tried with the action plugin and the module alone; one of each table goes through ansible-playbook as well.
"""

import contextlib
import os
import socket
from typing import NamedTuple, Optional, Tuple

import pytest
from assertions import assert_installed, assert_nothing_left, assert_refused
from both_runners import Table, every_world
from file_snapshots import hash_of
from playbook_run import task_args

CUT = 150000  # bytes of an archive of about 300,000: some, and not all
LARGE = 27800000  # bytes, as of a real release
USER, PASSWORD = "alice", "wonder-land-42"
SUMS, ZIP, SIGNATURES = "*_SHA256SUMS", "*.zip", "*.sig"
EVER = None
IMPATIENT = {"timeout": 5}  # seconds; the others have time, however busy this machine is


class Case(NamedTuple):
    """What goes wrong on the way to a version, and what has to come of it. {name} in texts is filled in."""

    rules: Tuple[tuple, ...]  # (pattern below the version, misbehaviour, arguments, times), at the first site
    step: Optional[str] = None  # error.step; None: it is installed all the same
    words: Tuple[str, ...] = ()  # in msg; of an install: in its steps
    hint: Tuple[str, ...] = ()  # words in the hint
    asked: Optional[int] = None  # requests for files of the version at the first site, exactly
    again: Optional[float] = None  # how much of the archive was sent more than once, in archives, at most
    sites: Tuple[str, ...] = ("{main}",)
    options: dict = {}  # beside the usual ones
    environment: dict = {}  # of the task
    published: bool = True
    padding: int = 300000  # bytes that no zip makes smaller: how large the archive is


def once(name, *arguments, pattern=ZIP):
    return (pattern, name, arguments, 1)


def ever(name, *arguments, pattern=ZIP):
    return (pattern, name, arguments, EVER)


# The archive breaks off once, and goes on where it was: nothing is fetched twice. Three requests are those of a quiet
# day: SHA256SUMS, the signature, the archive.
BROKEN_OFF = {
    "cut-short": Case((once("truncate", CUT),), words=("150000 of",), asked=4, again=0),
    "cut-at-once": Case((once("truncate", 0),), words=("try 2 of 4",), asked=4, again=0),
    "chunk-cut": Case((once("chunk_cut", CUT),), words=("the body ended too early",), asked=4, again=1),
    "chunk-nonsense": Case((once("chunk_nonsense", CUT),), words=("broke off after",), asked=4, again=1),
    "reset-in-the-body": Case((once("reset", CUT),), words=("ECONNRESET",), asked=4, again=0.6),
    "stall": Case((once("stall", CUT),), words=("no answer for 5 s",), asked=4, again=0, options=IMPATIENT),
    "cut-three-times": Case(
        (once("truncate", CUT), once("truncate", 1000), once("truncate", 1000)), words=("try 4 of 4",), asked=6, again=0
    ),
    "large": Case(
        (once("truncate", 20 << 20), once("stall", 5 << 20)),
        words=("resumed at byte 26214400 of 278",),
        asked=5,
        again=0,
        padding=LARGE,
        options=IMPATIENT,
    ),
}

# Nothing of it has come: it is asked for again.
TRIED_AGAIN = {
    "reset": Case((once("reset"),), words=("ECONNRESET",), asked=4, again=0),
    "closed-without-a-word": Case((once("close_before_reply"),), words=("try 2 of 4",), asked=4, again=0),
    "garbage": Case((once("garbage_status"),), words=("not HTTP/1.1",), asked=4, again=0),
    "no-answer": Case((once("delay", 60),), words=("no answer for 5 s",), asked=4, again=0, options=IMPATIENT),
    "sums-cut-short": Case((once("truncate", 20, pattern=SUMS),), words=("SHA256SUMS", "try 2 of 4"), asked=4),
    "signature-reset": Case((once("reset", pattern=SIGNATURES),), words=("signature", "try 2 of 4"), asked=4),
    "request-timeout": Case((once("status", 408),), words=("HTTP 408",), asked=4),
    "too-early": Case((once("status", 425, pattern=SUMS),), words=("HTTP 425",), asked=4),
    "server-error": Case((once("status", 500),), words=("HTTP 500",), asked=4),
    "bad-gateway": Case((once("status", 502, pattern=SUMS),), words=("HTTP 502",), asked=4),
    "busy-for-seconds": Case((once("retry_later", 429, 2),), words=("try 2 of 4 in 2.0 s", "HTTP 429"), asked=4),
    "busy-until-a-date": Case(
        (once("retry_later", 503, 3, True, pattern=SUMS),), words=("HTTP 503", "try 2 of 4 in "), asked=4
    ),
    "damaged-on-the-way": Case((once("flip", 1000),), words=("once more from the start",), asked=4, again=1),
}

# After a cut, the server lies about the rest, or cannot say what it is the rest of: all is fetched anew, or no more
# than the rest where its validator allows.
FIRST_CUT = once("truncate", CUT)
LYING = {
    "rest-from-elsewhere": Case((FIRST_CUT, ever("range_wrong_start")), asked=5, again=1),
    "rest-of-another-length": Case((FIRST_CUT, ever("range_wrong_total")), asked=5, again=1),
    "rest-of-who-knows-what": Case((FIRST_CUT, ever("range_without_header")), asked=5, again=1),
    "rest-of-another-file": Case((FIRST_CUT, ever("range_other_etag")), asked=5, again=1),
    "range-ignored": Case((FIRST_CUT, ever("range_ignored")), asked=4, again=0.6),
    "range-refused": Case((FIRST_CUT, ever("range_refused")), asked=5, again=0.6),
    "rest-damaged": Case((FIRST_CUT, once("flip", -1)), words=("once more from the start",), asked=5, again=1),
    "etag-changes": Case((FIRST_CUT, ever("changing_etag")), asked=4, again=0.6),
    "only-a-part-unasked": Case((ever("range_unasked"),), "fetch", ("HTTP 206",), asked=3),
}

# Odd, but right.
ODD = {
    "chunked": Case((ever("chunk"),), asked=3, again=0),
    "chunked-with-a-length": Case((ever("chunk_with_length"),), asked=3, again=0),
    "no-length": Case((ever("no_length", pattern="*"),), asked=3, again=0),
    "slow-head": Case((ever("slow_head", 0.002, pattern=SUMS),), asked=3),
    "late": Case((ever("delay", 0.5, pattern="*"),), asked=3),
    "five-redirects": Case((ever("redirect_chain", 5),), asked=8, again=0),
    "no-signature-by-key": Case((ever("status", 403, pattern="*SHA256SUMS.*.sig"),), asked=4),
    "portal-for-the-signature-by-key": Case(
        (ever("html_200", pattern="*SHA256SUMS.*.sig"),), words=("; asking for ",), asked=4
    ),
    "sums-compressed": Case((ever("gzip", pattern=SUMS),), asked=3),
    "long-but-promised": Case((ever("overlong", b"x" * 5000),), asked=3),
}

# It stays bad: one clear line, after as many tries as make sense.
BROKEN = {
    "cut-short": Case((ever("truncate", 0),), "fetch", (".zip",), ("proxy",), asked=6),
    "chunk-cut": Case((ever("chunk_cut", 0),), "fetch", ("the body ended too early",), asked=6),
    "stall": Case((ever("stall", 0),), "fetch", ("no answer for 5 s",), asked=4, options=dict(IMPATIENT, retries=2)),
    "trickle": Case((ever("trickle", 0.2),), "fetch", ("trickled", "less than 1024 a second"), asked=3),
    "reset": Case((ever("reset"),), "fetch", ("ECONNRESET",), asked=6),
    "closed-without-a-word": Case((ever("close_before_reply", pattern=SUMS),), "fetch", ("SHA256SUMS",), asked=4),
    "garbage": Case((ever("garbage_status", pattern=SUMS),), "fetch", ("not HTTP/1.1",), asked=4),
    "no-answer": Case(
        (ever("delay", 60, pattern=SUMS),), "fetch", ("no answer for 5 s",), asked=2, options=dict(IMPATIENT, retries=2)
    ),
    "server-error": Case((ever("status", 503, pattern=SUMS),), "fetch", ("HTTP 503",), asked=4),
    "busy": Case(
        (ever("retry_later", 429, 1, pattern=SUMS),),
        "fetch",
        ("HTTP 429",),
        ("forks",),
        asked=2,
        options={"retries": 2},
    ),
    "unauthorized": Case((ever("status", 401, pattern=SUMS),), "fetch", ("HTTP 401",), ("url_username",), asked=1),
    "forbidden": Case((ever("status", 403, pattern=SUMS),), "fetch", ("HTTP 403",), ("credentials",), asked=1),
    "archive-forbidden": Case((ever("status", 403),), "fetch", ("HTTP 403", ".zip"), ("credentials",), asked=3),
    "not-there": Case((), "fetch", ("HTTP 404",), ("versions there: ", "1.100."), published=False),
    "not-copied": Case(
        (ever("status", 404),), "fetch", ("HTTP 404", ".zip"), ("lacks the file", "copy it there"), asked=3
    ),
    "gone": Case((ever("status", 410, pattern=SUMS),), "fetch", ("HTTP 410",), asked=1),
    "compressed": Case((ever("gzip"),), "fetch", ("Content-Encoding gzip",), asked=3),
    "portal": Case(
        (ever("html_200", pattern="*"),), "fetch", ("web page", "text/html", "<!DOCTYPE html"), ("login page",), asked=1
    ),
    "portal-for-the-archive": Case((ever("html_200"),), "fetch", ("web page",), ("login page",), asked=3),
    "portal-for-the-signature": Case((ever("html_200", pattern=SIGNATURES),), "fetch", ("web page",), asked=3),
    "portal-by-redirect": Case(
        (ever("redirect", "{second}/terraform/", pattern=SUMS),), "fetch", ("{second}/terraform/",), asked=1
    ),
    "empty-sums": Case((ever("empty", pattern=SUMS),), "verify", ("SHA256SUMS",), asked=2),
    "empty-signature": Case((ever("empty", pattern=SIGNATURES),), "verify", ("signature",), asked=3),
    "empty-archive": Case((ever("empty"),), "verify", ("sha256",), asked=4),
    "early-hints": Case((ever("early_hints", pattern=SUMS),), "fetch", ("HTTP 103",), asked=1),
    "endless-headers": Case((ever("endless_headers", pattern=SUMS),), "fetch", ("more than 100 headers",)),
    "long-header": Case((ever("long_header", pattern=SUMS),), "fetch", ("LineTooLong",)),
    "length-of-letters": Case(
        (ever("announce", "many", pattern=SUMS),), "fetch", ("Content-Length that is no number",), asked=1
    ),
    "two-lengths": Case((ever("two_lengths", pattern=SUMS),), "fetch", ("SHA256SUMS",)),
    "archive-too-large": Case((ever("announce", 600 << 20),), "fetch", ("announces 629145600 bytes",), asked=3),
    "sums-too-large": Case((ever("announce", 300 << 10, pattern=SUMS),), "fetch", ("announces 307200 bytes",), asked=1),
    "sums-without-end": Case((ever("endless_body", pattern=SUMS),), "fetch", ("goes on after 262144 bytes",), asked=1),
    "signature-without-end": Case(
        (ever("endless_body", pattern=SIGNATURES),), "fetch", ("goes on after 65536",), asked=3
    ),
}

# Redirects that are not followed, and what may go along on those that are.
REDIRECTED = {
    "in-a-loop": Case((ever("redirect_loop"),), "fetch", ("redirected more than 5 times",), asked=8),
    "six-times": Case((ever("redirect_chain", 6),), "fetch", ("redirected more than 5 times",), asked=8),
    "nowhere": Case((ever("redirect", None, pattern=SUMS),), "fetch", ("HTTP 302",), asked=1),
    "to-a-file": Case(
        (ever("redirect", "file://{folder}/x", pattern=SUMS),), "fetch", ("not followed", "file:"), asked=1
    ),
    "to-plain-http": Case(
        (ever("redirect", "{second}{path}", pattern=SUMS),),
        "fetch",
        ("only https",),
        asked=1,
        sites=("{tls}",),
        options={"ca_path": "{ca}"},
    ),
    "to-who-knows-the-password": Case(
        (ever("redirect", "http://u:{password}@127.0.0.1{path}", pattern=SUMS),), "fetch", ("not followed",), asked=1
    ),
    "elsewhere-with-credentials": Case(
        (ever("redirect", "{second}{path}"),), asked=3, options={"url_username": USER, "url_password": "{password}"}
    ),
}

# TLS.
TLS = {
    "right": Case((), sites=("{tls}",), options={"ca_path": "{ca}"}, asked=3),
    "unknown-authority": Case((), "fetch", ("TLS: ",), ("ca_path", "trust store"), asked=0, sites=("{tls}",)),
    "another-authority": Case(
        (), "fetch", ("TLS: ",), ("ca_path",), asked=0, sites=("{tls}",), options={"ca_path": "{other_ca}"}
    ),
    "expired": Case(
        (), "fetch", ("TLS: ", "expired"), ("clock",), asked=0, sites=("{expired}",), options={"ca_path": "{ca}"}
    ),
    "of-another-name": Case((), "fetch", ("TLS: ",), asked=0, sites=("{misnamed}",), options={"ca_path": "{ca}"}),
    "not-spoken": Case((), "fetch", ("TLS: ",), asked=0, sites=("{main_by_tls}",)),
    "resumed": Case((once("truncate", CUT),), sites=("{tls}",), options={"ca_path": "{ca}"}, asked=4, again=0),
}

# Proxies: the site itself can be one, for plain http.
PROXIES = {
    "right": Case((), asked=3, sites=("http://releases.invalid",), environment={"http_proxy": "{main}"}),
    "dead": Case(
        (),
        "fetch",
        ("proxy: ", "ECONNREFUSED"),
        ("https_proxy",),
        asked=0,
        sites=("http://releases.invalid",),
        environment={"http_proxy": "{dead}"},
    ),
    "wants-credentials": Case(
        (ever("status", 407, pattern="*"),),
        "fetch",
        ("HTTP 407",),
        ("password",),
        asked=1,
        sites=("http://releases.invalid",),
        environment={"http_proxy": "{main}"},
    ),
    "refuses-to-connect": Case(
        (),
        "fetch",
        ("the proxy answers HTTP 405",),
        asked=0,
        sites=("https://releases.invalid",),
        environment={"https_proxy": "{main}"},
    ),
    "does-not-answer": Case(
        (ever("delay", 60, pattern="*"),),
        "fetch",
        ("no answer for 5 s",),
        asked=2,
        sites=("http://releases.invalid",),
        environment={"http_proxy": "{main}"},
        options=dict(IMPATIENT, retries=2),
    ),
    "not-used": Case(
        (),
        "fetch",
        ("not resolved",),
        asked=0,
        options={"use_proxy": False},
        sites=("http://releases.invalid",),
        environment={"http_proxy": "{main}"},
    ),
    "not-for-this-site": Case(
        (),
        "fetch",
        ("not resolved",),
        asked=0,
        sites=("http://releases.invalid",),
        environment={"http_proxy": "{main}", "no_proxy": "releases.invalid"},
    ),
    "not-for-loopback": Case((), asked=3, environment={"http_proxy": "{dead}"}),
}

# Several sites.
SITES = {
    "first-dead": Case((), words=("site failed: {dead}",), asked=0, sites=("{dead}", "{second}")),
    "first-not-resolved": Case((), words=("not resolved",), sites=("http://releases.invalid", "{second}")),
    "first-has-it-not": Case(
        (ever("status", 404, pattern="*"),), words=("HTTP 404",), asked=1, sites=("{main}", "{second}")
    ),
    "first-wants-credentials": Case(
        (ever("status", 401, pattern="*"),), words=("HTTP 401",), asked=1, sites=("{main}", "{second}")
    ),
    "first-is-a-portal": Case(
        (ever("html_200", pattern="*"),), words=("web page",), asked=1, sites=("{main}", "{second}")
    ),
    "first-lacks-the-archive": Case((ever("status", 404),), words=("HTTP 404",), asked=3, sites=("{main}", "{second}")),
    "first-breaks-off": Case(
        (ever("truncate", 0),), words=("site failed: {main}",), asked=6, sites=("{main}", "{second}")
    ),
    "all-fail": Case(
        (ever("status", 404, pattern="*"),),
        "fetch",
        ("all 2 sites failed", "HTTP 404", "ECONNREFUSED"),
        asked=1,
        sites=("{main}", "{dead}"),
    ),
    "first-lies": Case((ever("flip"),), "verify", ("has sha256",), asked=4, sites=("{main}", "{second}")),
    "first-signs-wrongly": Case(
        (ever("flip", pattern=SIGNATURES),), "verify", ("signature",), asked=2, sites=("{main}", "{second}")
    ),
}

# What no network excuses: nobody may try again.
UNVERIFIED = {
    "archive-damaged": Case((ever("flip"),), "verify", ("has sha256", "expected"), ("nothing was installed",), asked=4),
    "sums-damaged": Case((ever("flip", 3, pattern=SUMS),), "verify", ("signature",), asked=2),
    "signature-damaged": Case((ever("flip", pattern=SIGNATURES),), "verify", ("signature",), asked=2),
    "signature-of-another": Case(
        (ever("swap", "terraform/1.9.8/terraform_1.9.8_SHA256SUMS.sig", pattern=SIGNATURES),),
        "verify",
        ("signature",),
        asked=2,
    ),
    "release-of-another": Case(
        (
            ever("swap", "terraform/1.9.8/terraform_1.9.8_SHA256SUMS", pattern=SUMS),
            ever("swap", "terraform/1.9.8/terraform_1.9.8_SHA256SUMS.sig", pattern=SIGNATURES),
        ),
        "verify",
        ("it is of version '1.9.8'",),
        asked=2,
    ),
}

TABLES = {
    "broken-off": BROKEN_OFF,
    "tried-again": TRIED_AGAIN,
    "lying": LYING,
    "odd": ODD,
    "broken": BROKEN,
    "redirected": REDIRECTED,
    "tls": TLS,
    "proxy": PROXIES,
    "sites": SITES,
    "unverified": UNVERIFIED,
}
HOSTILE = {"%s-%s" % (table, name): case for table, cases in TABLES.items() for name, case in cases.items()}
VERSIONS = {name: "1.100.%d" % number for number, name in enumerate(sorted(HOSTILE))}
# Of each table, for ansible-playbook.
SAMPLE = (
    "broken-off-cut-short",
    "tried-again-server-error",
    "lying-rest-damaged",
    "odd-chunked",
    "broken-portal",
    "broken-not-there",
    "redirected-elsewhere-with-credentials",
    "tls-unknown-authority",
    "proxy-right",
    "sites-first-dead",
    "sites-first-lies",
    "unverified-archive-damaged",
)
TABLE = Table(HOSTILE, SAMPLE)


class World:
    """The sites of a side's run, and what came of it."""

    def __init__(self, side, sites, words, folder):
        self.side = side
        self.sites = sites  # name: Site
        self.words = words  # name: what it means in the table
        self.folder = folder  # a store for each case is in it
        self.run = None

    def fill(self, value):
        """A value of the table with its {names} filled in."""
        if isinstance(value, str):
            for name, meaning in self.words.items():
                value = value.replace("{%s}" % name, meaning)
        return value

    def asked(self, name):
        """The requests for a case's version at its first site (the proxy's, if there is one): a list of Request."""
        case = HOSTILE[name]
        place = self.fill(next(iter(case.environment.values()), case.sites[0]))
        place = place if case.sites[0] == "http://releases.invalid" else self.fill(case.sites[0])
        found = [site for site in self.sites.values() if site.url == place]
        return [request for site in found for request in site.requests if VERSIONS[name] in request.path.split("/")]


@pytest.fixture(scope="module")
def worlds(request, signing_key, host_platform, tmp_path_factory):
    def build(*what):
        return run_all(*what, signing_key, host_platform, str(tmp_path_factory.mktemp("hostile")))

    with TABLE.worlds(request, build) as made:
        yield made


@contextlib.contextmanager
def run_all(runner, side, cases, signing_key, host_platform, folder):
    """The World in which a runner has run all its cases at once."""
    from release_site import Site, misbehaviours, releases
    from release_site.certificates import Authority

    authority = Authority("Origin")
    contexts = {
        "main": None,
        "second": None,
        "tls": authority.server_context(),
        "expired": authority.server_context(days=(-10, -1)),
        "misnamed": authority.server_context(names=("other.example.com",)),
    }
    sites = {name: Site(("1.9.8",), (host_platform,), signing_key, tls=context) for name, context in contexts.items()}
    for name, text in (("ca", authority.pem), ("other_ca", Authority("Other").pem)):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)
    for name, case in cases.items():
        if case.published:
            archive = releases.make_archive(VERSIONS[name], host_platform, padding=case.padding)
            sites["main"].publish(VERSIONS[name], platforms=(), archives={host_platform: archive})
    for site in sites.values():
        site.files = sites["main"].files
        site.start()
    words = dict(
        {name: site.url for name, site in sites.items()},
        password=PASSWORD,
        folder=folder,
        dead=_dead_url(),
        ca=os.path.join(folder, "ca"),
        other_ca=os.path.join(folder, "other_ca"),
        main_by_tls=sites["main"].url.replace("http:", "https:"),
    )
    world = World(side, sites, words, folder)
    args_by_host = {}
    for name, case in cases.items():
        for pattern, behaviour, arguments, times in case.rules:
            home = sites["tls"] if case.sites[0] == "{tls}" else sites["main"]
            home.misbehave(
                "terraform/%s/%s" % (VERSIONS[name], pattern),
                getattr(misbehaviours, behaviour)(*map(world.fill, arguments)),
                times,
            )
        options = {option: world.fill(value) for option, value in case.options.items()}
        args_by_host[name] = task_args(
            sites["main"],
            os.path.join(folder, name),
            **dict(
                dict(
                    version=VERSIONS[name],
                    sites=[world.fill(site) for site in case.sites],
                    download=side,
                    timeout=60,
                    retries=4,
                ),
                **options,
            ),
        )
    environments = {
        name: {key: world.fill(value) for key, value in case.environment.items()} for name, case in cases.items()
    }
    world.run = runner.each(args_by_host, environments=environments)
    try:
        yield world
    finally:
        for site in sites.values():
            site.stop()


def _dead_url():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return "http://127.0.0.1:%d" % closed.getsockname()[1]


@TABLE.each(lambda case: not case.step)
def test_it_is_installed_all_the_same(world, name):
    result, version, store = world.run.each[name], VERSIONS[name], os.path.join(world.folder, name)
    assert_installed(result, store, version, map(world.fill, HOSTILE[name].words))
    assert hash_of(result["path"]) == result["binary_sha256"]


@TABLE.each(lambda case: case.step)
def test_it_ends_in_one_clear_line(world, name):
    case = HOSTILE[name]
    assert_refused(world.run.each[name], case.step, map(world.fill, case.words), case.hint)


@TABLE.each(lambda case: case.step)
def test_nothing_of_it_is_left(world, name):
    # The controller knows it before the host is asked to do anything.
    assert_nothing_left(os.path.join(world.folder, name), VERSIONS[name], begun=world.side == "target")


@TABLE.each(lambda case: case.asked is not None)
def test_nothing_is_asked_for_more_often_than_makes_sense(world, name):
    asked = world.asked(name)
    reported = ["%s %s" % (request.path.rpartition("/")[2], request.headers.get("Range", "")) for request in asked]
    assert len(asked) == HOSTILE[name].asked, reported


@TABLE.each(lambda case: case.again is not None)
def test_nothing_is_fetched_more_often_than_makes_sense(world, name):
    sent = sum(request.sent for request in world.asked(name) if request.path.endswith(".zip"))
    size = len(
        next(
            document.body
            for path, document in world.sites["main"].files.items()
            if VERSIONS[name] in path and path.endswith(".zip")
        )
    )
    assert size <= sent <= size * (1 + HOSTILE[name].again)


@TABLE.every_world_with("redirected-elsewhere-with-credentials")
def test_credentials_do_not_go_along_to_another_host(world):
    version = VERSIONS["redirected-elsewhere-with-credentials"]
    first, second = (
        [request.headers.get("Authorization") for request in site.requests if version in request.path]
        for site in (world.sites["main"], world.sites["second"])
    )
    assert all(header and header.startswith("Basic ") for header in first) and len(first) == 3
    assert second == [None]


@TABLE.every_world_with("sites-first-lies")
def test_a_verification_that_fails_asks_no_other_site(world):
    for name in {"sites-first-lies", "sites-first-signs-wrongly"} & world.run.each.keys():
        assert not [request for request in world.sites["second"].requests if VERSIONS[name] in request.path]


@every_world
def test_there_is_no_traceback_and_no_secret(world):
    assert world.run.returncode == 0
    for word in ("Traceback", "MODULE FAILURE", PASSWORD):
        assert word not in world.run.output
        assert not [line for line in world.run.lines if word in str(line)]
