"""Reads the type declarations of Go packages: struct fields with their tags and markers, named types, constants."""
import os
import re

FIELD = re.compile(r"^\t(\w+)\s+(\S+)\s+`([^`]*)`")
EMBEDDED = re.compile(r"^\t([\w.*]+)\s+`([^`]*)`")
BARE_FIELD = re.compile(r"^\t([A-Z]\w*)\s+([\w.*\[\]]+)\s*(//.*)?$")
TAG = re.compile(r'(\w+):"([^"]*)"')
IMPORT = re.compile(r'^\s*(?:(\w+)\s+)?"([^"]+)"$')
CONST = re.compile(r'^\s*(?:const\s+)?(\w+)\s+(\w+)\s*=\s*"([^"]*)"')
TYPED_CONST = re.compile(r'^\s*(?:const\s+)?(\w+)\s*=\s*(\w+)\("([^"]*)"\)')
PLAIN_CONST = re.compile(r'^\s*(?:const\s+)?(\w+)\s*=\s*"([^"]*)"')
KNOWN = re.compile(r"AddKnownTypes\((\w+(?:\.\w+)*),(.*?)\)\n", re.S)


class Field:
    def __init__(self, name, go_type, tags, markers):
        self.name, self.go_type, self.tags, self.markers = name, go_type, tags, markers


class Type:
    """A declaration: `fields` of a struct, or `underlying` of any other named type."""

    def __init__(self, package, name, markers):
        self.package, self.name, self.markers = package, name, markers
        self.fields, self.underlying, self.imports, self.alias = None, None, {}, False


class Package:
    def __init__(self, path):
        self.path, self.types, self.constants, self.group, self.known = path, {}, {}, None, []
        self.plain = {}

    @property
    def name(self):
        return self.path.rsplit("/", 1)[1]


def markers_of(comment):
    found = {}
    for line in comment:
        line = line.lstrip("/ \t").rstrip()
        if line.startswith("+"):
            key, _, value = line[1:].partition("=")
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def read_package(root, path):
    package = Package(path)
    folder = os.path.join(root, path)
    for entry in sorted(os.listdir(folder)):
        if entry.endswith(".go") and not entry.endswith("_test.go") and not entry.startswith(("generated.", "zz_")):
            with open(os.path.join(folder, entry), encoding="utf-8") as source:
                read_file(package, source.read())
    return package


def read_file(package, text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    group = re.search(r'^const GroupName = "([^"]*)"', text, re.M)
    if group:
        package.group = group.group(1)
    for _, names in KNOWN.findall(text):
        package.known += [n for n in re.findall(r"&(\w[\w.]*)\{\}", names) if "." not in n]
    imports, comment, current = {}, [], None
    in_import = False
    for line in text.split("\n"):
        if line.startswith("import ("):
            in_import = True
            continue
        if in_import:
            if line.startswith(")"):
                in_import = False
                continue
            m = IMPORT.match(line)
            if m:
                imports[m.group(1) or m.group(2).rsplit("/", 1)[-1]] = m.group(2)
            continue
        stripped = line.strip()
        if stripped.startswith("//"):
            comment.append(stripped)
            continue
        if current is not None and current.fields is not None:
            if line.startswith("}"):
                current = None
            else:
                read_field(current, line, comment)
                comment = comment if not stripped else []
            continue
        m = re.match(r"^type (\w+)( =)? (.*)$", line)
        if m:
            current = Type(package, m.group(1), markers_of(comment))
            current.imports = imports
            package.types[m.group(1)] = current
            if m.group(3).startswith("struct"):
                current.fields = []
                if m.group(3).rstrip().endswith("}"):
                    current = None
            else:
                current.underlying = m.group(3).split("//")[0].strip()
                current.alias = m.group(2) is not None
                current = None
            comment = []
            continue
        m = CONST.match(line)
        if m:
            package.constants.setdefault(m.group(2), []).append((m.group(1), m.group(3)))
        m = TYPED_CONST.match(line)
        if m:
            package.constants.setdefault(m.group(2), []).append((m.group(1), m.group(3)))
        m = PLAIN_CONST.match(line)
        if m:
            package.plain[m.group(1)] = m.group(2)
        # Markers may be separated from the declaration by a blank line.
        if stripped:
            comment = []


def read_field(struct, line, comment):
    m = FIELD.match(line)
    if m:
        struct.fields.append(Field(m.group(1), m.group(2), dict(TAG.findall(m.group(3))), markers_of(comment)))
        return
    m = EMBEDDED.match(line)
    if m:
        struct.fields.append(Field(None, m.group(1), dict(TAG.findall(m.group(2))), markers_of(comment)))
        return
    m = BARE_FIELD.match(line)
    if m:
        struct.fields.append(Field(m.group(1), m.group(2), {}, markers_of(comment)))
