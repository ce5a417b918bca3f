"""Validates TOML files by JSON Schemas: reads {"schemas": {name: schema}, "files": [[schema, label, text]]}
and prints for each file its label and what is wrong with it, or nothing."""

import datetime
import json
import sys
import tomllib

import jsonschema


def plain(value):
    """The value as an editor shows it to a schema: dates are texts."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else value


asked = json.load(sys.stdin)
validators = {}
for name, schema in asked["schemas"].items():
    jsonschema.Draft7Validator.check_schema(schema)
    validators[name] = jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())
for schema, label, text in asked["files"]:
    errors = sorted(validators[schema].iter_errors(plain(tomllib.loads(text))), key=lambda error: error.json_path)
    print(json.dumps([label, [f"{error.json_path}: {error.message[:120]}" for error in errors]]))
