# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every snippet of docs/guides is run, in the order of its page, and does what the page says.

A test takes the snippets of its page one by one. One that nobody takes, or of another kind than the test expects, fails it.
"""

import base64
import json
import os
import pathlib
import re
import shutil

import pytest
from guides import FULL, GUIDES, REPOSITORY, WORK, Machine, Page, read_yaml, terraform_of
from playbook_run import MODULE

STORE = "/opt/iac-platform/terraform-binaries"
LINK = "/usr/local/bin/terraform"
STORIES = {}  # page and test
ELSEWHERE = {"README.md", "awx.md"}  # the index; and a page with a test of its own
NAMES = (
    "releases.hashicorp.com",
    "mirror.example.com",
    "artifacts.example.com",
    "nexus.example.com",
    "gitlab.example.com",
    "s3.example.com",
    "files.example.com",
    "storage.example.com",
)


def story(name):
    """A mark for the test of a page."""

    def keep(test):
        STORIES[name] = test
        return test

    return keep


@pytest.fixture(scope="module")
def internet(signing_key):
    """A Site that answers for all names on port 443."""
    from release_site import Site, certificates

    authority = certificates.Authority()
    with Site(
        versions=("1.9.8", "1.13.3", "1.13.4"),
        key=signing_key,
        hosts=("127.77.%d.1" % (os.getpid() % 250),),
        port=443,
        tls=authority.server_context(NAMES),
    ) as site:
        site.ca_pem, site.address, site.authority = authority.pem, "127.77.%d.1" % (os.getpid() % 250), authority
        yield site


@pytest.fixture
def machine(internet, host_platform, tmp_path):
    internet.behave()
    internet.requests.clear()
    with Machine(tmp_path, internet, NAMES) as running:
        yield running


@story("team.md")
def test_a_team(machine, internet):
    with Page("team.md") as page:
        machine.write("terraform.yml", page.take("yaml"))
        command, version = page.take("sh"), page.take("sh")
        assert machine.role(command, really=True)["changed"]
        assert terraform_of(machine.shell(version, user="alice")) == "1.13.4"
        internet.stop()
        again = machine.role(command)
        internet.start()
        assert again["changed"] is False and again["path"] == STORE + "/1.13.4/terraform", again

        let, sudo, loop, by_path, fact, several = [
            page.take(kind) for kind in ("yaml", "sh", "yaml", "sh", "yaml", "yaml")
        ]
        assert "command not found" in machine.shell(sudo, user="alice", fails=True)
        assert terraform_of(machine.shell("sudo %s version" % LINK, user="alice")) == "1.13.4"
        machine.write(
            "hosts",
            "[builders]\n%s"
            % "".join(
                "%s ansible_connection=local ansible_python_interpreter=/usr/bin/python3 %s\n" % each
                for each in (("build01", ""), ("build02", "terraform_binary_base_dir=/proc/nowhere"))
            ),
        )
        run = machine.play(
            *["- hosts: build01\n  tasks:\n" + re.sub("(?m)^", "    ", each) for each in (let, loop, fact)],
            several,
            inventory="hosts",
        )
        assert terraform_of(machine.shell(sudo, user="alice")) == "1.13.4"
        assert terraform_of(machine.shell(by_path, user="alice")) == "1.13.3"
        assert terraform_of(run["Say what 1.13.3 is"]["stdout"]) == "1.13.3"
        said = {
            line["task"]: line["host"]
            for line in run.lines
            if line["status"] == "ok" and line["task"][:3] in ("Go ", "Say")
        }
        assert (
            said["Go on with the hosts that have it"] == "build01" and said["Say why the others have not"] == "build02"
        )
        assert run.on_hosts("Say why the others have not")["build02"]["msg"].startswith("build02: ")


@story("one-user.md")
def test_one_user(machine, internet):
    with Page("one-user.md") as page:
        machine.write("/home/alice/my-terraform.yml", page.take("yaml"))
        machine.shell("chown alice /home/alice/*")
        command = page.take("sh")
        if FULL:
            refused = machine.shell(
                command.strip() + " -e terraform_binary_base_dir=" + STORE, user="alice", fails=True
            )
            assert "/opt" in refused and internet.counts(".zip").requests == 0, refused
        assert machine.ansible(command, user="alice")["Put Terraform in place"]["changed"]
        assert terraform_of(machine.shell(page.take("sh"), user="alice")) == "1.13.4"
        assert os.path.exists(machine.at("/home/alice/.local/share/terraform-binaries/1.13.4/terraform"))


@story("containers.md")
def test_containers(machine, internet, host_platform, tmp_path):
    with Page("containers.md") as page:
        dockerfile, environment, chroot = page.take("dockerfile"), read_yaml(page.take("yaml")), page.take("yaml")
        stages = [
            [line.split(" ", 1) for line in stage.splitlines() if line]
            for stage in re.split(r"(?m)^FROM .*\n", dockerfile)
        ]
        assert [[word for word, _rest in stage] for stage in stages] == [[], ["RUN"] * 3, ["COPY", "RUN"]], dockerfile
        git = machine.clone() if FULL else {}
        for number, (_word, command) in enumerate(stages[1]):
            if FULL or number != 1:
                machine.shell(command, galaxy=FULL, **git)
        (tmp_path / "final").mkdir()
        with Machine(tmp_path / "final", internet, NAMES) as final:
            options, source, target = stages[2][0][1].split(" ")
            assert options == "--from=build"
            os.makedirs(os.path.dirname(final.at(target)), exist_ok=True)
            machine.shell("tar -cf /tmp/image-%d.tar -C %s ." % (os.getpid(), source))
            final.shell(
                "mkdir -p {0}; tar -xf /tmp/image-{1}.tar -C {0}; rm /tmp/image-{1}.tar".format(target, os.getpid())
            )
            final.shell(stages[2][1][1])
            assert terraform_of(final.shell("%s version" % LINK)) == "1.13.4"
            (again,) = final.tasks([{"version": "1.13.4"}])
            assert not again["changed"] and not again["failed"], again

        steps = list(environment["additional_build_steps"]["append_final"])
        assert environment["version"] == 3 and steps == ["RUN " + stages[1][2][1]]
        collections = environment["dependencies"]["galaxy"]["collections"]
        assert collections == [{"name": REPOSITORY, "type": "git"}]
        if FULL:  # what ansible-builder runs
            machine.shell("rm -r /root/.ansible %s" % STORE)
            machine.write("requirements.yml", json.dumps({"collections": collections}))
            machine.shell("ansible-galaxy collection install -r requirements.yml", galaxy=True, **git)
            machine.shell(steps[0][4:], galaxy=True)
            assert os.path.exists(machine.at("%s/1.13.4/terraform" % STORE))

        os.makedirs(machine.at("/srv/image/usr/local/bin"))
        assert machine.play(chroot)["The binary"]["changed"]
        assert terraform_of(machine.shell(page.take("sh"))) == "1.13.4"
        other = {"linux_amd64": "linux_arm64", "linux_arm64": "linux_amd64"}[host_platform]
        (foreign,) = machine.tasks([{"version": "1.13.3", "base_dir": "/srv/image/opt", "platform": other}])
        assert foreign["changed"] and any("run check skipped" in step for step in foreign["steps"]), foreign


@story("upgrading.md")
def test_upgrading(machine, internet):
    with Page("upgrading.md") as page:
        machine.write("terraform.yml", page.take("yaml"))
        listed = machine.play(page.take("yaml"))
        assert listed["The patch releases of 1.13"]["msg"] == ["1.13.4", "1.13.3"]
        assert listed["The version of the playbook exists"]["msg"] == "All assertions passed"
        look, shown = page.take("sh"), page.take("diff").splitlines()
        upgrade, previous, back = page.take("sh"), page.take("sh"), page.take("sh")
        constraint, never, rescue = read_yaml(page.take("yaml")), read_yaml(page.take("yaml")), page.take("yaml")
        machine.tasks([{"version": "1.13.3", "link": LINK}])
        internet.requests.clear()
        seen = machine.role(look)
        assert seen["changed"] and internet.counts(".zip").bytes == 1 and internet.counts("SHA256SUMS").requests == 1
        before, after = seen["diff"]["before"]["link"], seen["diff"]["after"]["link"]
        assert (before, after) == ({LINK: STORE + "/1.13.3/terraform"}, {LINK: STORE + "/1.13.4/terraform"})
        header, after = seen["diff"]["after_header"], seen["diff"]["after"]
        assert shown[:2] == ["--- before: " + seen["diff"]["before_header"], "+++ after: " + header], shown
        example = json.loads("{%s}" % shown[2][1:].rstrip(","))  # of a genuine archive
        assert list(example) == ["bytes_to_fetch"] and isinstance(after["bytes_to_fetch"], int), after
        assert terraform_of(machine.shell("terraform version")) == "1.13.3"
        assert machine.role(upgrade)["previous_version"] == "1.13.3"
        assert terraform_of(machine.shell("terraform version")) == "1.13.4"
        internet.stop()
        assert machine.role(previous)["changed"] and not machine.role(previous)["changed"]
        assert terraform_of(machine.shell("terraform version")) == "1.13.3"
        assert not machine.role(back)["changed"]
        internet.start()
        assert machine.tasks([{"version": "1.13.4", "link": LINK}])[0]["changed"]
        (refused,) = machine.tasks([dict(never, version="1.13.3", link=LINK)])
        assert refused["failed"] and "1.13.3 is older" in refused["msg"], refused
        assert machine.tasks([{"version": "1.13.3", "link": LINK}])[0]["changed"]
        failed = machine.play(rescue, fails=True)
        assert failed["The new version"]["changed"] and failed["The version before"]["changed"]
        assert failed["Let the host fail all the same"]["msg"].startswith("Terraform is 1.13.3 again: ")
        assert terraform_of(machine.shell("terraform version")) == "1.13.3"

        index = internet.files["terraform/index.json"].body.replace(b"1.13.4", b"1.12.0")
        internet.misbehave("terraform/index.json", lambda exchange: exchange.reply(exchange.honest(index)))
        (kept,) = machine.tasks([constraint])
        assert kept["version"] == "1.13.4" and not kept["changed"] and "1.13.4" in str(kept["warnings"]), kept


@story("fleet.md")
def test_the_fleet(machine):
    with Page("fleet.md") as page:
        audit, look = page.take("sh"), page.take("yaml")
        machine.tasks([{"version": version, "link": LINK} for version in ("1.13.3", "1.13.4")])
        machine.ansible(audit)
        report = json.loads(
            pathlib.Path(machine.at(WORK), "reports", "terraform-audit.json").read_text(encoding="utf-8")
        )
        assert report["totals"]["ok"] == report["totals"]["hosts"] > 0
        assert all(host["in_use"] == "1.13.4" for host in report["hosts"])
        seen = machine.play(look)["See which Terraform binaries a host has"]
        assert [each["version"] for each in seen["versions"]] == ["1.13.4", "1.13.3"] and not seen["changed"]
        with open(machine.at(STORE + "/1.13.3/terraform"), "ab") as file:
            file.write(b"x")
        machine.ansible(audit, fails=True)
        failed = machine.play(look, fails=True)["Expect that all are intact"]
        assert STORE + "/1.13.3/terraform has " in failed["msg"], failed["msg"]


@story("removing.md")
def test_removing(machine):
    with Page("removing.md") as page:
        one, older = [read_yaml(page.take("yaml"))[0] for _number in range(2)]
        keep, all_of_it = read_yaml(page.take("yaml")), read_yaml(page.take("yaml"))[0]
        machine.tasks([{"version": version} for version in ("1.9.8", "1.13.3")])
        (kept,) = machine.tasks([dict(keep, version="1.13.4")])
        assert kept["msg"].endswith("removed (keep: 2): 1.9.8"), kept
        linked = {"version": "1.9.8", "link": "/usr/local/bin/tf", "state": "absent"}
        results = machine.tasks(
            [
                {"version": "1.9.8"},
                {"version": "1.13.3"},
                {"version": "1.13.4", "link": LINK},
                one,
                {"version": "1.9.8", "link": "/usr/local/bin/tf"},
                one,
                linked,
                older,
                older,
                all_of_it,
            ]
        )
        assert [result["failed"] for result in results] == [False] * 5 + [True] + [False] * 4, results
        gone = [STORE + "/1.9.8" + each for each in ("/terraform", "/terraform.json", "")]
        assert results[3]["removed"] == gone and "/usr/local/bin/tf" in results[5]["msg"]
        assert results[6]["removed"] == ["/usr/local/bin/tf"] + gone
        assert results[7]["changed"] and not results[8]["changed"] and results[7]["version"] == "1.13.3"
        fact = results[9]["ansible_facts"]["terraform_binary_result"]
        assert fact["version"] is None and fact["versions"] == {}
        assert not os.path.lexists(machine.at(LINK)) and os.listdir(machine.at(os.path.dirname(STORE))) == []


@story("from-tfenv.md")
def test_from_tfenv(machine):
    with Page("from-tfenv.md") as page:
        pinned, which, remove, projects = [page.take(kind) for kind in ("yaml", "sh", "sh", "yaml")]
        machine.write(".terraform-version", "# ours\n\nv1.13.4\n")
        for name, version in (("network", "1.13.3"), ("cluster", "latest")):
            machine.write("%s/.terraform-version" % name, version + "\n")
        machine.write("/root/.tfenv/bin/terraform", "#!/bin/sh\necho tfenv\n")
        machine.shell("chmod a+x /root/.tfenv/bin/terraform; ln -s /root/.tfenv/bin/terraform %s" % LINK)
        machine.write("terraform.yml", pinned)
        assert machine.role("ansible-playbook -i inventory terraform.yml")["changed"]
        run = machine.play(projects)
        assert os.readlink(machine.at(LINK)) == "%s/1.13.4/terraform" % STORE
        reported = [line["result"]["results"] for line in run.lines if line["task"] == "What each project got"]
        assert [terraform_of(result["stdout"]) for result in reported[0]] == ["1.13.3", "1.13.4"]
        found = machine.shell('export PATH="$HOME/.tfenv/bin:$PATH"\n' + which)
        assert found.splitlines()[0].endswith("/root/.tfenv/bin/terraform") and LINK in found
        machine.shell(remove)
        assert not os.path.exists(machine.at("/root/.tfenv"))

        refused = {
            pin: words
            for line, words in re.findall(r"(?m)^\| (`.*?) \| .*?`([^`]*)`", page.text)
            for pin in re.findall("`([^`]*)`", line)
        }
        assert refused.keys() == {"latest:^1.13", "min-required", "latest-allowed"}
        for pin in refused:
            machine.write(pin, pin + "\n")
        results = machine.tasks([{"version_file": "%s/%s" % (WORK, pin)} for pin in refused])
        for result, words in zip(results, refused.values()):
            assert result["failed"] and words in result["msg"], result


@story("from-get_url.md")
def test_from_get_url(machine, internet, host_platform):
    with Page("from-get_url.md") as page:
        machine.write(LINK, "what unarchive unpacked\n")
        installed = read_yaml(page.take("yaml"))[0]
        strict = {key: value for key, value in installed[MODULE].items() if key != "link_force"}
        release = internet.release("1.13.4")
        digest = "sha256:%s" % release.digest(host_platform)
        refused, forced, pinned = machine.tasks(
            [dict(strict, backup=None), installed, dict(installed[MODULE], checksum=digest)]
        )
        assert refused["failed"] and "link_force" in refused["msg"], refused
        assert forced["changed"] and not pinned["failed"], (forced, pinned)
        kept = [name for name in os.listdir(machine.at(os.path.dirname(LINK))) if name.startswith("terraform.")]
        assert len(kept) == 1, kept
        os.unlink(machine.at("%s/1.13.4/terraform.json" % STORE))
        (adopted,) = machine.tasks(read_yaml(page.take("yaml")))
        assert adopted["msg"].startswith("Terraform 1.13.4 adopted at "), adopted
        given = page.take("yaml").replace("linux_amd64", host_platform)
        os.mkdir(machine.at("/srv/incoming"))
        for name in ("SHA256SUMS", "SHA256SUMS.sig", host_platform + ".zip"):
            with open(machine.at("/srv/incoming/terraform_1.13.4_" + name), "wb") as file:
                file.write(internet.files["terraform/1.13.4/terraform_1.13.4_" + name].body)
        machine.shell("rm -r %s" % STORE)
        internet.requests.clear()
        (result,) = machine.tasks(read_yaml(given))
        assert result["changed"] and result["verification"]["policy"] == "signature" and not internet.requests, result


@story("from-other-roles.md")
def test_from_other_roles(machine):
    with Page("from-other-roles.md") as page:
        machine.write(LINK, "what another role left\n")
        machine.write("terraform.yml", page.take("yaml"))
        assert machine.role("ansible-playbook -i inventory terraform.yml")["changed"]
        assert os.readlink(machine.at(LINK)) == "%s/1.13.4/terraform" % STORE
        number, above = machine.tasks(
            [{"version": 0.15}, {"version": "1.13.3", "sites": ["https://releases.hashicorp.com/terraform"]}]
        )
        assert number["failed"] and above["failed"] and "above terraform" in above["msg"], (number, above)


SECRETS = {
    "vault_artifactory_token": "artifactory-token",
    "vault_artifactory_user": "artifactory-user",
    "vault_artifactory_api_key": "artifactory-api-key",
    "vault_nexus_user": "nexus-user",
    "vault_nexus_password": "nexus-password",
    "vault_gitlab_deploy_token": "gitlab-deploy-token",
    "vault_mirror_user": "alice",
    "vault_mirror_password": "wonder-land-42",
    "lookup('ansible.builtin.env', 'CI_API_V4_URL')": "https://gitlab.example.com/api/v4",
    "lookup('ansible.builtin.env', 'CI_JOB_TOKEN')": "gitlab-job-token",
}


def basic(user, password):
    return "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


def product(host, prefix, accepted, missing=404, refused=401, storage=None, kept=()):
    """A product that stands before the files of a Site.

    :param accepted: pairs of header and value, of which one lets in; empty: everybody.
    :param missing: status for a file that is not there, ``refused`` for those who are not let in.
    :param storage: str, where files come from by a redirect.
    :param kept: names that it has no place for.
    """

    def answer(exchange):
        from release_site.replies import Reply

        path = exchange.request.path
        if exchange.request.headers["Host"] != host:
            exchange.reply(Reply(400, {}, b"another host"))
        elif accepted and not any(exchange.request.headers.get(name) == value for name, value in accepted):
            exchange.reply(Reply(refused, {}, b""))
        elif not path.startswith(prefix + "/terraform/"):
            exchange.reply(
                Reply(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>a page for people</title>")
            )
        else:
            exchange.request.path = path[len(prefix) :]
            if exchange.document is None or path.endswith(tuple(kept)):
                exchange.reply(Reply(missing, {"Content-Type": "application/xml"}, b"<Error/>"))
            elif storage:
                exchange.reply(Reply(302, {"Location": storage + exchange.request.path + "?X-Amz-Signature=1"}, b""))
            else:
                exchange.reply(exchange.honest())

    return answer


def from_storage(exchange):
    """A storage with signed URLs takes no credentials beside them."""
    from release_site.replies import Reply

    names = {name.lower() for name in exchange.request.headers}
    exchange.request.path = exchange.request.path[len("/storage") :]
    if (
        names & {"authorization", "deploy-token", "job-token", "private-token"}
        or "Signature" not in exchange.request.query
    ):
        exchange.reply(Reply(400, {}, b"two ways to authenticate"))
    else:
        exchange.reply(exchange.honest())


def filled(text):
    """The variables of a snippet, with the values of its secrets: dict."""
    return read_yaml(re.sub(r"\{\{ (.*?) \}\}", lambda found: SECRETS[found.group(1)], text))


@pytest.fixture
def mirrors(internet):
    """The products, each under its own name and with its own way to let in."""
    api = "/api/v4/projects/42/packages/generic"
    internet.behave()
    for pattern, behaviour in {
        "artifactory/*": product(
            "artifacts.example.com",
            "/artifactory/hashicorp",
            [
                ("Authorization", "Bearer artifactory-token"),
                ("Authorization", basic("artifactory-user", "artifactory-token")),
                ("X-JFrog-Art-Api", "artifactory-api-key"),
            ],
        ),
        "ui/*": product("artifacts.example.com", "/artifactory/hashicorp", []),
        "repository/*": product(
            "nexus.example.com", "/repository/hashicorp", [("Authorization", basic("nexus-user", "nexus-password"))]
        ),
        "api/*": product(
            "gitlab.example.com",
            api,
            [
                ("Deploy-Token", "gitlab-deploy-token"),
                ("JOB-TOKEN", "gitlab-job-token"),
                ("PRIVATE-TOKEN", "gitlab-token"),
            ],
            refused=404,
            storage="https://storage.example.com/storage",
            kept=["index.json"],
        ),
        "storage/*": from_storage,
        "hashicorp/*": lambda exchange: {
            "mirror.example.com": product("mirror.example.com", "/hashicorp", []),
            "s3.example.com": product("s3.example.com", "/hashicorp", [], missing=403, kept=["1.13.3_SHA256SUMS"]),
            "files.example.com": product(
                "files.example.com", "/hashicorp", [("Authorization", basic("alice", "wonder-land-42"))]
            ),
        }[exchange.request.headers["Host"]](exchange),
    }.items():
        internet.misbehave(pattern, behaviour)
    return internet


def asking(version, variables=None, sites=None):
    """Variables of the role that ask for a version: dict."""
    task_args = dict(variables or {}, terraform_binary_version=version)
    return dict(task_args, terraform_binary_sites=sites) if sites else task_args


@story("mirrors.md")
def test_mirrors(internet, mirrors, host_platform, tmp_path):
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    names = dict.fromkeys(NAMES, internet.address)
    if program:
        names["files.example.com"] = internet.address[:-1] + "2"
    with Machine(tmp_path, internet, names) as machine, Page("mirrors.md") as page:
        whole, fetch, folder, both = [page.take(kind) for kind in ("yaml", "sh", "yaml", "yaml")]
        machine.shell(fetch.replace("linux_amd64", host_platform))
        machine.shell("mkdir /srv/mirror; mv hashicorp /srv/mirror")
        products = [page.take("yaml") for _number in range(7)]
        configuration, served = page.take("nginx"), page.take("yaml")
        if program:
            machine.write("/etc/nginx/mirror.pem", internet.authority.issue(NAMES))
            machine.write("/etc/nginx/mirror.key", internet.authority.issue(NAMES))
            shutil.copy(machine.at("/etc/nginx/mirror.pem"), machine.at("/etc/nginx/mirror.key"))
            machine.write("/etc/nginx/mirror.users", "alice:{PLAIN}wonder-land-42\n")
            machine.serve(program, configuration, names["files.example.com"])
        (play,) = read_yaml(whole)
        good = [play["roles"][0]["vars"]] + [filled(text) for text in (folder, both, *products, served)]
        token, gitlab, storage = good[3], good[7], good[9]
        public = ["https://releases.hashicorp.com"]
        good += [
            asking("1.13.3", storage, storage["terraform_binary_sites"] + public),
            asking("1.9.8", token, token["terraform_binary_sites"] + public),
        ]
        bad = {  # words of the message -> what was asked
            "the index lists it, and the site lacks the file": asking("~> 1.9.0", good[1]),
            "folder above terraform": asking("1.13.4", sites=["https://mirror.example.com/hashicorp/terraform"]),
            "has a user name or password in it": asking(
                "1.13.4", sites=["https://alice:word@mirror.example.com/hashicorp"]
            ),
            "is a web page": asking("1.13.4", sites=["https://artifacts.example.com/ui/native/hashicorp"]),
            "has a query or fragment": asking("1.13.4", sites=["https://nexus.example.com/#browse/browse:hashicorp"]),
            "an exact version needs no index": asking("~> 1.13.0", gitlab),
            "HTTP 404": asking("1.13.4", dict(gitlab, terraform_binary_url_headers={"Deploy-Token": "a-wrong-token"})),
            "http:": asking("1.13.4", dict(good[10], terraform_binary_sites=["http://files.example.com/hashicorp"])),
        }
        args_by_host = [dict({"terraform_binary_version": "1.13.4"}, **task_args) for task_args in good] + list(
            bad.values()
        )
        results = machine.tasks(
            [
                dict(task_args, terraform_binary_base_dir="/opt/%d" % number, terraform_binary_retries=1)
                for number, task_args in enumerate(args_by_host)
            ]
        )
        for result, task_args in zip(results, args_by_host[: len(good)]):
            assert result["changed"] and not result["failed"], (task_args, result["msg"])
        for result, (words, task_args) in zip(results[len(good) :], bad.items()):
            assert result["failed"] and words in result["msg"], (task_args, result["msg"])
        others = {"releases.hashicorp.com", "storage.example.com"}
        seen = [request.headers for request in internet.requests if request.headers["Host"] in others]
        assert {headers["Host"] for headers in seen} == others
        assert not any(name in headers for headers in seen for name in ("Authorization", "Deploy-Token", "JOB-TOKEN"))
        assert bool(program) is not any(request.headers["Host"] == "files.example.com" for request in internet.requests)


def test_every_page_has_a_story():
    pages = {path.name for path in GUIDES.glob("*.md")}
    assert pages - ELSEWHERE == STORIES.keys()
    index = (GUIDES / "README.md").read_text(encoding="utf-8")
    assert pages - {"README.md"} <= set(re.findall(r"\]\(([\w-]+\.md)\)", index))


@pytest.mark.parametrize("name", sorted(STORIES))
def test_links_lead_somewhere_and_code_is_fenced(name):
    text = Page(name).text
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (GUIDES / target).exists(), target
    assert not re.search(r"(?m)^(    |\t)\S", re.sub(r"(?ms)^```.*?^```$", "", text)), "code that no test sees"
