"""Checks the bundles in a folder: every one must be valid for stix2-validator, and every extension of ours for its schema."""
import json
import pathlib
import sys

import jsonschema
from stix2validator import ValidationOptions, validate_file

HERE = pathlib.Path(__file__).resolve().parents[2] / "crates/exchange/schemas"
OURS = {
    "extension-definition--44656ee4-853a-4211-99af-2d7a49789c44": "ostrom-ai.json",
    "extension-definition--ee01be7e-2f97-47af-a60a-c5db6342eae0": "ostrom-handling.json",
}


def main():
    folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    schemas = {}
    for key, name in OURS.items():
        schema = json.loads((HERE / name).read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        schemas[key] = jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )
    options = ValidationOptions(version="2.1", disabled="202,218,225")
    files = sorted(folder.glob("*.json"))
    bad = warned = objects = extensions = 0
    for path in files:
        result = validate_file(str(path), options)
        if not result.is_valid:
            bad += 1
            for inner in result.object_results:
                for error in inner.errors:
                    print(f"{path.name}: {error}", file=sys.stderr)
        warned += sum(len(inner.warnings) for inner in result.object_results)
        for warning in {str(w) for inner in result.object_results for w in inner.warnings}:
            if warned < 20:
                print(f"warning: {warning}", file=sys.stderr)
        for thing in json.loads(path.read_text())["objects"]:
            objects += 1
            for key, value in thing.get("extensions", {}).items():
                if key in schemas:
                    extensions += 1
                    for error in schemas[key].iter_errors(value):
                        bad += 1
                        print(f"{path.name}: {thing['id']}: {error.json_path}: {error.message}", file=sys.stderr)
    print(f"{len(files)} bundles, {objects} objects, {extensions} extensions: {bad} refused, {warned} warnings")
    if bad or len(files) != count + 1 or not extensions:
        sys.exit(1)


main()
