"""Validates CycloneDX files against the official JSON schema, strictly.

    pip install 'cyclonedx-python-lib[validation]'
    cargo run -p ostrom-scan --example passport -- FOLDER > bom.json
    python bench/passport/validate.py bom.json [...]
"""

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

failed = False
for name in sys.argv[1:]:
    text = Path(name).read_text()
    version = {"1.6": SchemaVersion.V1_6}[json.loads(text)["specVersion"]]
    error = JsonStrictValidator(version).validate_str(text)
    failed |= error is not None
    print(f"{name}: {'valid' if error is None else error}")
sys.exit(failed or len(sys.argv) < 2)
