"""Protocol buffers for the lite runtime.

    load("//tools/bazel:proto.bzl", "lite_proto_library")

    lite_proto_library(name = "policy_proto", src = "policy.proto")

makes the cc_library :policy_proto with "<package>/policy.pb.h". The file must say
`option optimize_for = LITE_RUNTIME;` itself only if other tools read it.
"""

def lite_proto_library(name, src, deps = [], **kwargs):
    """Generates C++ for the lite runtime from one .proto file.

    Args:
      name: the cc_library.
      src: the .proto file; imports are by path from the root.
      deps: other lite_proto_library targets that it imports.
      **kwargs: visibility, testonly, tags.
    """
    if not src.endswith(".proto"):
        fail("src of %s must be a .proto file" % name)
    stem = src[:-len(".proto")]
    testonly = kwargs.get("testonly", False)
    native.filegroup(
        name = name + "_files",
        srcs = [src] + [dep + "_files" for dep in deps],
        **kwargs
    )
    native.genrule(
        name = name + "_gen",
        srcs = [src] + [dep + "_files" for dep in deps],
        outs = [stem + ".pb.cc", stem + ".pb.h"],
        # The header is a system header to the compiler: its warnings are not ours.
        cmd = ("protoc -I. -I$(GENDIR) --cpp_out=lite:$(GENDIR) $(location %s) && " % src +
               "sed -i '1i #pragma GCC system_header' $(location %s.pb.h)" % stem),
        message = "Generating C++ from",
        testonly = testonly,
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        srcs = [stem + ".pb.cc"],
        hdrs = [stem + ".pb.h"],
        copts = ["-w"],
        deps = deps + ["//third_party/system:protobuf_lite"],
        **kwargs
    )
