# SPDX-License-Identifier: Apache-2.0
"""By what things of a run are recognised on a node. Data only; private to the collection."""

# madengine names a container after its image, and version 1 looks for that anywhere.
CONTAINER_PREFIX = "container_"
