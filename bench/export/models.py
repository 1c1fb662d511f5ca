"""models.py avid|osv DOCUMENT…: reads documents with the data models of avidtools and osv-utils. Exits with 1 if one is refused
or would not come out again as it went in."""

import json
import sys
from pathlib import Path


def avid(document):
    from avidtools.datamodels.report import Report

    report = Report.model_validate(document)
    again = json.loads(report.model_dump_json(exclude_none=True))
    # The model passes over what it does not know: then the property is gone.
    lost = [path for path in paths(document) if path not in set(paths(again))]
    if lost:
        raise ValueError(f"not in AVID's model: {lost}")


def osv(document):
    from osvutils.types.osv import OSV

    OSV.model_validate(document)


def paths(value, at=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, f"{at}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{at}[]")
    else:
        yield at


def main():
    kind, *files = sys.argv[1:]
    check = {"avid": avid, "osv": osv}[kind]
    failed = False
    for file in files:
        try:
            check(json.loads(Path(file).read_text(encoding="utf-8")))
            print(f"{kind} valid: {file}")
        except Exception as error:  # every reason to refuse a document counts
            failed = True
            print(f"{kind} INVALID: {file}\n  {error}")
    sys.exit(1 if failed or not files else 0)


main()
