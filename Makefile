# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# make demo      install, install again, damage, heal: against a release site on this machine, no network needed
# make check     ruff, mypy, import rules and unit tests, about a minute: often
# make test      everything that a change has to pass, about ten minutes on two cores
# make install VERSION=1.13.4 [BASE_DIR=...] [LINK=...] [SITES="https://... https://..."]
#                put Terraform on this machine with the shipped playbook
# make proof     the full proof that nothing is left half done (docs/proof.md): root, strace and loop devices for all of it,
#                up to 45 minutes; make proof TESTS=tests/proof/test_concurrency_stress.py for a part of it
# make bench     processor time beside a ping and beside what users write instead: docs/benchmarks.md; about 25 minutes on an
#                idle machine; ROUNDS=3 HOSTS="1 10" for less
# make coverage  the lines and branches of plugins/ that the unit tests run, with a floor; the report is in build/coverage
# make matrix    the playbook tests and the jobs of AWX in their long form with every ansible-core that this machine has a
#                Python for, and the sanity tests with the oldest and the newest one and every Python
#
# Needs Python 3.11 or later and make; everything else is installed into build/, from where pip is configured to look.

NOX := build/tools/bin/nox
# A name that is there may still not run: pyenv has names for Pythons that are switched off.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

.DEFAULT_GOAL := help
.PHONY: help bench check coverage demo test proof install lint matrix clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n '4,/^$$/p'

$(NOX): tests/requirements/nox.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or later found; name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv build/tools || { echo "make: $(PYTHON) cannot make a venv (Debian: apt install python3-venv)"; exit 1; }
	@build/tools/bin/pip install --quiet -r tests/requirements/nox.txt
	@touch $@

demo: $(NOX)
	@$(NOX) --session demo

check: $(NOX)
	@$(NOX) --session check

test: $(NOX)
	@$(NOX) --session test

proof: $(NOX)
	@$(NOX) --session proof -- $(TESTS)

lint: $(NOX)
	@$(NOX) --session lint

matrix: $(NOX)
	@$(NOX) --session matrix
	@$(NOX) --session sanity_cores
	@$(NOX) --session target36 -- tests/unit/plugins/module_utils tests/unit/test_imports.py

coverage: $(NOX)
	@$(NOX) --session coverage

bench: $(NOX)
	@$(NOX) --session bench

install: $(NOX)
	@test -n "$(VERSION)" || { echo 'make install: which version? For example: make install VERSION=1.13.4'; exit 1; }
	@VERSION='$(VERSION)' BASE_DIR='$(BASE_DIR)' LINK='$(LINK)' SITES='$(SITES)' $(NOX) --session install

clean:
	rm -rf build
