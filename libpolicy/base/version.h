// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_BASE_VERSION_H_
#define NETPOLICY_LIBPOLICY_BASE_VERSION_H_

namespace netpolicy {

// Version of the sources that a program was built from, as --version prints it.
// What fits together at run time is not decided by it but by the versions of
// the tables (bpf_progs/abi/control.h) and of the service protocol.
inline constexpr char kVersion[] = "0.1.0";

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_BASE_VERSION_H_
