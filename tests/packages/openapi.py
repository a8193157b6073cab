"""openapi.json against OpenAPI's own schema, by a validator of npm.

openapi.py DOCUMENT FOLDER   (where the validator is installed)"""

import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77
VALIDATOR = "@seriousme/openapi-schema-validator@2.11.0"


def main():
    document, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if not shutil.which("npm") or not shutil.which("node"):
        print("Node.js is not installed: deploy/install-deps --console")
        return SKIPPED
    folder.mkdir(exist_ok=True)
    if not (folder / "node_modules/@seriousme/openapi-schema-validator").exists():
        command = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--silent", "--prefix", folder, VALIDATOR]
        try:
            installed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).returncode == 0
        except subprocess.TimeoutExpired:
            installed = False
        if not installed:
            print(f"npm cannot install {VALIDATOR} here")
            return SKIPPED
    # Beside node_modules: that is where an ES module looks.
    script = pathlib.Path(shutil.copy(pathlib.Path(__file__).with_name("openapi.mjs"), folder))
    return subprocess.run(["node", script, document], check=False).returncode


sys.exit(main())
