"""Licences and known-bad versions of every dependency, checked without a network.

Licences come from what is installed (Python) and from `cargo metadata` (Rust). Advisories are the
list below: releases that must never come back into a lock file, each with its reason. A new one is
added when it becomes known; the online scanners are for the release checklist.
"""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PERMISSIVE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT",
    "MIT-0", "PSF-2.0", "Python-2.0", "Unicode-3.0", "Unlicense", "Zlib", "CDLA-Permissive-2.0",
    "HPND", "CNRI-Python", "Apache-2.0 WITH LLVM-exception",
}  # fmt: skip
SPELLINGS = {
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache-2.0 license": "Apache-2.0",
    "mit license": "MIT",
    "the mit license (mit)": "MIT",
    "bsd license": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "python software foundation license": "PSF-2.0",
    "dual license": "MIT OR Apache-2.0",
    "zpl 2.1": "ZPL-2.1",
}
# Not permissive in the letter, used unmodified: file-level copyleft that asks nothing of us.
REASONED = {
    "certifi": "MPL-2.0",
    "hypothesis": "MPL-2.0",
    "orjson": "MPL-2.0",
    "tqdm": "MPL-2.0",
    "pathspec": "MPL-2.0",
    "option-ext": "MPL-2.0",
}
# What the licence file beside the package says, where its metadata says nothing.
UNSAID = {
    "promql-parser": "MIT",
}
# name, first good version, why. A locked version below it fails the check.
PYTHON_ADVISORIES = [
    ("xgrammar", "0.1.32", "CVE-2026-25048: nested schemas crash the process"),
    ("h11", "0.16.0", "CVE-2025-43859: chunked bodies are accepted leniently"),
    ("jinja2", "3.1.6", "CVE-2025-27516: sandbox escape"),
    ("requests", "2.32.4", "CVE-2024-47081: credentials leak to a crafted host"),
    ("urllib3", "2.6.0", "CVE-2025-66418: unbounded decompression chain"),
]
RUST_ADVISORIES = [
    ("pyo3", "0.24.1", "RUSTSEC-2025-0020: buffer overflow in PyString::from_object"),
    ("tokio", "1.44.2", "RUSTSEC-2025-0023: broadcast channel is unsound"),
    ("crossbeam-channel", "0.5.15", "RUSTSEC-2025-0024: double free on drop"),
    ("ring", "0.17.12", "RUSTSEC-2025-0009: panic in AES"),
]


def version_key(text: str) -> tuple[int, ...]:
    """The release numbers of a version, for comparing."""
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+", maxsplit=1)[0])[:4])


def is_permissive(expression: str) -> bool:
    """Whether some choice of the expression is permissive throughout."""
    text = SPELLINGS.get(expression.strip().lower(), expression).replace("/", " OR ")
    for choice in re.split(r"\s+OR\s+", text.strip("() ")):
        parts = [part.strip("() ") for part in re.split(r"\s+AND\s+", choice)]
        if all(SPELLINGS.get(part.lower(), part) in PERMISSIVE for part in parts):
            return True
    return False


def python_licence(package: metadata.Distribution) -> list[str]:
    """What the package says of its licence, best source first."""
    info = package.metadata
    classifiers = [
        line.split("::")[-1].strip()
        for line in info.get_all("Classifier") or []
        if line.startswith("License ::") and line.count("::") > 1
    ]
    first_line = (info.get("License") or "").strip().split("\n")[0]
    return [text for text in [info.get("License-Expression"), *classifiers, first_line] if text]


def python_findings() -> list[str]:
    """Installed packages whose licence or version is not fit."""
    findings = []
    for package in metadata.distributions():
        name = (package.metadata["Name"] or "").lower().replace("_", "-")
        said = python_licence(package) or [UNSAID.get(name, "")]
        if name in {"tokenmill", "pip", "setuptools"} or name in REASONED:
            continue
        if not any(is_permissive(text) for text in said):
            findings.append(f"{name}: licence {said or 'unknown'}")
        for bad, good, why in PYTHON_ADVISORIES:
            if name == bad and version_key(package.version) < version_key(good):
                findings.append(f"{name} {package.version}: needs {good}: {why}")
    return findings


def rust_findings() -> list[str]:
    """Locked crates whose licence or version is not fit."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    findings = []
    for crate in json.loads(listed)["packages"]:
        name, version = crate["name"], crate["version"]
        if name not in REASONED and not is_permissive(crate["license"] or ""):
            findings.append(f"{name}: licence {crate['license']}")
        for bad, good, why in RUST_ADVISORIES:
            if name == bad and version_key(version) < version_key(good):
                findings.append(f"{name} {version}: needs {good}: {why}")
    return findings


if __name__ == "__main__":
    found = python_findings() + rust_findings()
    print("\n".join(found) or "licences and versions: nothing found")
    sys.exit(1 if found else 0)
