# SPDX-License-Identifier: Apache-2.0
"""Record all scenes on the hosts of a lab, and draw them; ``make recordings`` runs this. The lab needs root."""

import tempfile
from pathlib import Path

from docs.recordings.scenes import SCENES
from tests.integration.reader_shell import BIN, ROOT, ReaderShell

CHECKOUT = "/srv/madctl"


def record() -> None:
    """Record all scenes in one shell, so that the second one finds the lab and the checkpoint of the first."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        environment = {"XDG_STATE_HOME": f"{home}/.state", "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{home}/.cp"}
        with ReaderShell(home, {**environment, "PYTHONPATH": str(ROOT)}) as shell:
            for command in (
                # The output names files as they would be called on a reader's machine.
                f"mount -t tmpfs tmpfs /srv && mkdir {CHECKOUT} && mount --bind {ROOT} {CHECKOUT}",
                f"export PATH={CHECKOUT}/{BIN.relative_to(ROOT)}:$PATH; cd {CHECKOUT}",
                f"python -m docs.recordings.capture {' '.join(scene.name for scene in SCENES)}",
                "madctl lab down --name demo",
            ):
                code, printed = shell.type(command, seconds=300)
                if code:
                    raise SystemExit(f"{command}: ended with {code}\n{printed}")


if __name__ == "__main__":
    record()
