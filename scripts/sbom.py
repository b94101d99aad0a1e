#!/usr/bin/env python3
"""Writes the software bill of materials to standard output: CycloneDX 1.5, of all that is compiled into the two tools.

    python3 scripts/sbom.py TARGET        such as x86_64-unknown-linux-gnu

What only tests and builds need is left out. The same lock file gives the same bytes.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from datetime import datetime, timezone


def main():
    target = sys.argv[1]
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]

    # Reached by what is linked, and not by build scripts; what only tests switch on is told by the tree alone.
    tree = linked_packages(target)
    linked, waiting = {}, [root]
    while waiting:
        package = waiting.pop()
        if package in linked:
            continue
        linked[package] = sorted({
            dependency["pkg"] for dependency in nodes[package]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
            and (packages[dependency["pkg"]]["name"], packages[dependency["pkg"]]["version"]) in tree
        })
        waiting.extend(linked[package])

    checksums = locked_checksums()
    reference = lambda package: purl(packages[package])
    components = [component(packages[package], checksums) for package in linked if package != root]
    tool = packages[root]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": reference(root), "name": tool["name"], "version": tool["version"],
                "licenses": [{"expression": tool["license"]}], "purl": reference(root),
            },
            "properties": [{"name": "target", "value": target}],
        },
        "components": sorted(components, key=lambda one: one["bom-ref"]),
        "dependencies": sorted(
            ({"ref": reference(package), "dependsOn": sorted(map(reference, needs))} for package, needs in linked.items()),
            key=lambda one: one["ref"],
        ),
    }
    if "SOURCE_DATE_EPOCH" in os.environ:
        moment = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)
        bill["metadata"]["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    # A name for exactly this bill.
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True))}"
    json.dump(bill, sys.stdout, indent=1, sort_keys=True)
    print()


def linked_packages(target):
    command = ["cargo", "tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--no-dedupe",
               "--format", "{p}", "--target", target]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^(\S+) v(\S+)", listed, re.M))


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    found = {
        "type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"],
        "purl": purl(package),
        # Older packages write a slash for "or".
        "licenses": [{"expression": (package["license"] or "NOASSERTION").replace("/", " OR ")}],
    }
    if package["repository"]:
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return found


def locked_checksums():
    with open("Cargo.lock", encoding="utf-8") as lock:
        text = lock.read()
    entry = re.compile(r'^name = "(.*)"\nversion = "(.*)"\n(?:source = .*\n)?checksum = "([0-9a-f]{64})"', re.M)
    return {(name, version): checksum for name, version, checksum in entry.findall(text)}


if __name__ == "__main__":
    main()
