# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials: what they are appears nowhere, however much Ansible is asked to show and whatever happens."""

import base64
import contextlib
import os
import subprocess
from urllib.parse import unquote

import pytest
from both_runners import RUNS, Table, every_world
from playbook_run import VERSION, task_args
from system_log import LOG, catch_log

PASSWORD = "s3cr3t-w0rd"
TOKEN = "presigned-t0ken"

# Sites that are refused before anything is asked, and what the message says; {host} is the site's.
REFUSED = {
    "user-and-password": (["http://alice:%s@{host}" % PASSWORD], "user name or password"),
    "second-of-two": (["http://{host}", "https://alice:%s@mirror.example.com/x" % PASSWORD], "mirror.example.com"),
    "in-one-text": ("http://{host},http://alice:%s@{host}" % PASSWORD, "user name or password"),
    "only-a-token": (["https://%s@{host}" % TOKEN], "user name or password"),
    "with-a-slash": (["http://alice:%s/x@{host}" % PASSWORD], "sites"),
    "no-scheme": (["alice:%s@{host}" % PASSWORD], "sites"),
    "other-scheme": (["ftp://alice:%s@{host}" % PASSWORD], "sites"),
    "query": (["http://{host}/?X-Token=%s" % TOKEN], "query"),
}


@pytest.fixture(scope="module")
def runs(play, module_site, tmp_path_factory):
    """All of them at -vvv, and two sites that redirect to where secrets are: (Run, the requests that came)."""
    from release_site import misbehaviours

    store = tmp_path_factory.mktemp("credentials") / "store"
    host = module_site.url.partition("//")[2]
    args_by_host = {
        name: task_args(module_site, store, sites=_at(host, sites)) for name, (sites, _words) in REFUSED.items()
    }
    module_site.requests.clear()
    refused = play.each(args_by_host, verbosity=3)
    asked = module_site.counts().requests
    module_site.misbehave("*/1.13.3/*", misbehaviours.redirect("http://bob:%s@127.0.0.1:9{path}" % PASSWORD))
    module_site.misbehave("*/1.9.8/*", misbehaviours.redirect("http://127.0.0.1:9{path}?X-Signature=%s" % TOKEN))
    redirected = play.each(
        {version: task_args(module_site, store, version=version) for version in ("1.13.3", "1.9.8")}, verbosity=3
    )
    return refused, asked, redirected


def _at(host, sites):
    if isinstance(sites, str):
        return sites.replace("{host}", host)
    return [site.replace("{host}", host) for site in sites]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_site_with_credentials_in_it_is_refused(name, runs):
    result = runs[0].each[name]
    assert result["failed"] and not result["changed"], result
    assert result["error"]["step"] == "request" and REFUSED[name][1] in result["msg"]
    assert "\n" not in result["msg"] and len(result["msg"]) <= 400


def test_nobody_was_asked(runs):
    assert runs[1] == 0


@pytest.mark.parametrize("name", sorted(REFUSED))
@pytest.mark.parametrize("secret", [PASSWORD, TOKEN])
def test_no_result_has_a_secret(name, secret, runs):
    assert secret not in str(runs[0].each[name])


@pytest.mark.parametrize("secret", [PASSWORD, TOKEN])
def test_the_screen_has_no_secret_at_vvv(secret, runs):
    shown = [line for line in runs[0].output.splitlines() if secret in line]
    assert not shown, "\n".join(shown)


@pytest.mark.parametrize("version", ["1.13.3", "1.9.8"])
def test_a_redirect_gives_no_secret_away(version, runs):
    run = runs[2]
    result = run.each[version]
    assert result["failed"] and result["error"]["step"] == "fetch", result
    for secret in (PASSWORD, TOKEN):
        assert secret not in run.output and secret not in str(result)


def test_the_role_gives_none_away_either(play, module_site, tmp_path):
    site = "http://alice:%s@%s" % (PASSWORD, module_site.url.partition("//")[2])
    options = task_args(module_site, tmp_path / "store", sites=[site])
    variables = {"terraform_binary_" + name: value for name, value in options.items()}
    run = play("iac_platform.terraform.install", extra_vars=variables, verbosity=3)
    assert run.returncode == 2 and "user name or password" in run.output
    assert PASSWORD not in run.output


# Credentials as options: each kind of them, with each thing that can happen.

URL_PASSWORD, URL_TOKEN, HEADER = "pass-w0rd-of-alice", "t0ken-of-alice", "h34der-of-alice"
PROXY_PASSWORD = "pr0xy-of-bob"
SHORT = "opt"  # a header's value that stands in every path of this test
KINDS = {
    "password": {"url_username": "alice", "url_password": URL_PASSWORD},
    "token": {"url_token": URL_TOKEN},
    "headers": {"url_headers": {"X-Api-Key": HEADER, "X-Team": SHORT}},
    "alias": {"headers": {"X-Api-Key": HEADER}},
    "certificate": {"client_cert": "{client}", "sites": ["{site}", "https://127.0.0.1:9"]},
}
BASIC = base64.b64encode(("alice:" + URL_PASSWORD).encode()).decode()
REPORTED = (URL_PASSWORD, URL_TOKEN, HEADER, BASIC)  # what a site that gets one of them could repeat
# A proxy that nothing goes through, except where an outcome wants it to.
SURROUNDINGS = {"http_proxy": "http://bob:%s@127.0.0.1:9" % PROXY_PASSWORD, "no_proxy": "127.0.0.1"}
THROUGH = {"https_proxy": SURROUNDINGS["http_proxy"]}

# What happens: (misbehaviour of the site, error.step, other options, environment).
OUTCOMES = {
    "installed": (None, None, {}, SURROUNDINGS),
    "unauthorized": (("status", 401), "fetch", {}, SURROUNDINGS),
    "forbidden": (("status", 403), "fetch", {}, SURROUNDINGS),
    "missing": (("status", 404), "fetch", {}, SURROUNDINGS),
    "cut-short": (("truncate", 10), "fetch", {"retries": 2}, SURROUNDINGS),
    "damaged": (("flip",), "verify", {}, SURROUNDINGS),
    "repeated-in-a-page": ("page", "fetch", {}, SURROUNDINGS),
    "repeated-in-a-header": ("header", "fetch", {}, SURROUNDINGS),
    "repeated-in-a-redirect": ("redirect", "fetch", {}, SURROUNDINGS),
    "repeated-in-a-redirect-to-a-file": ("file", "fetch", {}, SURROUNDINGS),
    "repeated-in-a-redirect-that-breaks-off": ("break", "fetch", {"retries": 3}, SURROUNDINGS),
    "repeated-in-other-letters": ("letters", "fetch", {}, SURROUNDINGS),
    "repeated-in-the-sums": ("sums", "verify", {"checksum_policy": "sha256sums"}, SURROUNDINGS),
    "repeated-where-the-quote-ends": ("long page", "fetch", {}, SURROUNDINGS),
    "redirected-elsewhere": (("redirect", "{elsewhere}{path}"), None, {}, SURROUNDINGS),
    "dead": (None, "fetch", {"sites": ["http://127.0.0.1:9"]}, SURROUNDINGS),
    "next-site": ("page", None, {"sites": ["{site}", "{elsewhere}"]}, SURROUNDINGS),
    "all-sites-fail": ("page", "fetch", {"sites": ["{site}", "http://127.0.0.1:9"]}, SURROUNDINGS),
    "dead-proxy": (None, "fetch", {"sites": ["https://mirror.test"]}, THROUGH),
    "for-the-public-site": (None, "request", {"sites": ["https://releases.hashicorp.com"]}, SURROUNDINGS),
    "over-plain-http": (None, "request", {"sites": ["http://mirror.test"]}, SURROUNDINGS),
    "option-wrong": (None, None, {"timeout": "soon"}, SURROUNDINGS),  # core refuses these two
    "option-unknown": (None, None, {"colour": "blue"}, SURROUNDINGS),
}
REFUSED_BY_CORE = ("option-wrong", "option-unknown")
# Credentials that are not in order: the message says so, and not what they are.
MALFORMED = {
    "password-on-two-lines": {"url_username": "alice", "url_password": URL_PASSWORD + "\nx"},
    "password-alone": {"url_password": URL_PASSWORD},
    "token-with-bearer": {"url_token": "Bearer " + URL_TOKEN},
    "token-and-password": dict(KINDS["password"], **KINDS["token"]),
    "header-on-two-lines": {"url_headers": {"X-Api-Key": HEADER + "\nX-Other: x"}},
    "header-of-ours": {"url_headers": {"Range": HEADER}},
    "headers-as-text": {"url_headers": HEADER},
    "headers-as-a-list": {"url_headers": [HEADER]},
    "token-as-a-list": {"url_token": [URL_TOKEN, URL_TOKEN + " x"]},
}
FEW = ("installed", "unauthorized", "repeated-in-a-page", "redirected-elsewhere", "option-wrong")
# All outcomes for the kinds that differ; a few for what is the same in other clothes, and in the background.
CASES = {
    "%s-%s" % (kind, outcome): (KINDS[kind], outcome)
    for kind in KINDS
    for outcome in OUTCOMES
    if kind in ("password", "token", "headers") or outcome in FEW
}
# With ansible-playbook: each kind and each of the few.
SAMPLE = {"%s-%s" % (kind, outcome) for kind, outcome in zip(KINDS, FEW)}
MALFORMED_SAMPLE = ("token-and-password", "headers-as-text")
TABLE = Table(CASES, SAMPLE)
VERSIONS = {name: "1.300.%d" % number for number, name in enumerate(sorted(CASES))}


class Spent:
    """What came of the credentials on one side."""

    def __init__(self, side, folder, cases):
        self.side = side
        self.folder = folder
        self.cases = cases
        self.async_folder = None  # of ansible-playbook's
        self.runs = {}  # real, check, async, malformed: Run
        self.messages = []  # of the system's log, or None
        self.elsewhere = []  # the requests that came to another site
        self.key_lines = ()  # of the client's key

    @property
    def secrets(self):
        """The beginnings of all that is secret: half of it is too much already."""
        return tuple(secret[:10] for secret in REPORTED + (PROXY_PASSWORD,) + self.key_lines)


@pytest.fixture(scope="module")
def worlds(request, signing_key, host_platform, tmp_path_factory):
    def build(runner, side, cases):
        return spend(runner, side, cases, signing_key, host_platform, str(tmp_path_factory.mktemp("spent")))

    with TABLE.worlds(request, build) as made:
        yield made


@contextlib.contextmanager
def spend(runner, side, cases, signing_key, host_platform, folder):
    """All cases of a runner at -vvv: for real, in check mode, in the background; and those that are malformed."""
    from release_site import Site, misbehaviours
    from release_site.certificates import Authority

    by_playbook = hasattr(runner, "start")
    spent = Spent(side, folder, cases)
    paper = Authority().issue(("client",))
    spent.key_lines = tuple(paper.partition("BEGIN PRIVATE KEY")[2].splitlines()[1:-1])
    client = os.path.join(spent.folder, "client.pem")
    with open(client, "w", encoding="ascii") as file:
        file.write(paper)
    site, elsewhere = (Site(platforms=(host_platform,), key=signing_key) for dummy in range(2))
    for version in [VERSIONS[name] for name in cases] + [VERSION]:
        site.publish(version)
    elsewhere.files = site.files
    with site, elsewhere:
        words = {"site": site.url, "elsewhere": elsewhere.url, "client": client}
        for name, (_kind, outcome) in cases.items():
            behaviour = _behaviour(OUTCOMES[outcome][0], misbehaviours, elsewhere.url)
            site.misbehave("*/%s/*" % VERSIONS[name], behaviour or misbehaviours.delay(0))
        few = [name for name in cases if cases[name][1] in FEW]
        modes = [
            ("real", cases, {"diff": True}),
            ("check", few if by_playbook else cases, {"check": True, "diff": True}),
        ]
        if by_playbook:
            modes.append(("async", few, {"keywords_of_task": {"async": 100, "poll": 1}}))
        with catch_log() as spent.messages:
            for mode, chosen, how in modes:
                args_by_host = {name: _task_args(spent, site, mode, name, words) for name in chosen}
                environments = {name: OUTCOMES[cases[name][1]][3] for name in chosen}
                spent.runs[mode] = runner.each(args_by_host, environments=environments, verbosity=3, **how)
            spent.runs["malformed"] = runner.each(
                {
                    name: task_args(site, os.path.join(spent.folder, "malformed", name), download=spent.side, **options)
                    for name, options in MALFORMED.items()
                    if not by_playbook or name in MALFORMED_SAMPLE
                },
                verbosity=3,
            )
        spent.elsewhere = list(elsewhere.requests)
    if by_playbook:
        spent.async_folder = os.path.join(runner.folder, "home", "async")
    yield spent


def _task_args(spent, site, mode, name, words):
    kind, outcome = CASES[name]
    options = dict({"version": VERSIONS[name], "download": spent.side, "timeout": 60}, **kind)
    options.update(OUTCOMES[outcome][2])
    if "client_cert" in options:
        options["client_cert"] = options["client_cert"].format(**words)
    if "sites" in options:
        options["sites"] = [text.format(**words) for text in options["sites"]]
    return task_args(site, os.path.join(spent.folder, mode, SHORT, name), **options)


def _behaviour(wanted, misbehaviours, elsewhere):
    """The behaviour that an outcome wants of the site."""
    from release_site.replies import Reply

    if wanted is None:
        return None
    if isinstance(wanted, tuple):
        return getattr(misbehaviours, wanted[0])(
            *(text.replace("{elsewhere}", elsewhere) if isinstance(text, str) else text for text in wanted[1:])
        )

    def repeat(exchange):
        headers = exchange.request.headers
        secret = headers.get("Authorization", headers.get("X-Api-Key", "nothing")).rpartition(" ")[2]
        letters = "%s/%s" % (secret.upper(), "".join("%%%02x" % ord(each) for each in secret))
        if exchange.request.path.startswith("/broken/"):
            rest = exchange.honest(b"12345678")
            exchange.close()
            exchange.head(rest.status, dict(rest.headers, **{"Content-Length": str(len(rest.body))}))
            exchange.body(rest.body[:1])
            return
        answers = {
            "page": Reply(200, {"Content-Type": "text/html"}, b"<p>" + secret.encode()),
            "long page": Reply(200, {"Content-Type": "text/html"}, b"<p>" + b"-" * 45 + secret.encode()),
            "sums": Reply(200, {"Content-Type": "text/plain"}, secret.encode()),
            "header": Reply(200, {"Content-Type": "text/html; x=" + secret}, b"x"),
            "redirect": Reply(302, {"Location": "/gone/%s" % secret}, b""),
            "letters": Reply(302, {"Location": "/gone/" + letters}, b""),
            "file": Reply(302, {"Location": "file:///%s" % secret}, b""),
            "break": Reply(302, {"Location": "/broken/%s%s" % (secret, exchange.request.path)}, b""),
        }
        exchange.reply(answers[wanted])

    return repeat


every_mode = pytest.mark.parametrize(
    "world, mode",
    [
        (run, mode)
        for run in RUNS
        for mode in ("real", "check", "async", "malformed")
        if mode != "async" or run.startswith("play")
    ],
    indirect=["world"],
)


@TABLE.each()
def test_it_comes_out_as_it_should(world, name):
    result, outcome = world.runs["real"].each[name], CASES[name][1]
    step = OUTCOMES[outcome][1]
    if outcome in REFUSED_BY_CORE:  # by its words, and as all our refusals are reported
        assert result["failed"] and result["error"]["step"] == "request", result
    elif step is None:
        assert result["changed"] and not result["failed"], result
    else:
        assert result["failed"] and result["error"]["step"] == step, result
        assert "\n" not in result["msg"] and len(result["msg"]) <= 400


@every_mode
def test_no_result_shows_them(world, mode):
    lines = world.runs[mode].lines
    assert [
        (line["host"], secret)
        for line in lines
        for secret in world.secrets
        if secret.lower() in unquote(str(line)).lower()
    ] == []
    assert lines


@every_mode
def test_the_screen_does_not_show_them(world, mode):
    run = world.runs[mode]
    if isinstance(run.process, subprocess.Popen) and (world.side == "target" or mode != "malformed"):
        # Where the controller downloads, no host hears of what is malformed.
        assert " EXEC " in run.output, "this is not what -vvv shows"
    # What core runs on a host, with the task's environment before it, is core's own to show.
    lines = [line for line in run.output.splitlines() if " EXEC " not in line or "/bin/sh -c" not in line]
    assert [line for line in lines for secret in world.secrets if secret.lower() in unquote(line).lower()] == []
    assert [line for line in run.output.splitlines() for secret in world.secrets[:4] if secret in line] == []


@every_world
def test_the_system_log_does_not_show_them(world):
    if world.messages is None:
        pytest.skip("%s exists, or we are not root: no log of our own can be put there" % LOG)
    assert any("Invoked with" in message for message in world.messages)
    assert [message for message in world.messages for secret in world.secrets if secret in message] == []


@every_world
def test_no_file_shows_them(world):
    """Receipts, locks, what is left of failures, and the answers of jobs in the background."""
    places = [os.path.join(world.folder, mode) for mode in ("real", "async", "malformed")]
    places += [world.async_folder] if world.async_folder else []
    files = [
        os.path.join(parent, name) for place in places for parent, _folders, found in os.walk(place) for name in found
    ]
    assert any(path.endswith("terraform.json") for path in files)
    for path in files:
        with open(path, "rb") as file:
            data = file.read()
        assert [secret for secret in world.secrets if secret.encode() in data] == [], path


@TABLE.every_world_with("alias-redirected-elsewhere")
def test_a_site_that_was_not_named_gets_none(world):
    """The archive, and all else, came from elsewhere by a redirect."""
    versions = [VERSIONS[name] for name, (_kind, outcome) in world.cases.items() if outcome == "redirected-elsewhere"]
    asked = [request for request in world.elsewhere if request.path.split("/")[2] in versions]
    assert {request.path.split("/")[2] for request in asked} == set(versions)
    for request in asked:
        assert not {"authorization", "x-api-key", "x-team", "cookie"} & {name.lower() for name in request.headers}
        assert [secret for secret in world.secrets if secret in str(request)] == []


@TABLE.each(lambda case: case in (CASES["headers-installed"], CASES["headers-unauthorized"]))
def test_a_short_value_of_a_header_mangles_nothing(world, name):
    result = world.runs["real"].each[name]
    store = os.path.join(world.folder, "real", SHORT, name)
    assert "***" not in str(result["steps"]) + result["msg"]
    if world.side == "target" or name == "headers-installed":
        assert any(store in step for step in result["steps"])
    if name == "headers-installed":
        assert result["path"] == os.path.join(store, VERSIONS[name], "terraform")


@pytest.mark.parametrize(
    "world, name",
    [(run, name) for run in RUNS for name in sorted(MALFORMED) if run.startswith("tasks") or name in MALFORMED_SAMPLE],
    indirect=["world"],
)
def test_what_is_not_in_order_is_refused(world, name):
    result = world.runs["malformed"].each[name]
    assert result["failed"] and not result["changed"], result
    assert name.partition("-")[0].rstrip("s") in result["msg"] and "\n" not in result["msg"]
