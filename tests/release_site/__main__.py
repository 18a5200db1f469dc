# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a release site and serve it until interrupted, or only lay its files out: see ``--help``."""

import argparse
import ast
import os
import signal
import sys
import tempfile
import threading

if not __package__:  # run as a folder: python tests/release_site
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from release_site import Site, misbehaviours, releases


def main():
    """Read the arguments, make the site, and serve it or write it."""
    parser = _describe_arguments()
    wanted = parser.parse_args()
    rules = [(pattern, _make_behaviour(parser, text), int(times) or None) for pattern, text, times in wanted.misbehave]
    hosts = wanted.host or ("127.0.0.1",)
    site = Site(wanted.versions, wanted.platforms, hosts=hosts, port=wanted.port, tls=wanted.tls, log=_print_request)
    for rule in rules:
        site.misbehave(*rule)
    directory = os.path.abspath(wanted.write or wanted.directory or tempfile.mkdtemp(prefix="release-site-"))
    site.write(directory)
    if wanted.write:
        print("site: file://%s" % directory)
        print("key: %s" % os.path.join(directory, "key.asc"))
    else:
        _serve(site, directory)


def _describe_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m release_site",
        description=__doc__,
        epilog="Behaviours: %s. Without arguments they have their defaults." % ", ".join(misbehaviours.__all__),
    )
    parser.add_argument("--versions", type=_split, default="1.9.8,1.13.3,1.13.4", help="default: %(default)s")
    parser.add_argument("--platforms", type=_split, default=",".join(releases.PLATFORMS), help="default: %(default)s")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--host", action="append", help="address to listen on, may be given again; default: 127.0.0.1")
    parser.add_argument("--tls", action="store_true", help="serve https; the authority's certificate becomes ca.pem")
    parser.add_argument("--directory", help="where the files and key.asc are laid out; default: a new temporary one")
    parser.add_argument("--write", metavar="DIRECTORY", help="lay the files and key.asc out there and serve nothing")
    parser.add_argument(
        "--misbehave",
        nargs=3,
        action="append",
        default=[],
        metavar=("PATTERN", "BEHAVIOUR", "TIMES"),
        help="for example '*.zip' 'truncate(at=1000)' 2; TIMES 0 is for ever",
    )
    return parser


def _split(text):
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _make_behaviour(parser, text):
    """``truncate(at=1000)`` as a call of that misbehaviour: literals as arguments, nothing is evaluated."""
    try:
        call = ast.parse(text, mode="eval").body
        name = call.func.id
        if name not in misbehaviours.__all__:
            parser.error("%s is no behaviour: see --help" % name)
        arguments = [ast.literal_eval(argument) for argument in call.args]
        named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        return getattr(misbehaviours, name)(*arguments, **named)
    except (SyntaxError, AttributeError, ValueError, TypeError) as error:
        return parser.error("%r is not a behaviour like truncate(at=1000): %s" % (text, error))


def _serve(site, directory):
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    with site:
        print("site: %s" % site.url)
        print("key: %s" % os.path.join(directory, "key.asc"))
        if site.ca_pem:
            authority = os.path.join(directory, "ca.pem")
            with open(authority, "w", encoding="ascii") as file:
                file.write(site.ca_pem)
            print("ca: %s" % authority)
        sys.stdout.flush()
        interrupted.wait()


def _print_request(request):
    """One line for each request, so that a shell script can count: method, path, status, bytes, behaviour."""
    print(request.method, request.path, request.status, request.sent, request.behaviour, flush=True)


if __name__ == "__main__":
    main()
