#!/usr/bin/env python3
"""Reads a report as other programs do. Usage: validate.py json|jsonl|junit|yaml FILE [SCHEMA]. Exit code 77: a module is missing."""

import json
import sys


def missing(name):
    print(f"`pip install {name}`", file=sys.stderr)
    sys.exit(77)


def validator(path):
    try:
        import jsonschema
    except ImportError:
        missing("jsonschema")
    with open(path, encoding="utf-8") as file:
        schema = json.load(file)
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def main(kind, path, schema=None):
    if kind == "json":
        with open(path, encoding="utf-8") as file:
            validator(schema).validate(json.load(file))
    elif kind == "jsonl":
        lines = validator(schema)
        with open(path, encoding="utf-8") as file:
            for line in file:
                lines.validate(json.loads(line))
    elif kind == "junit":
        try:
            import xmlschema
        except ImportError:
            missing("xmlschema")
        xmlschema.XMLSchema(schema).validate(path)


main(*sys.argv[1:])
