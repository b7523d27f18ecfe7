"""A library that the system has installed, as a Bazel target."""

def system_library(name, libs = [], static_group = [], **kwargs):
    """Wraps an installed library.

    Args:
      name: the target.
      libs: what to link, without "lib" and suffix; shared where both kinds exist.
      static_group: archives to link statically, that may need each other in any order.
      **kwargs: passed on to cc_library (deps, testonly, visibility).
    """
    linkopts = ["-l" + lib for lib in libs]
    if static_group:
        linkopts = (
            ["-Wl,--start-group"] +
            ["-l:lib%s.a" % lib for lib in static_group] +
            ["-Wl,--end-group"] + linkopts
        )
    native.cc_library(
        name = name,
        linkopts = linkopts,
        **kwargs
    )
