// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_ASSERT_H_
#define NETPOLICY_BPF_PROGS_ABI_ASSERT_H_

// NP_ASSERT_SIZE(type, arithmetic): the size of a shared struct, written as the
// sum of its fields, so that padding the compiler would add is an error in both
// languages.
#ifdef __cplusplus
#define NP_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#else
#define NP_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#endif

#endif  // NETPOLICY_BPF_PROGS_ABI_ASSERT_H_
