"""What an installation has on the engine now."""

from __future__ import annotations

import docker


def objects(installation: str) -> set[str]:
    """Every container, network, volume and image tag of the installation."""
    client = docker.from_env()
    try:
        ours = {"label": f"paas.installation={installation}"}
        found = {f"container {one.name}" for one in client.containers.list(all=True, filters=ours, ignore_removed=True)}
        found |= {f"network {one.name}" for one in client.networks.list(filters=ours)}
        found |= {f"volume {one.name}" for one in client.volumes.list(filters=ours)}
        images = client.api.images(filters=ours)
        return found | {f"image {tag}" for one in images for tag in one["RepoTags"] or [one["Id"]]}
    finally:
        client.close()
