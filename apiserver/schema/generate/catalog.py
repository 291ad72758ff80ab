#!/usr/bin/env python3
"""Writes ../catalog/types.tsv, the facts about every built-in type.

    catalog.py --go DIR --definitions FILE

DIR holds the unpacked Debian packages golang-k8s-api-dev, golang-k8s-apimachinery-dev and
golang-k8s-apiextensions-apiserver-dev (it contains api/, apimachinery/ …); FILE is _definitions.json of the PyPI
package kubernetes-validate. README.md says how to get both. Only names, types, numbers, keys and defaults are
taken: no prose and no code.

Lines of the output, separated by tabs; a type is referred to by its position, `#12`:

    T  definition  Go type  flags  kinds             a struct; flag a: structType=atomic; kinds group/version/kind
    F  name  type  flags  number  key=value...       a field of it; e omitempty, z omitzero, p pointer, r required,
                                                     A atomic, G granular; number of protobuf (2.1: field 1 of the message in
                                                     field 2; 0: not in the message); ls, lk, ps, pk, df: list type,
                                                     map keys, patch strategy, merge key, default
    N  definition  Go type  type  enum values        a named type that is not a struct

Types: s string, b bool, i int32, l int64, d float64, y bytes, t Time, T MicroTime, q Quantity,
o IntOrString, J JSON, R RawExtension, F FieldsV1, [x list of x, {x map to x, *x pointer to x (in a list or map),
U a union: of an object, a list, b bool: U#1,[#1 .
"""
import argparse
import json
import os
import sys

import go_types

HERE = os.path.dirname(os.path.abspath(__file__))
MACHINERY = "apimachinery/pkg/"


def proto_number(field):
    """The field's number in protobuf; None when it has none."""
    return int(field.tags["protobuf"].split(",")[1]) if "protobuf" in field.tags else None


SPECIAL = {
    MACHINERY + "apis/meta/v1.Time": "t",
    MACHINERY + "apis/meta/v1.MicroTime": "T",
    MACHINERY + "apis/meta/v1.FieldsV1": "F",
    MACHINERY + "api/resource.Quantity": "q",
    MACHINERY + "util/intstr.IntOrString": "o",
    MACHINERY + "runtime.RawExtension": "R",
    "apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON": "J",
}
BUILTIN = {"string": "s", "bool": "b", "int32": "i", "int64": "l", "int": "l", "float64": "d", "uint8": "i",
           "byte": "i", "[]byte": "y", "uint32": "l", "interface{}": "J", "any": "J"}
# Types that decode themselves: an object, a list, or a boolean.
UNIONS = {
    "JSONSchemaPropsOrArray": ("JSONSchemaProps", "[", "JSONSchemaProps"),
    "JSONSchemaPropsOrBool": ("JSONSchemaProps", "b", None),
    "JSONSchemaPropsOrStringArray": ("JSONSchemaProps", "[s", None),
}
# Kinds that no published definition names, yet arrive as bodies or query options, or are sent to webhooks.
EXTRA = [
    ("api/core/v1", ["PodExecOptions", "PodAttachOptions", "PodPortForwardOptions", "PodLogOptions", "PodProxyOptions",
                     "NodeProxyOptions", "ServiceProxyOptions", "SerializedReference", "RangeAllocation"]),
    ("api/admission/v1", ["AdmissionReview"]),
    ("api/apidiscovery/v2", ["APIGroupDiscoveryList"]),
    (MACHINERY + "apis/meta/v1", ["Table", "TableOptions", "PartialObjectMetadata", "PartialObjectMetadataList",
                                  "ListOptions", "GetOptions", "CreateOptions", "UpdateOptions", "PatchOptions",
                                  "List"]),
]


class Catalog:
    def __init__(self, root, definitions):
        self.root, self.definitions = root, definitions
        self.packages, self.order, self.numbers, self.lines = {}, [], {}, {}
        self.notes = []

    def package(self, path):
        if path not in self.packages:
            root = self.root
            package = go_types.read_package(root, path)
            if package.group is None and os.path.exists(os.path.join(root, path, "..", "register.go")):
                parent = go_types.read_package(root, path.rsplit("/", 1)[0])
                package.group = parent.group
            self.packages[path] = package
        return self.packages[path]

    def add_overlay(self):
        package = go_types.Package("kube-aggregator/pkg/apis/apiregistration/v1")
        with open(os.path.join(HERE, "overlay.go"), encoding="utf-8") as source:
            go_types.read_file(package, source.read())
        package.known = ["APIService", "APIServiceList"]
        self.packages[package.path] = package

    def lookup(self, owner, name):
        """The declaration that `name`, written in the file of `owner`, refers to."""
        if "." in name:
            alias, name = name.split(".")
            path = owner.imports[alias].removeprefix("k8s.io/")
        else:
            path = owner.package.path
        declared = self.package(path).types[name]
        return self.lookup(declared, declared.underlying) if declared.alias else declared

    def number(self, declared):
        key = (declared.package.path, declared.name)
        if key not in self.numbers:
            self.numbers[key] = len(self.order)
            self.order.append(declared)
            self.lines[key] = None
            self.lines[key] = self.describe(declared)
        return self.numbers[key]

    def token(self, owner, go):
        """The type token of a Go type expression, and whether it is a pointer."""
        if go.startswith("*"):
            return self.token(owner, go[1:])[0], True
        if go in BUILTIN:
            return BUILTIN[go], False
        if go.startswith("[]"):
            item, pointer = self.token(owner, go[2:])
            return "[" + ("*" if pointer else "") + item, False
        if go.startswith("map["):
            value, pointer = self.token(owner, go[go.index("]") + 1:])
            return "{" + ("*" if pointer else "") + value, False
        declared = self.lookup(owner, go)
        special = SPECIAL.get(declared.package.path + "." + declared.name)
        if special:
            return special, False
        return "#%d" % self.number(declared), False

    def definition(self, declared):
        path = declared.package.path
        return "io.k8s." + path.replace("/", ".") + "." + declared.name

    def describe(self, declared):
        definition = self.definition(declared)
        go_type = declared.package.name + "." + declared.name
        if declared.name in UNIONS and "apiextensions" in declared.package.path:
            first, second, item = UNIONS[declared.name]
            token = "U#%d,%s" % (self.number(self.lookup(declared, first)), second)
            if item:
                token += "#%d" % self.number(self.lookup(declared, item))
            return ["N\t%s\t%s\t%s\t" % (definition, go_type, token)]
        base = self.struct_of(declared)
        if base is None:
            token, _ = self.token(declared, declared.underlying)
            values = []
            if "enum" in declared.markers:
                values = sorted({value for _, value in declared.package.constants.get(declared.name, [])})
            return ["N\t%s\t%s\t%s\t%s" % (definition, go_type, token, "|".join(values))]
        published = self.definitions.get(definition)
        flags = "a" if "atomic" in declared.markers.get("structType", []) else ""
        lines = ["T\t%s\t%s\t%s\t%s" % (definition, go_type, flags, ";".join(self.kinds(declared, published)))]
        seen = {}
        for owner, field, number in self.flatten(base):
            line = self.field(owner, field, number, published)
            seen[line.split("\t")[1]] = line
        lines += seen.values()
        if published:
            missing = set(published.get("properties", {})) ^ set(seen)
            if missing:
                self.notes.append("%s: only on one side: %s" % (definition, sorted(missing)))
        return lines

    def struct_of(self, declared):
        """The struct behind a declaration, which `type X v1.Y` makes another one; None for other types."""
        if declared.fields is not None:
            return declared
        if not declared.underlying.replace(".", "").isalnum() or declared.underlying in BUILTIN:
            return None
        base = self.lookup(declared, declared.underlying)
        return None if base.package.path + "." + base.name in SPECIAL else self.struct_of(base)

    def flatten(self, declared, numbers=()):
        """The fields in the order in which encoding/json visits them, and the protobuf numbers on the way to each:
        what JSON inlines, protobuf nests. TypeMeta is inlined too, and is not in the message at all."""
        for field in declared.fields:
            tag = field.tags.get("json")
            if tag == "-" or (tag is None and not (field.name or "").strip()):
                continue
            if tag is None:
                continue
            name, _, options = tag.partition(",")
            if not name and "inline" in options or (field.name is None and not name):
                embedded = self.lookup(declared, field.go_type.lstrip("*"))
                inner = proto_number(field)
                yield from self.flatten(embedded, numbers + (inner,) if inner and None not in numbers else (None,))
            else:
                number = proto_number(field)
                known = number and None not in numbers
                yield declared, field, ".".join(str(n) for n in numbers + (number,)) if known else "0"

    def kinds(self, declared, published):
        if published and "x-kubernetes-group-version-kind" in published:
            return ["%(group)s/%(version)s/%(kind)s" % k for k in published["x-kubernetes-group-version-kind"]]
        package = declared.package
        if declared.name in package.known:
            return ["%s/%s/%s" % (package.group, package.name, declared.name)]
        if package.path == MACHINERY + "apis/meta/v1" and any(declared.name in names for _, names in EXTRA):
            return ["%s/v1/%s" % ("meta.k8s.io" if declared.name != "List" else "", declared.name)]
        return []

    def field(self, owner, field, number, published):
        name, _, options = field.tags["json"].partition(",")
        token, pointer = self.token(owner, field.go_type)
        options = options.split(",")
        schema = (published or {}).get("properties", {}).get(name)
        flags = "e" if "omitempty" in options else ""
        flags += "z" if "omitzero" in options else ""
        flags += "p" if pointer else ""
        optional = "optional" in field.markers or "omitempty" in options or "omitzero" in options
        required = not optional
        if schema is not None and required != (name in published.get("required", [])):
            self.notes.append("%s.%s: required differs" % (self.definition(owner), name))
            required = name in published.get("required", [])
        flags += "r" if required else ""
        map_type = (field.markers.get("mapType", []) + field.markers.get("structType", []) + [None])[0]
        if schema is not None and map_type != schema.get("x-kubernetes-map-type"):
            self.notes.append("%s.%s: map type differs" % (self.definition(owner), name))
        # A field may say that its struct is granular although the type is atomic.
        flags += {"atomic": "A", "granular": "G"}.get(map_type, "")
        extra = []
        list_type = (field.markers.get("listType") or [None])[-1]
        keys = sorted(field.markers.get("listMapKey", []))
        if schema is not None and (list_type != schema.get("x-kubernetes-list-type")
                                   or keys != sorted(schema.get("x-kubernetes-list-map-keys", []))):
            self.notes.append("%s.%s: list type differs" % (self.definition(owner), name))
        if list_type:
            extra.append("ls=" + list_type)
        if keys:
            extra.append("lk=" + ",".join(field.markers.get("listMapKey", [])))
        for key, tag in (("ps", "patchStrategy"), ("pk", "patchMergeKey")):
            if tag in field.tags:
                extra.append(key + "=" + field.tags[tag])
        default = (field.markers.get("default") or field.markers.get("k8s:default") or [None])[0]
        if default is not None:
            extra.append("df=" + self.default(owner, default))
        return "\t".join(["F", name, token, flags, number] + extra)

    def default(self, owner, text):
        if text.startswith("ref("):
            constant = text[4:-1]
            for values in owner.package.constants.values():
                for name, value in values:
                    if name == constant:
                        return json.dumps(value)
            return json.dumps(owner.package.plain[constant])
        return json.dumps(json.loads(text), separators=(",", ":"))

    def add(self, definition):
        path, _, name = definition.removeprefix("io.k8s.").rpartition(".")
        path = path.replace(".", "/")
        declared = self.package(path).types[name]
        if declared.package.path + "." + name not in SPECIAL:
            self.number(declared)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--go", required=True)
    arguments.add_argument("--definitions", required=True)
    arguments.add_argument("--out", default=os.path.join(HERE, "..", "catalog", "types.tsv"))
    options = arguments.parse_args()
    with open(options.definitions, encoding="utf-8") as source:
        definitions = json.load(source)["$defs"]
    catalog = Catalog(options.go, definitions)
    catalog.add_overlay()
    for definition in sorted(definitions):
        try:
            catalog.add(definition)
        except KeyError as missing:
            catalog.notes.append("%s: not declared (%s)" % (definition, missing))
    for path, names in EXTRA:
        for name in names:
            catalog.number(catalog.package(path).types[name])
    with open(options.out, "w", encoding="utf-8") as out:
        for declared in catalog.order:
            out.write("\n".join(catalog.lines[(declared.package.path, declared.name)]) + "\n")
    print("%d types" % len(catalog.order))
    for note in catalog.notes:
        print(note, file=sys.stderr)


if __name__ == "__main__":
    main()
