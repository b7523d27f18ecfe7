// SPDX-License-Identifier: Apache-2.0
//
// Everything most tests of kernel behaviour begin with, in one include:
// scratch directories, private bpffs mounts, cgroups, and the question whether
// this machine can run the test at all.

#ifndef NETPOLICY_LIBPOLICY_TESTING_TEST_ENVIRONMENT_H_
#define NETPOLICY_LIBPOLICY_TESTING_TEST_ENVIRONMENT_H_

#include "libpolicy/testing/bpf_fs.h"       // IWYU pragma: export
#include "libpolicy/testing/capability.h"   // IWYU pragma: export
#include "libpolicy/testing/scratch_dir.h"  // IWYU pragma: export
#include "libpolicy/testing/test_cgroup.h"  // IWYU pragma: export

#endif  // NETPOLICY_LIBPOLICY_TESTING_TEST_ENVIRONMENT_H_
