# SPDX-License-Identifier: Apache-2.0
"""Write the pages that are generated from the code; ``make docs`` runs this."""

import functools
from pathlib import Path

from docs.generators import (
    changelog,
    checks,
    layers,
    manual,
    output,
    pictures,
    plugins,
    promises,
    python,
    reference,
    settings,
)
from docs.recordings import scenes, svg

HERE = Path(__file__).parent
PAGES = {
    "reference/commands.md": reference.commands,
    "reference/checks.md": checks.checks,
    "reference/faults.md": checks.faults,
    "reference/json.md": output.page,
    "reference/madctl-output.schema.json": output.schema,
    "reference/promises.txt": promises.text,
    "reference/plugins.md": plugins.plugins,
    "reference/roles.md": reference.roles,
    "reference/settings.md": settings.settings,
    "man/madctl.1": manual.manual,
    "../madctl/api/options.py": python.options,
    "../CHANGELOG.md": changelog.changelog,
    "pictures/architecture.svg": layers.architecture,
    "pictures/life_of_a_run.svg": pictures.life_of_a_run,
    "pictures/mpirun.svg": pictures.mpirun,
    "pictures/mpirun_containers.svg": pictures.containers,
    "pictures/slurm.svg": pictures.slurm,
    "pictures/kubernetes.svg": pictures.kubernetes,
    **{f"pictures/{scene.name}.svg": functools.partial(svg.picture, scene) for scene in scenes.SCENES},
}

if __name__ == "__main__":
    for name, write in PAGES.items():
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_text(write(), encoding="utf-8")
