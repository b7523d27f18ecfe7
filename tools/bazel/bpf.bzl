"""BPF objects and their skeletons.

    load("//tools/bazel:bpf.bzl", "bpf_object")

    bpf_object(
        name = "policy",
        src = "policy.bpf.c",
        deps = ["//bpf_progs/abi:uid_policy"],  # cc_library targets with headers
    )

makes
  :policy    cc_library with "<package>/policy.skel.h" (struct policy_bpf, its C++ wrapper has
             open(), load(), attach(), destroy()); depends on libbpf
  :policy_o  the object file policy.bpf.o, with BTF and without DWARF
"""

# v3 (32-bit ALU and jump instructions) is in the kernel since 5.1; our oldest is 5.10.
_BPF_FLAGS = "-target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -fno-stack-protector"

def _bpf_compile_impl(ctx):
    out = ctx.actions.declare_file(ctx.attr.object_name + ".bpf.o")
    headers = []
    flags = ctx.actions.args()
    flags.add_all(["-iquote", ".", "-iquote", ctx.genfiles_dir.path])
    for dep in ctx.attr.deps:
        context = dep[CcInfo].compilation_context
        headers.append(context.headers)
        flags.add_all(context.includes, before_each = "-I")
        flags.add_all(context.system_includes, before_each = "-isystem")
        flags.add_all(context.defines, format_each = "-D%s")
    flags.add_all(ctx.attr.copts)
    ctx.actions.run_shell(
        outputs = [out],
        inputs = depset([ctx.file.src] + ctx.files.hdrs, transitive = headers),
        arguments = [ctx.file.src.path, out.path, flags],
        # The target bpf has no multiarch directory of its own, but <linux/types.h> wants
        # <asm/types.h>. The DWARF is only there for clang to make BTF from.
        command = """
src=$1 out=$2; shift 2
clang %s -fdebug-compilation-dir=. \
    -idirafter "/usr/include/$(gcc -print-multiarch)" "$@" -c "$src" -o "$out" &&
llvm-strip --strip-debug "$out"
""" % _BPF_FLAGS,
        mnemonic = "BpfCompile",
        progress_message = "Compiling BPF %s" % ctx.file.src.short_path,
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

_bpf_compile = rule(
    implementation = _bpf_compile_impl,
    attrs = {
        "object_name": attr.string(mandatory = True),
        "src": attr.label(mandatory = True, allow_single_file = [".c"]),
        "hdrs": attr.label_list(allow_files = [".h"]),
        "deps": attr.label_list(providers = [CcInfo]),
        "copts": attr.string_list(),
    },
)

def bpf_object(name, src, hdrs = [], deps = [], copts = [], **kwargs):
    """Compiles a BPF program and makes its skeleton; see the top of this file.

    Args:
      name: of the cc_library with the skeleton; the struct is <name>_bpf.
      src: the one .bpf.c file.
      hdrs: header files of its own.
      deps: cc_library targets whose headers it includes (by path from the root).
      copts: more flags for clang.
      **kwargs: visibility, testonly, tags of the public targets.
    """
    _bpf_compile(
        name = name + "_o",
        object_name = name,
        src = src,
        hdrs = hdrs,
        deps = deps,
        copts = copts,
        **kwargs
    )
    native.genrule(
        name = name + "_skel",
        srcs = [":%s_o" % name],
        outs = [name + ".skel.h"],
        # A system header: its warnings are not ours. C++ knows bool only, not _Bool.
        cmd = ("set -o pipefail; (echo '#pragma GCC system_header'; " +
               "bpftool gen skeleton $< name %s_bpf) | sed 's/\\b_Bool\\b/bool/' > $@" % name),
        message = "Generating BPF skeleton",
        testonly = kwargs.get("testonly", False),
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        hdrs = [name + ".skel.h"],
        deps = ["//third_party/system:libbpf"],
        **kwargs
    )
