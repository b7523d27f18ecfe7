"""Kernel modules: which of a kernel package's are needed, and the index files that let BusyBox modprobe load them on demand."""

import lzma
import os
import re
import subprocess


class ModuleError(Exception):
    """A module cannot be read."""


def normal(name):
    """The kernel's spelling of a module name: `-` and `_` are one."""
    return name.replace("-", "_")


def wanted(path):
    """Reads the list of wanted modules: one name a line, `#` starts a comment."""
    with open(path, encoding="utf-8") as lines:
        stripped = (line.split("#")[0].strip() for line in lines)
        return [normal(line) for line in stripped if line]


def decompress(name, data):
    """The .ko inside a .ko, .ko.xz, .ko.gz or .ko.zst: BusyBox insmod reads only the plain form."""
    if name.endswith(".ko"):
        return data
    if name.endswith(".xz"):
        return lzma.decompress(data)
    tool = {".gz": "gzip", ".zst": "zstd"}.get(os.path.splitext(name)[1])
    if tool is None:
        raise ModuleError(f"decompress {name}: unknown compression")
    return subprocess.run([tool, "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout


def info(module):
    """The .modinfo of a plain .ko as {key: [values]}, for the keys that decide about loading."""
    found = {"depends": [], "alias": [], "softdep": []}
    for key, value in re.findall(rb"(?<![ -~])(depends|alias|softdep)=([^\0]*)\0", module):
        found[key.decode()].append(value.decode())
    return found


def needs(module_info):
    """The modules that must be loaded or loadable before this one, by name."""
    names = [name for value in module_info["depends"] for name in value.split(",") if name]
    for value in module_info["softdep"]:
        before = re.match(r"pre:\s*([^:]*?)(\s+\w+:.*)?$", value)
        names += before.group(1).split() if before else []
    return [normal(name) for name in names]


def select(roots, read):
    """The wanted modules and all they need: {name: (.ko bytes, info)}.

    `read(name)` returns the .ko of a module, or None for one that is built in or that this kernel lacks.
    """
    chosen = {}
    queue = list(roots)
    while queue:
        name = queue.pop()
        if name in chosen:
            continue
        module = read(name)
        if module is None:
            continue
        chosen[name] = (module, info(module))
        queue += needs(chosen[name][1])
    return chosen


def _load_order(chosen, name, order):
    for needed in needs(chosen[name][1]):
        if needed in chosen and needed not in order:
            _load_order(chosen, needed, order)
    order.append(name)


def index(chosen):
    """modules.dep and modules.alias for a selection whose files are all in one directory."""
    dep, alias = [], []
    for name in sorted(chosen):
        order = []
        _load_order(chosen, name, order)
        # modprobe loads the last name of a line first.
        dep.append(f"{name}.ko: " + " ".join(f"{needed}.ko" for needed in reversed(order[:-1])))
        alias += [f"alias {pattern} {name}" for pattern in chosen[name][1]["alias"]]
    return "\n".join(dep) + "\n", "\n".join(alias) + "\n"


def by_name(paths):
    """{module name: path} of the module files among `paths`."""
    found = {}
    for path in paths:
        match = re.fullmatch(r"(.+)\.ko(\.\w+)?", os.path.basename(path))
        if match:
            found[normal(match.group(1))] = path
    return found
